import {
  CloseCode,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  ProtocolError,
  SKIPPED,
  STEP,
} from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import type { Connection } from '../connection/connection.ts';
import { untraced } from '../errors.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { isThenable, kind, onRejection } from '../validate.ts';
import { messageOf } from './message-queue.ts';

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

/** No message with charged pieces is under way. */
const NONE = -1;

/** Messages above the rate are delivered nevertheless. */
const DELIVER = Symbol('deliver');
/** The connection has failed: what exceeds the rate is neither delivered nor held. */
const FAIL = Symbol('fail');

/**
 * The token bucket of one connection, in front of its reader. Messages above the rate wait in the
 * read-ahead, which bounds them and pauses the transport. The bucket gives them to the reader. Until
 * then, control frames that came after them are handled as without a read.
 */
export class Rate implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;
  readonly #plan: RatePlan;
  #messages: number;
  #bytes: number;
  /** When messages and bytes were refilled last, in ms of the platform's clock. */
  #refilledAt: number;
  /** Whether the first message that is held, or the one under way, was found above the rate. */
  #judged = false;
  /** Bytes that were charged of the message that is read in pieces; {@link NONE} without one. */
  #charged = NONE;

  constructor(connection: Connection, plan: RatePlan) {
    this.#connection = connection;
    this.#plan = plan;
    this.#messages = plan.messageBurst;
    this.#bytes = plan.byteBurst;
    this.#refilledAt = connection.platform.now();
  }

  /** Returns `event` if it passes: SKIPPED replaces a message that is held, STEP follows a failure. */
  pass(event: MessageEvent, decoder: MessageDecoder): MessageEvent {
    const { length, start, end, fin } = decoder;
    if (event === MESSAGE) return this.#passMessage(decoder);
    if (event === MESSAGE_BEGIN) return this.#passFirst(decoder);
    if (event === MESSAGE_DATA) {
      this.#charge(0, end - start);
      this.#charged = fin ? NONE : this.#charged + end - start;
    } else if (event === SKIPPED) {
      if (this.#charged === NONE) this.#charge(1, length);
      else this.#charge(0, length - this.#charged);
      this.#charged = NONE;
    }
    return this.#connection.inbound.stopped ? STEP : event;
  }

  /** A reader takes a message in pieces, of which `bytes` have arrived. */
  begins(bytes: number): void {
    this.#charged = bytes;
    this.#charge(1, bytes);
  }

  #passMessage(decoder: MessageDecoder): MessageEvent {
    const { inbound } = this.#connection;
    const verdict = !inbound.held && this.#admits(decoder.length);
    if (verdict === FAIL) return STEP;
    if (verdict) return MESSAGE;
    // A connection that has ended holds nothing, and drops what follows.
    if (!inbound.dropping) this.#hold(decoder);
    return SKIPPED;
  }

  #hold(decoder: MessageDecoder): void {
    const { platform, inbound } = this.#connection;
    inbound.queued().hold(messageOf(decoder, platform));
  }

  /** A message above the rate is held before it has a reader, so it is assembled for now. */
  #passFirst(decoder: MessageDecoder): MessageEvent {
    const { inbound } = this.#connection;
    const { start, end, fin } = decoder;
    const verdict = this.#admits(end - start);
    if (verdict === FAIL) return STEP;
    if (verdict) {
      this.#charged = fin ? NONE : end - start;
      return MESSAGE_BEGIN;
    }
    if (inbound.dropping) return fin ? SKIPPED : STEP;
    if (!decoder.turnIntoWhole(NO_BYTES)) return STEP;
    this.#hold(decoder);
    return SKIPPED;
  }

  /** Whether a message of `size` bytes passes now, or one in pieces with a first piece of `size`. */
  #admits(size: number): boolean | typeof FAIL {
    const { byteBurst, over } = this.#plan;
    this.#refill();
    const most = Math.min(size, byteBurst);
    // A message above the burst waits until the bucket is full.
    const need = this.#judged || over === 'wait' ? most : size;
    if (this.#messages < 1 - ROUNDING || this.#bytes < need - ROUNDING) {
      const verdict = this.#judged ? 'wait' : this.#verdict();
      if (verdict === FAIL) return FAIL;
      if (verdict === 'wait') {
        this.#judged = true;
        this.#wait(1, most);
        return false;
      }
      // The application lets the message pass, so it leaves no debt.
      this.#bytes = Math.max(this.#bytes, most);
    }
    this.#judged = false;
    this.#messages = Math.max(this.#messages - 1, 0);
    this.#bytes -= size;
    return true;
  }

  /** Charges a piece. A debt holds it, with all that follows. */
  #charge(messages: number, bytes: number): void {
    this.#refill();
    this.#messages -= messages;
    this.#bytes -= bytes;
    if (this.#connection.inbound.held || (this.#messages >= 0 && this.#bytes >= 0)) return;
    const verdict = this.#judged ? 'wait' : this.#verdict();
    this.#judged = false;
    if (verdict === 'wait') {
      this.#wait(0, 0);
      const { held, pulls } = this.#connection.inbound;
      if (pulls?.pieces !== undefined) pulls.pieces.held = held;
      return;
    }
    this.#messages = Math.max(this.#messages, 0);
    this.#bytes = Math.max(this.#bytes, 0);
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

  /** The effect of a message above the rate. After FAIL, nothing is held. */
  #verdict(): 'wait' | typeof DELIVER | typeof FAIL {
    const { over, text } = this.#plan;
    const connection = this.#connection;
    const verdict = typeof over === 'function' ? this.#ask(over) : over;
    if (verdict === 'close') {
      // Not 1008, after which a ReconnectingConn never comes back.
      const error = untraced(() => new ProtocolError(CloseCode.TryAgainLater, [text]));
      connection.fail(error, CloseCode.TryAgainLater, text);
    }
    // The function may also have ended the connection itself.
    const ends = verdict === 'close' || verdict === FAIL || connection.inbound.dropping;
    if (!ends) return verdict;
    this.stop();
    return FAIL;
  }

  /** Fails the connection if the function throws, or returns what it may not. */
  #ask(over: (conn: never) => unknown): 'wait' | 'close' | typeof DELIVER | typeof FAIL {
    const connection = this.#connection;
    try {
      const verdict = over(connection.conn as never);
      if (verdict === 'wait' || verdict === 'close') return verdict;
      if (verdict === undefined) return DELIVER;
      // Its error would end the process.
      onRejection(verdict, () => {});
      throw new TypeError(
        `rate.over: the function returned ${nameOf(verdict)}; return 'wait', 'close', or nothing to deliver the message`,
      );
    } catch (error) {
      connection.report(error, 'rate');
      connection.fail(error, CloseCode.InternalServerErr, '');
      return FAIL;
    }
  }

  /** Holds what has arrived until the bucket has `messages` and `bytes`. */
  #wait(messages: number, bytes: number): void {
    const { messagesPerMs, bytesPerMs } = this.#plan;
    const connection = this.#connection;
    if (connection.transportClosed) return connection.inbound.dropExcess();
    connection.inbound.gate!.held = true;
    const ms = Math.max(
      timeToFill(this.#messages, messages, messagesPerMs),
      timeToFill(this.#bytes, bytes, bytesPerMs),
    );
    connection.shared.timers.set(this, Math.max(1, Math.ceil(ms)));
  }

  /** Enough time may have passed for what is held. */
  fire(): void {
    const { inbound } = this.#connection;
    this.#giveOut();
    if (!inbound.held) inbound.serve();
    inbound.continue();
  }

  /** Gives what is held to the reader, as far as the rate allows. */
  #giveOut(): void {
    const { inbound } = this.#connection;
    const gate = inbound.gate!;
    this.#refill();
    if (this.#messages < -ROUNDING || this.#bytes < -ROUNDING) return this.#wait(0, 0);
    inbound.pulls?.pieces?.unhold();
    for (;;) {
      const message = inbound.queue?.firstHeld;
      if (message === undefined) break;
      if (this.#admits(message.data.length) !== true) return;
      gate.admit(message);
    }
    gate.held = false;
  }

  /** The connection ends, or no code reads any more: drops what is held. */
  stop(): void {
    this.stopTimer();
    const { inbound } = this.#connection;
    const { gate } = inbound;
    if (gate?.held !== true) return;
    gate.held = false;
    inbound.pulls?.pieces?.unhold();
    let dropped = 0;
    let lost = 0;
    for (;;) {
      const message = inbound.queue?.firstHeld;
      if (message === undefined) break;
      inbound.queue!.dropHeld();
      if (gate.wants(message)) lost++;
      else dropped++;
    }
    if (dropped + lost === 0) return;
    inbound.countDropped(dropped, false);
    inbound.countDropped(lost, true);
    inbound.dropExcess();
  }

  stopTimer(): void {
    this.#connection.shared.timers.clear(this);
  }
}

/** Time in ms until a bucket with `has` tokens has `needs`. A bucket without a bound has all. */
function timeToFill(has: number, needs: number, perMs: number): number {
  return has >= needs ? 0 : (needs - has) / perMs;
}

/** A wrong result, as the error names it. */
function nameOf(value: unknown): string {
  if (isThenable(value)) return 'a promise, but it must return at once';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object' || typeof value === 'function') return kind(value);
  if (typeof value === 'symbol') return String(value);
  return `${value as boolean | number | bigint}`;
}
