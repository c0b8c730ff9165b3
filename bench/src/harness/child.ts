import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How long a question may wait for its answer, in ms. */
const PATIENCE = 60_000;
/** How long a child has to leave by itself: a CPU profile is written then. */
const LEAVE = 10_000;

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** What a child answers: by name, a function of one argument. */
export type Answers = Record<string, (argument: never) => unknown>;

type ArgumentOf<F extends (argument: never) => unknown> = Parameters<F>[0];

/** A process of the benchmark that is asked things, one JSON message each. `A` says what it answers. */
export class Child<A extends Answers> {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #asked = 0;

  /**
   * @param script - A file beside the built CLI.
   * @param flags - For node.
   * @param core - The only core it may use, if it is to be one.
   */
  constructor(
    script: string,
    flags: readonly string[],
    core: number | undefined,
    env: Readonly<Record<string, string>> = {},
  ) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    const node = [process.execPath, ...flags, path];
    const [command, ...args] = core === undefined ? node : ['taskset', '-c', `${core}`, ...node];
    this.#process = spawn(command!, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#process.on('message', (answer: Answer) => this.#settle(answer));
    this.#exited = new Promise((resolve) => {
      const gone = (why: string): void => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`${script} ${why}`));
        this.#waiting.clear();
        resolve();
      };
      this.#process.once('error', (error) => gone(`did not start: ${error.message}`));
      this.#process.once('exit', (code, signal) => gone(`ended early: ${signal ?? code}`));
    });
  }

  /** @param patience - In ms; then it rejects. */
  async ask<K extends keyof A & string>(
    name: K,
    argument: ArgumentOf<A[K]>,
    patience = PATIENCE,
  ): Promise<Awaited<ReturnType<A[K]>>> {
    const id = this.#asked++;
    const asked = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const question: Question = { id, name, argument };
      this.#process.send(question, (error) => {
        if (error !== null) reject(error);
      });
    });
    const timer = setTimeout(() => {
      this.#waiting.get(id)?.reject(new Error(`no answer to '${name}' within ${patience} ms`));
    }, patience);
    try {
      return (await asked) as Awaited<ReturnType<A[K]>>;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Lets it go, and waits until it has. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), LEAVE);
    await this.#exited;
    clearTimeout(timer);
  }

  #settle({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }
}

/** The child's side: answers what the parent asks, and leaves with it. */
export function answer(answers: Answers): void {
  process.on('message', ({ id, name, argument }: Question) => {
    void reply(id, () => answers[name]!(argument as never));
  });
  process.once('disconnect', () => process.exit());
}

async function reply(id: number, work: () => unknown): Promise<void> {
  let answered: Answer;
  try {
    answered = { id, value: await work() };
  } catch (error) {
    answered = { id, error: error instanceof Error ? error.message : String(error) };
  }
  // The parent may be gone meanwhile.
  if (process.connected) process.send!(answered);
}
