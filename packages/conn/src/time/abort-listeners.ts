// Each signal gets one listener for all calls, because thousands of reads may share a signal. Node
// warns about a leak at the eleventh listener, and searches all listeners to remove one.
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
      // A function may remove a later one, which this loop then skips.
      for (const each of calls) {
        try {
          each();
        } catch (error) {
          failures.push(error);
        }
      }
      // The platform reports the error, as of any listener.
      if (failures.length > 0) throw failures[0];
    };
    signal.addEventListener('abort', onAbort);
    listeners = { calls, onAbort };
    listenersOf.set(signal, listeners);
  }
  listeners.calls.add(call);
}

/** Removes `call`. The last removal also removes the listener of `signal`. */
export function removeAbortListener(signal: AbortSignal, call: () => void): void {
  const listeners = listenersOf.get(signal);
  if (listeners === undefined || !listeners.calls.delete(call)) return;
  if (listeners.calls.size > 0) return;
  listenersOf.delete(signal);
  signal.removeEventListener('abort', listeners.onAbort);
}
