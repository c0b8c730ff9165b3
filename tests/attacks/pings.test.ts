import { execFile } from 'node:child_process';
import process from 'node:process';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { BackpressureError, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, threadTime, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, turn } from '../../src/index.ts';
import type { Flooded } from './ping-flood.ts';
import {
  deflatingHost,
  frame,
  ROLES,
  readingVictim,
  SHARED,
  type Victim,
  victim,
  warmUp,
} from './victim.ts';

const PING_FLOOD = fileURLToPath(new URL('ping-flood.ts', import.meta.url));
const CHUNK = 65_536;
const MANY = 1_000_000;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** Frames as many as a chunk of 64 KiB holds. Their key is zero: they are the same once they were read. */
function chunkOf(role: Role, opcode: number, payload = ''): Chunk {
  const one = frame(role, opcode, payload, { key: 0 });
  const count = Math.floor(CHUNK / one.length);
  return { bytes: Buffer.concat(Array.from({ length: count }, () => one)), count };
}

/** Feeds at least `count` frames, a chunk in each turn; says how many and what CPU time each took, in ms. */
async function flood(
  { transport, host }: Victim,
  chunk: Chunk,
  count: number,
  onTurn: () => void,
): Promise<{ fed: number; each: number }> {
  const before = threadTime();
  let fed = 0;
  while (fed < count) {
    transport.sink!.data(chunk.bytes);
    fed += chunk.count;
    await host.settle();
    onTurn();
    await turn();
  }
  return { fed, each: (threadTime() - before) / fed };
}

/** Lets a process of its own be flooded. */
async function floodOf(pings: number): Promise<Flooded> {
  const loader = ['--conditions=@ws/source', '--import', 'tsx'];
  const child = execFile(process.execPath, [...loader, PING_FLOOD, `${pings}`]);
  return JSON.parse(await textOf(child.stdout!)) as Flooded;
}

describe('a flood of pings', () => {
  it('is answered as it is read, ping by ping', { timeout: 30_000 }, async () => {
    const attack = async (): Promise<Outcome> => {
      const { pings, answered, state, each, turn: most } = await floodOf(MANY);
      expect(answered).toBe(pings);
      expect(state).toBe('open');
      return { pings, each, turn: most };
    };
    await survives(62, attack);
  });

  it('is answered ten times in a row', async () => {
    for (const role of ROLES) {
      const target = await readingVictim(role);
      target.feed(...Array.from({ length: 10 }, (_, i) => target.frame(9, `ping ${i}`)));
      await target.host.settle();
      expect(shown(target)).toEqual(Array.from({ length: 10 }, (_, i) => `10 ping ${i}`));
      await target.end();
    }
  });

  it('gets one pong while they are not read, the newest', async () => {
    const pings = 20_000;
    const rounds = 3;
    const newest = 'n'.repeat(125);
    const host = new FakeHost();
    const ready: { target: Victim; chunk: Chunk }[] = [];
    for (const role of ROLES) {
      const chunk = chunkOf(role, 9, 'p'.repeat(125));
      for (let i = 0; i < rounds + 2; i++) {
        const target = await readingVictim(role, {}, host);
        target.transport.block();
        void target.conn.send('in the way');
        await host.settle();
        ready.push({ target, chunk });
      }
    }
    const attack = async (watch: Watch): Promise<Outcome> => {
      const { target, chunk } = ready.pop()!;
      const { transport, conn } = target;
      await flood(target, chunk, pings, () => {});
      target.feed(target.frame(9, newest));
      await host.settle();
      watch.weigh();
      const before = transport.sent.length;
      transport.drain();
      await host.settle();
      const pending = transport.sent.length - before;
      expect(conn.state).toBe('open');
      expect(shown(target)).toEqual(['1 in the way', `10 ${newest}`]);
      await target.end();
      return { pending };
    };
    await warmUp(attack, 2);
    // The clients, and the servers.
    await survives(63, attack, { rounds });
    await warmUp(attack, 2);
    await survives(63, attack, { rounds });
  });
});

