import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Limit for the first output of a runtime, in ms. */
const START_TIMEOUT_MS = 20_000;

/** The path and the version of another runtime. */
export interface Runtime {
  readonly path: string;
  readonly version: string;
}

/**
 * Finds a runtime. Nothing is downloaded.
 *
 * @param given - A path from the user. It must exist.
 * @returns undefined when the runtime is not installed.
 * @throws Error when the given path cannot be run.
 */
export function findRuntime(name: string, given: string | undefined): Runtime | undefined {
  const path = given ?? onPath(name, process.env['PATH'] ?? '');
  if (path === undefined) return undefined;
  const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).split('\n', 1)[0]!;
  return { path, version: version.startsWith(name) ? version : `${name} ${version}` };
}

function onPath(name: string, path: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** An echo server in another runtime. */
export class RuntimeServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  /** @param args - Arguments before the script. */
  static async start(
    { path, version }: Runtime,
    args: readonly string[],
    core: number | undefined,
  ): Promise<RuntimeServer> {
    const script = fileURLToPath(new URL('./runtime-worker.js', import.meta.url));
    const all = [path, ...args, script];
    const [command, ...rest] = core === undefined ? all : ['taskset', '-c', `${core}`, ...all];
    // Nothing is written to its standard input. Its end tells the server that this process has
    // exited.
    const child = spawn(command!, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {});
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${version} exited early: ${code}`)));
    });
    // Killing the server is its normal end, so this rejection is expected.
    failed.catch(() => {});
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
    try {
      const line = await Promise.race([firstLine(child), failed]);
      return new RuntimeServer(Number(line), child);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Microseconds of CPU of the process, all threads together. */
  async cpu(): Promise<number> {
    return (await (await fetch(`http://127.0.0.1:${this.port}/cpu`)).json()) as number;
  }

  /** Kills the process and waits for its exit. */
  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await exited;
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    createInterface(child.stdout!).once('line', resolve);
  });
}
