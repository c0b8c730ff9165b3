import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  type FrameDecoderOptions,
  NEED_MORE,
  type Role,
  type Slab,
  SlabPool,
  type SlabSource,
} from '@ws/codec';
import { NaiveDecoder } from '@ws/testkit';
import { must, same } from '../harness/target.ts';

/** How a decoder is set up and fed. */
export interface Setting {
  readonly role: Role;
  readonly allowedRsv: number;
  readonly maxFramePayload: number;
  readonly holdLimit: number;
  readonly readBufferSize: number;
  readonly simd: boolean;
  /** Room of the targets that large frames are assembled in; 0 leaves them where they lie. */
  readonly assemble: number;
  /** Which chunks are handed in by `push`, the others by `writable` and `commit`; repeats. */
  readonly pushes: readonly boolean[];
}

/** What the decoder under test is made by. */
export type MakeDecoder = (options: FrameDecoderOptions) => FrameDecoder;

/** Memory for a decoder, counted. */
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

/** Reads all events there are, writes whole frames to `trace`, and checks each event against what it claims. */
class Tracer {
  readonly trace: string[] = [];
  readonly decoder: FrameDecoder;
  readonly #room: number;
  #payload: Uint8Array = new Uint8Array(0);
  #size = 0;
  #left = 0;

  constructor(decoder: FrameDecoder, room: number) {
    this.decoder = decoder;
    this.#room = room;
  }

  drain(): void {
    const d = this.decoder;
    for (let event = d.next(); event !== NEED_MORE; event = d.next()) {
      if (event === FAILED) {
        const { closeCode, faults } = d.error!;
        this.trace.push(`failed ${closeCode} ${faults.join()}`);
        must(d.next() === FAILED, 'dead for good');
        return;
      }
      if (event === FRAME) {
        must(d.end - d.start === d.length, 'a whole frame');
        this.trace.push(traceOf(d, d.buf.subarray(d.start, d.end)));
        // The caller may write to the bytes: what follows must not suffer.
        d.buf.fill(0xdb, d.start, d.end);
      } else if (event === FRAME_BEGIN) this.#begin();
      else if (event === FRAME_DATA) this.#data();
      else if (event === FRAME_END) {
        must(this.#size === d.length, 'all of the payload in pieces');
        this.trace.push(traceOf(d, this.#payload.subarray(0, this.#size)));
      }
    }
  }

  #begin(): void {
    this.#payload = new Uint8Array(Math.min(this.decoder.length, 200_000));
    this.#size = 0;
    this.#target();
  }

  #data(): void {
    const { buf, start, end } = this.decoder;
    must(end > start, 'a piece with something in it');
    this.#payload.set(buf.subarray(start, end), this.#size);
    this.#size += end - start;
    this.#left -= end - start;
    must(this.#size <= this.decoder.length, 'no more payload than announced');
    if (this.#left === 0) this.#target();
  }

  #target(): void {
    this.#left = this.#room;
    if (this.#room > 0) this.decoder.assembleInto(new Uint8Array(this.#room + 3), 3);
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
 * Feeds a decoder and the naive one chunk by chunk: they must have seen the same at the end of each, and the memory held
 * stays below what came and a little more.
 *
 * @throws Error that names the difference.
 */
export function compareDecoders(
  chunks: Iterable<Uint8Array>,
  setting: Setting,
  make: MakeDecoder = (options) => new FrameDecoder(options),
): void {
  const { role, allowedRsv, maxFramePayload, holdLimit, readBufferSize, simd, pushes } = setting;
  const pool = new CountedPool();
  const options = { role, allowedRsv, maxFramePayload, holdLimit, readBufferSize, simd, pool };
  const tracer = new Tracer(make(options), setting.assemble);
  const naive = new NaiveDecoder(role, setting);
  const expected: string[] = [];
  let i = 0;
  let received = 0;
  for (const chunk of chunks) {
    received += chunk.length;
    naive.push(chunk);
    feed(tracer, chunk, pushes[i++ % pushes.length]!);
    // What is made ready for the next bytes is as large as it was asked to be.
    must(
      pool.lent <= 2 * received + 65_536 + readBufferSize,
      'no more memory than twice what came and 64 KiB',
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
    must(tracer.decoder.atFrameBoundary === (naive.held === 0), 'the same boundaries');
  }
  same(tracer.trace.join(), expected.join(), 'events');
  tracer.decoder.reset();
  must(tracer.decoder.atFrameBoundary, 'a reset decoder is at a boundary');
  must(pool.lent === 0, 'a reset decoder holds no memory');
}

/** Hands a chunk in, reads the events, and spoils the chunk: nothing may be left in it. */
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
