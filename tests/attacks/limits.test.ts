import type { Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { turn } from '../../src/index.ts';
import { isCompressed, SHAPES, type Shape, shaped } from './limit-shapes.ts';
import { type WayOfReading, waysOfReading } from './limit-ways.ts';
import { deflatingHost, frame, only, SHARED, victim } from './victim.ts';

const KIB = 1024;
const CHUNK = 32 * KIB;
const CLOSE = Uint8Array.of(3, 232);

/** A limit, and where it comes from. */
interface Limit {
  readonly says: string;
  readonly role: Role;
  /** Undefined: what a Conn has when it is told nothing. */
  readonly readLimit: number | undefined;
  readonly bytes: number;
}

const LIMITS: readonly Limit[] = [
  { says: 'a server’s own', role: 'server', readLimit: 1_000, bytes: 1_000 },
  { says: 'a client’s own', role: 'client', readLimit: 30_000, bytes: 30_000 },
  { says: 'a server’s default', role: 'server', readLimit: undefined, bytes: KIB * KIB },
];

/** The way by which a message is held whole. */
const WEIGHED = 'readMessage';

/** One try: a message in some shape, `beyond` bytes over the limit. */
interface Try {
  readonly shape: Shape;
  readonly deflates: boolean;
  readonly beyond: number;
  readonly wire: Buffer;
}

/** Each shape just below the limit, at it, and above; on connections that compress, and that do not. */
function triesAt({ role, bytes }: Limit): Try[] {
  return SHAPES.flatMap((shape) =>
    [-1, 0, 1].flatMap((beyond) => {
      const wire = shaped(shape, role, bytes + beyond);
      const both = isCompressed(shape) || bytes > 100_000 ? [isCompressed(shape)] : [false, true];
      return both.map((deflates) => ({ shape, beyond, wire, deflates }));
    }),
  );
}

const lending = deflatingHost();

/** Sends the message and then a close frame; says what the reader got, and what close code we have sent. */
async function outcomeOf(
  { role, readLimit }: Limit,
  { wire, deflates, shape, beyond }: Try,
  read: WayOfReading,
  onHeld: () => void,
): Promise<{ close: number; seen: number[]; error: string; counted: number }> {
  const target = victim(role, { readLimit, deflate: deflates ? SHARED : undefined }, lending);
  const { conn, transport } = target;
  const seen: number[] = [];
  let error = 'none';
  const reading = read(conn, seen).catch((reason: unknown) => {
    error = (reason as { code: string }).code;
  });
  await turn();
  for (let at = 0; at < wire.length; at += CHUNK) {
    // All but the last byte have come: most is held then.
    const end = Math.min(at + CHUNK, wire.length - 1);
    transport.feed(wire.subarray(at, end));
    await turn();
  }
  onHeld();
  transport.feed(wire.subarray(-1));
  await turn();
  await turn();
  if (shape === 'claimed but not sent' && beyond <= 0) {
    // Nothing is wrong, and nothing is there: it is waited for.
    expect([conn.state, seen, error]).toEqual(['open', [], 'none']);
    transport.break();
    await reading;
    return { close: 0, seen: [], error: 'none', counted: 0 };
  }
  if (conn.state === 'open') target.feed(frame(role, 8, CLOSE));
  // A large message is inflated over some turns.
  while (conn.state === 'open') await turn();
  transport.feedEnd();
  await reading;
  const close = target.closeCode();
  await target.end();
  return { close, seen, error, counted: conn.stats.messagesIn };
}

/** Tries `limit` by those ways and in those shapes. */
async function exact(
  limit: Limit,
  ways: typeof waysOfReading,
  tries: readonly Try[],
  watch: Watch,
): Promise<Outcome> {
  // They come one after the other: so much is in flight.
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
  it.each(LIMITS)(
    'is exact in every shape, by every way of reading: $says',
    async (limit) => {
      const tries = triesAt(limit);
      const attack = (watch: Watch): Promise<Outcome> => exact(limit, waysOfReading, tries, watch);
      await survives(57, attack);
    },
    30_000,
  );

  it('is exact where it is a client’s default', async () => {
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
    await survives(57, (watch) => exact(limit, ways, tries, watch));
  }, 30_000);

  it.each(SHAPES)('that is lowered while a message comes holds for it: %s', async (shape) => {
    const size = 10_000;
    const wire = shaped(shape, 'server', size);
    const attack = async (): Promise<Outcome> => {
      const closes = [];
      for (const beyond of [-1, 0, 1]) {
        for (const [, read] of waysOfReading) {
          const target = victim('server', { deflate: SHARED }, lending);
          const { conn, transport, host } = target;
          const reading = read(conn, []).catch(() => {});
          await host.settle();
          const middle = Math.floor(wire.length / 2);
          transport.feed(wire.subarray(0, middle));
          await host.settle();
          conn.setReadLimit(size - beyond);
          transport.feed(wire.subarray(middle));
          await host.settle();
          await turn();
          if (beyond > 0) closes.push(target.closeCode());
          else expect([beyond, conn.state]).toEqual([beyond, 'open']);
          await target.end();
          await reading;
        }
      }
      return { close: only(closes), cases: 3 * waysOfReading.length };
    };
    await survives(57, attack);
  });
});
