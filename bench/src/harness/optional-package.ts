import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

/** What ws-bench uses when it is installed: contenders, and tools of some commands. */
export type OptionalPackage =
  | 'bufferutil'
  | 'bun'
  | 'echarts'
  | 'http-proxy-3'
  | 'httpxy'
  | 'redis'
  | 'selfsigned'
  | 'socket.io';

/**
 * Why a package cannot be used, with the command that installs it; undefined when it is installed.
 */
export function lackOfPackage(name: OptionalPackage): string | undefined {
  if (manifestOf(name) !== undefined) return undefined;
  const own = require('@ws/bench/package.json') as {
    readonly peerDependencies: Readonly<Record<OptionalPackage, string>>;
  };
  const version = own.peerDependencies[name].replace('^', '');
  return `${name} is not installed: npm install ${name}@${version}`;
}

/** The version of an installed package. */
export function packageVersion(name: string): string {
  return manifestOf(name)?.version ?? 'unknown';
}

/**
 * The package.json of an installed package, as `import` finds it: in a folder above, and not by
 * NODE_PATH. Some packages do not export theirs.
 */
function manifestOf(name: string): { readonly version: string } | undefined {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const file = join(folder, 'node_modules', name, 'package.json');
    if (existsSync(file)) {
      return JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string };
    }
    if (folder === dirname(folder)) return undefined;
  }
}
