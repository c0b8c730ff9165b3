import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Answer, Measured, MeasureOrder, Order, Tried, TryOrder } from './orders.ts';

const NICE = 10;
const root = fileURLToPath(new URL('../..', import.meta.url));

/** One process that runs tests, and is replaced when it does not answer. */
export class Slot {
  readonly #testTimeoutMs: number;
  #child: ChildProcess | undefined;

  constructor(testTimeoutMs: number) {
    this.#testTimeoutMs = testTimeoutMs;
  }

  /** Runs the tests on metered sources. */
  async measure(order: MeasureOrder): Promise<Measured> {
    const answer = await this.#ask(order, Number.POSITIVE_INFINITY);
    if (answer?.kind !== 'measured') throw new Error('the tests could not be measured');
    return answer;
  }

  /** Tries a mutant; one that gives no answer in `patienceMs` is timed out. */
  async try(order: TryOrder, patienceMs: number): Promise<Tried> {
    let answer = await this.#ask(order, patienceMs);
    // Once more, in a new process: what was thrown late, or used all memory, may be of the mutants before.
    if (answer === undefined || (answer.kind === 'tried' && answer.uncaught === true)) {
      this.end();
      answer = await this.#ask(order, patienceMs);
    }
    if (answer?.kind === 'tried') return answer;
    return { kind: 'tried', outcome: 'timed out', killer: 'no answer' };
  }

  end(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** Undefined when the process died, or was ended because it took too long. */
  async #ask(order: Order, patienceMs: number): Promise<Answer | undefined> {
    this.#child ??= await start(this.#testTimeoutMs);
    const child = this.#child;
    let timer: NodeJS.Timeout | undefined;
    const answer = await new Promise<Answer | undefined>((resolve) => {
      child.once('message', resolve);
      child.once('exit', () => resolve(undefined));
      if (patienceMs < Infinity) timer = setTimeout(() => resolve(undefined), patienceMs);
      child.send(order);
    });
    clearTimeout(timer);
    child.removeAllListeners();
    if (answer === undefined) this.end();
    return answer;
  }
}

async function start(testTimeoutMs: number): Promise<ChildProcess> {
  const child = fork(
    fileURLToPath(new URL('./slot.ts', import.meta.url)),
    [String(testTimeoutMs)],
    {
      cwd: root,
      execArgv: ['--import', 'tsx'],
    },
  );
  if (child.pid !== undefined) setPriority(child.pid, NICE);
  await once(child, 'message');
  return child;
}
