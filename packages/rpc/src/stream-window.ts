import { Deferred } from '@ws/conn/internal';

/** Items of one stream that have left, and that its reader has not taken. */
const MAX_ITEMS = 64;
/** Characters of such items, of all streams of a link. Each stream has an equal share. */
const MAX_SIZE = 128 * 1024;
/** The least share of a stream. */
const LEAST_SHARE = 8 * 1024;

/**
 * A reader tells what it has taken after so many items, or so many characters. That is half of the
 * smallest window. With more, both ends would wait for each other.
 */
export const TOLD_ITEMS = 32;
export const TOLD_SIZE = 4_096;

/** The open windows of a link, and the characters of the items in all of them. */
export type Windows = { count: number; size: number };

/** The items of a stream that have left, and that its reader has not taken. */
export class StreamWindow {
  readonly #windows: Windows;
  readonly #sizes: number[] = [];
  #size = 0;
  #room: Deferred<void> | undefined;

  constructor(windows: Windows) {
    this.#windows = windows;
    windows.count++;
  }

  /** Whether an item of `size` characters may leave. A large one leaves alone. */
  hasRoom(size: number): boolean {
    if (this.#sizes.length >= MAX_ITEMS) return false;
    // The reader may have taken all of them. Its report follows later.
    if (this.#size < TOLD_SIZE) return true;
    const { count, size: all } = this.#windows;
    const own = this.#size + size;
    return own <= LEAST_SHARE || (own <= MAX_SIZE / count && all + size <= MAX_SIZE);
  }

  /** Resolves when the reader has taken items, or the window is closed. */
  untilTaken(): Promise<void> {
    this.#room ??= new Deferred();
    return this.#room.promise;
  }

  add(size: number): void {
    this.#sizes.push(size);
    this.#size += size;
    this.#windows.size += size;
  }

  /** The reader has taken `n` items. Any value is possible. At most all items leave the window. */
  take(n: unknown): void {
    for (const size of this.#sizes.splice(0, typeof n === 'number' ? n : 0)) {
      this.#size -= size;
      this.#windows.size -= size;
    }
    this.#room?.resolve();
    this.#room = undefined;
  }

  close(): void {
    this.#windows.count--;
    this.take(Infinity);
  }
}
