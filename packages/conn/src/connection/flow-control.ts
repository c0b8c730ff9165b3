import { CLOSED } from '@ws/codec/internal';
import { TimeoutError, transportFailed } from '../errors.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import type { Connection } from './connection.ts';
import { SlowPeer } from './slow-peer.ts';

/** Time in ms without a read and without a written byte after which an observer is informed. */
const BLOCKED_AFTER = 5_000;

/** Bytes that are read beyond the read-ahead while a call of `ping` waits for its pong. */
const PONG_ROOM = 1_048_576;

/** Most bytes of the read-ahead. The pong that a handler awaits may follow them. */
function mostReadAhead({ rare, settings }: Connection): number {
  const awaitsPong = rare?.pings?.awaited === true;
  return awaitsPong ? settings.readAhead + PONG_ROOM : settings.readAhead;
}

/** Bytes of messages that wait for a reader or for their rest, plus a cost for each message. */
function untaken({ inbox, machine }: Connection): number {
  const { queue, pieces } = inbox;
  return (queue?.cost ?? 0) + (pieces?.cost ?? 0) + (machine.input?.assembled ?? 0);
}

/** {@link untaken}, plus the chunks that wait for the parsing of an earlier one. */
function readAhead(connection: Connection): number {
  return untaken(connection) + (connection.machine.input?.waiting ?? 0);
}

/** Whether the messages that wait for a reader leave room for more. Unparsed input does not count. */
export function readAheadHasRoom(connection: Connection): boolean {
  return untaken(connection) <= mostReadAhead(connection);
}

/** Whether no input is parsed, because the read-ahead is full and no read waits. */
export function readAheadIsFull(connection: Connection): boolean {
  const { paused, inbox, machine } = connection;
  if (machine.inputEnded || inbox.dropping) return false;
  return paused || (!readAheadHasRoom(connection) && !inbox.wanted);
}

/** A number that changes when a reader takes a message, or a piece of one. */
export function progress({ inbox, machine }: Connection): number {
  const { queue, pieces } = inbox;
  return machine.messagesIn - (queue?.length ?? 0) - (pieces?.cost ?? 0);
}

/** Whether a message that a reader may want has begun and not ended. */
export function isCut({ inbox, machine, rare }: Connection): boolean {
  if (machine.input?.withinMessage !== true || inbox.receiveCall?.discards === true) return false;
  return !inbox.dropping || rare?.loses === true;
}

/** Pauses the transport when no read waits and the read-ahead is full, and resumes it later. */
export function pauseOrResume(connection: Connection): void {
  const { inbox, machine, rare } = connection;
  // A closed transport delivers nothing.
  if (machine.state === CLOSED) return;
  const { queue, pieces } = inbox;
  if (rare?.flowControl?.paused === true) {
    const isLow = inbox.wanted || readAhead(connection) <= mostReadAhead(connection) / 2;
    if (isLow) rare.flowControl.resume();
  } else if (queue !== undefined || pieces !== undefined || machine.input !== undefined) {
    const isFull = readAhead(connection) > mostReadAhead(connection) && !inbox.wanted;
    if (isFull) connection.rareParts().pause();
  }
}

/** Informs the observer of a connection that neither reads nor can write. */
class BlockedCheck implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  schedule(): void {
    this.#connection.shared.timers.set(this, BLOCKED_AFTER);
  }

  fire(): void {
    this.#connection.guardTransport(() => this.#check());
  }

  #check(): void {
    const connection = this.#connection;
    const now = connection.platform.now();
    const ms = Math.round(now - connection.outbox.sender.stalledSince(now));
    const { bufferedAmount } = connection;
    if (bufferedAmount === 0 || ms < BLOCKED_AFTER) return this.schedule();
    connection.observe((observer) => observer.blocked?.(connection.conn, bufferedAmount, ms));
  }
}

/**
 * Pauses and resumes the transport of one connection. While the transport is paused and no
 * `receive` is pending, a timer of `idleReadTimeout` is set. The first pause creates this object.
 */
export class FlowControl implements TimerEntry {
  slot: number | undefined;
  /** Whether we have paused the transport. */
  paused = false;
  /** A read has begun. The timeout is renewed once a turn, for all reads of that turn. */
  renewalDue = false;
  readonly #connection: Connection;
  /** Present while the transport is paused and a program observes blocked connections. */
  #blockedCheck: BlockedCheck | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  pause(): void {
    this.paused = true;
    this.#call('pause');
    if (this.#connection.transportClosed) return;
    // The timer is also set while a message is inflated for a reader, since the reader may give up.
    // Each step of inflating restarts it.
    if (!this.#isReceiving()) this.#startTimeout();
    if (this.#connection.platform.observer?.blocked === undefined) return;
    this.#blockedCheck = new BlockedCheck(this.#connection);
    this.#blockedCheck.schedule();
  }

  resume(): void {
    this.stop();
    this.paused = false;
    this.#call('resume');
  }

  /**
   * An error of the transport ends this connection only. The other connections of the turn still
   * run.
   */
  #call(method: 'pause' | 'resume'): void {
    try {
      const result: unknown = this.#connection.transport[method]();
      this.#connection.watchTransport(method, result);
    } catch (cause) {
      this.#connection.abort(transportFailed(method, cause));
    }
  }

  /** Restarts the timeout, because a read has begun. */
  renewTimeout(): void {
    this.renewalDue = false;
    if (this.#isReceiving()) this.#stopTimeout();
    else if (this.slot !== undefined) this.#startTimeout();
  }

  #stopTimeout(): void {
    this.#connection.shared.timers.clear(this);
  }

  /** No timer is set while `receive` or `discardReads` is pending. A handler has no time limit. */
  #isReceiving(): boolean {
    return this.#connection.inbox.receiveCall !== undefined;
  }

  stop(): void {
    this.#stopTimeout();
    if (this.#blockedCheck === undefined) return;
    this.#connection.shared.timers.clear(this.#blockedCheck);
    this.#blockedCheck = undefined;
  }

  #startTimeout(): void {
    const { settings, shared, machine } = this.#connection;
    if (settings.idleReadTimeout === Infinity || machine.begun) return;
    shared.timers.set(this, settings.idleReadTimeout);
  }

  fire(): void {
    this.#connection.guardTransport(() => this.#expire());
  }

  #expire(): void {
    const { settings, bufferedAmount, inbox } = this.#connection;
    // The rate holds messages back: the peer waits, not the application.
    if (inbox.held) return this.#startTimeout();
    const waiting =
      bufferedAmount === 0
        ? ''
        : ` while ${bufferedAmount} bytes of writes wait; the peer may wait in the same way: read while you write`;
    const message = `no read for ${settings.idleReadTimeout} ms${waiting} (option idleReadTimeout)`;
    this.#connection.abort(new TimeoutError(message, { permanent: true }));
  }
}

/** The peer, if the writes to it wait. */
export function slowPeerOf(connection: Connection): SlowPeer | undefined {
  const { settings, outbox, platform } = connection;
  let peer: SlowPeer | undefined;
  connection.guardTransport(() => {
    const { isSlow, bytesFlushed, bufferedAmount } = outbox.sender;
    if (!isSlow) return;
    peer = new SlowPeer(settings.closeTimeout, platform.now(), bytesFlushed, bufferedAmount);
  });
  return peer;
}
