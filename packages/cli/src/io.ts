import type { Readable, Writable } from 'node:stream';

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
export function delay(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return void resolve(false);
    const until = performance.now() + ms;
    let timer = setTimeout(look, Math.min(ms, LONGEST));
    const onAbort = (): void => end(false);
    signal.addEventListener('abort', onAbort, { once: true });
    function look(): void {
      const left = until - performance.now();
      if (left <= 0) end(true);
      else timer = setTimeout(look, Math.min(left, LONGEST));
    }
    function end(over: boolean): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(over);
    }
  });
}

/** Settles when a stream takes more, or will never do so. */
export function drained(output: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (output.destroyed) return void resolve();
    const over = (): void => {
      output.off('drain', over);
      output.off('close', over);
      resolve();
    };
    output.on('drain', over);
    output.on('close', over);
  });
}
