import { constants, deflateRawSync } from 'node:zlib';
import { NO_BYTES } from '@ws/codec/internal';
import type { Deflater, History } from '@ws/conn';
import { copyLast } from './oneshot-inflater.ts';
import { type DeflateSettings, deflateSettings, MAX_WINDOW } from './settings.ts';

/**
 * A {@link Deflater} on the documented functions of `node:zlib`, which start from scratch at each
 * call. It keeps the input since the last flush, and the plain text before that as their
 * dictionary.
 */
export class OneshotDeflater implements Deflater {
  used = 0;
  produced = 0;
  readonly #settings: DeflateSettings;
  #history: Uint8Array = NO_BYTES;
  /** Plain bytes since the last flush: `#input[0, #size)`. */
  #input: Uint8Array = NO_BYTES;
  #size = 0;
  /** Compressed bytes. Those from `#at` on are not returned yet. */
  #output: Uint8Array = NO_BYTES;
  #at = 0;

  constructor(level: number, windowBits: number) {
    this.#settings = deflateSettings(level, windowBits);
  }

  reset(history: History | undefined): void {
    this.close();
    if (history === undefined || history.length === 0) return;
    this.#history = new Uint8Array(history.length);
    history.copyTo(this.#history, 0);
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
    this.used = this.produced = 0;
    if (this.#at === this.#output.length) {
      this.#append(input, from, to);
      this.used = to - from;
      if (flush && this.#size > 0) this.#flush();
    }
    const size = Math.min(end - at, this.#output.length - this.#at);
    output.set(this.#output.subarray(this.#at, this.#at + size), at);
    this.#at += size;
    this.produced = size;
    return (
      this.#at === this.#output.length && this.used === to - from && !(flush && this.#size > 0)
    );
  }

  #append(input: Uint8Array, from: number, to: number): void {
    const size = this.#size + to - from;
    if (size > this.#input.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#input.length));
      grown.set(this.#input.subarray(0, this.#size));
      this.#input = grown;
    }
    this.#input.set(input.subarray(from, to), this.#size);
    this.#size = size;
  }

  #flush(): void {
    const plain = this.#input.subarray(0, this.#size);
    const before = this.#history;
    const dictionary = before.length > 0 ? { dictionary: before } : undefined;
    this.#output = deflateRawSync(plain, {
      ...this.#settings,
      ...dictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    this.#at = 0;
    const size = Math.min(MAX_WINDOW, before.length + plain.length);
    this.#history = new Uint8Array(size);
    copyLast(before, plain, this.#history, 0, size);
    this.#input = NO_BYTES;
    this.#size = 0;
  }

  close(): void {
    this.#history = this.#input = this.#output = NO_BYTES;
    this.#size = this.#at = 0;
  }
}
