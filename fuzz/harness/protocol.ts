import type { Finding } from './finding.ts';

/** What a worker is told. */
export interface Order {
  /** The module that lists the targets. */
  readonly list: string;
  readonly target: string;
  readonly seed: number;
  /** For how long inputs are made. Default: 0. */
  readonly seconds?: number;
  /** Whether what was found joins the corpus of the repository. Default: false. */
  readonly keep?: boolean;
  /** An input to run, and none besides. */
  readonly only?: Uint8Array;
  /** Where it writes down what it is about to run: see {@link InputSlot}. */
  readonly slot: SharedArrayBuffer;
}

/** How far it has come. */
export interface Progress {
  readonly executions: number;
  readonly edges: number;
  /** Inputs in memory that led somewhere new. */
  readonly inputs: number;
}

/** What a worker says: every half second how far it is; at the end what it has found, and how many files are kept. */
export type Report =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | {
      readonly kind: 'end';
      readonly progress: Progress;
      readonly finding: Finding | undefined;
      readonly kept: number | undefined;
    };

const HEAD = 8;
/** No target makes more. */
const LONGEST = 64 * 1024;

/** The input that runs now, in memory that outlives the thread that runs it. */
export class InputSlot {
  readonly memory: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(HEAD + LONGEST)) {
    this.memory = memory;
    this.#head = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, HEAD);
  }

  /** Counts the inputs that were shown. */
  get turn(): number {
    return Atomics.load(this.#head, 0);
  }

  /** Of a longer one its beginning. */
  show(input: Uint8Array): void {
    const shown = input.subarray(0, LONGEST);
    this.#bytes.set(shown);
    this.#head[1] = shown.length;
    Atomics.add(this.#head, 0, 1);
  }

  read(): Uint8Array {
    return this.#bytes.slice(0, this.#head[1]);
  }
}
