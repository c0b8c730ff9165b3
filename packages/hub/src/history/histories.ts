import type { Platform, PreparedMessage } from '@ws/conn';
import type { RoomHistory } from './room-history.ts';

/** Bytes of memory that a message in a history costs beside its payload. */
const ENTRY_COST = 256;
/** Interval between two removals of expired messages, in ms. */
const SWEEP_MS = 10_000;
/** Bound of the histories of ended rooms. Each costs about 300 bytes. */
const MAX_ENDED = 10_000;

/** The history of a room that has ended. */
interface EndedRoom {
  readonly history: RoomHistory;
  /** When the history is dropped, in ms of the platform's clock. */
  readonly expiresAt: number;
}

/** The histories of all rooms on this node, which share one bound of bytes. */
export class Histories {
  readonly #maxBytes: number;
  /**
   * Histories with messages, in the order of their last publication. Each has the function to call
   * when it becomes empty.
   */
  readonly #used = new Map<RoomHistory, () => void>();
  /** Histories of ended rooms that had messages, by room. Only their positions remain. */
  readonly #ended = new Map<string, EndedRoom>();
  /** Histories of ended rooms that never had a message. These are dropped first. */
  readonly #neverUsed = new Map<string, EndedRoom>();
  #bytes = 0;
  #sweeping = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Adds a message to a history. Beyond the shared bound, drops messages: the oldest of the room
   * that has been quiet longest.
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

  /** Keeps the history of an ended room. A client may resume from one of its positions. */
  roomEnded(name: string, history: RoomHistory, platform: Platform): void {
    const ended = history.last === 0 ? this.#neverUsed : this.#ended;
    ended.set(name, { history, expiresAt: platform.now() + history.ttl });
    if (!this.#sweeping) this.#sweepLater(platform);
    if (this.#ended.size + this.#neverUsed.size <= MAX_ENDED) return;
    const droppable = this.#neverUsed.size > 0 ? this.#neverUsed : this.#ended;
    const [oldest] = droppable.keys();
    droppable.delete(oldest!);
  }

  /** Removes and returns the history of an ended room, which has members again. */
  take(name: string): RoomHistory | undefined {
    const ended = this.#ended.get(name) ?? this.#neverUsed.get(name);
    this.#ended.delete(name);
    this.#neverUsed.delete(name);
    return ended?.history;
  }

  /** Drops the expired messages of a history. */
  expire(history: RoomHistory, now: number): void {
    this.#change(history, () => history.expire(now));
  }

  /** Drops all messages of a history. */
  clear(history: RoomHistory): void {
    this.#used.delete(history);
    this.#change(history, () => {
      while (history.length > 0) history.dropFirst();
    });
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
      for (const ended of [this.#ended, this.#neverUsed]) {
        for (const [name, { expiresAt }] of ended) if (expiresAt <= now) ended.delete(name);
      }
      if (this.#used.size + this.#ended.size + this.#neverUsed.size > 0) this.#sweepLater(platform);
    });
  }
}

function costOf({ bytes, length }: RoomHistory): number {
  return bytes + length * ENTRY_COST;
}
