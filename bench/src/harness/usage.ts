import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';

/** What a process has used since its start. */
export interface Usage {
  /** Microseconds of CPU, all threads together. */
  readonly cpu: number;
  /** Milliseconds of garbage collection. Node alone reports it. */
  readonly gc?: number;
  /** The longest collection since the last call, in ms. Node alone reports it. */
  readonly pause?: number;
}

/** The memory of a process, in bytes. */
export interface Memory {
  /** Resident set size. */
  readonly resident: number;
  /** Used bytes of the JavaScript heap. */
  readonly heap: number;
  /** Bytes that V8 holds for the young generation, used or not. */
  readonly young?: number;
}

let gc = 0;
let pause = 0;
let watching = false;

/** The first call starts to watch the collections. */
export function usage(): Usage {
  watch();
  const { user, system } = process.cpuUsage();
  const longest = pause;
  pause = 0;
  return { cpu: user + system, gc, pause: longest };
}

/**
 * The memory of this process.
 *
 * @param collect - Whether to collect all garbage first. Needs `--expose-gc`.
 */
export async function memory(collect: boolean): Promise<Memory> {
  // Finalizers and zlib's threads free memory some turns after a collection.
  for (let i = 0; collect && i < 4; i++) {
    globalThis.gc!();
    await sleep(50);
  }
  const { rss, heapUsed } = process.memoryUsage();
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  return { resident: rss, heap: heapUsed, young: space?.physical_space_size ?? 0 };
}

function watch(): void {
  if (watching) return;
  watching = true;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      gc += duration;
      pause = Math.max(pause, duration);
    }
  });
  observer.observe({ entryTypes: ['gc'] });
}
