import type { Settings } from '../options/conn-options.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';
import { Progress } from './progress.ts';
import type { ConnShared } from './shared.ts';

/** The least time in ms that a reader gets for progress. */
const SHORTEST_STALL = 10;

/** In each `closeTimeout`, a slow peer must take this part of the bytes that were unsent at our close. */
const LEAST_PROGRESS = 0.1;
/** A slow peer gets at most this many times `closeTimeout`, from our close frame on. */
const MAX_TIMEOUTS = 10;

/** The part of an Outbox that the clocks use. */
type Unsent = {
  /** Bytes that the operating system has. */
  readonly bytesFlushed: number;
  /** Bytes that it does not have yet. */
  readonly bufferedAmount: number;
};

/**
 * The clocks of the end of a connection, which share its alarm:
 *
 * - a reader has half of `closeTimeout` for the messages before the peer's close frame or FIN. If we
 *   have sent our close frame first, this time restarts when the reader makes progress;
 * - the peer has `closeTimeout` for its part, once our last frame is queued;
 * - a slow peer gets more time, as long as it takes the accepted messages.
 */
export class EndClocks {
  /** How a slow peer takes the bytes that were unsent at our close. Undefined for any other peer. */
  slowPeer: Progress | undefined;
  /** Bytes that the slow peer must take before each deadline. */
  #least = 0;
  /** When the transport last drained since the deadline was set; undefined if it did not. */
  #drainedAt: number | undefined;
  /** Longest time in ms without progress of a reader after our close frame. */
  longestStall: number = Infinity;
  /** The reader's progress when the wait for it began. */
  progressAtStall = 0;
  readonly #alarm: TimerEntry;
  readonly #platform: Platform;
  readonly #timers: Timers;
  readonly #closeTimeout: number;
  /** When we answer even if a message is unhandled, in ms of the platform's clock. */
  #answerBy = Infinity;
  /** When the transport is destroyed. Events only make this time earlier, except for a slow peer. */
  #deadline = Infinity;
  /** The timeout that has set the deadline, and its option, for the text of the error. */
  timeoutText = '';
  /** When a reader without progress loses messages, or the wait for the peer's FIN ends. */
  #waitDeadline = Infinity;

  constructor(alarm: TimerEntry, { platform, timers }: ConnShared, { closeTimeout }: Settings) {
    this.#alarm = alarm;
    this.#platform = platform;
    this.#timers = timers;
    this.#closeTimeout = closeTimeout;
  }

  // A reader

  /** Our answer waits for the reader of the messages before the peer's close frame or FIN. */
  readerIsAwaited(): void {
    if (this.#answerBy !== Infinity) return;
    const ms = this.#closeTimeout / 2;
    this.#answerBy = this.#platform.now() + ms;
    this.#timers.set(this.#alarm, ms);
  }

  /** The close handler gets the rest of the reader's time, but at least a quarter of `closeTimeout`. */
  handlerIsAwaited(): void {
    const wasAwaited = this.#answerBy !== Infinity;
    this.readerIsAwaited();
    if (!wasAwaited) return;
    const now = this.#platform.now();
    this.#answerBy = Math.max(this.#answerBy, now + this.#closeTimeout / 4);
    this.#timers.set(this.#alarm, this.#answerBy - now);
  }

  /**
   * Called when the alarm fires. Whether none of these clocks is due. Sets the alarm for the next one.
   *
   * @param open - Whether our last frame is not queued: only an answer can be due then.
   */
  isEarly(open: boolean): boolean {
    const next = open ? this.#answerBy : Math.min(this.#waitDeadline, this.#deadline);
    const left = next - this.#platform.now();
    if (left <= 0) return false;
    if (left !== Infinity) this.#timers.set(this.#alarm, left);
    return true;
  }

  /** Whether {@link limitWait} bounds a wait now. */
  get waitIsLimited(): boolean {
    return this.#waitDeadline !== Infinity;
  }

  /**
   * Gives a reader `ms` for progress, but at most half of the time until the deadline. The other half is
   * for the peer's close frame, which comes after the messages.
   */
  limitReader(ms: number): void {
    const half = (this.#deadline - this.#platform.now()) / 2;
    if (half >= SHORTEST_STALL) this.limitWait(Math.min(ms, half));
  }

  /**
   * Bounds a wait to `ms`, unless the deadline comes earlier. The wait is for progress of a reader; once
   * the peer's close frame has come, for the peer's FIN.
   */
  limitWait(ms: number): void {
    const at = this.#platform.now() + ms;
    if (at >= this.#deadline) return;
    this.#waitDeadline = at;
    this.#timers.set(this.#alarm, ms);
  }

  /** The time of {@link limitWait} is over. Sets the alarm for the deadline again. */
  waitIsOver(): void {
    this.#waitDeadline = Infinity;
    this.#timers.set(this.#alarm, Math.max(0, this.#deadline - this.#platform.now()));
  }

  // The peer

  /** A call of `close` has a timeout in ms. Even a slow peer gets no more time then. */
  shorten(timeout: number): void {
    this.slowPeer = undefined;
    this.destroyWithin(timeout, 'timeout of close');
  }

  /** Our last frame is queued. The peer has `closeTimeout`, unless a deadline is already set. */
  peerIsAwaited(): void {
    if (this.#deadline === Infinity) this.destroyWithin();
  }

  /** Destroys the transport in `ms`, unless the deadline is earlier. */
  destroyWithin(ms: number = this.#closeTimeout, option = 'closeTimeout'): void {
    const at = this.#platform.now() + ms;
    if (at >= this.#deadline) return;
    this.#deadline = at;
    this.timeoutText = `${ms} ms (option ${option})`;
    if (this.#waitDeadline < at) return;
    this.#waitDeadline = Infinity;
    this.#timers.set(this.#alarm, ms);
  }

  /** Whether a deadline is set. In a destroyed connection, the alarm may come without one. */
  get hasDeadline(): boolean {
    return this.#deadline !== Infinity;
  }

  /** We have closed, and the peer is slow: it gets more time, as long as it takes the unsent bytes. */
  measurePeer({ bytesFlushed, bufferedAmount }: Unsent): void {
    if (this.slowPeer !== undefined) return;
    this.slowPeer = new Progress(this.#platform.now(), bytesFlushed);
    this.#least = Math.ceil(bufferedAmount * LEAST_PROGRESS);
  }

  /** The transport has drained. */
  drained(): void {
    if (this.slowPeer !== undefined) this.#drainedAt = this.#platform.now();
  }

  /**
   * Called at the deadline: moves it for a slow peer that has taken enough bytes since the last one.
   *
   * @param inTransit - Bound of the flushed bytes that the peer has not read.
   * @returns False to give up the peer.
   */
  extend({ bytesFlushed, bufferedAmount }: Unsent, inTransit: number): boolean {
    const now = (this.#deadline = this.#platform.now());
    const peer = this.slowPeer;
    const taken = peer?.look(now, bytesFlushed) ?? 0;
    if (taken === 0 || (bufferedAmount > 0 && taken < this.#least)) return false;
    const start = this.#drainedAt ?? now;
    this.#drainedAt = undefined;
    const transit = bufferedAmount === 0 ? peer!.timeFor(inTransit, now) : 0;
    const last = peer!.at + MAX_TIMEOUTS * this.#closeTimeout;
    this.#deadline = Math.min(start + this.#closeTimeout + transit, last);
    const ms = this.#deadline - now;
    if (ms > 0) this.#timers.set(this.#alarm, ms);
    return ms > 0;
  }
}
