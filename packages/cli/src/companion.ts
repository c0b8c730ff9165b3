import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
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
  const folder = folderOf(name, import.meta.dirname) ?? folderOf(name, process.cwd());
  if (folder === undefined) {
    throw new Failure(
      ExitCode.Usage,
      `wsx ${command} uses the package ${name}, which is not installed`,
      'install its tarball of pnpm pack-all, beside that of @ws/cli',
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

/**
 * The folder of an installed package: in a `node_modules` of this folder or of one above. `require.resolve`
 * would also look where NODE_PATH says.
 */
function folderOf(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const found = join(folder, 'node_modules', name);
    if (existsSync(join(found, 'package.json'))) return found;
    if (folder === dirname(folder)) return undefined;
  }
}
