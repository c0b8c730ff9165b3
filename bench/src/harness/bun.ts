import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { UsageError } from '../command-line/usage-error.ts';
import { lackOfPackage } from './optional-package.ts';

/** The path and the version of Bun. */
export interface Bun {
  readonly path: string;
  readonly version: string;
}

/** Why Bun cannot run on this machine. */
export interface NoBun {
  readonly lacks: string;
}

/**
 * Finds Bun: that of the npm package, or else that of the `PATH`.
 *
 * @param given - A path from the user. It must be Bun.
 * @throws UsageError when the given path is not Bun.
 */
export function findBun(given: string | undefined): Bun | NoBun {
  if (given !== undefined) {
    const found = bunAt(given);
    if ('lacks' in found) throw new UsageError(`--bun: ${found.lacks}`);
    return found;
  }
  const tried = [...installedPaths(), 'bun'].map(bunAt);
  return tried.find((found) => 'path' in found) ?? tried[0]!;
}

function bunAt(path: string): Bun | NoBun {
  let version: string;
  try {
    version = execFileSync(path, ['--version'], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch (error) {
    const { code, signal } = error as NodeJS.ErrnoException & { signal?: string };
    const lack = path === 'bun' ? lackOfPackage('bun') : undefined;
    const reason = `'${path} --version' cannot be run: ${code ?? signal ?? 'it fails'}`;
    return { lacks: lack === undefined ? reason : `${reason}; ${lack}` };
  }
  if (/^\d+\.\d+\.\d+/.test(version)) return { path, version };
  return { lacks: `'${path}' is not bun: its version is '${version}'` };
}

/**
 * The binaries of the optional dependency `bun`. Its own command needs an install script, which pnpm
 * does not run.
 */
function installedPaths(): string[] {
  const windows = process.platform === 'win32';
  const system = windows ? 'windows' : process.platform;
  const arch = process.arch === 'arm64' ? 'aarch64' : process.arch;
  return ['', '-musl'].flatMap((libc) => {
    try {
      const bun = createRequire(import.meta.url).resolve('bun/package.json');
      const name = `@oven/bun-${system}-${arch}${libc}/package.json`;
      return join(dirname(createRequire(bun).resolve(name)), 'bin', windows ? 'bun.exe' : 'bun');
    } catch {
      return [];
    }
  });
}
