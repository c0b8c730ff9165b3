import { execFileSync } from 'node:child_process';

/** The cores of the two processes of a measurement; undefined where the system chooses. */
export interface Cores {
  readonly server: number | undefined;
  readonly load: number | undefined;
}

/** Two cores that this process may use. Needs `taskset` (util-linux). */
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
  const [server, load] = allowed;
  return load === undefined ? { server: undefined, load: undefined } : { server, load };
}

/** Parses a list of cores in the notation of Linux: `0-3,8`. */
export function parseCores(list: string): number[] {
  return list
    .trim()
    .split(',')
    .flatMap((part) => {
      const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
      if (from === undefined) return [];
      return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i);
    });
}