/** What was sent, as opcodes and payloads. */
function shown(target: Victim): string[] {
  return target.sent().map(({ opcode, payload }) => `${opcode} ${text(payload)}`);
}

function text(payload: Uint8Array): string {
  return Buffer.from(payload).toString();
}

describe('a flood of pongs', () => {
  it('that nobody asked for is nothing', async () => {
    const chunk = chunkOf('server', 10, 'who asked');
    const attack = async (watch: Watch, count = MANY / 4): Promise<Outcome> => {
      const target = await readingVictim('server');
      const before = watch.held();
      const { fed } = await flood(target, chunk, count, () => {});
      const each = Math.floor(Math.max(0, watch.held() - before) / fed);
      expect(target.transport.sent.length).toBe(0);
      expect(target.conn.state).toBe('open');
      expect(target.conn.stats).toMatchObject({ framesIn: fed, messagesIn: 0, framesOut: 0 });
      expect(target.conn.stats.rtt).toBeNaN();
      await target.end();
      return { each };
    };
    await warmUp((watch) => attack(watch, MANY / 16), 2);
    await survives(64, attack);
  });
});

describe('a peer that answers no ping', () => {
  it('gets one of the heartbeat and is dead, and a bounded number of the user’s', async () => {
    const attack = async (): Promise<Outcome> => {
      const target = victim('server', { heartbeat: undefined });
      const { conn, host } = target;
      const isPing = (): number => target.sent().filter(({ opcode }) => opcode === 9).length;
      let asked = 0;
      let ms = 0;
      for (; conn.state === 'open' && ms < 60_000; ms += 500) {
        await host.advance(500);
        await turn();
        if (asked === 0 && isPing() > 0) asked = ms;
      }
      expect(isPing()).toBe(1);
      const { code, error } = await conn.closed;
      expect([code, String(error)]).toEqual([1006, expect.stringMatching(/^TimeoutError/)]);
      const dead = ms - asked - 500;
      await target.end();

      const other = victim('server');
      let pending = 0;
      let refused = 0;
      for (let i = 0; i < 100; i++) {
        other.conn.ping().catch((reason: unknown) => {
          if (reason instanceof BackpressureError) refused++;
        });
      }
      await other.host.settle();
      pending = 100 - refused;
      expect(other.sent().length).toBe(pending);
      await other.end();
      return { dead, pending, asked };
    };
    await warmUp(attack, 2);
    await survives(65, attack);
  });
});

describe('a control frame inside a fragmented message', () => {
  it.each([
    { says: 'plain', deflate: undefined },
    { says: 'with compression agreed on', deflate: SHARED },
  ])('is handled at once, and the message stays whole: $says', async ({ deflate }) => {
    const lending = deflatingHost();
    const attack = async (): Promise<Outcome> => {
      for (const role of ROLES) {
        const target = victim(role, { deflate }, lending);
        const { conn, host } = target;
        const message = conn.readMessage();
        target.feed(target.frame(1, 'one ', { fin: false }));
        for (const [i, word] of ['two ', 'three '].entries()) {
          target.feed(target.frame(9, word), target.frame(10, 'stray'));
          await host.settle();
          expect(target.sent().map(({ payload }) => text(payload))).toHaveLength(i + 1);
          target.feed(target.frame(0, word, { fin: false }));
        }
        target.feed(target.frame(0, 'four'));
        expect((await message).text()).toBe('one two three four');

        const cut = conn.readMessage();
        target.feed(target.frame(2, 'begun', { fin: false }));
        target.feed(target.frame(8, Uint8Array.of(3, 232)));
        await expect(cut).rejects.toMatchObject({ code: 'WS_ERR_CLOSE', closeCode: 1000 });
        await host.settle();
        expect(target.closeCode()).toBe(1000);
        await target.end();
      }
      return {};
    };
    await warmUp(attack);
    await survives(66, attack);
  });
});
