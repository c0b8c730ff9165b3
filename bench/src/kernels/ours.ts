import { randomFillSync } from 'node:crypto';
import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  FrameEncoder,
  MaskKeys,
  NEED_MORE,
  type Role,
  sharedMessageBuffers,
} from '@ws/codec';
import type { Batch } from '../harness/batches.ts';

/** A decoder that counts frames and discards them. */
class Reader {
  frames = 0;
  readonly decoder: FrameDecoder;
  #message: Uint8Array | undefined;
  #size = 0;

  constructor(role: Role) {
    this.decoder = new FrameDecoder({ role });
  }

  drain(): void {
    const { decoder } = this;
    for (let event = decoder.next(); event !== NEED_MORE; event = decoder.next()) {
      if (event === FRAME) {
        this.frames++;
      } else if (event === FRAME_BEGIN) {
        this.#message = sharedMessageBuffers().take(decoder.length);
        this.#size = 0;
      } else if (event === FRAME_DATA) {
        this.#message!.set(decoder.view(), this.#size);
        this.#size += decoder.end - decoder.start;
      } else if (event === FRAME_END) {
        this.frames++;
        if (this.#message !== undefined) sharedMessageBuffers().give(this.#message);
        this.#message = undefined;
      } else if (event === FAILED) {
        throw decoder.error ?? new Error('the decoder failed');
      }
    }
  }
}

/**
 * Finds the frames of the stream once, in chunks that the decoder owns. Large ones are assembled, as
 * in ws. Unmasking in place toggles the bytes between masked and plain, so every batch costs the same.
 */
export function decodePushed(stream: Uint8Array, chunkBytes: number, role: Role): Batch {
  const chunks: Uint8Array[] = [];
  for (let i = 0; i < stream.length; i += chunkBytes) chunks.push(stream.slice(i, i + chunkBytes));
  const reader = new Reader(role);
  return () => {
    for (let i = 0; i < chunks.length; i++) {
      reader.decoder.push(chunks[i]!);
      reader.drain();
    }
  };
}

/** Gives the memory of a chunk back, like a transport that has written it. */
function written(_chunk: Uint8Array, release: () => void): void {
  release();
}

/**
 * A server on a transport of its own, as in docs/codec.md: it reads the stream into the memory of
 * the decoder, and writes each frame back from the memory of the pool.
 */
export function echo(stream: Uint8Array): Batch {
  const decoder = new FrameDecoder({ role: 'server' });
  const out = new FrameEncoder({ role: 'server' });
  const buffers = sharedMessageBuffers();
  let large: Uint8Array = new Uint8Array(0);
  let filled = 0;

  function drain(): void {
    for (let event = decoder.next(); event !== NEED_MORE; event = decoder.next()) {
      if (event === FRAME) {
        out.frame(decoder.opcode, decoder.fin, 0, decoder.buf, decoder.start, decoder.end);
      } else if (event === FRAME_BEGIN) {
        large = buffers.take(decoder.length);
        filled = 0;
      } else if (event === FRAME_DATA) {
        large.set(decoder.view(), filled);
        filled += decoder.end - decoder.start;
      } else if (event === FRAME_END) {
        out.frame(decoder.opcode, decoder.fin, 0, large, 0, filled);
        buffers.give(large);
      } else if (event === FAILED) {
        throw decoder.error ?? new Error('the decoder failed');
      }
    }
    out.flush(written);
  }

  return () => {
    for (let at = 0; at < stream.length; ) {
      const place = decoder.writable();
      const end = Math.min(stream.length, at + place.length);
      place.set(stream.subarray(at, end));
      decoder.commit(end - at);
      drain();
      at = end;
    }
  };
}

// Reading it from the prototype once saves 13 ns a call.
const { utf8Write } = Buffer.prototype as unknown as {
  utf8Write: (this: Uint8Array, text: string, at: number, max: number) => number;
};

function encoder(role: Role): FrameEncoder {
  const keys = new MaskKeys(randomFillSync);
  return new FrameEncoder({
    role,
    nextKey: () => keys.next(),
    writeUtf8: (into, at, text) => utf8Write.call(into, text, at, into.length - at),
  });
}

/** Encodes `frames` binary frames, flushed by 64 KiB. */
export function encodeBinary(payload: Uint8Array, frames: number, role: Role): Batch {
  const out = encoder(role);
  return () => {
    for (let i = 0; i < frames; i++) {
      out.frame(2, true, 0, payload);
      if (out.pending >= 60_000) out.flush(written);
    }
    out.flush(written);
  };
}

/** Encodes `frames` text frames, flushed by 64 KiB. */
export function encodeText(text: string, frames: number, role: Role): Batch {
  const out = encoder(role);
  return () => {
    for (let i = 0; i < frames; i++) {
      out.text(1, true, 0, text);
      if (out.pending >= 60_000) out.flush(written);
    }
    out.flush(written);
  };
}
