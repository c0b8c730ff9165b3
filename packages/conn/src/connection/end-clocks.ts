import type { Settings } from '../options/conn-options.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';
import type { ConnShared } from './shared.ts';
import type { SlowPeer } from './slow-peer.ts';

/** Least time in ms that a reader gets for progress. */
const SHORTEST_STALL = 10;

/**
 * The clocks of the end of a connection, which share its alarm:
 *
 * - a reader has half of `closeTimeout` for the messages before the peer's close frame, or its end;
 *   after our own close frame, as long without progress;
 * - the peer has `closeTimeout` for its part, once our last frame is queued;
 * - a slow peer gets more, while it takes the accepted messages.
 */
export class EndClocks {
  /** Moves the deadline while a slow peer takes the accepted messages. */
  slowPeer: SlowPeer | undefined;
  /** Longest time in ms without progress of a reader after our close frame. */
  longestStall: number = Infinity;
  /** The reader's progress when the stall began. */
  progressAtStall = 0;
  readonly #alarm: TimerEntry;
  readonly #platform: Platform;
  readonly #timers: Timers;
  readonly #closeTimeout: number;
  /** When our answer follows although a message may be unhandled, in ms of the platform's clock. */
  #answerBy = Infinity;
  /** When the transport is destroyed. Later events may only shorten it. */
  #deadline = Infinity;
  /** The timeout that the deadline ends, and its option, for the error. */
  timeoutText = '';
  /** When a reader without progress loses messages, or a peer that never ends its side is left. */
  #stallDeadline = Infinity;

  constructor(alarm: TimerEntry, { platform, timers }: ConnShared, { closeTimeout }: Settings) {
    this.#alarm = alarm;
    this.#platform = platform;
    this.#timers = timers;
    this.#closeTimeout = closeTimeout;
  }

  // A reader

  /** Our answer waits for the reader of messages before the peer's close frame, or its end. */
  readerIsAwaited(): void {
    if (this.#answerBy !== Infinity) return;
    const ms = this.#closeTimeout / 2;
    this.#answerBy = this.#platform.now() + ms;
    this.#timers.set(this.#alarm, ms);
  }

  /** The close handler has the rest of the reader's time, and at least half of that. */
  handlerIsAwaited(): void {
    const wasAwaited = this.#answerBy !== Infinity;
    this.readerIsAwaited();
    if (!wasAwaited) return;
    this.#timers.set(
      this.#alarm,
      Math.max(this.#answerBy - this.#platform.now(), this.#closeTimeout / 4),
    );
  }

  /** Whether a deadline is set for a reader without progress, or for a peer that never ends its side. */
  get stallIsSet(): boolean {
    return this.#stallDeadline !== Infinity;
  }

  /**
   * Gives a reader `ms` for progress, at most half of the time that is left: the peer's close frame is
   * behind the messages.
   */
  readerMayStall(ms: number): void {
    const half = (this.#deadline - this.#platform.now()) / 2;
    if (half >= SHORTEST_STALL) this.stallFor(Math.min(ms, half));
  }

  /**
   * Bounds a wait in ms that the deadline does not end earlier: of a reader without progress, before
   * the peer's close frame; of a peer that never ends its side, after it.
   */
  stallFor(ms: number): void {
    const at = this.#platform.now() + ms;
    if (at >= this.#deadline) return;
    this.#stallDeadline = at;
    this.#timers.set(this.#alarm, ms);
  }

  /** The time of {@link stallFor} is over. The alarm is for the deadline again. */
  stallIsOver(): void {
    this.#stallDeadline = Infinity;
    this.#timers.set(this.#alarm, Math.max(0, this.#deadline - this.#platform.now()));
  }

  // The peer

  /** A call of `close` has a timeout, in ms. The peer gets no more, also a slow one. */
  shorten(timeout: number): void {
    this.slowPeer = undefined;
    this.bound(timeout, 'timeout of close');
  }

  /** Our last frame is queued. The peer has `closeTimeout`, unless a bound is set. */
  peerIsAwaited(): void {
    if (this.#deadline === Infinity) this.bound();
  }

  /** Destroys the transport in `ms`, unless that is due earlier. */
  bound(ms: number = this.#closeTimeout, option = 'closeTimeout'): void {
    const at = this.#platform.now() + ms;
    if (at >= this.#deadline) return;
    this.#deadline = at;
    this.timeoutText = `${ms} ms (option ${option})`;
    if (this.#stallDeadline < at) return;
    this.#stallDeadline = Infinity;
    this.#timers.set(this.#alarm, ms);
  }

  /** False for an alarm of an earlier state, in a connection that is destroyed. */
  get isBounded(): boolean {
    return this.#deadline !== Infinity;
  }

  /** The deadline has come, and the peer gets `ms` more. */
  extend(ms: number): void {
    this.#deadline = this.#platform.now() + ms;
    if (ms > 0) this.#timers.set(this.#alarm, ms);
  }
}
