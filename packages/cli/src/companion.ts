import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { ExitCode, Failure, inputOutput } from './failure.ts';
import type { Io } from './io.ts';

interface Companion {
  readonly command: string;
  /** The package that has it. */
  readonly name: string;
  readonly bin: string;
  /** The word of its command line in front of the URL. */
  readonly word: string;
}

/** `wsx bench URL`: `ws-bench load URL`. */
export function bench(io: Io, args: readonly string[]): Promise<number> {
  return run(io, args, {
    command: 'bench',
    name: '@ws/bench',
    bin: 'ws-bench',
    word: 'load',
  });
}

/** `wsx check URL`: `ws-conform server URL`. */
export function check(io: Io, args: readonly string[]): Promise<number> {
  return run(io, args, {
    command: 'check',
    name: '@ws/conformance',
    bin: 'ws-conform',
    word: 'server',
  });
}

/** Runs the program of another package in its own process, on the terminal of this one. */
async function run(io: Io, args: readonly string[], companion: Companion): Promise<number> {
  const program = programOf(companion);
  const child = spawn(process.execPath, [program, companion.word, ...args], { stdio: 'inherit' });
  // The terminal sends Ctrl-C to both. Other signals are passed on.
  const stop = (): void => void child.kill('SIGTERM');
  io.interrupted.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (error) => reject(inputOutput(companion.bin, error)));
      child.on('exit', (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  } finally {
    io.interrupted.removeEventListener('abort', stop);
  }
}

/** @throws Failure that names the package to install. */
function programOf({ command, name, bin }: Companion): string {
  const folder = folderOf(name, import.meta.dirname) ?? folderOf(name, process.cwd());
  if (folder === undefined) {
    throw new Failure(
      ExitCode.Usage,
      `wsx ${command} uses the package ${name}, which is not installed`,
      `install ${name} in this project, or beside @ws/cli`,
    );
  }
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    readonly bin: Readonly<Record<string, string>>;
  };
  const program = join(folder, manifest.bin[bin]!);
  if (existsSync(program) && existsSync(join(folder, 'dist'))) return program;
  throw new Failure(
    ExitCode.Usage,
    `${name} is not built`,
    `in a clone: pnpm --filter ${name}... build`,
  );
}

/** The folder of an installed package: in a `node_modules` of this folder or of one above. */
function folderOf(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return found;
    if (folder === dirname(folder)) return undefined;
  }
}
