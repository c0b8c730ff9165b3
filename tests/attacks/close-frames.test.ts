import { connPair, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { FakeHost, turn } from '../../src/index.ts';
import { SHAPES, type Shape, shaped } from './limit-shapes.ts';
import {
  deflatingHost,
  frame,
  only,
  ROLES,
  readingVictim,
  SHARED,
  victim,
  warmUp,
} from './victim.ts';

/** As the clock of timers ticks. */
const STEP = 64;
const CHUNK = 32 * 1_024;
const AT_ONCE = 16;
const NORMAL = Uint8Array.of(3, 232);
/** So much is dropped behind a close frame, in the hope of the peer's. */
const MOST_DROPPED = 1_048_576;

/** Says after how many seconds `over` holds; a minute at most. */
async function secondsUntil(host: FakeHost, over: () => boolean): Promise<number> {
  let ms = 0;
  for (; !over() && ms < 60_000; ms += STEP) await host.advance(STEP);
  return ms / 1_000;
}

/** RFC 6455, section 7.4: written once more, from the ranges that the row names. */
function isRefused(code: number): boolean {
  return (
    code < 1000 || (code >= 1004 && code <= 1006) || (code >= 1015 && code <= 2999) || code >= 5000
  );
}

/** Messages one after the other, one byte more of them than is waited for; of one that never comes its header. */
function flood(shape: Shape, role: Role): Buffer {
  const message = shaped(shape, role, 100_000);
  if (shape === 'claimed but not sent') return message;
  return Buffer.alloc(MOST_DROPPED + 1, message);
}

function codeBytes(code: number): Uint8Array {
  return Uint8Array.of(code >> 8, code & 255);
}

describe('a close frame', () => {
  it('is refused with a code that nobody may send, of all there are', async () => {
    const attack = async (watch: Watch, step: number): Promise<Outcome> => {
      const closes = new Set<number>();
      let cases = 0;
      for (let first = 0; first < 65_536; first += step * AT_ONCE) {
        const host = new FakeHost();
        const codes = Array.from({ length: AT_ONCE }, (_, i) => first + i * step);
        const targets = codes
          .filter((code) => code < 65_536)
          .map((code) => ({ code, ...victim(ROLES[(code ^ (code >> 1)) & 1]!, {}, host) }));
        for (const target of targets) {
          void target.conn.receive(() => {});
          const bytes = target.frame(8, codeBytes(target.code));
          target.feed(bytes);
          watch.sent(bytes.length);
        }
        await host.settle();
        for (const { code, closeCode, transport } of targets) {
          const answer = closeCode();
          if (isRefused(code)) closes.add(answer);
          else if (answer !== code) throw new Error(`${code} was answered with ${answer}`);
          transport.break();
        }
        cases += targets.length;
        await host.settle();
        await turn();
      }
      return { close: only(closes), text: await textOf(), cases };
    };
    await warmUp((watch) => attack(watch, 7), 2);
    await survives(96, (watch) => attack(watch, 1));
  }, 30_000);

  /** What a close frame of one byte, and reasons that are not UTF-8, are answered with. */
  async function textOf(): Promise<number> {
    const closes = [];
    for (const role of ROLES) {
      const short = await readingVictim(role);
      short.feed(short.frame(8, Uint8Array.of(3)));
      await short.host.settle();
      expect(short.closeCode()).toBe(1002);
      await short.end();
      for (const reason of [[0xff], [0xc3], [0x61, 0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98]]) {
        const target = await readingVictim(role);
        target.feed(target.frame(8, Uint8Array.of(3, 232, ...reason)));
        await target.host.settle();
        closes.push(target.closeCode());
        await target.end();
      }
    }
    return only(closes);
  }

  it('that nobody answers is waited for no longer than is said', async () => {
    const attack = async (): Promise<Outcome> => {
      const seconds = [];
      const ends = [];
      for (const role of ROLES) {
        // The peer is silent, or talks on as if nothing were.
        for (const talks of [false, true]) {
          const target = await readingVictim(role);
          const { conn, host, transport } = target;
          const closing = conn.close(1000, 'bye');
          await host.settle();
          const over = (): boolean => {
            if (talks && !transport.destroyed) target.feed(target.frame(1, 'what?'));
            return transport.destroyed;
          };
          seconds.push(await secondsUntil(host, over));
          expect(await closing).toMatchObject({ code: 1006, wasClean: false });
          ends.push(transport.destroyed ? 'Destroyed' : 'left');
          expect(host.timers).toBe(0);
        }
      }
      return { seconds: only(seconds), end: only(ends) };
    };
    await warmUp(attack, 5);
    await survives(97, attack);
  });

  it.each(SHAPES)('lets no more than 1 MiB come behind it: %s', async (shape) => {
    const floods = ROLES.map((role) => flood(shape, role));
    const lending = deflatingHost();
    const attack = async (): Promise<Outcome> => {
      const ends = [];
      const seconds = [];
      for (const [i, role] of ROLES.entries()) {
        let delivered = 0;
        const target = victim(role, { deflate: SHARED }, lending);
        const { conn, transport, host } = target;
        void conn.receive(() => void delivered++);
        const closing = conn.close();
        await host.settle();
        const bytes = Uint8Array.from(floods[i]!);
        for (let at = 0; at < bytes.length; at += CHUNK) {
          transport.feed(bytes.subarray(at, Math.min(at + CHUNK, MOST_DROPPED)));
          await turn();
        }
        expect([conn.state, transport.destroyed]).toEqual(['closing', false]);
        transport.feed(bytes.subarray(MOST_DROPPED));
        seconds.push(await secondsUntil(host, () => transport.destroyed));
        expect(await closing).toMatchObject({ code: 1006, wasClean: false });
        expect([delivered, host.timers]).toEqual([0, 0]);
        ends.push(transport.destroyed ? 'Destroyed' : 'left');
      }
      // At once, but for what never comes.
      expect(only(seconds) > 0).toBe(shape === 'claimed but not sent');
      return { seconds: only(seconds), end: only(ends) };
    };
    await survives(97, attack);
  });

  it('is answered once, whatever comes after it', async () => {
    const closes = ROLES.map((role) => {
      const one = frame(role, 8, NORMAL, { key: 0 });
      return Buffer.concat(Array.from({ length: 1_000 }, () => one));
    });
    const data = ROLES.map((role) => frame(role, 2, Buffer.alloc(60_000), { key: 0 }));
    const attack = async (watch: Watch): Promise<Outcome> => {
      const frames = [];
      const sent = [];
      for (const [i, role] of ROLES.entries()) {
        let delivered = 0;
        const target = victim(role);
        const { conn, transport, host } = target;
        const received = conn.receive(() => void delivered++);
        await host.settle();
        let flood = 0;
        for (let round = 0; round < 100; round++) {
          // Late: the transport has not been told to stop.
          transport.sink!.data(Uint8Array.from(closes[i]!));
          transport.sink!.data(Uint8Array.from(data[i]!));
          flood += 1_000;
          watch.sent(closes[i]!.length + data[i]!.length);
          await host.settle();
          await turn();
        }
        watch.weigh();
        frames.push(flood);
        sent.push(target.sent().length);
        transport.feedEnd();
        await host.advance(10_000);
        expect(delivered).toBe(0);
        expect(await received).toMatchObject({ code: 1000, wasClean: true });
        expect([transport.closed, host.timers]).toEqual([true, 0]);
        await target.end();
      }
      return { flood: only(frames), frames: only(sent) };
    };
    await warmUp(attack, 2);
    await survives(98, attack);
  });

  it('that crosses another ends both sides cleanly', async () => {
    const attack = async (): Promise<Outcome> => {
      const seen = [];
      for (const [near, far] of [
        [1000, 1000],
        [1001, 4321],
      ] as const) {
        const host = new FakeHost();
        const [client, server] = connPair({ host });
        const closing = [client.close(near, 'mine'), server.close(far, 'yours')];
        await host.advance(1_000);
        const infos = await Promise.all(closing);
        // Each sees what the other one sent.
        expect(infos).toEqual([
          { code: far, reason: 'yours', wasClean: true },
          { code: near, reason: 'mine', wasClean: true },
        ]);
        expect(await Promise.all([client.closed, server.closed])).toEqual(infos);
        expect([client.stats.framesOut, server.stats.framesOut, host.timers]).toEqual([1, 1, 0]);
        if (near === far) seen.push(...infos.map(({ code }) => code));
        await turn();
      }
      return { seen: new Set(seen).size === 1 ? 'same code seen' : seen };
    };
    await warmUp(attack);
    await survives(99, attack);
  });

  it('that never came before the FIN ends it, though nobody reads on', async () => {
    const message = Buffer.alloc(30_000);
    const attack = async (watch: Watch): Promise<Outcome> => {
      const codes = [];
      const seconds = [];
      const ends = [];
      // What waits to be sent is held, by the test's transport once more.
      watch.sent(message.length);
      for (const role of ROLES) {
        const target = await readingVictim(role);
        const { conn, host, transport } = target;
        transport.block();
        const writes = [conn.send(message), conn.send('behind it')];
        const settled = Promise.allSettled(writes);
        await host.settle();
        transport.feedEnd();
        await host.settle();
        watch.weigh();
        expect(transport.destroyed).toBe(false);
        seconds.push(await secondsUntil(host, () => transport.destroyed));
        codes.push((await conn.closed).code);
        ends.push(transport.destroyed ? 'destroyed' : 'left');
        await settled;
        expect([conn.bufferedAmount, host.timers]).toEqual([0, 0]);
      }
      return { code: only(codes), seconds: only(seconds), end: only(ends) };
    };
    await warmUp(attack, 5);
    await survives(100, attack);
  });
});
