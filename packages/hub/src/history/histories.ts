import type { Platform, PreparedMessage } from '@ws/conn';
import type { RoomHistory } from './room-history.ts';

/** Bytes of memory that a message is charged beside its payload. */
const ENTRY_COST = 256;
/** Interval between two removals of expired messages, in ms. */
const SWEEP_MS = 10_000;

/** The histories of all rooms on this node, with a common bound. */
export class Histories {
  readonly #maxBytes: number;
  /**
   * Histories with messages, in the order of their last publication. The function is called when
   * its history becomes empty.
   */
  readonly #used = new Map<RoomHistory, () => void>();
  #bytes = 0;
  #sweeping = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Adds a message to a history. Beyond the common bound, the rooms that have been quiet longest
   * lose their oldest messages.
   *
   * @param emptied - Called when `history` becomes empty.
   */
  add(
    history: RoomHistory,
    message: PreparedMessage,
    platform: Platform,
    emptied: () => void,
  ): void {
    this.#used.delete(history);
    this.#used.set(history, emptied);
    const before = costOf(history);
    history.add(message, platform.now());
    this.#bytes += costOf(history) - before;
    while (this.#bytes > this.#maxBytes) this.#dropOldest();
    if (!this.#sweeping) this.#sweepLater(platform);
  }

  /** Drops the expired messages of a history. */
  expire(history: RoomHistory, now: number): void {
    this.#change(history, () => history.expire(now));
  }

  /** Drops the oldest message of the room that has been quiet longest. */
  #dropOldest(): void {
    for (const [history, emptied] of this.#used) {
      if (history.length > 0) this.#change(history, () => history.dropFirst());
      if (history.length > 0) return;
      this.#used.delete(history);
      emptied();
      return;
    }
  }

  #change(history: RoomHistory, drop: () => void): void {
    const before = costOf(history);
    drop();
    this.#bytes += costOf(history) - before;
  }

  #sweepLater(platform: Platform): void {
    this.#sweeping = true;
    platform.setTimer(SWEEP_MS, () => {
      this.#sweeping = false;
      const now = platform.now();
      for (const [history, emptied] of this.#used) {
        this.expire(history, now);
        if (history.length > 0) continue;
        this.#used.delete(history);
        emptied();
      }
      if (this.#used.size > 0) this.#sweepLater(platform);
    });
  }
}

function costOf({ bytes, length }: RoomHistory): number {
  return bytes + length * ENTRY_COST;
}
