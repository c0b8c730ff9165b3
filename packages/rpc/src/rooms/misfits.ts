import { portablePlatform } from '@ws/conn';

/** Bounds in ms of the interval between two replacements. */
const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;

/**
 * The messages of one room that do not fit their schema. Loops pass over them. After an interval, which
 * grows while such messages arrive, the room replaces them by a state, or by a gap.
 *
 * @typeParam Loop - A loop of the application.
 */
export class Misfits<Loop> {
  readonly #replace: () => void;
  /** The loops that have passed over a message since the last replacement. */
  #loops = new Set<Loop>();
  #ms = FIRST_MS;
  /** When a loop last passed over a message, in ms. */
  #lastAt: number | undefined;
  /** Stops the wait for the next replacement; undefined while none waits. */
  #stop: (() => void) | undefined;

  /** @param replace - Called when a replacement is due. */
  constructor(replace: () => void) {
    this.#replace = replace;
  }

  /** Whether a loop has passed over a message before. */
  get hasReported(): boolean {
    return this.#lastAt !== undefined;
  }

  get isEmpty(): boolean {
    return this.#loops.size === 0;
  }

  /** Whether a replacement waits for its time. */
  get isWaiting(): boolean {
    return this.#stop !== undefined;
  }

  /** Called when a loop has passed over a message. */
  add(loop: Loop): void {
    const now = portablePlatform.now();
    if (now - (this.#lastAt ?? now) > 2 * this.#ms) this.#ms = FIRST_MS;
    this.#lastAt = now;
    this.#loops.add(loop);
    this.wait();
  }

  /**
   * Waits for the next replacement, if there is something to replace: a random time between half of the
   * interval and the whole interval, because after a deploy many pages meet the same messages.
   */
  wait(): void {
    if (this.isEmpty) return;
    this.#stop ??= portablePlatform.setTimer(this.#ms * (1 - Math.random() / 2), () => {
      this.#stop = undefined;
      this.#ms = Math.min(2 * this.#ms, LONGEST_MS);
      this.#replace();
    });
  }

  /** Called for a replacement by gaps. Returns the loops that need one. */
  takeLoops(): ReadonlySet<Loop> {
    const loops = this.#loops;
    this.forget();
    return loops;
  }

  /** Called when no message needs a replacement any more. */
  forget(): void {
    this.#loops = new Set();
    this.#stop?.();
    this.#stop = undefined;
  }
}
