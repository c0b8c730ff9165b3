const cleanups = new Set<() => unknown>();

/**
 * Runs `cleanup` after the test, the last one first. The `describe` must call `nothingLeft`.
 *
 * @returns Forgets the cleanup.
 */
export function whenOver(cleanup: () => unknown): () => void {
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

/** Runs and forgets every cleanup. */
export async function runCleanups(): Promise<void> {
  for (let last = [...cleanups].pop(); last !== undefined; last = [...cleanups].pop()) {
    cleanups.delete(last);
    await last();
  }
}
