import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** A process of the soak, that is asked things: see `answer`. It ends with this one, whatever ends that. */
export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;

  /** @param script - A TypeScript file. */
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
      const error = new Error(`${this.#name} has ended with ${code ?? signal}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  /** Asks for something by name. Rejects with what was thrown there, and when the process ends. */
  ask<Value>(name: string, argument?: unknown): Promise<Value> {
    return new Promise((resolve, reject) => {
      const id = this.#asked++;
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, name, argument }, (error) => {
        if (error !== null && this.#waiting.delete(id)) reject(error);
      });
    });
  }

  /** Ends the process, and waits for that. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }
}

type Answers = Readonly<Record<string, (argument: never) => unknown>>;

/** In a process that is a {@link Child}: answers what the other one asks, by name. */
export function answer(answers: Answers): void {
  const reply = async (id: number, name: string, argument: unknown): Promise<void> => {
    let told: Answer;
    try {
      told = { id, value: await answers[name]!(argument as never) };
    } catch (error) {
      told = { id, error: error instanceof Error ? String(error.stack) : String(error) };
    }
    process.send!(told);
  };
  process.on(
    'message',
    ({ id, name, argument }: { id: number; name: string; argument: unknown }) => {
      void reply(id, name, argument);
    },
  );
  process.once('disconnect', () => process.exit());
}
