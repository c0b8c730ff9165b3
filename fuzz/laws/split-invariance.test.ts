import { Conn, type Role } from '@ws/conn';
import { FakePlatform, NaiveDecoder, naiveEncode, Random, TestTransport, turn } from '@ws/tests';
import { atLeast, claim, survives } from '@ws/tests/attacks';
import { describe, expect, it } from 'vitest';
import { longTimeout, runBudget } from './check.ts';

/** Streams for each turn of the event loop. */
const TOGETHER = 2;
const LIMIT = 300;

/** A stream for `role`: mostly valid frames in a valid order, rarely a fault. */
function streamFor(role: Role, random: Random): Uint8Array {
  const pieces: Uint8Array[] = [];
  let open = false;
  for (let n = random.size(8); n > 0; n--) {
    const control = random.once(4);
    const type = control ? random.pick([8, 9, 9, 10, 10]) : open ? 0 : random.pick([1, 2]);
    const broken = random.once(12);
    const opcode = broken ? random.below(16) : type;
    const fin = control || random.once(2);
    const size = random.once(6) ? random.pick([125, 126, 127, 299, 300, 301]) : random.below(12);
    const length = control && !broken ? Math.min(size, 125) : size;
    const payload = payloadOf(opcode, length, random);
    const lengthBits = broken && random.once(3) ? random.pick([16, 64] as const) : undefined;
    const masked = (role === 'server') !== (broken && random.once(6));
    pieces.push(
      naiveEncode(opcode, payload, {
        fin,
        rsv: broken && random.once(3) ? random.below(8) << 4 : 0,
        ...(lengthBits === undefined ? {} : { lengthBits }),
        ...(masked ? { mask: random.once(4) ? 0 : random.word() | 0 } : {}),
      }),
    );
    if (!control) open = !fin;
  }
  if (random.once(8)) pieces.push(Uint8Array.from({ length: 9 }, () => random.below(256)));
  const whole = Buffer.concat(pieces);
  return whole.subarray(0, random.once(5) ? random.below(whole.length) : whole.length);
}

/** UTF-8 of all lengths, a close code, or other bytes; rarely with a wrong byte. */
function payloadOf(opcode: number, length: number, random: Random): Uint8Array {
  const payload = Buffer.alloc(length, opcode === 1 || opcode === 0 ? 'aé€😀' : 7);
  if (opcode === 8 && length > 1) payload.writeUInt16BE(random.pick([1000, 1001, 4000, 1005]), 0);
  if (length > 0 && random.once(10)) payload[random.below(length)] = random.below(256);
  return payload;
}

/** A Conn that records its events. */
class RecordingConn {
  readonly events: string[] = [];
  /** Bytes fed before the Conn failed or closed. */
  read = 0;
  /** Size in bytes of the last chunk. */
  last = 0;
  readonly #transport = new TestTransport();
  readonly #conn: Conn;
  readonly #role: Role;

  constructor(role: Role, platform: FakePlatform) {
    this.#role = role;
    const settings = { heartbeat: false, readLimit: LIMIT } as const;
    this.#conn = new Conn(this.#transport, { ...settings, role, platform });
    this.#conn
      .receive((message) => {
        this.events.push(`${message.type} ${Buffer.from(message.data).toString('hex')}`);
      })
      .catch((error: unknown) => this.events.push(String(error)));
    this.#conn.setPongHandler((payload) => {
      this.events.push(`pong ${Buffer.from(payload).toString('hex')}`);
    });
  }

  feed(bytes: Uint8Array, chunks: Iterable<number>): void {
    for (const size of chunks) {
      if (this.read >= bytes.length || this.#conn.state !== 'open') return;
      const chunk = bytes.subarray(this.read, this.read + size);
      this.#transport.feed(chunk);
      this.last = chunk.length;
      this.read += chunk.length;
    }
  }

  /** The events, the sent frames and the state. */
  trace(): string {
    const peer = new NaiveDecoder(this.#role === 'server' ? 'client' : 'server');
    peer.push(this.#transport.sent);
    const sent = peer.frames.map(({ opcode, payload }) => {
      return `sent ${opcode} ${Buffer.from(payload).toString('hex')}`;
    });
    return [...this.events, ...sent, this.#conn.state].join('\n');
  }

  end(): void {
    this.#transport.break();
  }
}

function* sizes(random: Random): Generator<number> {
  for (;;) yield random.once(3) ? 1 : random.size(200);
}

function* ones(): Generator<number> {
  for (;;) yield 1;
}

describe('a Conn', () => {
  it(
    'has the same events and fails at the same byte for any cuts of a stream',
    longTimeout,
    async () => {
      const { seed, hasNext } = runBudget(500);
      const random = new Random(seed);
      const hosts = { server: new FakePlatform(), client: new FakePlatform() };
      const run = async (role: Role): Promise<number> => {
        const platform = hosts[role];
        const tried = Array.from({ length: TOGETHER }, () => {
          const bytes = streamFor(role, random);
          const make = (): RecordingConn => new RecordingConn(role, platform);
          return { bytes, whole: make(), byByte: make(), cut: make() };
        });
        await platform.settle();
        for (const { bytes, whole, byByte, cut } of tried) {
          whole.feed(bytes, [bytes.length]);
          byByte.feed(bytes, ones());
          cut.feed(bytes, sizes(random));
        }
        await platform.settle();
        for (const { bytes, whole, byByte, cut } of tried) {
          const expected = byByte.trace();
          const says = `seed ${seed}: ${Buffer.from(bytes).toString('hex')}`;
          if (whole.trace() !== expected) expect(whole.trace(), says).toBe(expected);
          if (cut.trace() !== expected) expect(cut.trace(), says).toBe(expected);
          // The last chunk contains the byte at which the Conn failed or closed.
          const inLast = cut.read - cut.last < byByte.read && byByte.read <= cut.read;
          if (bytes.length > 0 && !inLast) expect([cut.read, cut.last], says).toBe(byByte.read);
          for (const witness of [whole, byByte, cut]) witness.end();
        }
        await platform.settle();
        await turn();
        return TOGETHER;
      };
      for (let i = 0; i < 400; i++) await run(i % 2 === 0 ? 'server' : 'client');
      const attack = claim('any stream, valid or broken, cut at any byte', 'RFC 6455, 5');
      // For 10^6 runs: `pnpm fuzz laws split-invariance --runs 1000000`.
      await survives(attack, { runs: atLeast(500) }, async () => {
        let runs = 0;
        while (hasNext(runs)) runs += await run((runs / TOGETHER) % 2 === 0 ? 'server' : 'client');
        return { runs };
      });
    },
  );
});
