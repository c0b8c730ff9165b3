import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import type { Cores } from '../harness/cores.ts';
import { hasBufferUtil } from '../rivals/ws.ts';

/** How both sides of a measurement were set up. */
export interface Setting {
  readonly pinned: Cores;
  /** Whether bufferutil's native functions were there for `ws+bufferutil`. */
  readonly bufferutil: boolean;
}

/** As it is here and now. */
export function settingOf(pinned: Cores): Setting {
  return { pinned, bufferutil: hasBufferUtil() };
}

/** One line for the head of a report. */
export function settingLine({ pinned, bufferutil }: Setting): string {
  const where =
    pinned.load === undefined
      ? 'no core of its own for either side'
      : `server on core ${pinned.server}, load on core ${pinned.load}`;
  const machine = `node ${process.version}, ${availableParallelism()} x ${cpus()[0]?.model ?? 'cpu'}`;
  return `${machine}; ${where}; bufferutil ${bufferutil ? 'loaded where it is named' : 'NOT loaded'}`;
}

/** How many files a process may have open: sockets are files. Unknown on Windows, where there is no such limit. */
export function openFilesLimit(): number {
  try {
    const told = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim();
    return told === 'unlimited' ? Number.POSITIVE_INFINITY : Number(told);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
