import { CloseCode } from '@ws/codec';
import { utf8Length } from '@ws/codec/internal';
import { BackpressureError } from '../errors.ts';
import type { Settings } from '../options/conn-options.ts';
import type { ConnState } from '../platform/observer.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';

// The bounds of the bytes that wait: in one connection, and in all connections of a server.

/**
 * Bytes that a write is charged while it waits, beside its data: its promise, its closures and its
 * copy. Without it, `maxBufferedAmount` would not bound the memory of short messages.
 */
export const WRITE_COST = 1_024;

/** Whether one more message of any size is accepted, after `buffered` bytes. */
function isBelowMark({ highWaterMark, maxBufferedAmount }: Settings, buffered: number): boolean {
  // A caller that awaits every write never meets the limit.
  return buffered === 0 || (buffered < highWaterMark && highWaterMark <= maxBufferedAmount);
}

/**
 * Whether a write of `size` bytes keeps to `maxBufferedAmount`.
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
export function overLimit(
  settings: Settings,
  buffered: number,
  size: number,
  text: string | undefined,
): BackpressureError | undefined {
  if (isBelowMark(settings, buffered)) return undefined;
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
  readonly state: ConnState;
  readonly transportClosed: boolean;
  readonly platform: { now(): number };
  readonly settings: { readonly highWaterMark: number };
  readonly shared: { readonly timers: Pick<Timers, 'set'> };
  readonly outbox: { readonly charged: number; readonly sender: { readonly bytesFlushed: number } };
  readonly rare?: { readonly keptBytes: number; readonly takenBytes: number } | undefined;
  fail(error: BackpressureError, code: number, reason: string): void;
  guardTransport(use: () => void): void;
};

/** Time in ms after a full recount for which the counted bytes are exact enough. */
const RECOUNT_MS = 10;
/** Time in ms in which a connection above its share has to take {@link LEAST_PROGRESS} of it. */
const PATIENCE_MS = 5_000;
const LEAST_PROGRESS = 0.1;

/**
 * Bounds the bytes that wait in all connections of a server together, the total. Below it, each
 * connection has its `maxBufferedAmount`. Above it, each has its share, and connections end that have
 * more than that and take nothing.
 *
 * All have at most twice the total, and `highWaterMark` for each connection that waits.
 */
export class WriteBudget implements TimerEntry {
  slot: number | undefined;
  readonly #limit: number;
  /** The bytes that wait in each connection, as they were counted last. */
  readonly #waiting = new Map<Budgeted, number>();
  #total = 0;
  /** Connections that were counted with a write since the last recount. It may have left at once. */
  readonly #written = new Set<Budgeted>();
  #recountedAt = Number.NEGATIVE_INFINITY;
  /** The largest write that was refused since the last check, and that may have room later. */
  #refused = 0;
  /** The bytes that each connection had sent at the last check, if it waited then. */
  #flushed = new Map<Budgeted, number>();

  /** @param limit - In bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether connections have no more than their share. */
  get exceeded(): boolean {
    return this.#total > this.#limit;
  }

  count(connection: Budgeted): void {
    const kept = connection.rare?.keptBytes ?? 0;
    this.#set(connection, connection.transportClosed ? 0 : connection.outbox.charged + kept);
  }

  #set(connection: Budgeted, bytes: number): void {
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
    const isAccepted = total <= this.#limit || this.#hasShare(connection, waiting, size);
    if (isAccepted) {
      this.#set(connection, waiting + size);
      if (size > 0) this.#written.add(connection);
    } else if (size <= this.#limit) this.#refused = Math.max(this.#refused, size);
    if (total > this.#limit && this.slot === undefined) this.#watch(connection);
    return isAccepted;
  }

  #hasShare({ settings }: Budgeted, waiting: number, size: number): boolean {
    if (waiting + size <= settings.highWaterMark) return true;
    const share = this.#limit / (this.#waiting.size + (waiting === 0 ? 1 : 0));
    // Connections that came before others may have more than their share is now.
    return waiting + size <= share && this.#total + size <= 2 * this.#limit;
  }

  /** The error of a write of `size` bytes for which {@link accepts} is false. */
  refusal(size: number): BackpressureError {
    return new BackpressureError(
      `the message was not sent: ${this.#total} bytes wait in all connections together, and ${size} more would exceed maxTotalBufferedAmount (${this.#limit}); await your writes`,
    );
  }

  /** A transport reports a drain, not each byte that it has sent. All are recounted now and then. */
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

  // Connections that have more than their share and take nothing

  /** Notes what each connection has sent, and checks it later. */
  #watch(connection: Budgeted): void {
    this.#flushed = new Map();
    for (const each of this.#waiting.keys()) this.#flushed.set(each, flushedOf(each));
    connection.shared.timers.set(this, PATIENCE_MS);
  }

  fire(): void {
    this.#recount(this.#waiting.keys());
    const [first] = this.#waiting.keys();
    const over = this.#total + this.#refused - this.#limit;
    if (first !== undefined && over > 0) {
      this.#endLargest();
      this.#watch(first);
    } else this.#flushed.clear();
    this.#refused = 0;
  }

  /** Ends connections until the total is kept, also with a message that was refused. */
  #endLargest(): void {
    const open = [...this.#waiting].filter(([{ state }]) => state === 'open');
    const share = this.#limit / (open.length + (this.#refused > 0 ? 1 : 0));
    let over = open.reduce((sum, [, waiting]) => sum + waiting, this.#refused - this.#limit);
    const stuck = open.filter(([connection, waiting]) => {
      const least = Math.max(connection.settings.highWaterMark, share);
      const before = this.#flushed.get(connection);
      if (waiting <= least || before === undefined) return false;
      return flushedOf(connection) - before < least * LEAST_PROGRESS;
    });
    stuck.sort(([, one], [, other]) => other - one);
    for (const [connection, waiting] of stuck) {
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
 * Bytes that the operating system has, plus bytes that a reader has kept and then taken. NaN for a
 * transport that fails to report its bytes.
 */
function flushedOf(connection: Budgeted): number {
  let flushed = NaN;
  connection.guardTransport(() => {
    flushed = connection.outbox.sender.bytesFlushed + (connection.rare?.takenBytes ?? 0);
  });
  return flushed;
}
