import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { LOADER, onBuilt } from '../loader.ts';

const root = join(import.meta.dirname, '../../..');
const BLOCK = /^```sh\n([\s\S]*?)^```/m;
const ASSIGNMENT = /^([A-Z_]+)=(.*)$/;
/** How each README starts its program. `tools/test/example.slow.test.ts` runs the whole command. */
const PNPM = 'npx -y pnpm@10.34.9 example ';
/** Arguments of Node in the script `example` of the workspace. */
const SCRIPT: readonly string[] = readScript();

/** A running program of examples/. */
export interface Example {
  /** The first printed URL, without a trailing slash. */
  readonly url: string;
  /** The same URL with the scheme ws or wss. */
  readonly ws: string;
  readonly port: number;
  readonly pid: number;
  /** The output so far. */
  output(): string;
  /**
   * Ends the program and resolves with its exit code. SIGTERM and SIGKILL go to the first process, as from a service manager.
   * SIGINT goes to the process group, as from a terminal. Repeated calls are allowed.
   */
  stop(signal?: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

/**
 * The exit codes of a program that ended on SIGINT. npm forwards the terminal's signal: the program
 * gets it twice. If the second one arrives while the program exits, the code is null.
 */
export const ENDED_BY_SIGINT: readonly (number | null)[] = [0, null];

/**
 * Runs the first `sh` block of an example's README in the root of the workspace, on port 0: the script of pnpm, without
 * pnpm, which takes most of the time. Resolves when the program prints its URL.
 *
 * @param env - Environment variables. They override those of the block.
 * @throws (rejects with) Error when the program exits. The message contains its output.
 */
export async function startExample(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Example> {
  const readme = readFileSync(join(root, 'examples', name, 'README.md'), 'utf8');
  const words = BLOCK.exec(readme)?.[1]?.trim().split(/\s+/) ?? [];
  const program = words.findIndex((word) => !ASSIGNMENT.test(word));
  const command = words.slice(program).join(' ');
  if (!command.startsWith(PNPM)) throw new Error(`examples/${name}/README.md: no command to run`);
  const args = [...SCRIPT, ...command.slice(PNPM.length).split(' ')];
  const printed = Object.fromEntries(
    words.slice(0, program).map((word) => ASSIGNMENT.exec(word)!.slice(1)),
  );
  return startProgram(args, root, { ...printed, PORT: '0', ...env });
}

/**
 * Starts Node with these arguments. Resolves when the program prints its URL.
 *
 * @throws (rejects with) Error when the program exits. The message contains its output. Also, without
 *   HOST in `env`, when other machines may connect to its port.
 */
export async function startProgram(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<Example> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...withoutNpm(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A new process group, as in a terminal.
    detached: true,
  });
  // Its output is complete then.
  const closed = once(child, 'close');
  const output = collect(child);
  const url = await firstUrl(child, output);
  const port = Number(new URL(url).port);
  if (env['HOST'] === undefined && isOpenToAll(port)) {
    child.kill();
    throw new Error(`${url} listens on all addresses`);
  }
  return {
    url,
    ws: url.replace(/^http/, 'ws'),
    port,
    pid: child.pid!,
    output,
    async stop(signal = 'SIGTERM') {
      const over = child.exitCode !== null || child.signalCode !== null;
      if (!over) process.kill(signal === 'SIGINT' ? -child.pid! : child.pid!, signal);
      await closed;
      return child.exitCode;
    },
  };
}

/** Whether a socket listens to this port on all addresses. Known on Linux only. */
function isOpenToAll(port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const listens = new RegExp(`: 0+:${hex} \\S+ 0A `);
  return ['/proc/net/tcp', '/proc/net/tcp6'].some(
    (file) => existsSync(file) && listens.test(readFileSync(file, 'utf8')),
  );
}

/** Bounds the files that a process writes (RLIMIT_FSIZE), as a full disk does. Linux only. */
export function limitFileSize(pid: number, bytes: number | 'unlimited'): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
}

/**
 * Runs an example with settings that it rejects, and resolves with its output. Without npm, which takes half of the time.
 *
 * @throws (rejects with) Error when the program serves.
 */
export async function rejectedExample(
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const child = spawn(process.execPath, [...LOADER, 'server.ts'], {
    cwd: join(root, 'examples', name),
    env: { ...withoutNpm(process.env), PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = collect(child);
  const url = await firstUrl(child, output).catch(() => undefined);
  if (url === undefined) return output();
  child.kill();
  throw new Error(`examples/${name} serves ${url}`);
}

function readScript(): string[] {
  const manifest = readFileSync(join(root, 'package.json'), 'utf8');
  const { example } = (JSON.parse(manifest) as { scripts: { example: string } }).scripts;
  // What it installs first is there.
  return onBuilt(example.replace(/^.*exec node /, '').split(' '));
}

/** Removes the settings that npm and pnpm pass to child processes, for example the shell for scripts. */
function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_/i.test(name)));
}

/** Returns a function that gives the output so far. */
function collect(child: ChildProcess): () => string {
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return () => output;
}

function firstUrl(child: ChildProcess, output: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', () => {
      const found = /\b(?:http|ws)s?:\/\/\S+(?=\s)/.exec(output())?.[0];
      if (found !== undefined) resolve(found.replace(/\/$/, ''));
    });
    child.once('error', reject);
    child.once('close', () => reject(new Error(`it exited before it served\n${output()}`)));
  });
}
