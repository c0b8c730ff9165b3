import type { Finding } from './finding.ts';

/** What a worker does. A worker does one job: see `Coverage.start`. */
export interface WorkerTask {
  /** URL of the module that exports the targets. */
  readonly list: string;
  readonly target: string;
  /** URL of the folder with a corpus file for each target. */
  readonly corpus: string;
  readonly job: Job;
  /** Memory of the {@link InputSlot} that holds the current input. */
  readonly slot: SharedArrayBuffer;
}

export type Job =
  | {
      /** Runs the seeds and the corpus, then mutations until one of the limits. */
      readonly kind: 'search';
      readonly seed: number;
      /** Default: unlimited. */
      readonly seconds?: number;
      /** Number of inputs, rounded up to a batch. Default: unlimited. */
      readonly executions?: number;
      /** See `FuzzerOptions.slow`. */
      readonly slow?: number;
    }
  | { readonly kind: 'replay'; readonly input: Uint8Array }
  /** Selects the corpus again, from the seeds, the corpus and `found`. */
  | { readonly kind: 'select'; readonly found: readonly Uint8Array[] };

/** Figures of a search. */
export interface Progress {
  readonly executions: number;
  readonly edges: number;
  /** Inputs in memory that reached something new. */
  readonly inputs: number;
}

/** Messages of a worker: its progress every half second, and its result at the end. */
export type WorkerReport =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | {
      readonly kind: 'end';
      readonly progress: Progress;
      readonly finding: Finding | undefined;
      /** Inputs of a search that reached something new; inputs in the corpus after a selection. */
      readonly inputs: readonly Uint8Array[];
    };

const HEADER_BYTES = 8;
/** No target has longer inputs. */
const MAX_INPUT_BYTES = 64 * 1024;

/** The current input, in shared memory: the supervisor reads it after the worker has died. */
export class InputSlot {
  readonly memory: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(HEADER_BYTES + MAX_INPUT_BYTES)) {
    this.memory = memory;
    this.#header = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, HEADER_BYTES);
  }

  /** Number of inputs written so far. */
  get count(): number {
    return Atomics.load(this.#header, 0);
  }

  /** Stores an input, truncated to 64 KiB. */
  write(input: Uint8Array): void {
    const stored = input.subarray(0, MAX_INPUT_BYTES);
    this.#bytes.set(stored);
    this.#header[1] = stored.length;
    Atomics.add(this.#header, 0, 1);
  }

  read(): Uint8Array {
    return this.#bytes.slice(0, this.#header[1]);
  }
}
