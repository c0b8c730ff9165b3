import { utf8Length } from '@ws/codec/internal';
import { BackpressureError } from '../errors.ts';
import type { Settings } from '../options/conn-options.ts';

// The bounds of the bytes that wait: in one connection, and in all connections of a server.

/**
 * Bytes that a write is charged while it waits, beside its data: its promise, its closures and its
 * copy. Without it, `maxBufferedAmount` would not bound the memory of short messages.
 */
export const WRITE_COST = 1_024;

/**
 * Whether a write of `size` bytes keeps to `maxBufferedAmount`.
 *
 * @param buffered - Bytes that are already buffered, including bytes in the transport.
 */
export function withinLimit(settings: Settings, buffered: number, size: number): boolean {
  const { highWaterMark, maxBufferedAmount: limit } = settings;
  // Below the mark a message of any size is accepted: a caller that awaits every write never meets
  // the limit.
  const belowMark = buffered === 0 || (buffered < highWaterMark && highWaterMark <= limit);
  return belowMark || buffered + size <= limit;
}

/**
 * Returns a BackpressureError when a write for which {@link withinLimit} is false would exceed
 * `maxBufferedAmount`, else undefined: the size of a text was only estimated.
 *
 * @param buffered - As in {@link withinLimit}.
 * @param size - Size of the write in bytes, or in UTF-16 units when `text` is given.
 */
export function overLimit(
  settings: Settings,
  buffered: number,
  size: number,
  text: string | undefined,
): BackpressureError | undefined {
  const { maxBufferedAmount: limit } = settings;
  // To measure a long text costs more than to send it. A unit has at least one byte, so a text that
  // is over the limit with its units is not measured.
  const measured = text !== undefined && buffered + size <= limit;
  const bytes = measured ? utf8Length(text) : size;
  if (buffered + bytes <= limit) return undefined;
  const least = text === undefined || measured ? '' : 'at least ';
  return new BackpressureError(
    `the message was not sent: ${buffered} bytes are already buffered and ${least}${bytes} more would exceed maxBufferedAmount (${limit}); await your writes`,
  );
}

/** The part of a connection that the budget uses. */
type Budgeted = {
  readonly transportClosed: boolean;
  readonly bufferedAmount: number;
  readonly platform: { now(): number };
  readonly outbound: { readonly waitingBytes: number; readonly blocked: boolean };
  readonly rare?: { readonly heldBytes: number } | undefined;
};

/** Time in ms after a full recount for which the counted bytes are exact enough. */
const RECOUNT_MS = 10;

/**
 * Bounds the bytes that wait in all connections of a server together. It counts a connection if its
 * transport is blocked, or its messages wait for an earlier message or for their compression. A
 * connection that sends its bytes at the end of the turn costs nothing.
 */
export class WriteBudget {
  readonly #limit: number;
  /** The bytes that wait in each connection, as they were counted last. */
  readonly #waiting = new Map<Budgeted, number>();
  #total = 0;
  #recountedAt = Number.NEGATIVE_INFINITY;

  /** @param limit - In bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts the bytes that wait in `connection` now. */
  count(connection: Budgeted): void {
    const { blocked, waitingBytes } = connection.outbound;
    const buffered = blocked ? connection.bufferedAmount : waitingBytes;
    const held = connection.rare?.heldBytes ?? 0;
    this.#set(connection, connection.transportClosed ? 0 : buffered + held);
  }

  #set(connection: Budgeted, bytes: number): void {
    this.#total += bytes - (this.#waiting.get(connection) ?? 0);
    if (bytes === 0) this.#waiting.delete(connection);
    else this.#waiting.set(connection, bytes);
  }

  /**
   * Whether `size` more bytes may wait in `connection`, which has waiting bytes. If so, counts
   * them.
   */
  accepts(connection: Budgeted, size: number): boolean {
    this.count(connection);
    if (this.#total + size > this.#limit) this.#recount(connection.platform.now());
    if (this.#total + size > this.#limit) return false;
    this.#set(connection, (this.#waiting.get(connection) ?? 0) + size);
    return true;
  }

  /** The error of a write of `size` bytes for which {@link accepts} is false. */
  refusal(size: number): BackpressureError {
    return new BackpressureError(
      `the message was not sent: ${this.#total} bytes wait in all connections together, and ${size} more would exceed maxTotalBufferedAmount (${this.#limit}); await your writes`,
    );
  }

  /** A transport reports a drain, not each byte that it has sent. */
  #recount(now: number): void {
    if (now - this.#recountedAt < RECOUNT_MS) return;
    this.#recountedAt = now;
    for (const connection of this.#waiting.keys()) this.count(connection);
  }
}
