import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '../../..');

/** The packed packages. `pnpm check packages` packs them. */
export function tarballs(): string[] {
  const folder = join(root, '.out/pack');
  return readdirSync(folder).map((name) => join(folder, name));
}

/**
 * A folder outside the workspace, as `npm init` and `npm install` make it. Its name has a space, as
 * names of people's folders have.
 *
 * @param packages - Names with versions, or tarballs.
 */
export function freshProject(packages: readonly string[]): string {
  const folder = join(mkdtempSync(join(tmpdir(), 'a project ')), 'fresh');
  mkdirSync(folder);
  npm(folder, 'init', '-y');
  install(folder, ...packages);
  return folder;
}

export function install(folder: string, ...packages: string[]): void {
  npm(
    folder,
    'install',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    '--prefer-offline',
    ...packages,
  );
}

export function uninstall(folder: string, ...packages: string[]): void {
  npm(folder, 'uninstall', '--no-audit', '--no-fund', ...packages);
}

function npm(cwd: string, ...args: string[]): void {
  const windows = process.platform === 'win32';
  execFileSync('npm', args, { cwd, stdio: 'pipe', env: ownEnvironment(), shell: windows });
}

/** Writes a file of the project and returns its path. */
export function write(folder: string, name: string, contents: string | object): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof contents === 'string' ? contents : JSON.stringify(contents));
  return path;
}

/** Runs a program by another version of Node, which npm installs. */
export function runBy(
  version: string,
  cwd: string,
  ...args: string[]
): { status: number | null; output: string } {
  const npx = ['-y', '-p', `node@${version}`, 'node', ...args];
  const { status, stdout, stderr } = spawnSync('npx', npx, {
    cwd,
    encoding: 'utf8',
    env: ownEnvironment(),
    shell: process.platform === 'win32',
  });
  return { status, output: stdout + stderr };
}

/** The environment without the settings that npm passes on from the workspace, such as its shell. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !/^npm_/i.test(name)));
}

/** Runs a program of Node and returns its exit code with what it printed. */
export function run(cwd: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}
