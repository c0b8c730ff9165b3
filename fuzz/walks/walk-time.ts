import type { Platform } from '@ws/conn';

/** The clock of a walk, its timers, and what waits for later turns. */
export class WalkTime {
  /** Callbacks of the end of this turn. */
  readonly deferred: (() => void)[] = [];
  /** Callbacks of the next turn. */
  readonly yielded: (() => void)[] = [];
  readonly platform: Platform = {
    writeUtf8: (into, at, text) => Buffer.from(into.buffer, into.byteOffset).write(text, at),
    decodeUtf8: (bytes, start, end) => Buffer.from(bytes.subarray(start, end)).toString(),
    randomFill: (words) => void words.fill(0),
    now: () => this.#now,
    setTimer: (ms, callback) => this.setTimer(ms, callback),
    defer: (callback) => void this.deferred.push(callback),
    yield: (callback) => void this.yielded.push(callback),
    warn: () => {},
  };
  #now = 1;
  #nextTimer = 1;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();

  setTimer(ms: number, callback: () => void): () => void {
    const id = this.#nextTimer++;
    this.#timers.set(id, { at: this.#now + ms, callback });
    return () => void this.#timers.delete(id);
  }

  /** Moves the clock by `ms`. Runs each timer at its time, and then `settle`. */
  async advance(ms: number, settle: () => Promise<void>): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end);
      const [id, timer] = due.toSorted((a, b) => a[1].at - b[1].at)[0] ?? [];
      if (id === undefined || timer === undefined) break;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.callback();
      await settle();
    }
    this.#now = end;
  }
}
