import { constants } from 'node:os';
import process from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** The first Ctrl-C or SIGTERM stops the measurement, whose report follows. The second one ends the process at once. */
export class Interruption {
  readonly #controller = new AbortController();
  /** 130 after Ctrl-C, 143 after SIGTERM; undefined before. */
  exitCode: number | undefined;

  constructor() {
    for (const signal of SIGNALS) {
      process.on(signal, () => {
        if (this.exitCode !== undefined) process.exit(this.exitCode);
        this.exitCode = 128 + constants.signals[signal];
        this.#controller.abort();
      });
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }
}

/**
 * Waits for `work`, or for the abort of `stop`.
 *
 * @returns Undefined after the abort; the work is then left alone.
 * @throws (rejects with) The error of the work.
 */
export async function unlessStopped<T>(
  work: Promise<T>,
  stop: AbortSignal,
): Promise<T | undefined> {
  if (!stop.aborted) {
    let onAbort = (): void => {};
    const stopped = new Promise<undefined>((resolve) => {
      onAbort = () => resolve(undefined);
      stop.addEventListener('abort', onAbort, { once: true });
    });
    try {
      return await Promise.race([work, stopped]);
    } catch (error) {
      // Ctrl-C of a terminal ends the processes of the work too, maybe before this one hears of it.
      await nextTurn();
      if (!stop.aborted) throw error;
    } finally {
      stop.removeEventListener('abort', onAbort);
    }
  }
  work.catch(() => {});
  return undefined;
}
