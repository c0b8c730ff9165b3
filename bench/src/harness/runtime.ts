import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** How long a runtime has to listen, in ms. */
const START = 20_000;

/** Where another runtime is, and what it calls itself. */
export interface Runtime {
  readonly path: string;
  readonly version: string;
}

/**
 * Looks a runtime up; nothing is ever downloaded.
 *
 * @param given - Its path, when the user says it: then it has to be there.
 * @returns undefined when it is not installed.
 * @throws Error when what is given cannot be run.
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

  /** @param args - Before the script's name. */
  static async start(
    { path, version }: Runtime,
    args: readonly string[],
    core: number | undefined,
  ): Promise<RuntimeServer> {
    const script = fileURLToPath(new URL('./runtime-worker.js', import.meta.url));
    const all = [path, ...args, script];
    const [command, ...rest] = core === undefined ? all : ['taskset', '-c', `${core}`, ...all];
    // Nothing is ever written to it: it ends with this process, however that ends, and the server leaves then.
    const child = spawn(command!, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {});
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${version} ended early: ${code}`)));
    });
    // It ends when it is told to, and nobody waits for that then.
    failed.catch(() => {});
    const timer = setTimeout(() => child.kill('SIGKILL'), START);
    try {
      const line = await Promise.race([firstLine(child), failed]);
      return new RuntimeServer(Number(line), child);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Microseconds of CPU that the process has taken, all of its threads together. */
  async cpu(): Promise<number> {
    return (await (await fetch(`http://127.0.0.1:${this.port}/cpu`)).json()) as number;
  }

  /** Ends it, and waits until it is gone. */
  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await gone;
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    createInterface(child.stdout!).once('line', resolve);
  });
}
