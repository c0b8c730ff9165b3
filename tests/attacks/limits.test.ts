import { type Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { pack, SHARED } from '../compression/support.ts';
import { turn } from '../kit/index.ts';
import { atLeast, claim, KIB, type Outcome, survives, type Watch } from './harness/index.ts';
import {
  isCompressed,
  SHAPES,
  type Shape,
  shaped,
  type WayOfReading,
  waysOfReading,
} from './messages.ts';
import { deflatingPlatform, frame, only, targetConn } from './target-conn.ts';

const CHUNK = 32 * KIB;
const CLOSE = Uint8Array.of(3, 232);

interface Limit {
  readonly says: string;
  readonly role: Role;
  /** Undefined: the default. */
  readonly readLimit: number | undefined;
  readonly bytes: number;
}

const LIMITS: readonly Limit[] = [
  { says: 'a server’s own', role: 'server', readLimit: 1_000, bytes: 1_000 },
  { says: 'a client’s own', role: 'client', readLimit: 30_000, bytes: 30_000 },
  { says: 'a server’s default', role: 'server', readLimit: undefined, bytes: KIB * KIB },
];

/** The way of reading that holds a whole message. */
const WEIGHED = 'readMessage';

/** One message in a shape, `beyond` bytes longer than the limit. */
interface Try {
  readonly shape: Shape;
  readonly deflates: boolean;
  readonly beyond: number;
  readonly wire: Buffer;
}

/** Returns each shape one byte below the limit, at it and above, with and without compression. */
function triesAt({ role, bytes }: Limit): Try[] {
  return SHAPES.flatMap((shape) =>
    [-1, 0, 1].flatMap((beyond) => {
      const wire = shaped(shape, role, bytes + beyond);
      const both = isCompressed(shape) || bytes > 100_000 ? [isCompressed(shape)] : [false, true];
      return both.map((deflates) => ({ shape, beyond, wire, deflates }));
    }),
  );
}

const lending = deflatingPlatform();

/** Sends the message, then a close frame. Returns what the reader got, and our close code. */
async function outcomeOf(
  { role, readLimit }: Limit,
  { wire, deflates, shape, beyond }: Try,
  read: WayOfReading,
  onHeld: () => void,
): Promise<{ close: number; seen: number[]; error: string; counted: number }> {
  const target = targetConn(role, { readLimit, deflate: deflates ? SHARED : undefined }, lending);
  const { conn, transport } = target;
  const seen: number[] = [];
  let error = 'none';
  const reading = read(conn, seen).catch((reason: unknown) => {
    error = (reason as { code: string }).code;
  });
  await turn();
  for (let at = 0; at < wire.length; at += CHUNK) {
    // All bytes except the last have arrived: the connection holds most now.
    const end = Math.min(at + CHUNK, wire.length - 1);
    transport.feed(wire.subarray(at, end));
    await turn();
  }
  onHeld();
  transport.feed(wire.subarray(-1));
  await turn();
  await turn();
  if (shape === 'claimed but not sent' && beyond <= 0) {
    // The message is valid but incomplete: the connection waits for it.
    expect([conn.state, seen, error]).toEqual(['open', [], 'none']);
    transport.break();
    await reading;
    return { close: 0, seen: [], error: 'none', counted: 0 };
  }
  if (conn.state === 'open') target.feed(frame(role, 8, CLOSE));
  // A large message is inflated in several turns.
  while (conn.state === 'open') await turn();
  transport.feedEnd();
  await reading;
  const close = target.closeCode();
  await target.end();
  return { close, seen, error, counted: conn.stats.messagesIn };
}

async function exact(
  limit: Limit,
  ways: typeof waysOfReading,
  tries: readonly Try[],
  watch: Watch,
): Promise<Outcome> {
  // Messages arrive one after another: this many bytes are in flight.
  watch.sent(limit.bytes);
  const refusals = [];
  for (const [name, read] of ways) {
    for (const each of tries) {
      const { shape, beyond, deflates } = each;
      const weighed = name === WEIGHED && shape === 'one big frame' && beyond === 0 && !deflates;
      const got = await outcomeOf(limit, each, read, () => (weighed ? watch.weigh() : {}));
      const says = `${name}, ${shape} ${beyond}${deflates ? ' where it may be compressed' : ''}`;
      if (beyond > 0) {
        expect([says, got.error, got.seen]).toEqual([says, 'WS_ERR_READ_LIMIT', []]);
        refusals.push(got.close);
      } else if (shape !== 'claimed but not sent') {
        const seen = name === 'discardReads' ? [] : [limit.bytes + beyond];
        const whole = { close: 1000, seen, error: 'none', counted: 1 };
        expect([says, got]).toEqual([says, whole]);
      }
    }
  }
  return { close: only(refusals), cases: ways.length * tries.length };
}

describe('a read limit', () => {
  it.each(LIMITS)('is exact in every shape and way of reading: $says', async (limit) => {
    const tries = triesAt(limit);
    const attack = claim(
      'messages of the read limit and of one byte less and more, in each shape and way of reading',
      'RFC 6455, 10.4',
    );
    const bound = { close: 1009, cases: atLeast(9) };
    await survives(attack, bound, (watch) => exact(limit, waysOfReading, tries, watch));
  });

  it('is exact for the default of a client', async () => {
    const bytes = 16 * KIB * KIB;
    const limit: Limit = {
      says: 'a client’s default',
      role: 'client',
      readLimit: undefined,
      bytes,
    };
    const shapes: readonly Shape[] = ['one big frame', 'many fragments', 'compressed'];
    const tries = triesAt(limit).filter(({ shape }) => shapes.includes(shape));
    const ways = waysOfReading.filter(([name]) => name === 'receive');
    const attack = claim("messages at a client's default read limit", 'RFC 6455, 10.4');
    await survives(attack, { close: 1009 }, (watch) => exact(limit, ways, tries, watch));
  });

  it.each(SHAPES)('applies to the current message when it is lowered: %s', async (shape) => {
    const size = 10_000;
    const wire = shaped(shape, 'server', size);
    const attack = claim(
      'a message whose read limit is lowered while it arrives',
      'RFC 6455, 10.4',
    );
    await survives(attack, { close: 1009, cases: atLeast(9) }, async () => {
      const closes = [];
      for (const beyond of [-1, 0, 1]) {
        for (const [, read] of waysOfReading) {
          const target = targetConn('server', { deflate: SHARED }, lending);
          const { conn, transport, platform } = target;
          const reading = read(conn, []).catch(() => {});
          await platform.settle();
          const middle = Math.floor(wire.length / 2);
          transport.feed(wire.subarray(0, middle));
          await platform.settle();
          conn.setReadLimit(size - beyond);
          transport.feed(wire.subarray(middle));
          await platform.settle();
          await turn();
          if (beyond > 0) closes.push(target.closeCode());
          else expect([beyond, conn.state]).toEqual([beyond, 'open']);
          await target.end();
          await reading;
        }
      }
      return { close: only(closes), cases: 3 * waysOfReading.length };
    });
  });
});

const READ_AHEAD = 64 * 1024;
const RSV1 = 0x40;
const MEGABYTE = Buffer.alloc(1_000_000, 'a');

/** Input for a connection without a reader, frame by frame. */
const UNREAD_INPUT: readonly (readonly [says: string, frames: readonly Buffer[]])[] = [
  ['one big frame', [frame('server', 2, MEGABYTE)]],
  [
    'many fragments',
    Array.from({ length: 200 }, (_, i) =>
      frame('server', i === 0 ? 2 : 0, MEGABYTE.subarray(0, 5_000), { fin: false }),
    ),
  ],
  [
    'empty messages',
    Array.from({ length: 100 }, () => Buffer.alloc(6 * 100, frame('server', 2, '', { key: 0 }))),
  ],
  ['compressed', [frame('server', 2, pack(MEGABYTE), { rsv: RSV1 })]],
  [
    'controls interleaved',
    Array.from({ length: 400 }, (_, i) =>
      frame('server', i % 2 === 0 ? 2 : 9, MEGABYTE.subarray(0, i % 2 === 0 ? 5_000 : 125)),
    ),
  ],
  ['claimed but not sent', [frame('server', 2, '', { claims: 1_000_000 })]],
];

describe('the read-ahead of a connection without a reader', () => {
  it.each(UNREAD_INPUT)('holds no more than its limit of %s', async (says, frames) => {
    const lending = deflatingPlatform();
    const bytes = Buffer.concat(frames);
    const rounds = 4;
    const ready = Array.from({ length: rounds + 2 }, () =>
      targetConn('server', { deflate: SHARED }, lending),
    );
    await lending.settle();
    const attack = claim('a peer that sends on to a connection without a reader', 'RFC 6455, 10.4');
    await survives(attack, { rounds, warmUps: 2 }, async (watch) => {
      const target = ready.pop()!;
      const { transport, conn, platform } = target;
      // This peer obeys the window: it stops when the transport is paused.
      let sent = 0;
      for (; sent < bytes.length && !transport.paused; sent += 4_096) {
        transport.feed(bytes.subarray(sent, sent + 4_096));
        await platform.settle();
        await turn();
      }
      // For compressed data the plain text counts: the read-ahead is full of it.
      watch.sent(says === 'compressed' ? READ_AHEAD : Math.min(sent, READ_AHEAD));
      watch.weigh();
      expect(sent).toBeLessThanOrEqual(Math.min(bytes.length + 4_096, READ_AHEAD + 3 * 4_096));
      expect(conn.state).toBe('open');
      if (says !== 'compressed' && bytes.length > READ_AHEAD) expect(transport.paused).toBe(true);
      await target.end();
      return {};
    });
  });
});
