import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { commitOf } from './commit.ts';

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
  readonly versions: Readonly<Record<string, string>>;
  /**
   * Commit of the measured code, with `+changes` for a modified checkout; undefined without one.
   */
  readonly commit?: string;
}

/**
 * The head of a report that is created now, on this machine.
 *
 * @param args - The command line. Values of headers and queries of URLs are removed, because they
 *   may be secrets.
 */
export function headOf(scenario: string, args: readonly string[]): Head {
  const require = createRequire(import.meta.url);
  const version = (name: string): string =>
    (require(`${name}/package.json`) as { version: string }).version;
  const commit = commitOf(dirname(require.resolve('@ws/conn/package.json')));
  return {
    scenario,
    command: ['ws-bench', ...args.map((arg, i) => shown(arg, args[i - 1]))].join(' '),
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memory: totalmem(),
      system: `${platform()} ${release()} ${arch()}`,
    },
    versions: {
      node: process.versions.node,
      ours: version('@ws/conn'),
      ws: version('ws'),
      bufferutil: version('bufferutil'),
    },
    ...(commit !== undefined && { commit }),
  };
}

/** Adds the versions that a scenario reports, such as those of other runtimes. */
export function withVersions(
  head: Head,
  more: Readonly<Record<string, string | undefined>> = {},
): Head {
  const versions: Record<string, string> = { ...head.versions };
  for (const [name, version] of Object.entries(more)) {
    if (version !== undefined) versions[name] = version;
  }
  return { ...head, versions };
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

/** The machine in one line. */
export function machineLine({ machine }: Pick<Head, 'machine'>): string {
  const { cores, cpu, memory, system } = machine;
  return `${cores} x ${cpu}, ${Math.round(memory / 2 ** 30)} GiB, ${system}`;
}

/**
 * The versions in one line. A checkout of this library shows its commit, because its package
 * version may be unreleased.
 */
export function versionLine({ versions, commit }: Pick<Head, 'versions' | 'commit'>): string {
  return Object.entries(versions)
    .map(([name, version]) =>
      name === 'ours' && commit !== undefined ? `ours at ${commit}` : `${name} ${version}`,
    )
    .join(', ');
}
