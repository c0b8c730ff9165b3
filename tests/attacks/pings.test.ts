import { execFile } from 'node:child_process';
import process from 'node:process';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { BackpressureError, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { SHARED } from '../compression/support.ts';
import { FakePlatform, turn } from '../kit/index.ts';
import {
  atLeast,
  atMost,
  claim,
  lowestAtMost,
  type Outcome,
  survives,
  type Watch,
  warmUp,
} from './harness/index.ts';
import type { Flooded } from './ping-flood.ts';
import {
  deflatingPlatform,
  frame,
  ROLES,
  readingTargetConn,
  type TargetConn,
  targetConn,
} from './target-conn.ts';

const PING_FLOOD = fileURLToPath(new URL('ping-flood.ts', import.meta.url));
const CHUNK = 65_536;
const MANY = 300_000;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** Returns the frames of a 64 KiB chunk. With a key of zero, reading does not change them. */
function chunkOf(role: Role, opcode: number, payload = ''): Chunk {
  const one = frame(role, opcode, payload, { key: 0 });
  const count = Math.floor(CHUNK / one.length);
  return { bytes: Buffer.concat(Array.from({ length: count }, () => one)), count };
}

/** Feeds at least `count` frames, one chunk a turn. Returns their number. */
async function flood(
  { transport, platform }: TargetConn,
  chunk: Chunk,
  count: number,
): Promise<number> {
  let fed = 0;
  while (fed < count) {
    transport.sink!.data(chunk.bytes);
    fed += chunk.count;
    await platform.settle();
    await turn();
  }
  return fed;
}

async function floodOf(pings: number): Promise<Flooded> {
  const loader = ['--conditions=@ws/source', '--import', 'tsx'];
  const child = execFile(process.execPath, [...loader, PING_FLOOD, `${pings}`]);
  return JSON.parse(await textOf(child.stdout!)) as Flooded;
}

describe('a flood of pings', () => {
  it('gets a pong for each ping while the peer reads', async () => {
    const attack = claim('a flood of 300,000 pings', 'RFC 6455, 5.5.2');
    // Measured: 0.0001 ms.
    const bound = { pings: atLeast(300_000), msEach: lowestAtMost(0.002) };
    await survives(attack, bound, async () => {
      const { pings, answered, state, msEach } = await floodOf(MANY);
      expect(answered).toBe(pings);
      expect(state).toBe('open');
      return { pings, msEach };
    });
  });

  it('gets ten pongs for ten pings', async () => {
    for (const role of ROLES) {
      const target = await readingTargetConn(role);
      target.feed(...Array.from({ length: 10 }, (_, i) => target.frame(9, `ping ${i}`)));
      await target.platform.settle();
      expect(shown(target)).toEqual(Array.from({ length: 10 }, (_, i) => `10 ping ${i}`));
      await target.end();
    }
  });

  it('gets only the newest pong while the peer does not read', async () => {
    const pings = 20_000;
    const rounds = 3;
    const newest = 'n'.repeat(125);
    const platform = new FakePlatform();
    const ready: { target: TargetConn; chunk: Chunk }[] = [];
    for (const role of ROLES) {
      const chunk = chunkOf(role, 9, 'p'.repeat(125));
      for (let i = 0; i < rounds + 2; i++) {
        const target = await readingTargetConn(role, {}, platform);
        target.transport.block();
        void target.conn.send('in the way');
        await platform.settle();
        ready.push({ target, chunk });
      }
    }
    const attack = async (watch: Watch): Promise<Outcome> => {
      const { target, chunk } = ready.pop()!;
      const { transport, conn } = target;
      await flood(target, chunk, pings);
      target.feed(target.frame(9, newest));
      await platform.settle();
      watch.weigh();
      const before = transport.sent.length;
      transport.drain();
      await platform.settle();
      const pending = transport.sent.length - before;
      expect(conn.state).toBe('open');
      expect(shown(target)).toEqual(['1 in the way', `10 ${newest}`]);
      await target.end();
      return { pending };
    };
    const unread = claim('a flood of pings whose pongs stay unread', 'RFC 6455, 5.5.3');
    const bound = { pending: atMost(131), rounds, warmUps: 2 };
    // `ready` ends with the clients and begins with the servers.
    for (let role = 0; role < ROLES.length; role++) {
      await survives(unread, bound, attack);
    }
  });
});

/** Returns the sent frames, as opcodes and payloads. */
function shown(target: TargetConn): string[] {
  return target.sent().map(({ opcode, payload }) => `${opcode} ${text(payload)}`);
}

function text(payload: Uint8Array): string {
  return Buffer.from(payload).toString();
}

it('a flood of pongs is ignored', async () => {
  const chunk = chunkOf('server', 10, 'who asked');
  const attack = async (watch: Watch, count = MANY / 4): Promise<Outcome> => {
    const target = await readingTargetConn('server');
    const before = watch.held();
    const fed = await flood(target, chunk, count);
    const each = Math.floor(Math.max(0, watch.held() - before) / fed);
    expect(target.transport.sent.length).toBe(0);
    expect(target.conn.state).toBe('open');
    expect(target.conn.stats).toMatchObject({ framesIn: fed, messagesIn: 0, framesOut: 0 });
    expect(target.conn.stats.rtt).toBeNaN();
    await target.end();
    return { each };
  };
  await warmUp((watch) => attack(watch, MANY / 16), 2);
  await survives(
    claim('a flood of unsolicited pongs', 'RFC 6455, 5.5.3'),
    { each: lowestAtMost(0) },
    attack,
  );
});

describe('a peer that answers no ping', () => {
  it("is dead after one heartbeat, and the application's pings are bounded", async () => {
    const attack = claim('a peer that answers no ping', 'RFC 6455, 5.5.2');
    await survives(attack, { dead: atMost(20_000), pending: 64, warmUps: 2 }, async () => {
      const target = targetConn('server', { heartbeat: undefined });
      const { conn, platform } = target;
      const isPing = (): number => target.sent().filter(({ opcode }) => opcode === 9).length;
      let asked = 0;
      let ms = 0;
      for (; conn.state === 'open' && ms < 60_000; ms += 500) {
        await platform.advance(500);
        await turn();
        if (asked === 0 && isPing() > 0) asked = ms;
      }
      expect(isPing()).toBe(1);
      const { code, error } = await conn.closed;
      expect([code, String(error)]).toEqual([1006, expect.stringMatching(/^TimeoutError/)]);
      const dead = ms - asked - 500;
      await target.end();

      const other = targetConn('server');
      let pending = 0;
      let refused = 0;
      for (let i = 0; i < 100; i++) {
        other.conn.ping().catch((reason: unknown) => {
          if (reason instanceof BackpressureError) refused++;
        });
      }
      await other.platform.settle();
      pending = 100 - refused;
      expect(other.sent().length).toBe(pending);
      await other.end();
      return { dead, pending, asked };
    });
  });
});

describe('a control frame inside a fragmented message', () => {
  it.each([
    { says: 'plain', deflate: undefined },
    { says: 'with compression agreed on', deflate: SHARED },
  ])('is handled at once, and the message stays whole: $says', async ({ deflate }) => {
    const lending = deflatingPlatform();
    const attack = claim('control frames between the fragments of a message', 'RFC 6455, 5.4');
    await survives(attack, { warmUps: 10 }, async () => {
      for (const role of ROLES) {
        const target = targetConn(role, { deflate }, lending);
        const { conn, platform } = target;
        const message = conn.readMessage();
        target.feed(target.frame(1, 'one ', { fin: false }));
        for (const [i, word] of ['two ', 'three '].entries()) {
          target.feed(target.frame(9, word), target.frame(10, 'stray'));
          await platform.settle();
          expect(target.sent().map(({ payload }) => text(payload))).toHaveLength(i + 1);
          target.feed(target.frame(0, word, { fin: false }));
        }
        target.feed(target.frame(0, 'four'));
        expect((await message).text()).toBe('one two three four');

        const cut = conn.readMessage();
        target.feed(target.frame(2, 'begun', { fin: false }));
        target.feed(target.frame(8, Uint8Array.of(3, 232)));
        await expect(cut).rejects.toMatchObject({
          code: 'WS_ERR_TRANSPORT',
          cause: { closeCode: 1000 },
        });
        await platform.settle();
        expect(target.closeCode()).toBe(1000);
        await target.end();
      }
      return {};
    });
  });
});
