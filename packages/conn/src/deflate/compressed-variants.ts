import { copyOf } from '../memory/copy.ts';
import type { Compressor } from './compressor.ts';

/** Receives a compressed variant. It never throws. */
type Done = (variant: Uint8Array | undefined) => void;

/** The compressed variants of one message: one for each level and window. */
export class CompressedVariants {
  readonly #bytes: Uint8Array;
  readonly #variants = new Map<number, Uint8Array>();
  /** Variants that another thread creates, and the callbacks that wait for them. */
  readonly #pending = new Map<number, Set<Done>>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * The variant that `compressor` sends; empty when it would not be smaller. Undefined for a large
   * message without this variant.
   *
   * @throws what the platform throws, for example without memory.
   */
  get(compressor: Compressor): Uint8Array | undefined {
    const { key } = compressor;
    const ready = this.#variants.get(key);
    if (ready !== undefined || compressor.isLarge(this.#bytes.length)) return ready;
    const size = compressor.deflateAlone(this.#bytes);
    const variant = size === 0 ? NOT_SMALLER : copyOf(compressor.takeOutput(), 0, size);
    this.#variants.set(key, variant);
    return variant;
  }

  /**
   * Creates the variant on another thread and calls `done` with it, or with an empty one when that
   * fails.
   *
   * @returns Cancels the call of `done`.
   * @throws what the platform throws when it cannot start; `done` is not called then.
   */
  later(compressor: Compressor, done: Done): () => void {
    const { key, level, windowBits, engines } = compressor;
    let waiting = this.#pending.get(key);
    if (waiting === undefined) {
      waiting = new Set();
      const job = { begin: () => this.#bytes, level, windowBits, history: undefined };
      engines.source.deflateLater(job, (output) => this.#made(key, output));
      // After the job was accepted: a job that throws never reports.
      this.#pending.set(key, waiting);
    }
    waiting.add(done);
    return () => waiting.delete(done);
  }

  #made(key: number, output: Uint8Array | undefined): void {
    const waiting = this.#pending.get(key)!;
    this.#pending.delete(key);
    const smaller = output !== undefined && output.length < this.#bytes.length;
    const variant = smaller ? output : NOT_SMALLER;
    if (output !== undefined) this.#variants.set(key, variant);
    for (const done of waiting) done(variant);
  }
}

const NOT_SMALLER = /* @__PURE__ */ new Uint8Array(0);
