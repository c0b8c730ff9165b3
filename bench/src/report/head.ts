import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { packageVersion } from '../harness/optional-package.ts';
import { commitOf } from './commit.ts';

const require = createRequire(import.meta.url);

/** The origin of a report: machine, versions, command and date. */
export interface Head {
  readonly scenario: string;
  readonly command: string;
  /** ISO 8601, in UTC. */
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    /** Bytes. */
    readonly memory: number;
    readonly system: string;
  };
  /** Versions of what was used, and of nothing else. */
  readonly versions: Readonly<Record<string, string>>;
  /**
   * Commit of the measured code, with `+changes` for a modified checkout; undefined without one.
   */
  readonly commit?: string;
  /** What the figures describe, where it is not this library: the URL of a server. */
  readonly target?: string;
}

/**
 * The head of a report that is created now, on this machine.
 *
 * @param args - The command line. Values of headers and queries of URLs are removed, because they
 *   may be secrets.
 * @param used - Versions of what was measured besides this library.
 * @param target - What was measured instead of this library.
 */
export function headOf(
  scenario: string,
  args: readonly string[],
  used: Readonly<Record<string, string>>,
  target?: string,
): Head {
  const commit = commitOf(dirname(require.resolve('@ws/conn/package.json')));
  return {
    scenario,
    command: ['ws-bench', ...args.map((arg, i) => shown(arg, args[i - 1]))].join(' '),
    date: new Date().toISOString(),
    machine: machine(),
    versions: {
      node: process.versions.node,
      [target === undefined ? 'ours' : 'ws-bench']: packageVersion('@ws/conn'),
      ...used,
    },
    ...(commit !== undefined && { commit }),
    ...(target !== undefined && { target }),
  };
}

/** This machine. */
function machine(): Head['machine'] {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memory: totalmem(),
    system: `${platform()} ${release()} ${arch()}`,
  };
}

/** A URL with a masked query, which may be a secret. */
export function withoutQuery(url: string): string {
  return url.replace(/\?.*$/s, '?***');
}

function shown(arg: string, before: string | undefined): string {
  if (/^[a-z+]+:\/\//i.test(arg)) return quoted(withoutQuery(arg));
  if (before === '--header') return quoted(arg.replace(/:.*$/s, ': ***'));
  return quoted(arg.replace(/^(--header=[^:]*:).*$/s, '$1 ***'));
}

/** Quotes an argument for a shell. */
function quoted(arg: string): string {
  return /^[\w./:=@%+,-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}

/** The head of a report for a terminal: the command, the versions and the machine. */
export function headText(head: Head): string {
  return [
    `${head.command}, ${head.date.slice(0, 10)}`,
    versionLine(head),
    `${machineLine(head.machine)}\n`,
  ].join('\n');
}

/** The machine in one line. */
export function machineLine({ cores, cpu, memory, system }: Head['machine']): string {
  return `${cores} x ${cpu}, ${Math.round(memory / 2 ** 30)} GiB, ${system}`;
}

/**
 * The versions in one line. A checkout of this library shows its commit, because its package
 * version may be unreleased. `ours` is measured, `ws-bench` is the load for another target.
 */
export function versionLine({ versions, commit }: Pick<Head, 'versions' | 'commit'>): string {
  return Object.entries(versions)
    .map(([name, version]) =>
      commit !== undefined && (name === 'ours' || name === 'ws-bench')
        ? `${name} at ${commit}`
        : `${name} ${version}`,
    )
    .join(', ');
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
