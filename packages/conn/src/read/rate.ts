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
import type { MachineEvent } from '@ws/codec/internal';
import type { Connection } from '../connection/connection.ts';
import { untraced } from '../errors.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { messageOf } from './message-queue.ts';

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

/** Part of a message that a refilled bucket may lack, because times are rounded. */
const ROUNDING = 1e-6;

/** No message with charged pieces is under way. */
const NONE = -1;

/** The connection has failed: what exceeds the rate is neither delivered nor held. */
const FAIL = Symbol('fail');

/**
 * The token bucket of one connection, in front of its reader. Messages above the rate wait in the
 * read-ahead, which bounds them and pauses the transport. The bucket gives them to the reader. Until
 * then, control frames that came after them are handled as without a read.
 */
export class Rate implements TimerEntry {
  slot: number | undefined;
  /**
   * Whether it holds back what has arrived for a reader. Input is then parsed into the read-ahead, as
   * without a read.
   */
  held: boolean;
  readonly #connection: Connection;
  readonly #plan: RatePlan;
  #messages: number;
  #bytes: number;
  /** When messages and bytes were refilled last, in ms of the platform's clock. */
  #refilledAt: number;
  /** Bytes that were charged of the message that is read in pieces; {@link NONE} without one. */
  #charged = NONE;

  /** @param held - Whether the rate that it replaces holds messages. */
  constructor(connection: Connection, plan: RatePlan, held = false) {
    this.held = held;
    this.#connection = connection;
    this.#plan = plan;
    this.#messages = plan.messageBurst;
    this.#bytes = plan.byteBurst;
    this.#refilledAt = connection.platform.now();
  }

  /** Returns `event` if it passes: SKIPPED replaces a message that is held, STEP follows a failure. */
  pass(event: MachineEvent, decoder: MessageDecoder): MachineEvent {
    const { length, start, end, fin } = decoder;
    if (event === MESSAGE) return this.#passMessage(decoder);
    if (event === MESSAGE_BEGIN) return this.#passFirst(decoder);
    if (event !== MESSAGE_DATA && event !== SKIPPED) return event;
    if (event === MESSAGE_DATA) {
      this.#charge(0, end - start);
      this.#charged = fin ? NONE : this.#charged + end - start;
    } else {
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
    if (!decoder.turnIntoWhole()) return STEP;
    this.#hold(decoder);
    return SKIPPED;
  }

  /** Whether a message of `size` bytes passes now, or one in pieces with a first piece of `size`. */
  #admits(size: number): boolean | typeof FAIL {
    const { byteBurst, over } = this.#plan;
    this.#refill();
    const most = Math.min(size, byteBurst);
    // A message above the burst waits until the bucket is full.
    const need = over === 'wait' ? most : size;
    if (this.#messages < 1 - ROUNDING || this.#bytes < need - ROUNDING) {
      if (over === 'close') return this.#fail();
      this.#wait(1, most);
      return false;
    }
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
    if (this.#plan.over === 'close') return void this.#fail();
    this.#wait(0, 0);
    const { held, pulls } = this.#connection.inbound;
    if (pulls?.pieces !== undefined) pulls.pieces.held = held;
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

  /** Ends the connection. After it, nothing is held. */
  #fail(): typeof FAIL {
    const { text } = this.#plan;
    // Not 1008, after which a ReconnectingConn never comes back.
    const error = untraced(() => new ProtocolError(CloseCode.TryAgainLater, [text]));
    this.#connection.fail(error, CloseCode.TryAgainLater, text);
    this.stop();
    return FAIL;
  }

  /** Holds what has arrived until the bucket has `messages` and `bytes`. */
  #wait(messages: number, bytes: number): void {
    const { messagesPerMs, bytesPerMs } = this.#plan;
    const connection = this.#connection;
    if (connection.transportClosed) return connection.inbound.dropExcess();
    this.held = true;
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
    this.#refill();
    if (this.#messages < -ROUNDING || this.#bytes < -ROUNDING) return this.#wait(0, 0);
    inbound.pulls?.pieces?.unhold();
    for (;;) {
      const message = inbound.queue?.firstHeld;
      if (message === undefined) break;
      if (this.#admits(message.data.length) !== true) return;
      // The login may have expired while they were held.
      this.#connection.rare?.checkExpiry();
      if (inbound.dropping) return;
      if (inbound.receiveCall?.discards === true) inbound.queue!.dropHeld();
      else inbound.queue!.unhold();
      inbound.serve();
    }
    this.held = false;
  }

  /** The connection ends, or no code reads any more: drops what is held. */
  stop(): void {
    this.stopTimer();
    const { inbound } = this.#connection;
    if (!this.held) return;
    this.held = false;
    inbound.pulls?.pieces?.unhold();
    let held = 0;
    for (; inbound.queue?.firstHeld !== undefined; held++) inbound.queue.dropHeld();
    if (held === 0) return;
    inbound.countDropped(held, inbound.receiveCall?.discards !== true);
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
