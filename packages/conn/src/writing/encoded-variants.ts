import type { SharedEncoding } from '@ws/codec';

/** Receives an encoded variant. It never throws. */
type Done = (variant: Uint8Array | undefined) => void;

/** The encoded variants of one message: one for each key of a {@link SharedEncoding}. */
export class EncodedVariants {
  readonly #bytes: Uint8Array;
  readonly #variants = new Map<SharedEncoding['key'], Uint8Array>();
  /** Variants that another thread creates, and the callbacks that wait for them. */
  readonly #pending = new Map<SharedEncoding['key'], Set<Done>>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * The variant of `encoding`; empty when the message is left as it is. Undefined for a large message
   * without this variant.
   *
   * @throws what the encoding throws, for example without memory.
   */
  get(encoding: SharedEncoding): Uint8Array | undefined {
    const { key } = encoding;
    const ready = this.#variants.get(key);
    if (ready !== undefined || encoding.isLarge(this.#bytes.length)) return ready;
    const variant = encoding.alone(this.#bytes) ?? LEFT;
    this.#variants.set(key, variant);
    return variant;
  }

  /**
   * Creates the variant on another thread and calls `done` with it, or with an empty one when that
   * fails.
   *
   * @returns Cancels the call of `done`.
   * @throws what the encoding throws when it cannot start; `done` is not called then.
   */
  later(encoding: SharedEncoding, done: Done): () => void {
    const { key } = encoding;
    let waiting = this.#pending.get(key);
    if (waiting === undefined) {
      waiting = new Set();
      encoding.later(
        () => this.#bytes,
        true,
        (output) => this.#made(key, output),
      );
      // After the job was accepted: a job that throws never reports.
      this.#pending.set(key, waiting);
    }
    waiting.add(done);
    return () => waiting.delete(done);
  }

  #made(key: SharedEncoding['key'], output: Uint8Array | undefined): void {
    const waiting = this.#pending.get(key)!;
    this.#pending.delete(key);
    const variant = output ?? LEFT;
    if (output !== undefined) this.#variants.set(key, variant);
    for (const done of waiting) done(variant);
  }
}

/** The message is left as it is. */
const LEFT = /* @__PURE__ */ new Uint8Array(0);
