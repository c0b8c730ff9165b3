import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';
import type { NoBun } from './bun.ts';
import { lackOfPackage } from './optional-package.ts';

/** The path and the version of Deno. */
export interface Deno {
  readonly path: string;
  readonly version: string;
}

/** What Deno needs to run a script beside a node_modules that npm or pnpm has written. */
export const DENO_FLAGS: readonly string[] = [
  'run',
  '--allow-all',
  '--no-prompt',
  '--node-modules-dir=manual',
];

/** Finds Deno: that of the npm package, or else that of the `PATH`. */
export function findDeno(): Deno | NoBun {
  for (const path of [...installedPaths(), 'deno']) {
    try {
      const text = execFileSync(path, ['--version'], {
        encoding: 'utf8',
        timeout: 10_000,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const [, version] = /^deno (\d+\.\d+\.\d+)/.exec(text) ?? [];
      if (version !== undefined) return { path, version };
    } catch {
      // The next one may work.
    }
  }
  return { lacks: lackOfPackage('deno') ?? "'deno --version' cannot be run" };
}

/** The binaries of the optional dependency `deno`. Its own command needs an install script. */
function installedPaths(): string[] {
  const { platform, arch } = process;
  const system = `${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`;
  try {
    const deno = createRequire(import.meta.url).resolve('deno/package.json');
    const own = createRequire(deno).resolve(`@deno/${system}/package.json`);
    return [join(dirname(own), platform === 'win32' ? 'deno.exe' : 'deno')];
  } catch {
    return [];
  }
}
