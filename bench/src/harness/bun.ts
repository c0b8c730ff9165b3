import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../command-line/usage-error.ts';
import { pinned } from './child.ts';

/** Limit for the first output of Bun, in ms. */
const START_TIMEOUT_MS = 20_000;

/** The path and the version of Bun. */
export interface Bun {
  readonly path: string;
  readonly version: string;
}

/**
 * Finds Bun on the `PATH`. Nothing is downloaded.
 *
 * @param given - A path from the user. It must be Bun.
 * @returns undefined when Bun is not installed.
 * @throws UsageError when the given path is not Bun.
 */
export function findBun(given: string | undefined): Bun | undefined {
  const path = given ?? 'bun';
  let version: string;
  try {
    version = execFileSync(path, ['--version'], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch (error) {
    if (given === undefined) return undefined;
    const { code = 'a failure' } = error as NodeJS.ErrnoException;
    throw new UsageError(`--bun: '${path} --version' cannot be run: ${code}`);
  }
  if (/^\d+\.\d+\.\d+/.test(version)) return { path, version };
  throw new UsageError(`--bun: '${path}' is not bun: its version is '${version}'`);
}

/** A server in Bun. */
export class BunServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  static async start({ path }: Bun, core: number | undefined): Promise<BunServer> {
    const script = fileURLToPath(new URL('./bun-worker.js', import.meta.url));
    const [command, ...args] = pinned(core, [path, 'run', script]);
    // Nothing is written to its standard input. Its end tells the server that this process has
    // exited.
    const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {});
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
    try {
      const port = await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('exit', (code) => reject(new Error(`bun exited early: ${code}`)));
        createInterface(child.stdout).once('line', (line) => resolve(Number(line)));
      });
      return new BunServer(port, child);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Microseconds of CPU of the process, all threads together. */
  cpu(): Promise<number> {
    return this.#ask('cpu');
  }

  /** The 99th percentile of the delay of its event loop in ms, since the last call. */
  delay(): Promise<number> {
    return this.#ask('delay');
  }

  /** Kills the process and waits for its exit. */
  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await exited;
  }

  async #ask(what: string): Promise<number> {
    return (await (await fetch(`http://127.0.0.1:${this.port}/${what}`)).json()) as number;
  }
}
