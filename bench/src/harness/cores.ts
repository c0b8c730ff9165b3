import { execFileSync } from 'node:child_process';

/** Which cores the two sides of a measurement run on; undefined where the system decides. */
export interface Cores {
  readonly server: number | undefined;
  readonly load: number | undefined;
}

/** Two cores that this process may use, where `taskset` (util-linux) is there to ask and to choose. */
export function chooseCores(): Cores {
  let allowed: number[] = [];
  try {
    const told = execFileSync('taskset', ['-cp', `${process.pid}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    allowed = parseCores(told.slice(told.lastIndexOf(':') + 1));
  } catch {
    // Not Linux, or not installed: nothing is pinned, and the report says so.
  }
  const [server, load] = allowed;
  return load === undefined ? { server: undefined, load: undefined } : { server, load };
}

/** A list of cores as Linux writes it: `0-3,8`. */
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
