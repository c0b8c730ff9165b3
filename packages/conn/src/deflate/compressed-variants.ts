import { copyOf } from '../copy.ts';
import type { Deflation } from './deflation.ts';

/** Is told of a form; never throws, others are told after it. */
type Done = (form: Uint8Array | undefined) => void;

/** One message compressed for whoever wants it so: once for each level and window. */
export class CompressedForms {
  readonly #bytes: Uint8Array;
  readonly #forms = new Map<number, Uint8Array>();
  /** Those that are being made on another thread, and who waits for them. */
  readonly #making = new Map<number, Set<Done>>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /**
   * What `deflation` would send, or nothing when it would not be smaller; undefined for a large one not made yet.
   *
   * @throws what the platform throws, when it has no memory for example.
   */
  get(deflation: Deflation): Uint8Array | undefined {
    const { key } = deflation;
    const ready = this.#forms.get(key);
    if (ready !== undefined || deflation.isLarge(this.#bytes.length)) return ready;
    const size = deflation.deflateAlone(this.#bytes);
    const form = size === 0 ? NOT_SMALLER : copyOf(deflation.takeOutput(), 0, size);
    this.#forms.set(key, form);
    return form;
  }

  /**
   * Calls `done` with the form when it is made, with an empty one when it cannot be.
   *
   * @throws what the platform throws when it cannot begin: `done` is not called then.
   */
  later(deflation: Deflation, done: Done): () => void {
    const { key, level, windowBits, engines } = deflation;
    let waiting = this.#making.get(key);
    if (waiting === undefined) {
      waiting = new Set();
      const job = { begin: () => this.#bytes, level, windowBits, history: undefined };
      engines.source.deflateLater(job, (output) => this.#made(key, output));
      // Not before: of a job that could not begin nobody would ever hear.
      this.#making.set(key, waiting);
    }
    waiting.add(done);
    return () => waiting.delete(done);
  }

  #made(key: number, output: Uint8Array | undefined): void {
    const waiting = this.#making.get(key)!;
    this.#making.delete(key);
    const smaller = output !== undefined && output.length < this.#bytes.length;
    const form = smaller ? output : NOT_SMALLER;
    if (output !== undefined) this.#forms.set(key, form);
    for (const done of waiting) done(form);
  }
}

const NOT_SMALLER = /* @__PURE__ */ new Uint8Array(0);
