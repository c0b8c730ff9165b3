import { Deferred } from '@ws/conn/internal';

/** Bound of the sent items of one stream that its reader has not taken. */
const MAX_ITEMS = 64;
/** Bound of the characters in all windows of a link. Each window has an equal share. */
const MAX_SIZE = 128 * 1024;
/** The least share of a window. */
const LEAST_SHARE = 8 * 1024;

/**
 * A reader reports when it has taken this many items or characters: half of the smallest window.
 * With rarer reports, both ends would wait for each other.
 */
export const REPORT_ITEMS = 32;
export const REPORT_SIZE = 4_096;

/** Number of open windows of a link, and characters of the items in all of them. */
export type Windows = { count: number; size: number };

/** The sent items of a stream that its reader has not taken. */
export class StreamWindow {
  readonly #windows: Windows;
  readonly #sizes: number[] = [];
  #size = 0;
  #taken: Deferred<void> | undefined;

  constructor(windows: Windows) {
    this.#windows = windows;
    windows.count++;
  }

  /** Whether an item of `size` characters may be sent: any item, if few characters wait. */
  hasRoom(size: number): boolean {
    if (this.#sizes.length >= MAX_ITEMS) return false;
    // The reader may have taken all items: it reports later.
    if (this.#size < REPORT_SIZE) return true;
    const { count, size: all } = this.#windows;
    const own = this.#size + size;
    return own <= LEAST_SHARE || (own <= MAX_SIZE / count && all + size <= MAX_SIZE);
  }

  /** Resolves when the reader has taken items, or the window is closed. */
  untilTaken(): Promise<void> {
    this.#taken ??= new Deferred();
    return this.#taken.promise;
  }

  add(size: number): void {
    this.#sizes.push(size);
    this.#size += size;
    this.#windows.size += size;
  }

  /** Called when the reader has taken `n` items. The peer chose `n`, so it may be any value. */
  take(n: unknown): void {
    for (const size of this.#sizes.splice(0, typeof n === 'number' ? n : 0)) {
      this.#size -= size;
      this.#windows.size -= size;
    }
    this.#taken?.resolve();
    this.#taken = undefined;
  }

  close(): void {
    this.#windows.count--;
    this.take(Infinity);
  }
}
