import type { Finding } from './finding.ts';

/** What a worker shall do. */
export interface WorkerTask {
  /** URL of the module that exports the targets. */
  readonly list: string;
  readonly target: string;
  readonly seed: number;
  /** Duration of the search. Default: 0. */
  readonly seconds?: number;
  /** Whether the worker merges its inputs into the corpus of the repository. Default: false. */
  readonly keep?: boolean;
  /** Runs this input instead of the seeds and the corpus. */
  readonly only?: Uint8Array;
  /** Memory of the {@link InputSlot} that holds the current input. */
  readonly slot: SharedArrayBuffer;
}

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
      /** Number of files in the corpus; undefined without `keep`. */
      readonly kept: number | undefined;
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
