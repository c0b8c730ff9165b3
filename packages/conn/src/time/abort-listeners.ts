// One listener for all calls of a signal: thousands of reads may share a signal. Node warns about a
// leak at the eleventh listener, and searches all listeners to remove one.
const listenersOf = new WeakMap<
  AbortSignal,
  { readonly calls: Set<() => void>; readonly onAbort: () => void }
>();

/**
 * Calls `call` once when `signal` aborts. Adding the same function again has no effect. A function
 * that throws does not stop the others.
 */
export function addAbortListener(signal: AbortSignal, call: () => void): void {
  let listeners = listenersOf.get(signal);
  if (listeners === undefined) {
    const calls = new Set<() => void>();
    const onAbort = (): void => {
      const failures: unknown[] = [];
      // Skips a function that an earlier one removes.
      for (const each of calls) {
        try {
          each();
        } catch (error) {
          failures.push(error);
        }
      }
      // The platform reports the error like that of any listener.
      if (failures.length > 0) throw failures[0];
    };
    listeners = { calls, onAbort };
    listenersOf.set(signal, listeners);
    signal.addEventListener('abort', onAbort);
  }
  listeners.calls.add(call);
}

/** Removes `call`, and the listener of `signal` after the last removal. */
export function removeAbortListener(signal: AbortSignal, call: () => void): void {
  const listeners = listenersOf.get(signal);
  if (listeners === undefined || !listeners.calls.delete(call)) return;
  if (listeners.calls.size > 0) return;
  listenersOf.delete(signal);
  signal.removeEventListener('abort', listeners.onAbort);
}
