import { Fifo } from '../fifo.ts';
import type { DeflateJob, Deflater, DeflateSource } from '../platform/deflate-engine.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import { FixedDeflater, roomToDeflate } from './fixed-deflater.ts';
import { PureInflater } from './pure-inflater.ts';

/** Plain bytes that are compressed at a time: 0.2 ms of work. */
const CHUNK = 32_768;
const TAIL = /* @__PURE__ */ Uint8Array.of(0x00, 0x00, 0xff, 0xff);

/** Compresses chunk by chunk. A chunk never refers to an earlier one, nor to the history. */
class PureDeflater implements Deflater {
  used = 0;
  produced = 0;
  readonly #fixed = new FixedDeflater();
  readonly #windowBits: number;
  /** The last chunk. `#chunk[#at, #size)` is not written yet. */
  readonly #chunk = new Uint8Array(roomToDeflate(CHUNK) + TAIL.length);
  #at = 0;
  #size = 0;

  constructor(windowBits: number) {
    this.#windowBits = windowBits;
  }

  reset(): void {
    this.#at = this.#size = 0;
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
    this.used = this.produced = 0;
    for (;;) {
      const size = Math.min(this.#size - this.#at, end - at - this.produced);
      output.set(this.#chunk.subarray(this.#at, this.#at + size), at + this.produced);
      this.#at += size;
      this.produced += size;
      if (this.#at < this.#size) return false;
      const next = from + this.used;
      if (next === to) return true;
      this.#compress(input, next, Math.min(to, next + CHUNK));
    }
  }

  #compress(input: Uint8Array, from: number, to: number): void {
    const size = this.#fixed.deflate(input, from, to, this.#chunk, this.#windowBits);
    this.#chunk.set(TAIL, size);
    this.#size = size + TAIL.length;
    this.#at = 0;
    this.used += to - from;
  }

  close(): void {}
}

/** Compresses a large message chunk by chunk. */
class LargeMessage {
  readonly #job: DeflateJob;
  readonly done: (output: Uint8Array | undefined) => void;
  readonly #deflater: PureDeflater;
  #bytes: Uint8Array | undefined;
  #from = 0;
  #output: Uint8Array | undefined;
  #size = 0;

  constructor(job: DeflateJob, done: (output: Uint8Array | undefined) => void) {
    this.#job = job;
    this.done = done;
    this.#deflater = new PureDeflater(job.windowBits);
  }

  /** @returns False for more chunks; undefined when the job fails or the result is not smaller. */
  nextChunk(): Uint8Array | false | undefined {
    try {
      this.#bytes ??= this.#job.begin();
      if (this.#bytes === undefined) return undefined;
      const bytes = this.#bytes;
      this.#output ??= new Uint8Array(bytes.length);
      const to = Math.min(bytes.length, this.#from + CHUNK);
      const { length } = this.#output;
      const fits = this.#deflater.write(
        bytes,
        this.#from,
        to,
        true,
        this.#output,
        this.#size,
        length,
      );
      if (!fits) return undefined;
      this.#from = to;
      this.#size += this.#deflater.produced;
      return to < bytes.length ? false : this.#output.subarray(0, this.#size - TAIL.length);
    } catch {
      return undefined;
    }
  }
}

/**
 * Compresses large messages one after the other, a chunk in each turn of the event loop. So many
 * messages together do not make a turn longer.
 */
class LargeMessages {
  readonly #waiting = new Fifo<LargeMessage>();
  #scheduled = false;

  /** @returns Cancels the message. */
  add(message: LargeMessage): () => void {
    this.#schedule();
    const entry = this.#waiting.add(message);
    return () => void this.#waiting.remove(entry);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    portablePlatform.yield(this.#run);
    this.#scheduled = true;
  }

  readonly #run = (): void => {
    this.#scheduled = false;
    const first = this.#waiting.peek();
    if (first === undefined) return;
    const output = first.nextChunk();
    if (output !== false) this.#waiting.shift();
    if (this.#waiting.length > 0) this.#schedule();
    if (output !== false) first.done(output);
  };
}

const largeMessages = /* @__PURE__ */ new LargeMessages();

/**
 * Compression in plain JavaScript, for platforms without zlib. It reads every message, also with
 * context takeover. It compresses each message alone, with fixed codes at every level, so its
 * messages of some kilobytes are about half as large again as those of zlib.
 *
 * @example
 * ```ts
 * import { connPair, portablePlatform, pureDeflate } from '@ws/conn';
 *
 * const platform = { ...portablePlatform, deflate: pureDeflate };
 * const [client, server] = connPair({ platform, compression: true });
 * ```
 */
export const pureDeflate: DeflateSource = {
  inflater: () => new PureInflater(),
  deflater: (_level, windowBits) => new PureDeflater(windowBits),
  deflateLater: (job, done) => largeMessages.add(new LargeMessage(job, done)),
  // 64 MiB. A bundler keeps an object with a calculation, also when nothing uses it.
  memoryBudget: 67_108_864,
  generation: 0,
};
