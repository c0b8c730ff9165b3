import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { type Example, startProgram } from '@ws/tests/examples';

const root = join(import.meta.dirname, '../..');
const INSTALL = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];

/** What {@link installPrograms} copies and installs. */
export interface InstallOptions {
  /** The folder with the programs. */
  readonly from: string;
  /** Packages of npm, with their versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Folders in packages/, which are built. */
  readonly ours: readonly string[];
}

/** Programs in a folder of their own. */
export interface Installed {
  readonly folder: string;
  /** Runs Node in the folder, until the program exits. */
  run(...args: string[]): Promise<unknown>;
  /** Starts Node in the folder on port 0: see {@link Example}. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Example>;
  remove(): void;
}

/** Copies programs, with packages from npm that the workspace does not install because they are large. */
export async function installPrograms(options: InstallOptions): Promise<Installed> {
  const { from, dependencies, ours } = options;
  const folder = mkdtempSync(join(tmpdir(), 'ws-programs-'));
  cpSync(from, folder, { recursive: true });
  const manifest = { private: true, type: 'module', dependencies };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  await promisify(execFile)('npm', INSTALL, { cwd: folder });
  for (const each of ours) {
    // No links: bundlers do not follow them out of the folder.
    for (const file of ['package.json', 'dist']) {
      const to = join(folder, 'node_modules/@ws', each, file);
      cpSync(join(root, 'packages', each, file), to, { recursive: true });
    }
  }
  return {
    folder,
    run: (...args) => promisify(execFile)(process.execPath, args, { cwd: folder }),
    // Some print no URL with `TEST`, which vitest sets.
    start: (args, env = {}) =>
      startProgram(args, folder, { PORT: '0', HOST: '127.0.0.1', TEST: '', ...env }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
