import type { Readable, Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';

/** The parts of the process that a command uses. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts at the first Ctrl-C, SIGTERM or SIGHUP. The second one ends the process at once. */
  readonly interrupted: AbortSignal;
  /** Counts as a Ctrl-C: a prompt gets the key and no signal. */
  readonly interrupt: () => void;
}

/** Prints a line for people on stderr: stdout has only messages. */
export function note(io: Pick<Io, 'stderr'>, text: string): void {
  io.stderr.write(`${text}\n`);
}

/** Settles when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The longest time of a timer of Node, in ms. */
const LONGEST = 2 ** 31 - 1;

/**
 * Waits for `ms`, or for the abort of `signal`. Infinity waits for the abort.
 *
 * @returns Whether the time is over.
 */
export async function delay(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    let left = ms;
    do {
      await setTimeout(Math.min(left, LONGEST), undefined, { signal });
      left -= LONGEST;
    } while (left > 0);
  } catch {
    // The abort.
  }
  return !signal.aborted;
}

/** Settles when a stream takes more, or will never do so. */
export function drained(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (output.destroyed) return void resolve();
    const over = (): void => {
      for (const event of ENDS_OF_WAIT) output.off(event, over);
      resolve();
    };
    for (const event of ENDS_OF_WAIT) output.on(event, over);
  });
}

const ENDS_OF_WAIT = ['drain', 'error', 'close'];
