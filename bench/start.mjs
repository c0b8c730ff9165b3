// `pnpm bench`: builds the packages whose sources are newer than their build, then runs the command,
// or a tool of the checkout.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '..');
/** What decides the build of a package, in its folder. */
const SOURCES = ['src', 'entry', 'package.json', 'tsup.config.ts'];
/** The build recipe of all packages, and the versions of what they use. */
const SHARED = [
  'tools/build/tsup.ts',
  'tools/build/compact.ts',
  'tools/build/commonjs.ts',
  'pnpm-lock.yaml',
].map((name) => join(root, name));

/** The package in `folder` and those of the workspace that it depends on, by name. */
function dependenciesOf(folder, found = new Map()) {
  const { name, dependencies = {} } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  );
  found.set(name, folder);
  for (const [other, version] of Object.entries(dependencies)) {
    if (!version.startsWith('workspace:') || found.has(other)) continue;
    dependenciesOf(join(root, 'packages', other.replace(/.*\//, '')), found);
  }
  return found;
}

/** Time of the newest change in a file or a folder, or 0. A removed file changes its folder. */
function newest(path) {
  const known = statSync(path, { throwIfNoEntry: false });
  if (known === undefined) return 0;
  const names = known.isDirectory() ? readdirSync(path) : [];
  return Math.max(known.mtimeMs, ...names.map((name) => newest(join(path, name))));
}

function isStale(folder) {
  const built = join(folder, 'dist');
  if (!existsSync(built) || readdirSync(built).length === 0) return true;
  const sources = [...SOURCES.map((name) => join(folder, name)), ...SHARED];
  return Math.max(...sources.map(newest)) > newest(built);
}

const stale = [...dependenciesOf(import.meta.dirname)].filter(([, folder]) => isStale(folder));
if (stale.length > 0) {
  const names = stale.map(([name]) => name);
  process.stderr.write(`building ${names.join(', ')}: the sources are newer than the build\n`);
  const pnpm = process.env['npm_execpath'];
  const [program, ...first] = pnpm === undefined ? ['pnpm'] : [process.execPath, pnpm];
  const filters = names.flatMap((name) => ['--filter', name]);
  const { status, error } = spawnSync(program, [...first, '--silent', ...filters, 'run', 'build'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) {
    process.stderr.write(`the build failed: ${error?.message ?? `exit code ${status}`}\n`);
    process.exit(1);
  }
}
const [, , command, option] = process.argv;
if (['record', 'charts'].includes(command) || (command === 'hub' && option === '--constants')) {
  const { register } = await import('tsx/esm/api');
  register();
  await import('./tools/run.ts');
} else {
  await import('./dist/cli.js');
}
