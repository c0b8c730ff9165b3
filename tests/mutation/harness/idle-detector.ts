/** Error of a test that waits in vain. */
export const IDLE_MESSAGE = 'the process is idle: this test waits in vain';

const CHECK_MS = 50;
/** Idle checks in a row before the test fails. */
const CHECKS = 10;

/**
 * Detects a test that waits in vain, long before its timeout: the process has no timer, immediate or
 * operation of the operating system that it did not have before the test.
 */
export class IdleDetector {
  /** Rejects after half a second of idleness; never resolves. */
  readonly promise: Promise<never>;
  readonly #before: ReadonlyMap<string, number> = activeResources();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let checks = 0;
    let reject: (error: Error) => void;
    this.promise = new Promise((_, reject_) => (reject = reject_));
    this.promise.catch(() => {});
    this.#timer = setInterval(() => {
      checks = this.#isIdle() ? checks + 1 : 0;
      if (checks === CHECKS) reject(new Error(IDLE_MESSAGE));
    }, CHECK_MS);
    // Keeps this timer out of the active resources.
    this.#timer.unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #isIdle(): boolean {
    return [...activeResources()].every(([kind, count]) => count <= (this.#before.get(kind) ?? 0));
  }
}

function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
