import { openSync, readSync } from 'node:fs';

/** Linux statistics of the thread that opens this file. The first figure is CPU time in ns. */
const STATISTICS = '/proc/thread-self/schedstat';

const text = Buffer.alloc(64);
const statistics = openStatistics();

/**
 * Returns the CPU time of this thread in ms. Other work of the machine does not change it. Threads of
 * compilers and garbage collectors do not count, except on systems without figures for each thread.
 */
export function threadTime(): number {
  // Always called, because it updates the statistics.
  const { user, system } = process.cpuUsage();
  return statistics === undefined
    ? (user + system) / 1_000
    : readStatistics(statistics) / 1_000_000;
}

function openStatistics(): number | undefined {
  try {
    const file = openSync(STATISTICS, 'r');
    return readStatistics(file) > 0 ? file : undefined;
  } catch {
    return undefined;
  }
}

function readStatistics(file: number): number {
  const length = readSync(file, text, 0, text.length, 0);
  return Number.parseInt(text.toString('latin1', 0, length), 10);
}
