import {
  type DecodeEvent,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  type FrameDecoder,
  FrameEncoder,
  NEED_MORE,
  type Role,
} from '@ws/codec';
import { type NaiveFrame, naiveEncode } from '@ws/tests';
import { expect } from 'vitest';

/** A delivered frame, in the shape of the naive decoder's. */
export type Frame = Omit<NaiveFrame, 'size'>;

/**
 * Feeds a decoder in one of three ways, copies the delivered bytes, and checks the invariants at
 * every event.
 */
export class Feeder {
  readonly frames: Frame[] = [];
  failed = false;
  readonly decoder: FrameDecoder;
  readonly #mode: 'push' | 'commit' | 'mixed';
  #turn = 0;
  #parts: Uint8Array[] = [];
  #landing: Uint8Array | undefined;

  constructor(decoder: FrameDecoder, mode: 'push' | 'commit' | 'mixed' = 'push') {
    this.decoder = decoder;
    this.#mode = mode;
  }

  /** One piece of the stream. Copied, since the decoder owns its chunks. */
  feed(piece: Uint8Array): void {
    const push = this.#mode === 'push' || (this.#mode === 'mixed' && this.#turn++ % 2 === 0);
    if (push) {
      this.decoder.push(piece.slice());
      this.drain();
      return;
    }
    for (let at = 0; at < piece.length || at === 0; ) {
      const landing = this.decoder.writable();
      if (this.#landing?.length === landing.length && this.#landing !== landing) {
        throw new Error('writable() gave another view of the same size');
      }
      this.#landing = landing;
      const n = Math.min(landing.length, piece.length - at);
      landing.set(piece.subarray(at, at + n));
      this.decoder.commit(n);
      this.drain();
      at += Math.max(n, 1);
    }
  }

  /** Events until NEED_MORE or FAILED. */
  drain(): void {
    for (;;) {
      const event = this.decoder.next();
      if (event === NEED_MORE) return;
      this.#take(event);
      if (this.failed) return;
    }
  }

  #take(event: DecodeEvent): void {
    const { decoder } = this;
    const { opcode, fin, rsv } = decoder;
    if (event === FRAME) this.frames.push({ opcode, fin, rsv, payload: this.#piece() });
    if (event === FRAME_BEGIN) this.#parts = [];
    if (event === FRAME_DATA) this.#parts.push(this.#piece());
    if (event === FRAME_END) {
      const payload = join(this.#parts);
      if (payload.length !== decoder.length) throw new Error('pieces do not make up the length');
      this.frames.push({ opcode, fin, rsv, payload });
    }
    if (event === FAILED) this.failed = true;
  }

  #piece(): Uint8Array {
    const { buf, start, end } = this.decoder;
    return buf.slice(start, end);
  }
}

/** The pieces of a stream, cut at the given places. */
export function cut(stream: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = [0, ...places.toSorted((a, b) => a - b), stream.length];
  return sorted.slice(1).map((end, i) => stream.subarray(sorted[i], end));
}

/** Bytes one after another. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Payload bytes with a period that is not a power of two. */
export function bytes(length: number, seed = 0): Uint8Array {
  return new Uint8Array(length).map((_, i) => i * 31 + seed * 7 + (i >> 8));
}

/** Removes, joins and releases all chunks of an encoder. */
export function flush(encoder: FrameEncoder): Uint8Array {
  return join(chunksOf(encoder));
}

/** Removes and releases all chunks of an encoder. Returns copies of them. */
export function chunksOf(encoder: FrameEncoder): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  encoder.flush((chunk, release) => {
    chunks.push(chunk.slice());
    release();
  });
  return chunks;
}

/** The masking key of the encoders and frames of the tests. */
export const KEY = 0x37fa213d;

export function encoderOf(role: Role, options: object = {}): FrameEncoder {
  return new FrameEncoder({ role, nextKey: () => KEY, ...options });
}

/** The frame that the naive encoder makes of a payload, or of a text. */
export function naiveFrame(
  role: Role,
  opcode: number,
  payload: Uint8Array | string,
  options: object = {},
): Uint8Array {
  return naiveEncode(opcode, payload, { ...options, ...(role === 'client' && { mask: KEY }) });
}

/** Compares bytes. A diff of 64 KiB takes minutes: it shows only the beginning. */
export function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const shown = (all: Uint8Array): unknown => [all.length, all.slice(0, 300)];
  expect(shown(actual)).toEqual(shown(expected));
  expect.unreachable('the bytes differ further behind');
}
