/** The events of a page, or of a worker, that has network again. */
interface WakeTarget {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

/**
 * Calls `wake` when a page gets its network back or becomes visible. Browsers throttle the timers of
 * a hidden page. Other runtimes have no such events.
 *
 * @returns Removes the listeners.
 */
export function onPageWake(wake: () => void): () => void {
  const { document } = globalThis as { document?: WakeTarget & { visibilityState?: string } };
  const page = globalThis as WakeTarget;
  const seen = (): void => {
    if (document?.visibilityState === 'visible') wake();
  };
  page.addEventListener?.('online', wake);
  document?.addEventListener?.('visibilitychange', seen);
  return () => {
    page.removeEventListener?.('online', wake);
    document?.removeEventListener?.('visibilitychange', seen);
  };
}
