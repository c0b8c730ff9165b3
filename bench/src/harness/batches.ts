import { Bench } from 'tinybench';

/** One batch of work of about a millisecond. */
export type Batch = () => void | Promise<void>;

/** A batch, and its number of units (frames, calls). */
export interface Subject {
  readonly batch: Batch;
  readonly units: number;
  /** Size of the result, as a share of the input, in per cent. */
  readonly left?: () => number;
}

/**
 * Readings by metric: `ns` for a unit of work, from the median batch of each round, and `left`.
 */
export type Timing = Readonly<Record<string, number[]>>;

const BATCHES = 11;
const WARM_UP_MS = 40;

/**
 * Times subjects side by side. Each round has a few batches of every subject, so a busy neighbour
 * disturbs all of them alike.
 */
export async function timeInterleaved(
  subjects: Readonly<Record<string, Subject>>,
  rounds: number,
): Promise<Record<string, Timing>> {
  const times: Record<string, Timing> = {};
  for (const [name, { batch, left }] of Object.entries(subjects)) {
    // Lets the engine optimize the batch before the measurement.
    const until = performance.now() + WARM_UP_MS;
    while (performance.now() < until) await batch();
    times[name] = { ns: [], ...(left !== undefined && { left: [left()] }) };
  }
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({ iterations: BATCHES, time: 0, warmup: false, throws: true });
    for (const [name, { batch }] of Object.entries(subjects)) bench.add(name, batch);
    for (const { name, result } of await bench.run()) {
      if (!('latency' in result)) throw new Error(`${name}: ${result.state}`);
      times[name]!['ns']!.push((result.latency.p50 * 1e6) / subjects[name]!.units);
    }
  }
  return times;
}
