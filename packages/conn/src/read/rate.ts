import {
  CloseCode,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  ProtocolError,
  SKIPPED,
} from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import { untraced } from '../errors.ts';
import { isThenable, onRejection } from '../on-rejection.ts';
import type { TimerEntry } from '../scheduler/timers.ts';

/** A checked `RateLimit`, shared by connections. */
export interface RatePlan {
  /** Infinity for no bound, as all of these. */
  readonly messagesPerMs: number;
  readonly bytesPerMs: number;
  readonly messageBurst: number;
  readonly byteBurst: number;
  readonly over: 'wait' | 'close' | ((conn: never) => unknown);
  /** The option, for the reason of a close frame. */
  readonly text: string;
}

/** Part of a message that a refilled bucket may lack, because times are rounded. */
const ROUNDING = 1e-6;

/**
 * The token bucket of one connection. A message above the rate is held before a reader gets it. The
 * input then parses nothing, so its read-ahead fills and the transport is paused.
 */
export class Rate implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;
  readonly #plan: RatePlan;
  #messages: number;
  #bytes: number;
  /** When messages and bytes were refilled last, in ms of the platform's clock. */
  #refilledAt: number;
  /** Whether a message is held. */
  #holds = false;
  /** Whether a message is under way whose pieces were charged. */
  #inPieces = false;

  constructor(connection: Connection, plan: RatePlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#messages = plan.messageBurst;
    this.#bytes = plan.byteBurst;
    this.#refilledAt = connection.platform.now();
  }

  /** Whether the event passes now. Otherwise it is held, or the connection has failed. */
  admits(event: MessageEvent, { length, start, end, fin }: MessageDecoder): boolean {
    if (event === MESSAGE) return this.#admitsMessage(event, length);
    if (event === MESSAGE_BEGIN || event === MESSAGE_DATA) {
      this.#inPieces = !fin;
      return this.#admitsPiece(event === MESSAGE_BEGIN ? 1 : 0, end - start);
    }
    if (event !== SKIPPED) return true;
    const charged = this.#inPieces;
    this.#inPieces = false;
    return charged || this.#admitsMessage(event, length);
  }

  #admitsMessage(event: MessageEvent, size: number): boolean {
    const { byteBurst, over } = this.#plan;
    this.#refill();
    // A message above the burst waits until the bucket is full.
    const need = this.#holds || over === 'wait' ? Math.min(size, byteBurst) : size;
    if (this.#messages < 1 - ROUNDING || this.#bytes < need - ROUNDING) {
      if (!this.#over(event, 1, Math.min(size, byteBurst))) return false;
    }
    this.#holds = false;
    this.#messages = Math.max(this.#messages - 1, 0);
    this.#bytes -= size;
    return true;
  }

  /** The transport owns the bytes of a piece, so a piece always passes. What follows it is held. */
  #admitsPiece(messages: number, size: number): boolean {
    this.#refill();
    this.#messages -= messages;
    this.#bytes -= size;
    return this.#messages >= 0 && this.#bytes >= 0 ? true : this.#over(undefined, 0, 0);
  }

  #refill(): void {
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

  /**
   * The rate is exceeded. Returns whether the event passes.
   *
   * @param held - The event to hold. Undefined for a piece, which passes: what follows it is held.
   * @param messages - Tokens that the bucket must have for the next event; `bytes` too.
   */
  #over(held: MessageEvent | undefined, messages: number, bytes: number): boolean {
    const { over, text } = this.#plan;
    const connection = this.#connection;
    const verdict = typeof over === 'function' ? this.#ask(over) : over;
    if (verdict === 'close') {
      const error = untraced(() => new ProtocolError(CloseCode.PolicyViolation, [text]));
      connection.fail(error, CloseCode.PolicyViolation, text);
    } else if (verdict === 'wait') {
      this.#hold(held, messages, bytes);
      return held === undefined;
    } else {
      // The application lets the message pass, so it leaves no debt.
      this.#bytes = Math.max(this.#bytes, bytes);
      this.#messages = Math.max(this.#messages, 0);
    }
    return !connection.input.stopped;
  }

  #ask(over: (conn: never) => unknown): unknown {
    const connection = this.#connection;
    const failed = (error: unknown): void => {
      connection.report(error, 'rate');
      connection.fail(error, CloseCode.InternalServerErr, '');
    };
    try {
      const verdict = over(connection.conn as never);
      onRejection(verdict, failed);
      return isThenable(verdict) ? undefined : verdict;
    } catch (error) {
      failed(error);
      return undefined;
    }
  }

  #hold(event: MessageEvent | undefined, messages: number, bytes: number): void {
    const { messagesPerMs, bytesPerMs } = this.#plan;
    const { input, shared } = this.#connection;
    this.#holds = true;
    const ms = Math.max(
      timeToFill(this.#messages, messages, messagesPerMs),
      timeToFill(this.#bytes, bytes, bytesPerMs),
    );
    input.hold(event);
    shared.timers.set(this, Math.max(1, Math.ceil(ms)));
  }

  /** Enough time has passed for what is held. */
  fire(): void {
    this.#connection.input.release();
  }

  /** Nothing is parsed any more. */
  stop(): void {
    this.#connection.shared.timers.clear(this);
  }
}

/** Time in ms until a bucket with `has` tokens has `needs`. A bucket without a bound has all. */
function timeToFill(has: number, needs: number, perMs: number): number {
  return has >= needs ? 0 : (needs - has) / perMs;
}
