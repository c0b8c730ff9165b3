import { CloseCode, ProtocolError } from '@ws/codec';
import { untraced } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';
import { Bucket, type BucketPlan } from './bucket.ts';

/** A checked `RateLimit`. Connections share it. */
export interface RatePlan {
  readonly messages: BucketPlan;
  readonly bytes: BucketPlan;
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

/**
 * The tokens of one connection, or of all connections that share them. With `over: 'wait'`, connections
 * wait here while a token is missing, and are served in turn.
 */
export class RateTokens implements TimerEntry {
  slot: number | undefined;
  readonly plan: RatePlan;
  readonly isShared: boolean;
  readonly messages: Bucket;
  readonly bytes: Bucket;
  /** The next one first. */
  readonly #waiting = new Set<Rate>();
  #timers: Timers | undefined;

  /** @param now - By the clock of the platform of its connections. */
  constructor(plan: RatePlan, now: number, isShared = false) {
    this.plan = plan;
    this.isShared = isShared;
    this.messages = new Bucket(plan.messages, now);
    this.bytes = new Bucket(plan.bytes, now);
  }

  get waits(): boolean {
    return this.plan.over === 'wait';
  }

  refill(now: number): void {
    this.messages.refill(now);
    this.bytes.refill(now);
  }

  /** Whether there are `count` tokens of both kinds. */
  has(count: number): boolean {
    return this.messages.has(count) && this.bytes.has(count);
  }

  /** Ms until there are as many as at first. */
  msUntilFull(now: number): number {
    this.refill(now);
    const { messages, bytes } = this.plan;
    return Math.max(this.messages.msUntil(messages.size), this.bytes.msUntil(bytes.size));
  }

  /** Serves `rate` after those that wait already. */
  wait(rate: Rate, timers: Timers): void {
    this.#waiting.add(rate);
    this.#timers = timers;
    this.#schedule();
  }

  /** `rate` no longer waits. */
  leave(rate: Rate): void {
    this.#waiting.delete(rate);
    if (this.#waiting.size === 0) this.#timers?.clear(this);
  }

  /** Sets the timer: to the end of a debt, when pieces can continue; else to the next message. */
  #schedule(): void {
    const ms = this.bytes.has(0)
      ? Math.max(this.messages.msUntil(1), this.bytes.msUntil(1))
      : this.bytes.msUntil(0);
    this.#timers!.set(this, Math.max(1, Math.ceil(ms)));
  }

  fire(): void {
    let left = this.#waiting.size;
    const [first] = this.#waiting;
    first?.refill();
    for (const rate of this.#waiting) {
      // In a debt, which a long message has left, there is nothing for anyone.
      if (left-- === 0 || !this.bytes.has(0)) break;
      const isServed = this.has(1);
      if (!isServed && !rate.hasPieces) continue;
      this.#waiting.delete(rate);
      if (!isServed) this.#waiting.add(rate);
      if (isServed) rate.served();
      else rate.unhold();
    }
    if (this.#waiting.size > 0) this.#schedule();
  }
}

/**
 * The rate of one connection: its own tokens, and tokens that it shares. With `over: 'wait'`, readers
 * get no message while a token is missing. Input then fills the read-ahead, and a full read-ahead pauses
 * the transport. A message needs at least one token of both kinds. A long message may take more bytes
 * than there are: this debt delays the next message.
 *
 * With `over: 'close'`, messages count when they arrive, not when a reader takes them: a slow reader
 * takes many at once.
 */
export class Rate {
  /** With `over: 'wait'`: whether readers get no message for now. */
  empty = false;
  readonly parts: readonly RateTokens[];
  readonly #connection: Rated;
  readonly #closing: readonly RateTokens[];
  readonly #waiting: readonly RateTokens[];
  readonly #isShared: boolean;
  #stopped = false;
  /** With `over: 'close'`: the counted bytes of the message that is arriving. */
  #pieceBytes = 0;

  constructor(connection: Rated, parts: readonly RateTokens[]) {
    this.#connection = connection;
    this.parts = parts;
    this.#waiting = parts.filter(({ waits }) => waits);
    this.#closing = parts.filter(({ waits }) => !waits);
    this.#isShared = this.#waiting.some(({ isShared }) => isShared);
  }

  /** A message of `bytes` has arrived. Fails the connection with 1013 if that exceeds the rate. */
  arrived(bytes: number): void {
    const rest = bytes - this.#pieceBytes;
    this.#pieceBytes = 0;
    this.#count(1, rest);
  }

