import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  NEED_MORE,
  type Role,
  type Slab,
  SlabPool,
  type SlabSource,
} from '@ws/codec';
import { NaiveDecoder } from '@ws/tests';
import { withoutSimd } from '../../packages/codec/src/masking/simd.ts';
import { ensure, ensureSame } from '../harness/target.ts';

/** Options of a decoder, and how it receives its bytes. */
export interface DecoderSetup {
  readonly role: Role;
  readonly allowedRsv: number;
  readonly maxFramePayload: number;
  readonly holdLimit: number;
  readonly readBufferSize: number;
  readonly simd: boolean;
  /** For each chunk in turn: true for `push`, false for `writable` and `commit`. Repeats. */
  readonly pushes: readonly boolean[];
}

/** Creates the decoder under test. */
export type MakeDecoder = (...options: ConstructorParameters<typeof FrameDecoder>) => FrameDecoder;

/** A pool that counts its lent bytes. */
class CountedPool implements SlabSource {
  lent = 0;
  readonly #pool: SlabPool = new SlabPool();

  take(minBytes: number): Slab {
    const slab = this.#pool.take(minBytes);
    const { length } = slab.bytes;
    this.lent += length;
    const release = (): void => {
      this.lent -= length;
      slab.release();
    };
    return { ...slab, bytes: slab.bytes, release };
  }
}

/** Reads the events of a decoder, checks each, and writes complete frames to `trace`. */
class Tracer {
  readonly trace: string[] = [];
  readonly decoder: FrameDecoder;
  #payload: Uint8Array = new Uint8Array(0);
  #size = 0;

  constructor(decoder: FrameDecoder) {
    this.decoder = decoder;
  }

  drain(): void {
    const d = this.decoder;
    for (let event = d.next(); event !== NEED_MORE; event = d.next()) {
      if (event === FAILED) {
        const { closeCode, faults } = d.error!;
        this.trace.push(`failed ${closeCode} ${faults.join()}`);
        ensure(d.next() === FAILED, 'a failed decoder stays failed');
        return;
      }
      if (event === FRAME) {
        ensure(d.end - d.start === d.length, 'a FRAME event has the whole payload');
        this.trace.push(traceOf(d, d.buf.subarray(d.start, d.end)));
        // The caller owns these bytes: a write to them must not change later frames.
        d.buf.fill(0xdb, d.start, d.end);
      } else if (event === FRAME_BEGIN) this.#begin();
      else if (event === FRAME_DATA) this.#data();
      else if (event === FRAME_END) {
        ensure(this.#size === d.length, 'the pieces are the whole payload');
        this.trace.push(traceOf(d, this.#payload.subarray(0, this.#size)));
      }
    }
  }

  #begin(): void {
    this.#payload = new Uint8Array(Math.min(this.decoder.length, 200_000));
    this.#size = 0;
  }

  #data(): void {
    const { buf, start, end } = this.decoder;
    ensure(end > start, 'a piece is not empty');
    this.#payload.set(buf.subarray(start, end), this.#size);
    this.#size += end - start;
    ensure(this.#size <= this.decoder.length, 'the payload is not longer than announced');
  }
}

function traceOf(
  frame: { opcode: number; fin: boolean; rsv: number },
  payload: Uint8Array,
): string {
  const { fin, rsv, opcode } = frame;
  return `${fin ? 'fin' : '...'} ${rsv} ${opcode}: ${Buffer.from(payload).toString('hex')}`;
}

/**
 * Feeds a decoder and the naive decoder, and compares their events after each chunk. The decoder
 * may hold at most twice the bytes received, plus 64 KiB and its read buffer.
 *
 * @throws Error with the first difference.
 */
export function compareDecoders(
  chunks: Iterable<Uint8Array>,
  setup: DecoderSetup,
  make: MakeDecoder = (options, use) => new FrameDecoder(options, use),
): void {
  const compare = () => compareNow(chunks, setup, make);
  if (setup.simd) compare();
  else withoutSimd(compare);
}

function compareNow(chunks: Iterable<Uint8Array>, setup: DecoderSetup, make: MakeDecoder): void {
  const { role, allowedRsv, maxFramePayload, holdLimit, readBufferSize, pushes } = setup;
  const pool = new CountedPool();
  const options = { role, allowedRsv, maxFramePayload, readBufferSize, pool };
  const tracer = new Tracer(make(options, { holdLimit }));
  const naive = new NaiveDecoder(role, setup);
  const expected: string[] = [];
  let i = 0;
  let received = 0;
  for (const chunk of chunks) {
    received += chunk.length;
    naive.push(chunk);
    feed(tracer, chunk, pushes[i++ % pushes.length]!);
    ensure(
      pool.lent <= 2 * received + 65_536 + readBufferSize,
      'the memory stays within its limit',
    );
    for (const frame of naive.frames.slice(expected.length)) {
      expected.push(traceOf(frame, frame.payload));
    }
    if (naive.failure !== undefined) {
      expected.push(`failed ${naive.failure.closeCode} ${naive.failure.faults.join()}`);
    }
    const { length } = expected;
    if (tracer.trace.length !== length || tracer.trace[length - 1] !== expected[length - 1]) break;
    if (naive.failure !== undefined) break;
    ensure(tracer.decoder.atFrameBoundary === (naive.held === 0), 'both are at a frame boundary');
  }
  ensureSame(tracer.trace.join(), expected.join(), 'events');
  tracer.decoder.reset();
  ensure(tracer.decoder.atFrameBoundary, 'a reset decoder is at a boundary');
  ensure(pool.lent === 0, 'a reset decoder holds no memory');
}

/** Feeds a chunk, reads the events, and overwrites the chunk: the decoder must not reference it. */
function feed(tracer: Tracer, chunk: Uint8Array, push: boolean): void {
  const { decoder } = tracer;
  if (push) {
    const given = chunk.slice();
    decoder.push(given);
    tracer.drain();
    given.fill(0xdb);
    return;
  }
  for (let at = 0; at < chunk.length && decoder.error === undefined; ) {
    const landing = decoder.writable();
    const n = Math.min(landing.length, chunk.length - at);
    landing.fill(0xdb);
    landing.set(chunk.subarray(at, at + n));
    decoder.commit(n);
    tracer.drain();
    at += n;
  }
}
