/** What is to be called when a signal aborts. One of ours listens for all of them. */
interface Listeners {
  readonly calls: Set<() => void>;
  readonly onAbort: () => void;
}

// A signal of the caller's may bound the reads of thousands of connections: a platform warns of a leak at the eleventh
// listener, and looks through all of them to take one away.
const known = new WeakMap<AbortSignal, Listeners>();

/**
 * Calls `call` once when `signal` aborts. A call that is there already is not added again; one that throws holds up none of
 * the others. For the packages of this family, which share one listener.
 */
export function addAbortListener(signal: AbortSignal, call: () => void): void {
  let listeners = known.get(signal);
  if (listeners === undefined) {
    const calls = new Set<() => void>();
    const onAbort = (): void => {
      const failures: unknown[] = [];
      // One that another call has removed is not called.
      for (const each of calls) {
        try {
          each();
        } catch (error) {
          failures.push(error);
        }
      }
      // The platform reports it, as it does with any listener.
      if (failures.length > 0) throw failures[0];
    };
    listeners = { calls, onAbort };
    known.set(signal, listeners);
    signal.addEventListener('abort', onAbort);
  }
  listeners.calls.add(call);
}

/** Calls it no more. With the last call goes our listener. For the packages of this family too. */
export function removeAbortListener(signal: AbortSignal, call: () => void): void {
  const listeners = known.get(signal);
  if (listeners === undefined || !listeners.calls.delete(call)) return;
  if (listeners.calls.size > 0) return;
  known.delete(signal);
  signal.removeEventListener('abort', listeners.onAbort);
}
