import { copyOf } from '../copy.ts';
import type { Deflation } from './deflation.ts';

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

  /** What `deflation` would send, or nothing when it would not be smaller; undefined for a large one not made yet. */
  get(deflation: Deflation): Uint8Array | undefined {
    const { key } = deflation;
    const ready = this.#forms.get(key);
    if (ready !== undefined || deflation.isLarge(this.#bytes.length)) return ready;
    const size = deflation.deflateAlone(this.#bytes);
    const form = copyOf(deflation.output, 0, size);
    this.#forms.set(key, form);
    return form;
  }

  /** Calls `done` with the form when it is made, or with undefined when it cannot be. */
  later(deflation: Deflation, done: Done): () => void {
    const { key, level, windowBits, engines } = deflation;
    let waiting = this.#making.get(key);
    if (waiting === undefined) {
      waiting = new Set();
      this.#making.set(key, waiting);
      const job = { bytes: this.#bytes, level, windowBits, history: undefined };
      engines.source.deflateLater(job, (output) => this.#made(key, output));
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
