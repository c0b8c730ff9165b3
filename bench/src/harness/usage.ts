import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Microseconds of CPU of this process, all threads together. */
export function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** The memory of a process, in bytes. */
export interface Memory {
  /** Resident set size. */
  readonly resident: number;
  /** Used bytes of the JavaScript heap. */
  readonly heap: number;
}

/** The memory of this process after a collection. Needs `--expose-gc`. */
export async function memory(): Promise<Memory> {
  // Finalizers and zlib's threads free memory some turns after a collection.
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
 * Bytes on the JavaScript heap, garbage included. Needs `--expose-gc`, and a young generation large
 * enough that no collection happens in between.
 *
 * @param collect - Whether to collect first. Everything allocated after that stays on the heap.
 * @throws Error when a collection happened since then.
 */
export async function heap(collect: boolean): Promise<number> {
  observer ??= watchCollections();
  if (collect) globalThis.gc!();
  // The observer is called a turn later.
  await sleep(20);
  if (collect) collections = 0;
  else if (collections > 0)
    throw new Error(`${collections} collections happened during the measurement`);
  return process.memoryUsage().heapUsed;
}

function watchCollections(): PerformanceObserver {
  const created = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  created.observe({ entryTypes: ['gc'] });
  return created;
}
