import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { ExitCode, Failure, inputOutput } from './failure.ts';
import type { Io } from './io.ts';

/** The packages of the commands, their programs, and the word of these programs in front of the URL. */
const COMPANIONS = {
  bench: { name: '@ws/bench', bin: 'ws-bench', word: 'load' },
  check: { name: '@ws/conformance', bin: 'ws-conform', word: 'server' },
} as const;

type CompanionName = keyof typeof COMPANIONS;

/** `wsx bench URL` is `ws-bench load URL`, `wsx check URL` is `ws-conform server URL`. */
export async function companion(
  command: CompanionName,
  io: Io,
  args: readonly string[],
): Promise<number> {
  const { bin, word } = COMPANIONS[command];
  const child = spawn(process.execPath, [programOf(command), word, ...args], { stdio: 'inherit' });
  // The terminal sends Ctrl-C to both. Other signals are passed on.
  const stop = (): void => void child.kill('SIGTERM');
  io.interrupted.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on('error', (error) => reject(inputOutput(bin, error)));
      child.on('exit', (code, signal) => {
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
  } finally {
    io.interrupted.removeEventListener('abort', stop);
  }
}

/** @throws Failure that names the package to install. */
function programOf(command: CompanionName): string {
  const { name, bin } = COMPANIONS[command];
  const file = manifestOf(name);
  if (file === undefined) {
    throw new Failure(
      ExitCode.Usage,
      `wsx ${command} uses the package ${name}, which is not installed`,
      `install ${name} in this project, or beside @ws/cli`,
    );
  }
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly bin: Readonly<Record<string, string>>;
  };
  const folder = dirname(file);
  const program = join(folder, manifest.bin[bin]!);
  if (existsSync(program) && existsSync(join(folder, 'dist'))) return program;
  throw new Failure(
    ExitCode.Usage,
    `${name} is not built`,
    `in a clone: pnpm --filter ${name}... build`,
  );
}

/** The package.json of a package that is installed beside this one, or in the project. */
function manifestOf(name: string): string | undefined {
  try {
    const paths = [import.meta.dirname, process.cwd()];
    return createRequire(import.meta.url).resolve(`${name}/package.json`, { paths });
  } catch {
    return undefined;
  }
}