  /** As {@link arrived}, for one piece of an incomplete message. */
  pieceArrived(bytes: number): void {
    if (this.#closing.length === 0) return;
    this.#pieceBytes += bytes;
    this.#count(0, bytes);
  }

  #count(messages: 0 | 1, bytes: number): void {
    if (this.#stopped) return;
    for (const tokens of this.#closing) {
      tokens.messages.tokens -= messages;
      tokens.bytes.tokens -= bytes;
      if (!tokens.has(0)) this.#failIfExceeded(tokens);
    }
  }

  #failIfExceeded(tokens: RateTokens): void {
    tokens.refill(this.#connection.platform.now());
    if (tokens.has(0) || this.#stopped) return;
    const { text } = tokens.plan;
    // Not 1008: a ReconnectingConn does not dial again after that code.
    const error = untraced(() => new ProtocolError(CloseCode.TryAgainLater, [text]));
    this.#connection.fail(error, CloseCode.TryAgainLater, text);
  }

  /** A message arrives, and a reader gets it at once. */
  deliver(bytes: number): void {
    if (this.#closing.length > 0) this.arrived(bytes);
    this.take(1, bytes);
  }

  /** A reader gets a queued message. */
  takeQueued(bytes: number): void {
    this.refill();
    this.take(1, bytes);
  }

  /** A reader gets a message or its first piece (`messages` is 1), or a later piece (0). */
  take(messages: 0 | 1, bytes: number): void {
    if (this.#stopped) return;
    let isReady = true;
    for (const tokens of this.#waiting) {
      tokens.messages.tokens -= messages;
      tokens.bytes.tokens -= bytes;
      isReady &&= tokens.has(1);
    }
    if (isReady) return;
    this.refill();
    // Also while it waits already: a debt moves the end of the wait.
    if (this.#waits()) this.#connection.inbox.gate();
  }

  /** @returns whether a token is missing. Then readers wait for the next one. */
  #waits(): boolean {
    const missing = this.#waiting.find((tokens) => !tokens.has(1));
    this.empty = missing !== undefined;
    missing?.wait(this, this.#connection.shared.timers);
    return this.empty;
  }

  /** Adds the tokens of the elapsed time. Not called for each message, because the clock is slow. */
  refill(): void {
    const now = this.#connection.platform.now();
    for (const tokens of this.parts) tokens.refill(now);
  }

  /** A chunk has arrived: other connections may have taken the tokens that it shares. */
  chunkArrived(): void {
    this.refill();
    if (!this.#isShared || this.empty || this.#stopped) return;
    if (this.#waits()) this.#connection.inbox.gate();
  }

  /** Whether the next piece of a message waits, because no byte is left. */
  holdsPieces(): boolean {
    const hasByte = (): boolean => this.#waiting.every(({ bytes }) => bytes.has(1));
    if (this.#stopped || hasByte()) return false;
    this.refill();
    return !hasByte();
  }

  /** It has waited, and is the next. */
  served(): void {
    this.refill();
    if (!this.#waits()) this.release();
  }

  get hasPieces(): boolean {
    return this.#connection.inbox.pieces !== undefined;
  }

  /** The reader of a message in pieces may continue. */
  unhold(): void {
    this.#connection.inbox.pieces?.unhold();
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
    this.leave();
    return empty;
  }

  /** Waits for no token any more. */
  leave(): void {
    for (const tokens of this.parts) tokens.leave(this);
  }
}

// Not a method of `InternalsOfConn`: that would add this file, 1 kB, to every page with a Conn.

/**
 * Bounds the rate of the peer's messages. A second call replaces the bound of the first.
 *
 * @param shared - Tokens that other connections take too. They are added, and never replaced.
 */
export function limitRate(
  { '@ws/internals': { connection } }: { readonly '@ws/internals': { readonly connection: Rated } },
  plan: RatePlan,
  shared?: RateTokens,
): void {
  const { inbox, platform } = connection;
  // After the end of reading, a rate does not apply to the remaining messages.
  if (inbox.ended !== undefined || connection.transportClosed) return;
  const { rate: old } = inbox;
  const kept = (old?.parts ?? []).filter(({ isShared }) => isShared || shared !== undefined);
  old?.leave();
  inbox.rate = new Rate(connection, [...kept, shared ?? new RateTokens(plan, platform.now())]);
  if (old?.empty === true) inbox.rate.release();
}
