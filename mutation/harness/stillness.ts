/** What a test is told that waits for what cannot come. */
export const STILL = 'Nothing is under way that this test could wait for';

/** Between two looks. */
const LOOK_MS = 50;
/** So many looks in a row find nothing. */
const LOOKS = 10;

/**
 * Sees that a test waits in vain, long before its time is up: there is no timer, no turn of the event loop and nothing
 * of the operating system under way that was not there before it began.
 */
export class Stillness {
  /** Rejects when it has been still for a while; never resolves. */
  readonly promise: Promise<never>;
  readonly #before: ReadonlyMap<string, number> = underWay();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    let looks = 0;
    let reject: (error: Error) => void;
    this.promise = new Promise((_, reject_) => (reject = reject_));
    this.promise.catch(() => {});
    this.#timer = setInterval(() => {
      looks = this.#isStill() ? looks + 1 : 0;
      if (looks === LOOKS) reject(new Error(STILL));
    }, LOOK_MS);
    // Not counted among what is under way.
    this.#timer.unref();
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #isStill(): boolean {
    return [...underWay()].every(([kind, count]) => count <= (this.#before.get(kind) ?? 0));
  }
}

/** What keeps the process alive, by kind. */
function underWay(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}
