import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import type { Cores } from '../harness/cores.ts';
import { hasBufferUtil } from '../rivals/ws.ts';

/** The setup of both processes of a measurement. */
export interface Setting {
  readonly pinned: Cores;
  /** Whether `ws+bufferutil` used bufferutil's native functions. */
  readonly bufferutil: boolean;
}

/** The setup of this machine. */
export function settingOf(pinned: Cores): Setting {
  return { pinned, bufferutil: hasBufferUtil() };
}

/** One line for the head of a report. */
export function settingLine({ pinned, bufferutil }: Setting): string {
  const where =
    pinned.load === undefined
      ? 'no process is pinned to a core'
      : `server on core ${pinned.server}, load on core ${pinned.load}`;
  const machine = `node ${process.version}, ${availableParallelism()} x ${cpus()[0]?.model ?? 'cpu'}`;
  return `${machine}; ${where}; bufferutil ${bufferutil ? 'loaded where named' : 'NOT loaded'}`;
}

/**
 * Limit of open files of a process, sockets included. Infinite on Windows, which has no such limit.
 */
export function openFileLimit(): number {
  try {
    const limit = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
    return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
