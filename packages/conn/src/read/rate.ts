import { CloseCode, ProtocolError } from '@ws/codec';
import { untraced } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';

/** A checked `RateLimit`, shared by connections. */
export interface RatePlan {
  /** Infinity for no bound, as all of these. */
  readonly messagesPerMs: number;
  readonly bytesPerMs: number;
  readonly messageBurst: number;
  readonly byteBurst: number;
  readonly over: 'wait' | 'close';
  /** The option, for the reason of a close frame. */
  readonly text: string;
}

/** The part of a connection that a rate uses. */
type Rated = {
  readonly platform: Platform;
  readonly shared: { readonly timers: Timers };
  readonly rare?: { checkExpiry(): void } | undefined;
  readonly transportClosed: boolean;
  readonly inbox: {
    rate: Rate | undefined;
    queue: { readonly length: number } | undefined;
    readonly ended: object | undefined;
    readonly pieces?: { unhold(): void } | undefined;
    readonly receiveCall?: { readonly discards: boolean } | undefined;
    serve(): void;
    continue(): void;
    countDropped(messages: number, lost: boolean): void;
    dropLater(): void;
  };
  fail(error: Error, code: number, reason: string): void;
};

/** Part of a token that a refilled bucket may lack, because times are rounded. */
const ROUNDING = 1e-6;

/**
 * The token bucket of one connection. It bounds what readers get. While it is empty, they get no
 * message, as if they were busy. Input is then parsed into the read-ahead, which pauses the transport
 * when it is full. A message needs one token and one byte. It may take more bytes than the bucket has.
 * The next message waits for them.
 *
 * With `over: 'close'` it counts what arrives instead, because a busy reader takes many messages at once.
 */
export class Rate implements TimerEntry {
  slot: number | undefined;
  /** Whether readers get no message for now. */
  empty = false;
  readonly #connection: Rated;
  readonly #plan: RatePlan;
  readonly #closes: boolean;
  #stopped = false;
  /** With `over: 'close'`: the bytes of the message under way that are counted. */
  #ofPieces = 0;
  #messages: number;
  #bytes: number;
  /** When the bucket was refilled last, in ms of the platform's clock. */
  #refilledAt: number;

  constructor(connection: Rated, plan: RatePlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#closes = plan.over === 'close';
    this.#messages = plan.messageBurst;
    this.#bytes = plan.byteBurst;
    this.#refilledAt = connection.platform.now();
  }

