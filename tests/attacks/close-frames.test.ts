import { connPair, type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { SHARED } from '../compression/support.ts';
import { FakePlatform, turn } from '../kit/index.ts';
import { atLeast, atMost, claim, survives } from './harness/index.ts';
import { SHAPES, type Shape, shaped } from './messages.ts';
import {
  answerTo,
  deflatingPlatform,
  frame,
  only,
  ROLES,
  readingTargetConn,
  targetConn,
} from './target-conn.ts';

/** Length of a slot of the timers in ms. */
const STEP = 64;
/** Seconds. Timers of a second and more are rounded up to slots, so that connections share them. */
const CLOSE_TIMEOUT = atMost(5.064);
const CHUNK = 32 * 1_024;
const AT_ONCE = 32;
const NORMAL = Uint8Array.of(3, 232);
/** Bytes that a connection drops after its close frame while it waits for the peer's. */
const MOST_DROPPED = 1_048_576;

/** Returns the seconds until `over` is true, 60 at most. */
async function secondsUntil(platform: FakePlatform, over: () => boolean): Promise<number> {
  let ms = 0;
  for (; !over() && ms < 60_000; ms += STEP) await platform.advance(STEP);
  return ms / 1_000;
}

/** The invalid codes of RFC 6455, section 7.4. */
function isRefused(code: number): boolean {
  return (
    code < 1000 || (code >= 1004 && code <= 1006) || (code >= 1015 && code <= 2999) || code >= 5000
  );
}

/**
 * Returns messages with one byte more than a connection waits for, or only the header of a message.
 */
function flood(shape: Shape, role: Role): Buffer {
  const message = shaped(shape, role, 100_000);
  if (shape === 'claimed but not sent') return message;
  return Buffer.alloc(MOST_DROPPED + 1, message);
}

function codeBytes(code: number): Uint8Array {
  return Uint8Array.of(code >> 8, code & 255);
}

describe('a close frame', () => {
  it('with any invalid code gets 1002 or 1007', async () => {
    // Tests of @ws/codec check the grammar with each of the 65,536 codes.
    const attack = claim(
      'close frames with 2,100 codes up to 65,535, with one byte, and with a reason that is not UTF-8',
      'RFC 6455, 7.4',
    );
    const codes = [2_999, 3_000, 4_999, 5_000];
    for (let code = 0; code <= 65_535; code += code < 1_100 ? 1 : 61) codes.push(code);
    const bound = { close: 1002, text: 1007, cases: atLeast(2_100) };
    await survives(attack, bound, async (watch) => {
      const closes = new Set<number>();
      let cases = 0;
      for (let first = 0; first < codes.length; first += AT_ONCE) {
        const platform = new FakePlatform();
        const targets = codes.slice(first, first + AT_ONCE).map((code, i) => {
          return { code, ...targetConn(ROLES[i % 2]!, {}, platform) };
        });
        for (const target of targets) {
          void target.conn.receive(() => {});
          target.feed(target.frame(8, codeBytes(target.code)));
          watch.sent(8);
        }
        await platform.settle();
        for (const { code, closeCode, transport } of targets) {
          const answer = closeCode();
          if (isRefused(code)) closes.add(answer);
          else if (answer !== code) throw new Error(`${code} was answered with ${answer}`);
          cases++;
          transport.break();
        }
        await platform.settle();
        await turn();
      }
      return { close: only(closes), text: await textOf(), cases };
    });
  });

  /** Returns the answer to a close frame of one byte and to reasons that are not UTF-8. */
  async function textOf(): Promise<number> {
    const closes = [];
    for (const role of ROLES) {
      const short = frame(role, 8, Uint8Array.of(3));
      expect((await answerTo(role, short)).close).toBe(1002);
      for (const reason of [[0xff], [0xc3], [0x61, 0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98]]) {
        const close = frame(role, 8, Uint8Array.of(3, 232, ...reason));
        closes.push((await answerTo(role, close)).close);
      }
    }
    return only(closes);
  }

  it('without an answer is waited for no longer than closeTimeout', async () => {
    const attack = claim('a peer that does not answer a close frame', 'RFC 6455, 7.1.1');
    const bound = { end: 'Destroyed', seconds: CLOSE_TIMEOUT, warmUps: 5 };
    await survives(attack, bound, async () => {
      const seconds = [];
      const ends = [];
      for (const role of ROLES) {
        // The peer is silent, or keeps sending messages.
        for (const talks of [false, true]) {
          const target = await readingTargetConn(role);
          const { conn, platform, transport } = target;
          const closing = conn.close(1000, 'bye');
          await platform.settle();
          const over = (): boolean => {
            if (talks && !transport.destroyed) target.feed(target.frame(1, 'what?'));
            return transport.destroyed;
          };
          seconds.push(await secondsUntil(platform, over));
          expect(await closing).toMatchObject({ code: 1006, wasClean: false });
          ends.push(transport.destroyed ? 'Destroyed' : 'left');
          expect(platform.timers).toBe(0);
        }
      }
      return { seconds: only(seconds), end: only(ends) };
    });
  });

  it.each(SHAPES)('is followed by at most 1 MiB of input that is dropped: %s', async (shape) => {
    const floods = ROLES.map((role) => flood(shape, role));
    const lending = deflatingPlatform();
    const attack = claim('a peer that sends on after our close frame', 'RFC 6455, 7.1.1');
    const bound = { end: 'Destroyed', seconds: CLOSE_TIMEOUT };
    await survives(attack, bound, async () => {
      const ends = [];
      const seconds = [];
      for (const [i, role] of ROLES.entries()) {
        let delivered = 0;
        const target = targetConn(role, { deflate: SHARED }, lending);
        const { conn, transport, platform } = target;
        void conn.receive(() => void delivered++);
        const closing = conn.close(1000, '', { discard: true });
        await platform.settle();
        const bytes = Uint8Array.from(floods[i]!);
        for (let at = 0; at < bytes.length; at += CHUNK) {
          transport.feed(bytes.subarray(at, Math.min(at + CHUNK, MOST_DROPPED)));
          await turn();
        }
        expect([conn.state, transport.destroyed]).toEqual(['closing', false]);
        transport.feed(bytes.subarray(MOST_DROPPED));
        seconds.push(await secondsUntil(platform, () => transport.destroyed));
        expect(await closing).toMatchObject({ code: 1006, wasClean: false });
        expect([delivered, platform.timers]).toEqual([0, 0]);
        ends.push(transport.destroyed ? 'Destroyed' : 'left');
      }
      // The connection ends at once, except if the message never comes.
      expect(only(seconds) > 0).toBe(shape === 'claimed but not sent');
      return { seconds: only(seconds), end: only(ends) };
    });
  });

  it('gets one answer, whatever follows it', async () => {
    const closes = ROLES.map((role) => {
      const one = frame(role, 8, NORMAL, { key: 0 });
      return Buffer.concat(Array.from({ length: 1_000 }, () => one));
    });
    const data = ROLES.map((role) => frame(role, 2, Buffer.alloc(60_000), { key: 0 }));
    const attack = claim('100,000 close frames, with data after each 1,000', 'RFC 6455, 5.5.1');
    await survives(attack, { flood: atLeast(100_000), frames: 1, warmUps: 2 }, async (watch) => {
      const frames = [];
      const sent = [];
      for (const [i, role] of ROLES.entries()) {
        let delivered = 0;
        const target = targetConn(role);
        const { conn, transport, platform } = target;
        const received = conn.receive(() => void delivered++);
        await platform.settle();
        let flood = 0;
        for (let round = 0; round < 100; round++) {
          // The transport still delivers data after the close.
          transport.sink!.data(Uint8Array.from(closes[i]!));
          transport.sink!.data(Uint8Array.from(data[i]!));
          flood += 1_000;
          watch.sent(closes[i]!.length + data[i]!.length);
          await platform.settle();
          await turn();
        }
        watch.weigh();
        frames.push(flood);
        sent.push(target.sent().length);
        transport.feedEnd();
        await platform.advance(10_000);
        expect(delivered).toBe(0);
        expect(await received).toMatchObject({ code: 1000, wasClean: true });
        expect([transport.closed, platform.timers]).toEqual([true, 0]);
        await target.end();
      }
      return { flood: only(frames), frames: only(sent) };
    });
  });

  it('that crosses another one ends both connections cleanly', async () => {
    const attack = claim('close frames that cross', 'RFC 6455, 5.5.1');
    await survives(attack, { seen: 'same code seen', warmUps: 10 }, async () => {
      const seen = [];
      for (const [near, far] of [
        [1000, 1000],
        [1001, 4321],
      ] as const) {
        const platform = new FakePlatform();
        const [client, server] = connPair({ platform });
        const closing = [client.close(near, 'mine'), server.close(far, 'yours')];
        await platform.advance(1_000);
        const infos = await Promise.all(closing);
        // Each end reports the code of the other.
        expect(infos).toEqual([
          { code: far, reason: 'yours', wasClean: true },
          { code: near, reason: 'mine', wasClean: true },
        ]);
        expect(await Promise.all([client.closed, server.closed])).toEqual(infos);
        expect([client.stats.framesOut, server.stats.framesOut, platform.timers]).toEqual([
          1, 1, 0,
        ]);
        if (near === far) seen.push(...infos.map(({ code }) => code));
        await turn();
      }
      return { seen: new Set(seen).size === 1 ? 'same code seen' : seen };
    });
  });

  it('missing before the FIN ends the connection, although the peer reads nothing', async () => {
    const message = Buffer.alloc(30_000);
    const attack = claim(
      'a FIN without a close frame from a peer that does not read',
      'RFC 6455, 7.1.5',
    );
    const bound = { code: 1006, end: 'destroyed', seconds: CLOSE_TIMEOUT, warmUps: 5 };
    await survives(attack, bound, async (watch) => {
      const codes = [];
      const seconds = [];
      const ends = [];
      // The test's transport keeps a copy of the unsent data.
      watch.sent(message.length);
      for (const role of ROLES) {
        const target = await readingTargetConn(role);
        const { conn, platform, transport } = target;
        transport.block();
        const writes = [conn.send(message), conn.send('behind it')];
        const settled = Promise.allSettled(writes);
        await platform.settle();
        transport.feedEnd();
        await platform.settle();
        watch.weigh();
        expect(transport.destroyed).toBe(false);
        seconds.push(await secondsUntil(platform, () => transport.destroyed));
        codes.push((await conn.closed).code);
        ends.push(transport.destroyed ? 'destroyed' : 'left');
        await settled;
        expect([conn.bufferedAmount, platform.timers]).toEqual([0, 0]);
      }
      return { code: only(codes), seconds: only(seconds), end: only(ends) };
    });
  });
});
