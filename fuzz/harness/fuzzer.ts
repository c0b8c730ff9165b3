import { Random } from '@ws/tests';
import { Coverage } from './coverage.ts';
import { type Finding, findingOf } from './finding.ts';
import { mutate } from './mutate.ts';
import type { Target } from './target.ts';
import { UncaughtErrors } from './uncaught-errors.ts';

export interface FuzzerOptions {
  readonly seed: number;
  /** Inputs of earlier runs. */
  readonly corpus: readonly Uint8Array[];
  /**
   * Milliseconds by {@link stopwatch}. An input that takes longer three times in a row is a
   * finding. Default: 1,000.
   */
  readonly slow?: number | undefined;
  /** Receives each input before it runs, so that a supervisor knows the input that never ends. */
  readonly onInput?: (input: Uint8Array) => void;
}

/** Inputs for each reading of the coverage. A reading costs as much as some dozen short inputs. */
const BATCH = 100;
/** Every 64th batch reads the coverage after each input: only then counts are known. */
const EXACT_EVERY = 64;
/** Limits for the inputs in memory. The oldest leave first. */
const MAX_INPUTS = 4_000;
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Starts to measure the processor's time, in ms: other processes do not count. Time that is spent
 * waiting counts a tenth.
 */
function stopwatch(): () => number {
  const started = performance.now();
  const used = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(used);
    return Math.max((user + system) / 1000, (performance.now() - started) / 10);
  };
}

/**
 * Feeds a target with mutations of known inputs, and keeps each mutation that reaches new code.
 * Inputs run in batches. After a batch that ran a new edge, each of its inputs runs once more to
 * find the one responsible.
 */
export class Fuzzer {
  executions = 0;
  readonly #target: Target;
  readonly #options: FuzzerOptions;
  readonly #random: Random;
  readonly #coverage: Coverage;
  readonly #uncaught = new UncaughtErrors();
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

  /** Inputs that reached something new, in order of discovery. */
  get inputs(): readonly Uint8Array[] {
    return this.#inputs;
  }

  /**
   * Runs the known inputs.
   *
   * @param known - Default: the empty input, the seeds and the corpus.
   */
  async start(
    known: readonly Uint8Array[] = [
      new Uint8Array(0),
      ...this.#target.seeds,
      ...this.#options.corpus,
    ],
  ): Promise<Finding | undefined> {
    this.#uncaught.start();
    this.#coverage.start();
    const finding = await this.#runEach(known);
    // Mutations need at least one input.
    if (this.#inputs.length === 0) this.#keep(known.at(-1)!);
    return finding;
  }

  stop(): void {
    this.#coverage.stop();
    this.#uncaught.stop();
  }

  /** Runs the next batch. Returns the first input that fails. */
  async batch(): Promise<Finding | undefined> {
    const batch: Uint8Array[] = [];
    for (let i = 0; i < BATCH; i++) {
      batch.push(mutate(this.#choose(), this.#random, this.#target, this.#choose()));
    }
    if (this.#batches++ % EXACT_EVERY === 0) return this.#runEach(batch);
    for (const input of batch) {
      const finding = await this.#run(input);
      if (finding !== undefined) return finding;
    }
    return this.#coverage.take(false) === 0 ? undefined : this.#runEach(batch);
  }

  /** Whether an input fails with the signature of `finding`. */
  async repeats(finding: Finding, input: Uint8Array): Promise<boolean> {
    return (await this.#run(input))?.signature === finding.signature;
  }

  async #runEach(batch: readonly Uint8Array[]): Promise<Finding | undefined> {
    for (const input of batch) {
      const finding = await this.#run(input);
      if (finding !== undefined) return finding;
      if (this.#coverage.take(true) > 0) this.#keep(input);
    }
    return undefined;
  }

  async #run(input: Uint8Array): Promise<Finding | undefined> {
    for (let attempt = 1; ; attempt++) {
      const elapsed = stopwatch();
      const failure = await this.#runOnce(input);
      if (failure !== undefined) return findingOf(input, failure);
      const took = elapsed();
      // Two retries: the input may have come at the time of a garbage collection.
      if (took < this.#slow) return undefined;
      if (attempt === 3) return findingOf(input, new Error(`slow: ${Math.round(took)} ms`));
    }
  }

  async #runOnce(input: Uint8Array): Promise<unknown> {
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

  /**
   * Picks a seed of the target once in four times: one change of a valid input reaches a rule that
   * most other inputs break before. Otherwise any input, or with a chance of one half one of the 20
   * latest.
   */
  #choose(): Uint8Array {
    const { seeds } = this.#target;
    if (seeds.length > 0 && this.#random.once(4)) return this.#random.pick(seeds);
    const { length } = this.#inputs;
    const recent = Math.min(length, 20);
    const at = this.#random.once(2)
      ? this.#random.below(length)
      : length - 1 - this.#random.below(recent);
    return this.#inputs[at]!;
  }
}
