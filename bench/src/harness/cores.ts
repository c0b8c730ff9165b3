import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The cores of the two processes of a measurement; undefined where the system chooses. */
export interface Cores {
  readonly server: number | undefined;
  readonly load: number | undefined;
  /** Whether both are threads of one physical core, so that the two sides disturb each other. */
  readonly shared: boolean;
}

/**
 * Two physical cores that this process may use, other than core 0 where there are enough: it serves
 * interrupts. Needs `taskset` (util-linux).
 */
export function chooseCores(): Cores {
  let allowed: number[] = [];
  try {
    const output = execFileSync('taskset', ['-cp', `${process.pid}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    allowed = parseCores(output.slice(output.lastIndexOf(':') + 1));
  } catch {
    // Not Linux, or not installed: no process is pinned, and the report says so.
  }
  return twoCores(allowed, siblingsOf);
}

/** @param siblings - The threads of the physical core of a core. */
function twoCores(allowed: readonly number[], siblings: (core: number) => number[]): Cores {
  const physical = new Map(allowed.toReversed().map((core) => [Math.min(...siblings(core)), core]));
  const one = [...physical.values()].toSorted((a, b) => a - b);
  const [server, load] = one.length > 2 ? one.slice(1) : one;
  if (load !== undefined) return { server, load, shared: false };
  const [first, second] = allowed;
  if (second === undefined) return { server: undefined, load: undefined, shared: false };
  return { server: first, load: second, shared: true };
}

function siblingsOf(core: number): number[] {
  try {
    const folder = `/sys/devices/system/cpu/cpu${core}/topology`;
    return parseCores(readFileSync(`${folder}/thread_siblings_list`, 'utf8'));
  } catch {
    return [core];
  }
}

/** Parses a list of cores in the notation of Linux: `0-3,8`. */
function parseCores(list: string): number[] {
  return list
    .trim()
    .split(',')
    .flatMap((part) => {
      const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
      if (from === undefined) return [];
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
    });
}

/** One line for the head of a report. */
export function coresLine({ server, load, shared }: Cores): string {
  if (load === undefined) {
    return 'no process is pinned to a core: ratios below 1.3 mean nothing';
  }
  const note = shared ? ', two threads of ONE physical core' : '';
  return `server on core ${server}, load on core ${load}${note}`;
}
