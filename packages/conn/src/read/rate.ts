import { CloseCode, ProtocolError } from '@ws/codec';
import { untraced } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';

/** A checked `RateLimit`. Connections share it. In its numbers, Infinity means no bound. */
export interface RatePlan {
  /** Tokens per ms. */
  readonly messagesPerMs: number;
  readonly bytesPerMs: number;
  readonly messageBurst: number;
  readonly byteBurst: number;
  readonly over: 'wait' | 'close';
  /** The bounds in words, for the reason of a close frame. */
  readonly text: string;
}

/** The part of a connection that a Rate uses. */
type Rated = {
  readonly platform: Platform;
  readonly shared: { readonly timers: Timers };
  readonly control?: { checkExpiry(): void } | undefined;
  readonly transportClosed: boolean;
  readonly inbox: {
    rate: Rate | undefined;
    readonly ended: object | undefined;
    readonly pieces: { unhold(): void } | undefined;
    gate(): void;
    serve(): void;
    continue(): void;
  };
  fail(error: Error, code: number, reason: string): void;
};

/** Part of a token that a bucket may lack because of rounding. */
const ROUNDING = 1e-6;

/**
 * The token bucket of one connection, with tokens for messages and tokens for bytes. With
 * `over: 'wait'`, readers get no message while the bucket is empty. Input then fills the read-ahead,
 * and a full read-ahead pauses the transport. A message needs at least one token of both kinds. A long
 * message may take more bytes than the bucket has: this debt delays the next message.
 *
 * With `over: 'close'`, the bucket counts messages when they arrive, not when a reader takes them: a
 * slow reader takes many at once.
 */
export class Rate implements TimerEntry {
  slot: number | undefined;
  /** With `over: 'wait'`: whether readers get no message for now. */
  empty = false;
  readonly #connection: Rated;
  readonly #plan: RatePlan;
  readonly #closes: boolean;
  #stopped = false;
  /** With `over: 'close'`: the counted bytes of the message that is arriving. */
  #pieceBytes = 0;
  /** Tokens for messages, and for bytes. */
  #messages: number;
  #bytes: number;
  /** When the bucket was last refilled, in ms of the platform's clock. */
  #refilledAt: number;

  constructor(connection: Rated, plan: RatePlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#closes = plan.over === 'close';
    this.#messages = plan.messageBurst;
    this.#bytes = plan.byteBurst;
    this.#refilledAt = connection.platform.now();
  }

  /** A message of `bytes` has arrived. Fails the connection with 1013 if that exceeds the rate. */
  arrived(bytes: number): void {
    if (!this.#closes || this.#stopped) return;
    const rest = bytes - this.#pieceBytes;
    this.#pieceBytes = 0;
    this.#messages--;
    this.#count(rest);
  }

  /** As {@link arrived}, for one piece of an incomplete message. */
  pieceArrived(bytes: number): void {
    if (!this.#closes || this.#stopped) return;
    this.#pieceBytes += bytes;
    this.#count(bytes);
  }

  #count(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#messages < 0 || this.#bytes < 0) this.#failIfExceeded();
  }

  #failIfExceeded(): void {
    this.refill();
    if (this.#messages >= -ROUNDING && this.#bytes >= -ROUNDING) return;
    const { text } = this.#plan;
    // Not 1008: a ReconnectingConn does not dial again after that code.
    const error = untraced(() => new ProtocolError(CloseCode.TryAgainLater, [text]));
    this.#connection.fail(error, CloseCode.TryAgainLater, text);
  }

  /** A message arrives, and a reader gets it at once. */
  deliver(bytes: number): void {
    if (this.#closes) this.arrived(bytes);
    else this.take(1, bytes);
  }

  /** A reader gets a queued message. */
  takeQueued(bytes: number): void {
    this.refill();
    this.take(1, bytes);
  }

  /** A reader gets a message or its first piece (`messages` is 1), or a later piece (0). */
  take(messages: 0 | 1, bytes: number): void {
    if (this.#closes || this.#stopped) return;
    this.#messages -= messages;
    this.#bytes -= bytes;
    if (this.#messages < 1 || this.#bytes < 1) this.#refillOrWait();
  }

  /** Refills the bucket. If that is not enough, readers wait for the next token. */
  #refillOrWait(): void {
    this.refill();
    if (this.#hasTokens()) return;
    this.empty = true;
    this.#connection.inbox.gate();
    this.#schedule();
  }

  /** Adds the tokens of the elapsed time. Not called for each message, because the clock is slow. */
  refill(): void {
    const { messagesPerMs, bytesPerMs, messageBurst, byteBurst } = this.#plan;
    const now = this.#connection.platform.now();
    // A clock may be set back, although `Platform.now` asks for a monotonic one.
    const ms = Math.max(0, now - this.#refilledAt);
    this.#refilledAt = now;
    // Without a bound, the product could be Infinity * 0, which is NaN.
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

  /** Whether the next piece of a message waits, because the bucket has no byte. */
  holdsPieces(): boolean {
    const hasByte = (): boolean => this.#bytes >= 1 - ROUNDING;
    if (this.#closes || this.#stopped || hasByte()) return false;
    this.refill();
    return !hasByte();
  }

  /** Sets the timer: to the end of a debt, when pieces can continue; else to the next message. */
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

  /** Ends the wait of readers. */
  release(): void {
    const { inbox, control } = this.#connection;
    this.empty = false;
    inbox.gate();
    control?.checkExpiry();
    inbox.pieces?.unhold();
    inbox.serve();
    inbox.continue();
  }

  /** Called when reading ends. Returns whether messages waited for a token. */
  stop(): boolean {
    const { empty } = this;
    this.#stopped = true;
    this.empty = false;
    this.stopTimer();
    return empty;
  }

  stopTimer(): void {
    this.#connection.shared.timers.clear(this);
  }
}

/** Ms until a bucket with `has` tokens has `needs` tokens. */
function timeToFill(has: number, needs: number, perMs: number): number {
  return has >= needs ? 0 : (needs - has) / perMs;
}

// Not a method of `InternalsOfConn`: that would add this file, 1 kB, to every page with a Conn.

/** Bounds the rate of the peer's messages. A second call replaces the bound of the first. */
export function limitRate(
  { '@ws/internals': { connection } }: { readonly '@ws/internals': { readonly connection: Rated } },
  plan: RatePlan,
): void {
  const { inbox } = connection;
  // After the end of reading, a rate does not apply to the remaining messages.
  if (inbox.ended !== undefined || connection.transportClosed) return;
  const { rate: old } = inbox;
  old?.stopTimer();
  inbox.rate = new Rate(connection, plan);
  if (old?.empty === true) inbox.rate.release();
}
