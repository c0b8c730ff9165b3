import { DESTROYED } from '@ws/codec/internal';
import type { Connection } from './connection.ts';
import type { Ending } from './ending.ts';
import { progress, readAheadHasRoom } from './flow-control.ts';
import { SlowPeer } from './slow-peer.ts';

/**
 * The clocks of the end of a connection, which share the alarm of the connection:
 *
 * - a reader has half of `closeTimeout` for the messages before the peer's close frame, or its end;
 *   after our own close frame, as long without progress;
 * - the peer has `closeTimeout` for its part, once our last frame is queued;
 * - a slow peer gets more, while it takes the accepted messages.
 */
export class EndClocks {
  /** Moves the deadline while a slow peer takes the accepted messages. */
  slowPeer: SlowPeer | undefined;
  readonly #connection: Connection;
  readonly #end: Ending;
  /** When our answer follows although a message may be unhandled, in ms of the platform's clock. */
  #answerBy = Infinity;
  #answerIsArmed = false;
  /** When the transport is destroyed. Later events may only shorten it. */
  #deadline = Infinity;
  /** The timeout that the deadline ends, and its option, for the error. */
  #timeoutText = '';
  /** Longest time in ms without progress of a reader after our close frame. */
  #longestStall = Infinity;
  /** When a reader without progress loses messages, or a peer that never ends its side is left. */
  #stallDeadline = Infinity;
  /** The reader's progress when the stall began. */
  #progressAtStall = 0;

  constructor(connection: Connection, end: Ending) {
    this.#connection = connection;
    this.#end = end;
  }

  // A reader

  /** Messages came before the peer's close frame, or its end: the time of their reader begins. */
  readerBegins(): void {
    if (this.#answerBy !== Infinity) return;
    this.#answerBy = this.#now() + this.#connection.settings.closeTimeout / 2;
  }

  /** Our answer waits for the reader. It often does not, and then no alarm is set. */
  readerIsAwaited(): void {
    if (this.#answerIsArmed || this.#answerBy === Infinity) return;
    this.#answerIsArmed = true;
    this.#startTimer(Math.max(0, this.#answerBy - this.#now()));
  }

  /** The close handler has the rest of the reader's time, and at least half of that. */
  handlerIsAwaited(): void {
    this.#answerIsArmed = true;
    const { closeTimeout } = this.#connection.settings;
    this.#startTimer(Math.max(this.#answerBy - this.#now(), closeTimeout / 4));
  }

  /**
   * The peer's close frame may be behind a full read-ahead.
   *
   * @param reads - Whether code may read on. If it does not, there is nothing to wait for.
   */
  watchReader(reads: boolean): void {
    if (this.#stallDeadline !== Infinity) return;
    const time = reads ? this.#longestStall : 0;
    if (time === 0) return this.#end.dropExcess();
    const at = this.#now() + time;
    if (at >= this.#deadline) return;
    this.#stallDeadline = at;
    this.#progressAtStall = progress(this.#connection);
    this.#startTimer(time);
  }

  /** Whether no input is parsed, because the read-ahead is full and no read waits. */
  get readAheadFull(): boolean {
    const { paused, inbound, machine } = this.#connection;
    if (machine.inputEnded || inbound.dropping) return false;
    return paused || (!readAheadHasRoom(this.#connection) && !inbound.wanted);
  }

  // The peer

  /**
   * Our close frame is queued.
   *
   * @param timeout - Of the call of `close`, in ms. Default: `closeTimeout`, which a slow peer may
   *   exceed.
   */
  closeSent(timeout: number | undefined): void {
    if (timeout === undefined) this.slowPeer = SlowPeer.of(this.#connection);
    const ms = timeout ?? this.#connection.settings.closeTimeout;
    if (timeout === undefined) this.bound(ms);
    else this.shorten(ms);
    // A handler that closes often awaits the close, and takes no message until then.
    const inHandler = this.#connection.inbound.receiveCall?.inCall === true;
    this.#longestStall = inHandler ? 0 : ms / 2;
  }

  /** A call of `close` has a timeout, in ms: the peer gets no more, also a slow one. */
  shorten(timeout: number): void {
    this.slowPeer = undefined;
    this.bound(timeout, 'timeout of close');
  }

  /** Our last frame is queued: the peer has `closeTimeout`, unless a bound is set. */
  peerIsAwaited(): void {
    if (this.#deadline === Infinity) this.bound(this.#connection.settings.closeTimeout);
  }

  /** Destroys the transport in `ms`, unless that is due earlier. */
  bound(ms: number, option = 'closeTimeout'): void {
    const at = this.#now() + ms;
    if (at >= this.#deadline) return;
    this.#deadline = at;
    this.#timeoutText = `${ms} ms (option ${option})`;
    if (this.#stallDeadline < at) return;
    this.#stallDeadline = Infinity;
    this.#startTimer(ms);
  }

  /** Bounds the wait for the peer's end, where peers may never end their side. */
  watchEnd(): void {
    const { endTimeout } = this.#connection.transport;
    if (endTimeout === undefined) return;
    const at = this.#now() + endTimeout;
    if (at >= this.#deadline) return;
    this.#stallDeadline = at;
    this.#startTimer(endTimeout);
  }

  // The alarm

  /** The time of the alarm is over. */
  alarm(): void {
    const { machine } = this.#connection;
    if (machine.open) return this.#end.answerIsLate();
    if (this.#stallDeadline === Infinity) return this.#deadlineCame();
    this.#stallDeadline = Infinity;
    this.#startTimer(Math.max(0, this.#deadline - this.#now()));
    if (machine.received !== undefined) return this.#endWithoutPeer();
    if (!this.readAheadFull) return;
    if (progress(this.#connection) === this.#progressAtStall) this.#end.dropExcess();
    else this.watchReader(true);
  }

  #endWithoutPeer(): void {
    const { outbox, transport } = this.#connection;
    if (transport.endTimeout === undefined) return;
    if (outbox.sender.bufferedAmount === 0) this.#end.destroyTransport();
    else this.watchEnd();
  }

  #deadlineCame(): void {
    // An alarm of an earlier state, in a connection that is destroyed.
    if (this.#deadline === Infinity) return;
    const { machine, settings } = this.#connection;
    const isDestroyed = machine.state >= DESTROYED;
    const left = isDestroyed ? 0 : (this.slowPeer?.extend(settings.closeTimeout) ?? 0);
    this.#deadline = this.#now() + left;
    if (left > 0) return this.#startTimer(left);
    this.#end.giveUp(this.#timeoutText);
  }

  #startTimer(ms: number): void {
    this.#connection.shared.timers.set(this.#connection, ms);
  }

  #now(): number {
    return this.#connection.shared.platform.now();
  }
}
