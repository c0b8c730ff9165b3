import { Bench } from 'tinybench';

/** One batch of work of about a millisecond. It creates no closure. */
export type Batch = () => void;

/** The time of one subject, in nanoseconds for a unit of work. */
export interface Time {
  /** The fastest batch: the cost of the code without disturbance. */
  readonly min: number;
  readonly median: number;
  /** The fastest batch of each round. */
  readonly rounds: readonly number[];
}

/**
 * Times subjects side by side. Each round has a few batches of every subject, so a busy neighbour
 * disturbs all of them alike.
 *
 * @param batches - By name: the work, and its number of units (frames, calls).
 * @param rounds - Number of rounds.
 */
export function timeInterleaved(
  batches: ReadonlyMap<string, { batch: Batch; units: number }>,
  rounds: number,
): Map<string, Time> {
  const samples = new Map<string, number[]>();
  const fastest = new Map<string, number[]>();
  for (const [name, { batch }] of batches) {
    samples.set(name, []);
    fastest.set(name, []);
    warmUp(batch, 40);
  }
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({ iterations: 5, time: 0, warmup: false, retainSamples: true });
    for (const [name, { batch }] of batches) bench.add(name, batch);
    for (const task of bench.runSync()) {
      const { result } = task;
      if (!('latency' in result)) throw new Error(`${task.name}: ${result.state}`);
      for (const ms of result.latency.samples ?? []) samples.get(task.name)?.push(ms);
      fastest.get(task.name)?.push(result.latency.min);
    }
  }
  const times = new Map<string, Time>();
  for (const [name, { units }] of batches) {
    const sorted = (samples.get(name) ?? []).toSorted((a, b) => a - b);
    const ns = (ms: number | undefined): number => ((ms ?? Number.NaN) * 1e6) / units;
    times.set(name, {
      min: ns(sorted[0]),
      median: ns(sorted[sorted.length >> 1]),
      rounds: (fastest.get(name) ?? []).map(ns),
    });
  }
  return times;
}

/**
 * Heap bytes that one unit of work allocates, garbage included. Needs `--expose-gc` and a young
 * generation large enough that no collection happens in between.
 */
export function heapPerUnit(batch: Batch, unitsPerBatch: number, units: number): number {
  const { gc } = globalThis;
  if (gc === undefined) throw new Error('run with --expose-gc');
  const batches = Math.max(1, Math.ceil(units / unitsPerBatch));
  // Compiled code and type feedback are on the heap too.
  warmUp(batch, 200);
  gc();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < batches; i++) batch();
  const after = process.memoryUsage().heapUsed;
  return (after - before - ownCost()) / (batches * unitsPerBatch);
}

/** Lets the engine optimize the batch before the measurement. */
function warmUp(batch: Batch, ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until) batch();
}

/** Heap bytes of the two readings themselves. */
function ownCost(): number {
  const before = process.memoryUsage().heapUsed;
  return process.memoryUsage().heapUsed - before;
}
