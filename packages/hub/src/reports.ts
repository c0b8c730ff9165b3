import type { Platform } from '@ws/conn';

/** Least time between two reports of a key, in ms. */
const INTERVAL_MS = 1_000;

/** The events of a key since its last report. */
interface Pending<Detail> {
  count: number;
  /** The detail of the last event. */
  detail: Detail;
  readonly cancel: () => void;
}

/** Reports the events of each key at most once a second, several events together. */
export class Reports<Key, Detail> {
  readonly #recent = new Map<Key, Pending<Detail>>();
  readonly #report: (key: Key, count: number, detail: Detail) => void;

  /** @param report - `count`: events since the last report; `detail`: of the last event. */
  constructor(report: (key: Key, count: number, detail: Detail) => void) {
    this.#report = report;
  }

  /** Reports `count` events: at once, or one second after the last report of the key. */
  add(key: Key, count: number, detail: Detail, platform: Platform): void {
    const recent = this.#recent.get(key);
    if (recent !== undefined) {
      recent.count += count;
      recent.detail = detail;
      return;
    }
    const cancel = platform.setTimer(INTERVAL_MS, () => {
      const due = this.#recent.get(key)!;
      this.#recent.delete(key);
      if (due.count > 0) this.add(key, due.count, due.detail, platform);
    });
    this.#recent.set(key, { count: 0, detail, cancel });
    this.#report(key, count, detail);
  }

  /** Reports the remaining events of all keys now. */
  flushAll(): void {
    for (const key of this.#recent.keys()) this.flush(key);
  }

  /** Reports the remaining events of the key now. */
  flush(key: Key): void {
    const recent = this.#recent.get(key);
    if (recent === undefined) return;
    this.#recent.delete(key);
    recent.cancel();
    if (recent.count > 0) this.#report(key, recent.count, recent.detail);
  }
}
