import { CloseCode, ProtocolError } from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import { untraced } from '../errors.ts';
import type { TimerEntry } from '../scheduler/timers.ts';

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

/** Part of a token that a refilled bucket may lack, because times are rounded. */
const ROUNDING = 1e-6;

/**
 * The token bucket of one connection. It bounds what readers get: while it is empty, they get no
 * message, as if they were busy. Input is then parsed into the read-ahead, which pauses the transport
 * when it is full. A message needs one token and one byte. It may take more bytes than the bucket has:
 * the next message waits for them.
 *
 * With `over: 'close'` it counts what arrives instead, because a busy reader takes many messages at once.
 */
export class Rate implements TimerEntry {
  slot: number | undefined;
  /** Whether readers get no message for now. */
  empty = false;
  readonly #connection: Connection;
  readonly #plan: RatePlan;
  readonly #closes: boolean;
  #messages: number;
  #bytes: number;
  /** When the bucket was refilled last, in ms of the platform's clock. */
  #refilledAt: number;

  constructor(connection: Connection, plan: RatePlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#closes = plan.over === 'close';
    this.#messages = plan.messageBurst;
    this.#bytes = plan.byteBurst;
    this.#refilledAt = connection.platform.now();
  }

  /** A message has arrived whole. Ends the connection with 1013 if that is too much. */
  arrived(bytes: number): void {
    if (!this.#closes) return;
    this.#messages--;
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

  /**
   * A message has arrived, and goes straight to a reader.
   *
   * @returns False when it has ended the connection.
   */
  passes(bytes: number): boolean {
    if (!this.#closes) {
      this.take(1, bytes);
      return true;
    }
    this.arrived(bytes);
    return !this.#connection.machine.inputEnded;
  }

  /** A reader gets a message that has waited. */
  takeQueued(bytes: number): void {
    this.refill();
    this.take(1, bytes);
  }

  /** A reader gets a message, or `messages` 0: a later piece of one. */
  take(messages: 0 | 1, bytes: number): void {
    if (this.#closes) return;
    this.#messages -= messages;
    this.#bytes -= bytes;
    if (this.#messages < 1 || this.#bytes < 1) this.#spent();
  }

  /** The bucket may be empty: readers wait for the next token. */
  #spent(): void {
    this.refill();
    if (this.#hasTokens()) return;
    const connection = this.#connection;
    const pieces = connection.inbox.pieces;
    if (connection.transportClosed) {
      // The reader of a message in pieces gets its rest.
      if (pieces?.over !== false) this.#dropRest();
      return;
    }
    this.empty = true;
    if (pieces !== undefined && this.#bytes < -ROUNDING) pieces.held = true;
    this.#schedule();
  }

  /** Fills the bucket. The inbox calls it before a run of messages: the clock costs more than a message. */
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

  /** Sets the timer: for the debt of a message in pieces, else for the token of the next message. */
  #schedule(): void {
    const { messagesPerMs, bytesPerMs } = this.#plan;
    const isInDebt = this.#connection.inbox.pieces?.held === true;
    const ms = isInDebt
      ? timeToFill(this.#bytes, 0, bytesPerMs)
      : Math.max(
          timeToFill(this.#messages, 1, messagesPerMs),
          timeToFill(this.#bytes, 1, bytesPerMs),
        );
    this.#connection.shared.timers.set(this, Math.max(1, Math.ceil(ms)));
  }

  fire(): void {
    this.refill();
    if (this.#hasTokens()) return this.refilled();
    if (this.#bytes >= -ROUNDING) this.#connection.inbox.pieces?.unhold();
    this.#schedule();
  }

  /** The bucket has a token: readers get what has arrived. */
  refilled(): void {
    const { inbox, rare } = this.#connection;
    this.empty = false;
    rare?.checkExpiry();
    inbox.pieces?.unhold();
    inbox.serve();
    inbox.continue();
  }

  /** Reading ends: a read that waits for a token rejects, and the messages that wait are dropped. */
  stop(): void {
    this.stopTimer();
    if (!this.empty) return;
    this.empty = false;
    this.#connection.inbox.pieces?.unhold();
    this.#dropRest();
  }

  stopTimer(): void {
    this.#connection.shared.timers.clear(this);
  }

  #dropRest(): void {
    const { inbox } = this.#connection;
    const count = inbox.queue?.length ?? 0;
    inbox.queue = undefined;
    inbox.countDropped(count, inbox.receiveCall?.discards !== true);
    inbox.dropExcess();
  }
}

/** Time in ms until a bucket with `has` tokens has `needs`. A bucket without a bound has all. */
function timeToFill(has: number, needs: number, perMs: number): number {
  return has >= needs ? 0 : (needs - has) / perMs;
}
