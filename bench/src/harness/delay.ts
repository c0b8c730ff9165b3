import { percentile } from './statistics.ts';

const RESOLUTION_MS = 1;

let waits: number[] = [];
let last = 0;

/**
 * The 99th percentile of the delay of the event loop in ms since the last call. The first call
 * starts the measurement.
 *
 * It is the wait of an event that arrives at any moment: a turn of 40 ms counts as 40 waits from 40
 * to 1 ms. `monitorEventLoopDelay` counts such a turn once, and the idle time around it as many
 * short delays.
 */
export function delay(): number {
  if (last === 0) setInterval(sample, RESOLUTION_MS).unref();
  const sorted = Float64Array.from(waits).toSorted();
  waits = [];
  last = performance.now();
  return sorted.length === 0 ? 0 : percentile(sorted, 0.99);
}

function sample(): void {
  const now = performance.now();
  waitsOf(now - last, waits);
  last = now;
}

/** Appends the waits of the events that arrive within `ms` between two turns, one for each ms. */
function waitsOf(ms: number, to: number[]): void {
  let wait = ms - RESOLUTION_MS;
  to.push(Math.max(0, wait));
  for (wait -= RESOLUTION_MS; wait > 0; wait -= RESOLUTION_MS) to.push(wait);
}