  /** A message of `bytes` has arrived. Ends the connection with 1013 if that is too much. */
  arrived(bytes: number): void {
    if (!this.#closes || this.#stopped) return;
    const rest = bytes - this.#ofPieces;
    this.#ofPieces = 0;
    this.#messages--;
    this.#count(rest);
  }

  /** As {@link arrived}, of bytes of a message that has not ended. */
  pieceArrived(bytes: number): void {
    if (!this.#closes || this.#stopped) return;
    this.#ofPieces += bytes;
    this.#count(bytes);
  }

  #count(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#messages < 0 || this.#bytes < 0) this.#exceeded();
  }

  #exceeded(): void {
    this.refill();
    if (this.#messages >= -ROUNDING && this.#bytes >= -ROUNDING) return;
    const { text } = this.#plan;
    // Not 1008, after which a ReconnectingConn never comes back.
    const error = untraced(() => new ProtocolError(CloseCode.TryAgainLater, [text]));
    this.#connection.fail(error, CloseCode.TryAgainLater, text);
  }

  /** A message has arrived, and goes straight to a reader. */
  deliver(bytes: number): void {
    if (this.#closes) this.arrived(bytes);
    else this.take(1, bytes);
  }

  /** A reader gets a message that has waited. */
  takeQueued(bytes: number): void {
    this.refill();
    this.take(1, bytes);
  }

  /** A reader gets a message, or `messages` 0: a later piece of one. */
  take(messages: 0 | 1, bytes: number): void {
    if (this.#closes || this.#stopped) return;
    this.#messages -= messages;
    this.#bytes -= bytes;
    if (this.#messages < 1 || this.#bytes < 1) this.#spent();
  }

  /** The bucket may be empty: readers wait for the next token. */
  #spent(): void {
    this.refill();
    if (this.#hasTokens()) return;
    this.empty = true;
    this.#schedule();
  }

  /** Fills the bucket. The inbox calls it before a series of messages. The clock costs more than a message. */
  refill(): void {
    const { messagesPerMs, bytesPerMs, messageBurst, byteBurst } = this.#plan;
    const now = this.#connection.platform.now();
    const ms = now - this.#refilledAt;
    this.#refilledAt = now;
    // Not Infinity * 0, which is NaN.
    if (messageBurst !== Infinity) {
      this.#messages = Math.min(messageBurst, this.#messages + ms * messagesPerMs);
    }
    if (byteBurst !== Infinity) {
      this.#bytes = Math.min(byteBurst, this.#bytes + ms * bytesPerMs);
    }
  }

  #hasTokens(): boolean {
    return this.#messages >= 1 - ROUNDING && this.#bytes >= 1 - ROUNDING;
  }

  /** Whether a message has taken more bytes than the bucket had. */
  #isInDebt(): boolean {
    return this.#bytes < -ROUNDING;
  }

  /** Whether the next piece of a message waits: the bucket has no byte. */
  holdsPieces(): boolean {
    const hasByte = (): boolean => this.#bytes >= 1 - ROUNDING;
    if (this.#closes || this.#stopped || hasByte()) return false;
    this.refill();
    return !hasByte();
  }

  /** Sets the timer: for the debt, after which pieces of a message continue, else for the next message. */
  #schedule(): void {
    const { messagesPerMs, bytesPerMs } = this.#plan;
    const ms = this.#isInDebt()
      ? timeToFill(this.#bytes, 0, bytesPerMs)
      : Math.max(
          timeToFill(this.#messages, 1, messagesPerMs),
          timeToFill(this.#bytes, 1, bytesPerMs),
        );
    this.#connection.shared.timers.set(this, Math.max(1, Math.ceil(ms)));
  }

  fire(): void {
    this.refill();
    if (this.#hasTokens()) return this.release();
    if (!this.#isInDebt()) this.#connection.inbox.pieces?.unhold();
    this.#schedule();
  }

  /** Readers wait no longer. */
  release(): void {
    const { inbox, rare } = this.#connection;
    this.empty = false;
    rare?.checkExpiry();
    inbox.pieces?.unhold();
    inbox.serve();
    inbox.continue();
  }

  /** Reading ends. What has arrived by then is in the read-ahead, and bounded. Readers get it at once. */
  stop(): void {
    this.#stopped = true;
    this.stopTimer();
    if (!this.empty) return;
    this.empty = false;
    this.#stopWaiting();
  }

  /** A read that waits for a token rejects, and the messages that wait are dropped. */
  #stopWaiting(): void {
    const { inbox } = this.#connection;
    const count = inbox.queue?.length ?? 0;
    inbox.pieces?.unhold();
    inbox.queue = undefined;
    inbox.countDropped(count, inbox.receiveCall?.discards !== true);
    inbox.dropLater();
  }

  stopTimer(): void {
    this.#connection.shared.timers.clear(this);
  }
}

/** Time in ms until a bucket with `has` tokens has `needs`. A bucket without a bound has all. */
function timeToFill(has: number, needs: number, perMs: number): number {
  return has >= needs ? 0 : (needs - has) / perMs;
}

// Not a call of `InternalsOfConn`: every page with a Conn would contain the rate, 1 kB.

/** Bounds the rate of the peer's messages. A second call replaces the bound of the first. */
export function limitRate(
  { '@ws/internals': { connection } }: { readonly '@ws/internals': { readonly connection: Rated } },
  plan: RatePlan,
): void {
  const { inbox } = connection;
  // Input that has arrived by the end is not bounded.
  if (inbox.ended !== undefined || connection.transportClosed) return;
  const { rate: old } = inbox;
  old?.stopTimer();
  inbox.rate = new Rate(connection, plan);
  if (old?.empty === true) inbox.rate.release();
}
