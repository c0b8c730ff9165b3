import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Answer, Measured, MeasureRequest, Request, Tried, TryRequest } from './messages.ts';

const NICE = 10;
const root = fileURLToPath(new URL('../../..', import.meta.url));

/** One process that runs tests. It is replaced when it does not answer. */
export class TestWorker {
  readonly #testTimeoutMs: number;
  #child: ChildProcess | undefined;

  constructor(testTimeoutMs: number) {
    this.#testTimeoutMs = testTimeoutMs;
  }

  /** Runs the tests on instrumented sources. */
  async measure(request: MeasureRequest): Promise<Measured> {
    const answer = await this.#ask(request, Number.POSITIVE_INFINITY);
    if (answer?.kind !== 'measured') throw new Error('the tests could not be measured');
    return answer;
  }

  /** Tries a mutant. No answer within `timeoutMs` is a timeout. */
  async try(request: TryRequest, timeoutMs: number): Promise<Tried> {
    let answer = await this.#ask(request, timeoutMs);
    // Repeat in a new process: a late error or full memory may come from an earlier mutant.
    if (answer === undefined || (answer.kind === 'tried' && answer.uncaught === true)) {
      this.end();
      answer = await this.#ask(request, timeoutMs);
    }
    if (answer?.kind === 'tried') return answer;
    return { kind: 'tried', outcome: 'timed out', killer: 'no answer' };
  }

  end(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  /** Undefined when the process died or took too long. */
  async #ask(request: Request, timeoutMs: number): Promise<Answer | undefined> {
    this.#child ??= await start(this.#testTimeoutMs);
    const child = this.#child;
    let timer: NodeJS.Timeout | undefined;
    const answer = await new Promise<Answer | undefined>((resolve) => {
      child.once('message', resolve);
      child.once('exit', () => resolve(undefined));
      if (timeoutMs < Infinity) timer = setTimeout(() => resolve(undefined), timeoutMs);
      child.send(request);
    });
    clearTimeout(timer);
    child.removeAllListeners();
    if (answer === undefined) this.end();
    return answer;
  }
}

async function start(testTimeoutMs: number): Promise<ChildProcess> {
  const child = fork(
    fileURLToPath(new URL('./worker.ts', import.meta.url)),
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
