import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atExit } from './ends.ts';

/** Limit for an answer, in ms. A load without progress fails by itself. */
const ANSWER_TIMEOUT_MS = 3_600_000;
/** Limit for a voluntary exit, in ms. Node writes a CPU profile in that time. */
const EXIT_TIMEOUT_MS = 10_000;

interface Request {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface PendingRequest {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The functions of a child by name, each with one argument. */
export type Answers = Record<string, (argument: never) => unknown>;

/** The settings of a process. */
export interface ChildOptions {
  /** Flags for node. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Folder of the script. Default: that of this command. */
  readonly folder?: string | undefined;
  /** The program that runs the script. Default: this Node. */
  readonly runtime?: string | undefined;
}

/** A command line that runs on one core. */
export function pinned(core: number | undefined, command: readonly string[]): string[] {
  return core === undefined ? [...command] : ['taskset', '-c', `${core}`, ...command];
}

type ArgumentOf<F extends (argument: never) => unknown> = Parameters<F>[0];

/** A process of the benchmark that answers requests, one JSON message each. `A` lists them. */
export class Child<A extends Answers> {
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, PendingRequest>();
  readonly #exited: Promise<void>;
  #asked = 0;

  /**
   * @param script - A file beside the built CLI.
   * @param core - The only core for the process; undefined for any.
   */
  constructor(script: string, core: number | undefined, options: ChildOptions = {}) {
    const { flags = [], env = {}, folder, runtime = process.execPath } = options;
    const path =
      folder === undefined ? fileURLToPath(new URL(script, import.meta.url)) : join(folder, script);
    const [command, ...args] = pinned(core, [runtime, ...flags, path]);
    this.#process = spawn(command!, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const kept = atExit(() => this.#process.kill('SIGKILL'));
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#exited = new Promise((resolve) => {
      const onEnd = (why: string): void => {
        for (const { reject } of this.#pending.values()) reject(new Error(`${script} ${why}`));
        this.#pending.clear();
        kept();
        resolve();
      };
      this.#process.once('error', (error) => onEnd(`did not start: ${error.message}`));
      this.#process.once('exit', (code, signal) => onEnd(`exited early: ${signal ?? code}`));
    });
  }

  /**
   * Sends a request and returns the answer.
   *
   * @throws Error with the child's message, after an hour, or when the child has exited.
   */
  async ask<K extends keyof A & string>(
    name: K,
    argument: ArgumentOf<A[K]>,
  ): Promise<Awaited<ReturnType<A[K]>>> {
    const id = this.#asked++;
    const asked = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      const request: Request = { id, name, argument };
      this.#process.send(request, (error) => {
        if (error !== null) reject(error);
      });
    });
    const timer = setTimeout(() => {
      this.#pending
        .get(id)
        ?.reject(new Error(`no answer to '${name}' within ${ANSWER_TIMEOUT_MS} ms`));
    }, ANSWER_TIMEOUT_MS);
    try {
      return (await asked) as Awaited<ReturnType<A[K]>>;
    } finally {
      clearTimeout(timer);
      this.#pending.delete(id);
    }
  }

  /** Disconnects the process and waits for its exit. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), EXIT_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  #settle({ id, value, error }: Answer): void {
    const pending = this.#pending.get(id);
    if (error === undefined) pending?.resolve(value);
    else pending?.reject(new Error(error));
  }
}

/** The child's half: answers requests until the parent disconnects. */
export function answer(answers: Answers): void {
  process.on('message', ({ id, name, argument }: Request) => {
    void reply(id, () => {
      const handler = answers[name];
      // The child may be the older build of `--against`.
      if (handler === undefined) throw new Error(`this build of ws-bench has no '${name}'`);
      return handler(argument as never);
    });
  });
  process.once('disconnect', () => process.exit());
  // Ctrl-C of a terminal reaches all its processes. The parent decides what follows.
  process.on('SIGINT', () => {});
}

async function reply(id: number, work: () => unknown): Promise<void> {
  let answered: Answer;
  try {
    answered = { id, value: await work() };
  } catch (error) {
    answered = { id, error: error instanceof Error ? error.message : String(error) };
  }
  // The parent may have exited. Without a callback, a failed write would end the process with a stack trace.
  if (process.connected) process.send!(answered, () => {});
}
