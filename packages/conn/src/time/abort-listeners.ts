// One signal may bound the reads of thousands of connections. Node warns about a leak at the
// eleventh listener, and searches all of them to remove one.
const known = new WeakMap<
  AbortSignal,
  { readonly calls: Set<() => void>; readonly onAbort: () => void }
>();

/**
 * Calls `call` once when `signal` aborts. Adding the same call again has no effect. A call that
 * throws does not stop the others. All packages of this family share one listener per signal.
 */
export function addAbortListener(signal: AbortSignal, call: () => void): void {
  let listeners = known.get(signal);
  if (listeners === undefined) {
    const calls = new Set<() => void>();
    const onAbort = (): void => {
      const failures: unknown[] = [];
      // A call that another call removes is skipped.
      for (const each of calls) {
        try {
          each();
        } catch (error) {
          failures.push(error);
        }
      }
      // The platform reports it like the error of any listener.
      if (failures.length > 0) throw failures[0];
    };
    listeners = { calls, onAbort };
    known.set(signal, listeners);
    signal.addEventListener('abort', onAbort);
  }
  listeners.calls.add(call);
}

/** Removes `call`. The listener is removed with the last call. */
export function removeAbortListener(signal: AbortSignal, call: () => void): void {
  const listeners = known.get(signal);
  if (listeners === undefined || !listeners.calls.delete(call)) return;
  if (listeners.calls.size > 0) return;
  known.delete(signal);
  signal.removeEventListener('abort', listeners.onAbort);
}
