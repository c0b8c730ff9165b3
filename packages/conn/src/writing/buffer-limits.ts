import { CloseCode } from '@ws/codec';
import { utf8Length } from '@ws/codec/internal';
import { BackpressureError } from '../errors.ts';
import type { Settings } from '../options/conn-options.ts';
import type { ConnState } from '../platform/observer.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';

// Bounds of the waiting bytes: in one connection, and in all connections of a server.

/**
 * Bytes charged for a waiting write in addition to its data, for its promise and its closures.
 * Without this charge, `maxBufferedAmount` would not bound the memory of short messages.
 */
export const WRITE_COST = 1_024;

/** Whether a message of any size is accepted while `buffered` bytes wait. */
function isBelowMark({ highWaterMark, maxBufferedAmount }: Settings, buffered: number): boolean {
  // Without buffered bytes any size fits, so a caller that awaits every write is never refused.
  return buffered === 0 || (buffered < highWaterMark && highWaterMark <= maxBufferedAmount);
}

/**
 * Whether `maxBufferedAmount` allows a write of `size` bytes.
 *
 * @param buffered - Bytes that are already buffered, including bytes in the transport.
 */
export function withinLimit(settings: Settings, buffered: number, size: number): boolean {
  return isBelowMark(settings, buffered) || buffered + size <= settings.maxBufferedAmount;
}

/**
 * Returns a BackpressureError when a write would exceed `maxBufferedAmount`, else undefined.
 *
 * @param buffered - As in {@link withinLimit}.
 * @param size - Size of the write in bytes, or in UTF-16 units when `text` is given.
 */
export function limitError(
  settings: Settings,
  buffered: number,
  size: number,
  text: string | undefined,
): BackpressureError | undefined {
  if (isBelowMark(settings, buffered)) return undefined;
  const { maxBufferedAmount: limit } = settings;
  // Measuring a long text costs more than sending it. A UTF-16 unit has at least one byte of UTF-8,
  // so a text with too many units is refused unmeasured.
  const measured = text !== undefined && buffered + size <= limit;
  const bytes = measured ? utf8Length(text) : size;
  if (buffered + bytes <= limit) return undefined;
  const prefix = text === undefined || measured ? '' : 'at least ';
  return new BackpressureError(
    `the message was not sent: ${buffered} bytes are already buffered and ${prefix}${bytes} more would exceed maxBufferedAmount (${limit}); await your writes`,
  );
}

/** See `ReadTerms`. */
type Kept = Readonly<Record<'keptBytes' | 'lastingBytes' | 'freedBytes', number>>;

/** The part of a connection that the budget uses. */
type Budgeted = {
  readonly state: ConnState;
  readonly transportClosed: boolean;
  readonly platform: { now(): number };
  readonly settings: { readonly highWaterMark: number };
  readonly shared: { readonly timers: Pick<Timers, 'set'> };
  readonly outbox: { readonly charged: number; readonly bytesFlushed: number };
  readonly control?: { readonly reads: Kept | undefined } | undefined;
  fail(error: BackpressureError, code: number, reason: string): void;
  guardTransport(use: () => void): void;
};

/** Least time between two full recounts, in ms. */
const RECOUNT_MS = 10;
/** Interval in ms of the checks whether the peers of connections above their share read enough. */
const PATIENCE_MS = 5_000;
/** The part of the share that a peer has to read in {@link PATIENCE_MS}. */
const LEAST_PROGRESS = 0.1;

/**
 * Bounds the total: the bytes that wait in all connections of a server together. While the total is
 * below the limit, only `maxBufferedAmount` bounds a connection. Above, a connection accepts writes
 * up to an equal share of the limit, and fails if it has more and its peer reads too little.
 *
 * The total stays below twice the limit, plus `highWaterMark` for each connection with waiting bytes.
 */
export class WriteBudget implements TimerEntry {
  slot: number | undefined;
  readonly #limit: number;
  /** Waiting bytes of each connection at its last count. */
  readonly #waiting = new Map<Budgeted, number>();
  #total = 0;
  /** Connections with a write since the last recount. Their bytes may have been sent meanwhile. */
  readonly #written = new Set<Budgeted>();
  #recountedAt = Number.NEGATIVE_INFINITY;
  /** Bytes of the largest write since the last check that was refused, but would fit the limit. */
  #refused = 0;
  /** {@link flushedOf} at the last check, for each connection with waiting bytes. */
  #flushed = new Map<Budgeted, number>();

  /** @param limit - Bound of the total in bytes: `maxTotalBufferedAmount`. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether the total is above the limit. */
  get exceeded(): boolean {
    return this.#total > this.#limit;
  }

