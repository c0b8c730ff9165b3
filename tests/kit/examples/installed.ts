import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { type Example, startProgram } from './start.ts';

const root = join(import.meta.dirname, '../../..');
const INSTALL = ['install', '--ignore-scripts', '--no-audit', '--no-fund'];

/** What {@link installExample} copies and installs. */
export interface InstallOptions {
  /** Folder in examples/. */
  readonly name: string;
  /** Files and folders of the example. */
  readonly files: readonly string[];
  /** Packages of npm, with their versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Folders in packages/, which are built. */
  readonly ours: readonly string[];
}

/** An example in a folder of its own. */
export interface InstalledExample {
  readonly folder: string;
  /** Runs Node in the folder, until the program exits. */
  run(...args: string[]): Promise<unknown>;
  /** Starts Node in the folder on port 0: see {@link Example}. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Example>;
  remove(): void;
}

/** Copies an example, with packages from npm that the workspace does not install because they are large. */
export async function installExample(options: InstallOptions): Promise<InstalledExample> {
  const { name, files, dependencies, ours } = options;
  const folder = mkdtempSync(join(tmpdir(), `ws-${name}-`));
  for (const file of files) {
    cpSync(join(root, 'examples', name, file), join(folder, file), { recursive: true });
  }
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
