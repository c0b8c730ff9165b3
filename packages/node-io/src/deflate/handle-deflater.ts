import { constants } from 'node:zlib';
import type { Deflater } from '@ws/deflate';
import { deflateSettings } from './settings.ts';
import { ZlibHandle, type ZlibModule } from './zlib-handle.ts';

/**
 * Bytes. The end of a flush has six bytes, and zlib restarts it when there was no room for it. With
 * less room than this, a flush would never end.
 */
const LEAST_ROOM = 8;

/** A {@link Deflater} on the native handle of a zlib stream. */
export class HandleDeflater implements Deflater {
  used = 0;
  produced = 0;
  readonly #zlib: ZlibHandle;
  /** Whether zlib has no more output for the input so far. */
  #whole = true;
  /** Whether there was no input since the last flush or reset. */
  #flushed = true;
  /** Output that did not fit: `#spill[#spillAt, #spillEnd)`. */
  readonly #spill: Uint8Array = new Uint8Array(64);
  #spillAt = 0;
  #spillEnd = 0;

  constructor(streams: ZlibModule, level: number, windowBits: number) {
    const settings = { ...deflateSettings(level, windowBits), chunkSize: 64 };
    this.#zlib = new ZlibHandle(streams.createDeflateRaw(settings));
  }

  reset(): void {
    this.#zlib.reset();
    this.#whole = this.#flushed = true;
    this.#spillAt = this.#spillEnd = 0;
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean {
    if (this.#spillAt < this.#spillEnd || end - at < LEAST_ROOM) {
      return this.#writeBySpill(input, from, to, flush, output, at, end);
    }
    this.used = this.produced = 0;
    if (!this.#done(from === to, flush)) {
      this.#deflate(input, from, to, flush, output, at, end);
    }
    return this.#whole;
  }

  #done(empty: boolean, flush: boolean): boolean {
    return empty && this.#whole && (this.#flushed || !flush);
  }

  #deflate(
    input: Uint8Array,
    from: number,
    to: number,
    flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): void {
    const zlib = this.#zlib;
    const mode = flush ? constants.Z_SYNC_FLUSH : constants.Z_NO_FLUSH;
    if (!zlib.run(mode, input, from, to, output, at, end)) throw zlib.failure();
    this.used = zlib.used;
    this.produced = zlib.produced;
    this.#whole = zlib.produced < end - at;
    this.#flushed = flush && this.#whole;
  }

  /** Deflates into the spill while there is too little room, and copies out as much as fits. */
  #writeBySpill(
    input: Uint8Array,
    from: number,
    to: number,
    flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean {
    const start = from;
    const begin = at;
    let done = false;
    for (;;) {
      const size = Math.min(end - at, this.#spillEnd - this.#spillAt);
      output.set(this.#spill.subarray(this.#spillAt, this.#spillAt + size), at);
      this.#spillAt += size;
      at += size;
      if (this.#spillAt < this.#spillEnd) break;
      done = this.#done(from === to, flush);
      if (done || at === end) break;
      this.#deflate(input, from, to, flush, this.#spill, 0, this.#spill.length);
      from += this.used;
      this.#spillAt = 0;
      this.#spillEnd = this.produced;
    }
    this.used = from - start;
    this.produced = at - begin;
    return done;
  }

  close(): void {
    this.#zlib.close();
  }
}
