import type { Message, PreparedMessage } from '@ws/conn';
import { checkOptionNames, whole } from '@ws/conn/internal';
import type { Keep } from '../backplane/backplane.ts';
import { checkPosition, type Position } from '../position.ts';

/** The bounds of a history. `total` is the option `maxHistoryBytes`. */
export type HistoryBounds = Keep & { readonly bytes: number };

/** A message of a room's history. */
export interface Kept {
  readonly position: Position;
  readonly message: Message;
}

/** The options of `Room.history`. */
export interface HistoryQuery {
  /** Reads the messages after this position. Default: the last messages. */
  readonly since?: Position | undefined;
  /** Largest number of messages, 1 or more. Default: all. */
  readonly limit?: number | undefined;
}

const QUERY_NAMES: readonly string[] = ['since', 'limit'];

/**
 * Checks a query, and copies it: the caller may change its own object later.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function checkQuery(query: HistoryQuery): HistoryQuery {
  checkOptionNames('room.history', query, QUERY_NAMES, 'ignore');
  const { since, limit } = query;
  if (limit !== undefined) whole('limit', limit);
  return { since: since === undefined ? undefined : checkPosition(since), limit };
}

/** An entry of a history. */
interface Stored {
  readonly position: Position;
  /** Undefined for a message that cannot be read, and for the record of a loss. */
  readonly message: PreparedMessage | undefined;
}

/** The result of a read: consecutive messages of a history. */
export interface HistoryPart {
  readonly messages: readonly Stored[];
  /** Whether no message after `since` is missing; without `since`, no message of the history. */
  readonly complete: boolean;
  /** As `complete`, but only up to the last of `messages`. */
  readonly follows: boolean;
  /** Position of the last message. Without messages, the position up to which the history was read. */
  readonly position: Position;
  /** Whether another read after `position` may find later messages. */
  readonly more: boolean;
}

interface Entry {
  readonly offset: number;
  readonly message: PreparedMessage;
  /** When the message expires, in ms of the platform's clock. */
  readonly expiresAt: number;
}

/** The last messages of one room. */
export class RoomHistory {
  readonly epoch: string = crypto.randomUUID();
  /** Offset of the last message. */
  last = 0;
  /** Bytes of payload. */
  bytes = 0;
  readonly #bounds: HistoryBounds;
  #entries: Entry[] = [];
  /** Index of the first message in `#entries`. Dropped entries before it are removed together, later. */
  #first = 0;

  constructor(bounds: HistoryBounds) {
    this.#bounds = bounds;
  }

  /** Ms from the publication of a message until it expires. */
  get ttl(): number {
    return this.#bounds.ttl;
  }

  get length(): number {
    return this.#entries.length - this.#first;
  }

  nextPosition(): Position {
    return { epoch: this.epoch, offset: this.last + 1 };
  }

  /** Adds a message, and drops the oldest ones beyond the bounds. */
  add(message: PreparedMessage, now: number): void {
    this.#entries.push({ offset: ++this.last, message, expiresAt: now + this.#bounds.ttl });
    this.bytes += message.bytes.length;
    while (this.length > this.#bounds.size || this.bytes > this.#bounds.bytes) this.dropFirst();
    this.expire(now);
  }

  /** Drops the expired messages. */
  expire(now: number): void {
    while (this.length > 0 && this.#entries[this.#first]!.expiresAt <= now) this.dropFirst();
  }

  dropFirst(): void {
    this.bytes -= this.#entries[this.#first]!.message.bytes.length;
    this.#first++;
    if (this.#first * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#first);
    this.#first = 0;
  }

  /** The first `limit` messages after `since`, or the last `limit` messages without it. */
  read(since: Position | undefined, limit: number): HistoryPart {
    // Messages up to this offset are dropped.
    const dropped = this.last - this.length;
    const isKnown = since === undefined || since.epoch === this.epoch;
    const after = since === undefined ? this.last - limit : isKnown ? since.offset : 0;
    const from = Math.max(after, dropped);
    const start = this.#first + from - dropped;
    const entries = this.#entries.slice(start, start + limit);
    const end = from + entries.length;
    const follows = isKnown && from === (since?.offset ?? 0);
    return {
      messages: entries.map(({ message, offset }) => ({
        message,
        position: { epoch: this.epoch, offset },
      })),
      follows,
      complete: follows && end === this.last,
      position: { epoch: this.epoch, offset: entries.at(-1)?.offset ?? this.last },
      more: end < this.last,
    };
  }
}
