import { Random } from '@ws/testkit';
import { Coverage } from './coverage.ts';
import { type Finding, findingOf } from './finding.ts';
import { mutate } from './mutate.ts';
import type { Target } from './target.ts';
import { Uncaught } from './uncaught.ts';

export interface FuzzerOptions {
  readonly seed: number;
  /** Inputs that were worth keeping in earlier runs. */
  readonly corpus: readonly Uint8Array[];
  /** An input that takes longer, three times in a row, is a finding. Milliseconds, default 1,000. */
  readonly slow?: number;
  /** Told each input before it runs: for whoever looks after a run that never ends. */
  readonly onInput?: (input: Uint8Array) => void;
}

/** Inputs between two looks at what they have run. To look costs as much as some dozen short inputs. */
const BATCH = 100;
/** Every so many batches each input is looked at by itself: what it does more often than the others shows only then. */
const EXACT_EVERY = 64;
/** What is held of inputs that found something: the oldest go first. */
const MAX_INPUTS = 4_000;
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Feeds a target with mutations of the inputs that led somewhere new, and keeps those that do. It goes batch by batch; in
 * one that ran something new each input is run once more, by itself, to see which it was.
 */
export class Fuzzer {
  executions = 0;
  readonly #target: Target;
  readonly #options: FuzzerOptions;
  readonly #random: Random;
  readonly #coverage: Coverage;
  readonly #uncaught = new Uncaught();
  readonly #slow: number;
  readonly #inputs: Uint8Array[] = [];
  #bytes = 0;
  #batches = 0;

  constructor(target: Target, options: FuzzerOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#coverage = new Coverage(target.covers);
    this.#slow = options.slow ?? 1_000;
  }

  get edges(): number {
    return this.#coverage.edges;
  }

  /** What led somewhere new, in the order in which it did. */
  get inputs(): readonly Uint8Array[] {
    return this.#inputs;
  }

  /**
   * Runs what is known already.
   *
   * @param known - Default: nothing at all, the seeds, the corpus.
   */
  async start(
    known: readonly Uint8Array[] = [
      new Uint8Array(0),
      ...this.#target.seeds,
      ...this.#options.corpus,
    ],
  ): Promise<Finding | undefined> {
    this.#uncaught.listen();
    this.#coverage.start();
    const finding = await this.#each(known);
    // Something to make mutations of, even when there was nothing to be found.
    if (this.#inputs.length === 0) this.#keep(known.at(-1)!);
    return finding;
  }

  stop(): void {
    this.#coverage.stop();
    this.#uncaught.leave();
  }

  /** Runs the next inputs; gives the first that failed. */
  async batch(): Promise<Finding | undefined> {
    const batch: Uint8Array[] = [];
    for (let i = 0; i < BATCH; i++) {
      batch.push(mutate(this.#choose(), this.#random, this.#target, this.#choose()));
    }
    if (this.#batches++ % EXACT_EVERY === 0) return this.#each(batch);
    for (const input of batch) {
      const finding = await this.#run(input);
      if (finding !== undefined) return finding;
    }
    return this.#coverage.take(false) === 0 ? undefined : this.#each(batch);
  }

  /** Whether an input still fails in the way of `finding`. */
  async repeats(finding: Finding, input: Uint8Array): Promise<boolean> {
    return (await this.#run(input))?.sign === finding.sign;
  }

  async #each(batch: readonly Uint8Array[]): Promise<Finding | undefined> {
    for (const input of batch) {
      const finding = await this.#run(input);
      if (finding !== undefined) return finding;
      if (this.#coverage.take(true) > 0) this.#keep(input);
    }
    return undefined;
  }

  async #run(input: Uint8Array): Promise<Finding | undefined> {
    for (let attempt = 1; ; attempt++) {
      const started = performance.now();
      const failure = await this.#once(input);
      if (failure !== undefined) return findingOf(input, failure);
      const took = performance.now() - started;
      // Others have their turns on this machine too.
      if (took < this.#slow) return undefined;
      if (attempt === 3) return findingOf(input, new Error(`slow: ${Math.round(took)} ms`));
    }
  }

  async #once(input: Uint8Array): Promise<unknown> {
    this.executions++;
    this.#options.onInput?.(input);
    try {
      const running = this.#target.run(input);
      if (running !== undefined) await running;
      return this.#uncaught.take();
    } catch (error) {
      return error ?? new Error('undefined was thrown');
    }
  }

  #keep(input: Uint8Array): void {
    this.#inputs.push(input);
    this.#bytes += input.length;
    while (this.#inputs.length > MAX_INPUTS || this.#bytes > MAX_BYTES) {
      this.#bytes -= this.#inputs.shift()!.length;
    }
  }

  /** Any of them, but often one that came lately. */
  #choose(): Uint8Array {
    const { length } = this.#inputs;
    const lately = Math.min(length, 20);
    const at = this.#random.once(2)
      ? this.#random.below(length)
      : length - 1 - this.#random.below(lately);
    return this.#inputs[at]!;
  }
}
