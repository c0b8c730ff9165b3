// Random commands on two ends of ours, with the bytes between them cut at random, against a list of what was sent.

import { negotiateDeflate, offerDeflate } from '@ws/codec';
import {
  BinaryMessage,
  type CompressionOptions,
  Conn,
  deflateLimits,
  type Host,
  PreparedMessage,
  type Role,
  resolveSettings,
  TextMessage,
  type Transport,
  type TransportSink,
} from '@ws/conn';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import { BACKENDS, CountingSource, hostOn, isSame, KINDS, someText } from './support.ts';

/** One end of a wire in memory: bytes arrive later, in pieces of other sizes than those that were written. */
class CutWire implements Transport {
  other!: CutWire;
  bufferedAmount = 0;
  #sink: TransportSink | undefined;
  #paused = false;
  #scheduled = false;
  #arriving: Buffer = Buffer.alloc(0);
  #ended = false;
  #over = false;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
    this.#later();
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    const { other } = this;
    other.#arriving = Buffer.concat([other.#arriving, chunk]);
    release?.();
    other.#later();
    return true;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#later();
  }

  end(): void {
    this.other.#ended = true;
    this.other.#later();
  }

  destroy(): void {
    if (this.#over) return;
    this.#over = true;
    setImmediate(() => this.#sink!.close());
    this.end();
  }

  #later(): void {
    if (this.#scheduled || this.#sink === undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const largest = [3, 50, 2000, 100_000][this.#random.below(4)]!;
    for (let i = 0; i < 40 && !this.#paused && !this.#over && this.#arriving.length > 0; i++) {
      const size = 1 + this.#random.below(Math.min(this.#arriving.length, largest));
      const chunk = Uint8Array.from(this.#arriving.subarray(0, size));
      this.#arriving = this.#arriving.subarray(size);
      this.#sink!.data(chunk);
    }
    if (this.#over || this.#paused) return;
    if (this.#arriving.length > 0) this.#later();
    else if (this.#ended) {
      this.#ended = false;
      this.#sink!.end();
    }
  }
}

function cutPair(host: Host, compression: CompressionOptions, random: Random): [Conn, Conn] {
  const [near, far] = [new CutWire(random), new CutWire(random)];
  near.other = far;
  far.other = near;
  const limits = (role: Role): NonNullable<ReturnType<typeof deflateLimits>> =>
    deflateLimits(resolveSettings({ compression }, role).compression, role, host)!;
  const deflate = negotiateDeflate([offerDeflate(limits('client'))], limits('server'))!.parameters;
  const settings = { host, compression, deflate, maxBufferedAmount: false } as const;
  return [
    new Conn(near, { ...settings, role: 'client' }),
    new Conn(far, { ...settings, role: 'server', writeBufferSize: 500 }),
  ];
}

const anyCompression: fc.Arbitrary<CompressionOptions> = fc.record({
  mode: fc.constantFrom('shared' as const, 'takeover' as const),
  level: fc.integer({ min: -2, max: 9 }),
  threshold: fc.constantFrom(0, 100, 256),
  serverMaxWindowBits: fc.integer({ min: 8, max: 15 }),
  clientMaxWindowBits: fc.integer({ min: 8, max: 15 }),
  sendHistory: fc.constantFrom(0, 1, 512, 2048, 32_768),
  takeoverEngines: fc.constantFrom(0, 1, 16),
  asyncDeflateThreshold: fc.constantFrom<number | false>(false, 0, 1000, 32_768),
});

const anySize = fc.oneof(
  { arbitrary: fc.nat(300), weight: 4 },
  { arbitrary: fc.nat(5000), weight: 3 },
  { arbitrary: fc.constantFrom(0, 1, 32_767, 32_768, 32_769, 65_535, 65_537, 100_000), weight: 1 },
);

/** What one end does. */
const anyStep = fc.record({
  end: fc.constantFrom<0 | 1>(0, 1),
  route: fc.constantFrom('text', 'bytes', 'stream', 'prepared', 'level', 'switch', 'ping', 'wait'),
  size: anySize,
  kind: fc.constantFrom(...KINDS),
  seed: fc.nat(20),
  compress: fc.constantFrom(undefined, undefined, true, false),
  level: fc.integer({ min: -2, max: 9 }),
  pieces: fc.integer({ min: 1, max: 5 }),
});

describe.each(BACKENDS)('two ends that compress on %s', (backend) => {
  nothingLeft();

  it('give each other what was sent, whatever they do', { timeout: 60_000 }, async () => {
    const source = new CountingSource(backend);
    const host = hostOn(source);
    await fc.assert(
      fc.asyncProperty(
        anyCompression,
        fc.array(anyStep, { minLength: 1, maxLength: 25 }),
        fc.nat(),
        async (compression, steps, seed) => {
          const ends = cutPair(host, compression, new Random(seed));
          const expected: [Buffer[], Buffer[]] = [[], []];
          const got: [number, number] = [0, 0];
          const wrong: string[] = [];
          const readings = ends.map((conn, end) =>
            conn.receive((message) => {
              const data = expected[1 - end]![got[end]!++];
              if (data === undefined || !isSame(message.data, data)) {
                wrong.push(`${conn.role}: ${message.length} bytes, not ${data?.length}`);
              }
            }),
          );
          const writes: Promise<unknown>[] = [];
          for (const { end, route, size, kind, seed, compress, level, pieces } of steps) {
            const conn = ends[end];
            const text = someText(new Random(seed), size, kind);
            const data = Buffer.from(text);
            if (route === 'level') conn.setCompressionLevel(level);
            else if (route === 'switch') conn.enableWriteCompression(level % 2 === 0);
            else if (route === 'ping') writes.push(conn.ping());
            else if (route === 'wait') await Promise.all(writes.splice(0));
            else {
              expected[end].push(data);
              if (route === 'text') writes.push(conn.send(text, { compress }));
              else if (route === 'bytes') writes.push(conn.send(data, { compress }));
              else if (route === 'prepared') {
                const message = new PreparedMessage(BinaryMessage, data);
                writes.push(conn.writePreparedMessage(message));
              } else {
                const writer = await conn.nextWriter(TextMessage, { queue: true, compress });
                for (let i = 0; i < pieces; i++) {
                  const from = Math.floor((i * data.length) / pieces);
                  await writer.write(
                    data.subarray(from, Math.floor(((i + 1) * data.length) / pieces)),
                  );
                }
                await writer.close();
              }
            }
          }
          await Promise.all(writes);
          await ends[seed % 2]!.close();
          await Promise.all(readings);
          expect(wrong).toEqual([]);
          // Whoever closes first drops what comes after that.
          const closer = seed % 2 === 0 ? 0 : 1;
          expect(got[closer === 0 ? 1 : 0]).toBe(expected[closer].length);
          for (const conn of ends) conn.terminate();
          await Promise.all(ends.map(({ closed }) => closed));
        },
      ),
      { numRuns: 60 },
    );
  });
});
