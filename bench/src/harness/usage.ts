import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Microseconds of CPU that this process has taken, all of its threads together. */
export function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** What a process has in memory, in bytes. */
export interface Memory {
  /** What the system has given it. */
  readonly resident: number;
  /** What lives on its JavaScript heap. */
  readonly heap: number;
}

/** The memory of this process once the garbage is gone. Needs `--expose-gc`. */
export async function memory(): Promise<Memory> {
  // What a collection lets go of is freed in later turns, and some of it by other threads.
  for (let i = 0; i < 4; i++) {
    globalThis.gc!();
    await sleep(50);
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { resident: rss, heap: heapUsed };
}

let collections = 0;
let observer: PerformanceObserver | undefined;

/**
 * Bytes on the JavaScript heap, garbage or not. Needs `--expose-gc`, and a young generation that takes it all.
 *
 * @param collect - Collects first; what is allocated from then on stays where it is.
 * @throws Error when something was collected since then.
 */
export async function heap(collect: boolean): Promise<number> {
  observer ??= watchCollections();
  if (collect) globalThis.gc!();
  // The observer is told a turn later.
  await sleep(20);
  if (collect) collections = 0;
  else if (collections > 0) throw new Error(`the heap was collected ${collections} times`);
  return process.memoryUsage().heapUsed;
}

function watchCollections(): PerformanceObserver {
  const created = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  created.observe({ entryTypes: ['gc'] });
  return created;
}
