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

/**
 * Waits for `ms`, or for the abort of `signal`. Infinity waits for the abort.
 *
 * @returns Whether the time is over.
 */
export function delay(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) return void resolve(false);
    const timer = ms === Infinity ? undefined : setTimeout(end, ms, true);
    const onAbort = (): void => end(false);
    signal.addEventListener('abort', onAbort, { once: true });
    function end(over: boolean): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(over);
    }
  });
}
