import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A child process with remote calls, see `answer`. It exits together with this process. */
export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Pending>();
  #asked = 0;

  constructor(name: string, script: URL) {
    this.#name = name;
    this.#process = fork(script, {
      // `queryObjects` is experimental.
      execArgv: [
        '--disable-warning=ExperimentalWarning',
        '--conditions=@ws/source',
        '--import',
        'tsx',
      ],
      serialization: 'advanced',
    });
    this.#process.on('message', ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value as never);
      else waiting?.reject(new Error(`${this.#name}: ${error}`));
    });
    this.#process.on('exit', (code, signal) => {
      const error = new Error(`${this.#name} exited with ${code ?? signal}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /** Calls a function of the child. Rejects with its error, and when the child exits. */
  ask<Value>(name: string, argument?: unknown): Promise<Value> {
    return new Promise((resolve, reject) => {
      const id = this.#asked++;
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, name, argument }, (error) => {
        if (error !== null && this.#waiting.delete(id)) reject(error);
      });
    });
  }

  /** Kills the process and waits for its exit. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}

type Answers = Readonly<Record<string, (argument: never) => unknown>>;

/** In the process of a {@link Child}: offers functions to the parent. */
export function answer(answers: Answers): void {
  const reply = async (id: number, name: string, argument: unknown): Promise<void> => {
    let result: Answer;
    try {
      result = { id, value: await answers[name]!(argument as never) };
    } catch (error) {
      result = { id, error: error instanceof Error ? String(error.stack) : String(error) };
    }
    process.send!(result);
  };
  process.on(
    'message',
    ({ id, name, argument }: { id: number; name: string; argument: unknown }) => {
      void reply(id, name, argument);
    },
  );
  process.once('disconnect', () => process.exit());
}
