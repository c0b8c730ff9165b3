// `pnpm example chat`: runs a program of examples/ on the sources of the packages. The program runs in this process, so
// signals reach it without a detour.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { suggestion } from '../conformance/src/suggest.ts';

interface Manifest {
  readonly name: string;
  readonly description?: string;
  readonly packageManager?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  /** Packages that the example needs, and that the workspace does not install because they are large. */
  readonly notInstalled?: readonly string[];
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Prints the reason, and ends the process with exit code 2. */
function refuse(why: string): never {
  console.error(why);
  process.exit(2);
}

/** The names of the packages that are not installed. */
function missing(folder: string, names: readonly string[]): string[] {
  return names.filter((name) =>
    [folder, '.'].every((where) => !existsSync(join(where, 'node_modules', name))),
  );
}

/** Installs packages of the workspace, unless they are there. */
function ready(...args: string[]): void {
  const program = join(import.meta.dirname, 'ready.mjs');
  const { status } = spawnSync(process.execPath, [program, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(2);
}

function checkInstalled(folder: string): void {
  ready('--run', `${folder.replaceAll(sep, '/')}...`);
  const { name, dependencies = {}, notInstalled = [] } = manifestOf(folder);
  const pnpm = `npx -y ${(manifestOf('.').packageManager ?? 'pnpm').replace(/\+.*/, '')}`;
  const absent = missing(folder, Object.keys(dependencies));
  const large = missing(folder, notInstalled);
  if (absent.length > 0) refuse(`${absent.join(', ')}: not installed; run ${pnpm} install`);
  if (large.length > 0) {
    refuse(
      `${large.join(', ')}: not installed, because of the size; run ${pnpm} --filter ${name} add ${large.join(' ')}`,
    );
  }
}

/** The folders of the packages that a folder depends on, directly or not. */
function packagesOf(folder: string, found = new Set<string>()): Set<string> {
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    const other = join('packages', name.replace(/^@.*\//, ''));
    if (!name.startsWith('@ws/') || found.has(other)) continue;
    packagesOf(other, found.add(other));
  }
  return found;
}

/** Time of the newest change of a file or of a file in a folder, or 0. */
function newest(path: string): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  const names = stats.isDirectory() ? readdirSync(path) : [];
  return Math.max(stats.mtimeMs, ...names.map((name) => newest(join(path, name))));
}

/** The environment without the settings of npx in this folder, for example its shell. */
function withoutNpm(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
}

/** Builds the module for pages of each package that the example depends on, if a source is newer. */
function buildPages(folder: string): void {
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    const built = join('packages', name.replace(/^@.*\//, ''));
    if (!name.startsWith('@ws/') || manifestOf(built).scripts?.['standalone'] === undefined)
      continue;
    const sources = [built, ...packagesOf(built)].map((each) => newest(join(each, 'src')));
    if (Math.max(...sources) <= newest(join(built, 'dist/standalone.js'))) continue;
    ready('.');
    console.error(`building the module of ${name} for pages`);
    const { status } = spawnSync('npm', ['--silent', '--prefix', built, 'run', 'standalone'], {
      stdio: ['ignore', 2, 2],
      env: withoutNpm(),
      shell: process.platform === 'win32',
    });
    if (status !== 0) refuse(`the build of ${name} failed`);
  }
}

const names = readdirSync('examples').filter((name) =>
  existsSync(join('examples', name, 'package.json')),
);
const width = Math.max(...names.map((name) => name.length));
const rows = names.map((name) => {
  const { description = '' } = manifestOf(join('examples', name));
  return `  ${name.padEnd(width)}  ${description}`;
});

const [given, ...args] = process.argv.slice(2);
const name = given?.replace(/^examples\/|\/$/g, '');
if (name === undefined || name === '--help') {
  console.log(
    `usage: pnpm example <name> [client] [argument]...\n\nPORT sets the port, Ctrl-C ends the program.\n\n${rows.join('\n')}`,
  );
} else {
  if (!names.includes(name)) {
    const near = suggestion(name, names).replace('; see --help', '');
    refuse(`there is no example ${name}${near === '' ? `; there are ${names.join(', ')}` : near}`);
  }
  const folder = join('examples', name);
  const { scripts = {} } = manifestOf(folder);
  checkInstalled(folder);
  buildPages(folder);
  if (args[0] === '--') args.shift();
  const script = Object.hasOwn(scripts, args[0] ?? '') ? args.shift()! : 'start';
  const program = resolve(folder, scripts[script]!.split(' ').at(-1)!);
  // The program reads its arguments there, and node:cluster the file to start.
  process.argv.splice(1, Infinity, program, ...args);
  await import(pathToFileURL(program).href);
}
