import { Deferred } from '@ws/conn/internal';

/** Bound of the items in one window. */
const MAX_ITEMS = 64;
/** Bound of the characters in all windows of a link. Each open window has an equal share. */
export const MAX_SIZE: number = 128 * 1024;
/** The least share of a window, in characters. */
export const LEAST_SHARE: number = 8 * 1024;

/**
 * A reader reports each time it has taken this many items or characters: half of the smallest
 * window. With rarer reports, a full window could wait for a report, and the reader for an item.
 */
export const REPORT_ITEMS = 32;
export const REPORT_SIZE = 4_096;

/** Number of the open windows of a link, and number of the characters in all of them. */
export type WindowTotals = { count: number; size: number };

/** Counts the sent items of one stream that the reader has not reported as taken. */
export class StreamWindow {
  readonly #totals: WindowTotals;
  /** The characters of each item in the window, oldest first, and their sum. */
  readonly #sizes: number[] = [];
  #size = 0;
  #taken: Deferred<void> | undefined;

  constructor(totals: WindowTotals) {
    this.#totals = totals;
    totals.count++;
  }

  /** Whether an item of `size` characters may be sent. A nearly empty window takes any item. */
  hasRoom(size: number): boolean {
    if (this.#sizes.length >= MAX_ITEMS) return false;
    // Below REPORT_SIZE the reader may have taken all items without a report.
    if (this.#size < REPORT_SIZE) return true;
    const { count, size: sizeOfAll } = this.#totals;
    const own = this.#size + size;
    return own <= LEAST_SHARE || (own <= MAX_SIZE / count && sizeOfAll + size <= MAX_SIZE);
  }

  /** Resolves when the reader has taken items, or the window is closed. */
  untilTaken(): Promise<void> {
    this.#taken ??= new Deferred();
    return this.#taken.promise;
  }

  add(size: number): void {
    this.#sizes.push(size);
    this.#size += size;
    this.#totals.size += size;
  }

  /** Removes `n` items that the reader reports as taken. `n` comes from the peer, unchecked. */
  take(n: unknown): void {
    for (const size of this.#sizes.splice(0, typeof n === 'number' ? n : 0)) {
      this.#size -= size;
      this.#totals.size -= size;
    }
    this.#taken?.resolve();
    this.#taken = undefined;
  }

  close(): void {
    this.#totals.count--;
    this.take(Infinity);
  }
}
