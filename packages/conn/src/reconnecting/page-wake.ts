/** The events of a page, or of a worker, that has network again. */
interface WakeTarget {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

/**
 * Calls `wake` when a page gets its network back, becomes visible, comes back from the back/forward
 * cache or is no longer frozen. Browsers throttle the timers of a hidden page. Other runtimes have no
 * such events.
 *
 * @returns Removes the listeners.
 */
export function onPageWake(wake: () => void): () => void {
  const { document } = globalThis as { document?: WakeTarget & { visibilityState?: string } };
  const page = globalThis as WakeTarget;
  const seen = (): void => {
    if (document?.visibilityState === 'visible') wake();
  };
  for (const type of ['online', 'pageshow']) page.addEventListener?.(type, wake);
  document?.addEventListener?.('resume', wake);
  document?.addEventListener?.('visibilitychange', seen);
  return () => {
    for (const type of ['online', 'pageshow']) page.removeEventListener?.(type, wake);
    document?.removeEventListener?.('resume', wake);
    document?.removeEventListener?.('visibilitychange', seen);
  };
}