  /** Updates the waiting bytes of `connection`. */
  count(connection: Budgeted): void {
    const { control } = connection;
    const waiting = connection.transportClosed
      ? (control?.reads?.lastingBytes ?? 0)
      : connection.outbox.charged + (control?.reads?.keptBytes ?? 0);
    this.#setWaiting(connection, waiting);
  }

  #setWaiting(connection: Budgeted, bytes: number): void {
    this.#total += bytes - (this.#waiting.get(connection) ?? 0);
    if (bytes > 0) this.#waiting.set(connection, bytes);
    else {
      this.#waiting.delete(connection);
      this.#written.delete(connection);
    }
  }

  /** Whether `size` more bytes may wait in `connection`. If so, counts them. */
  accepts(connection: Budgeted, size: number): boolean {
    this.count(connection);
    if (this.#total + size > this.#limit) this.#recountAt(connection.platform.now());
    const waiting = this.#waiting.get(connection) ?? 0;
    const total = this.#total + size;
    const isAccepted = total <= this.#limit || this.#fitsShare(connection, waiting, size);
    if (isAccepted) {
      this.#setWaiting(connection, waiting + size);
      if (size > 0) this.#written.add(connection);
    } else if (size <= this.#limit) this.#refused = Math.max(this.#refused, size);
    if (total > this.#limit && this.slot === undefined) this.#watchProgress(connection);
    return isAccepted;
  }

  #fitsShare({ settings }: Budgeted, waiting: number, size: number): boolean {
    if (waiting + size <= settings.highWaterMark) return true;
    const share = this.#limit / (this.#waiting.size + (waiting === 0 ? 1 : 0));
    // A share shrinks when more connections wait, so the sum of all may exceed the limit.
    return waiting + size <= share && this.#total + size <= 2 * this.#limit;
  }

  /** The error of a write of `size` bytes for which {@link accepts} is false. */
  refusal(size: number): BackpressureError {
    return new BackpressureError(
      `the message was not sent: ${this.#total} bytes wait in all connections together, and ${size} more would exceed maxTotalBufferedAmount (${this.#limit}); await your writes`,
    );
  }

  /** Counts again: a transport reports its drain, but not the bytes that it has sent before. */
  #recountAt(now: number): void {
    if (now - this.#recountedAt < RECOUNT_MS) return this.#recount(this.#written);
    this.#recountedAt = now;
    this.#recount(this.#waiting.keys());
  }

  #recount(connections: Iterable<Budgeted>): void {
    for (const connection of connections) {
      connection.guardTransport(() => this.count(connection));
    }
    this.#written.clear();
  }

  // Connections with a slow peer

  /** Stores how many bytes each connection has sent. {@link fire} compares them later. */
  #watchProgress(connection: Budgeted): void {
    this.#flushed = new Map();
    for (const each of this.#waiting.keys()) this.#flushed.set(each, flushedOf(each));
    connection.shared.timers.set(this, PATIENCE_MS);
  }

  fire(): void {
    this.#recount(this.#waiting.keys());
    const [first] = this.#waiting.keys();
    const over = this.#total + this.#refused - this.#limit;
    if (first !== undefined && over > 0) {
      this.#failSlowest();
      this.#watchProgress(first);
    } else this.#flushed.clear();
    this.#refused = 0;
  }

  /** Fails slow connections, those with most waiting bytes first, until the refused write would fit. */
  #failSlowest(): void {
    const open = [...this.#waiting].filter(([{ state }]) => state === 'open');
    const share = this.#limit / (open.length + (this.#refused > 0 ? 1 : 0));
    let over = open.reduce((sum, [, waiting]) => sum + waiting, this.#refused - this.#limit);
    const slow = open.filter(([connection, waiting]) => {
      const allowed = Math.max(connection.settings.highWaterMark, share);
      const before = this.#flushed.get(connection);
      if (waiting <= allowed || before === undefined) return false;
      return flushedOf(connection) - before < allowed * LEAST_PROGRESS;
    });
    slow.sort(([, one], [, other]) => other - one);
    for (const [connection, waiting] of slow) {
      if (over <= 0) return;
      over -= waiting;
      const error = new BackpressureError(
        `the peer has read too little in ${PATIENCE_MS} ms: ${waiting} bytes wait for it, and all connections together have more than maxTotalBufferedAmount (${this.#limit})`,
      );
      connection.fail(error, CloseCode.TryAgainLater, 'reads too slowly');
    }
  }
}

/**
 * Bytes that a connection has passed on: to the operating system, or to a reader that had kept them
 * for later. NaN when the transport throws.
 */
function flushedOf(connection: Budgeted): number {
  let flushed = NaN;
  connection.guardTransport(() => {
    flushed = connection.outbox.bytesFlushed + (connection.control?.reads?.freedBytes ?? 0);
  });
  return flushed;
}
