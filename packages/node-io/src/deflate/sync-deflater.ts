import { constants, type ZlibOptions } from 'node:zlib';
import { viewOf } from '@ws/codec/internal';
import type { Deflater } from '@ws/deflate';
import { deflateSettings } from './settings.ts';
import type { ZlibModule } from './zlib-handle.ts';

const NOTHING = /* @__PURE__ */ new Uint8Array(0);

/**
 * A {@link Deflater} on `deflateRawSync`. Each write ends with a flush and refers to no earlier
 * bytes.
 */
export class SyncDeflater implements Deflater {
  used = 0;
  produced = 0;
  readonly #zlib: ZlibModule;
  readonly #options: ZlibOptions;
  /** Output that did not fit. */
  #rest: Uint8Array = NOTHING;

  constructor(zlib: ZlibModule, level: number, windowBits: number) {
    this.#zlib = zlib;
    const finishFlush = constants.Z_SYNC_FLUSH;
    this.#options = { ...deflateSettings(level, windowBits), finishFlush };
  }

  reset(): void {
    this.#rest = NOTHING;
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    _flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean {
    this.used = 0;
    if (this.#rest.length === 0 && from < to) {
      this.#rest = this.#zlib.deflateRawSync(viewOf(input, from, to), this.#options);
      this.used = to - from;
    }
    this.produced = Math.min(end - at, this.#rest.length);
    output.set(this.#rest.subarray(0, this.produced), at);
    this.#rest = this.#rest.subarray(this.produced);
    return this.#rest.length === 0;
  }

  close(): void {
    this.reset();
  }
}
