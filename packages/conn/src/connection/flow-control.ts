import { CLOSED } from '@ws/codec/internal';
import { TimeoutError, transportFailed } from '../errors.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import type { Connection } from './connection.ts';
import { DISCARDS, UNWANTED } from './reader.ts';
import { SlowPeer } from './slow-peer.ts';

/** Ms without a read and without a written byte, after which the observer is informed. */
const BLOCKED_AFTER = 5_000;

/** Bytes that a call of `ping` adds to the read-ahead: its pong may come after many messages. */
const PONG_ROOM = 1_048_576;

/** Bound of the read-ahead in bytes. */
function readAheadLimit({ rare, settings }: Connection): number {
  const awaitsPong = rare?.pings?.awaited === true;
  return awaitsPong ? settings.readAhead + PONG_ROOM : settings.readAhead;
}

/** Bytes of messages that are unread or incomplete, plus a cost for each message. */
function untakenCost({ inbox, machine }: Connection): number {
  const { queue, pieces } = inbox;
  return (queue?.cost ?? 0) + (pieces?.cost ?? 0) + (machine.input?.assembled ?? 0);
}

/** {@link untakenCost}, plus the bytes of chunks that wait until an earlier chunk is parsed. */
function readAheadCost(connection: Connection): number {
  return untakenCost(connection) + (connection.machine.input?.waiting ?? 0);
}

/** Whether unread messages leave room for more messages. Unparsed input does not count. */
export function readAheadHasRoom(connection: Connection): boolean {
  return untakenCost(connection) <= readAheadLimit(connection);
}

/** Whether input stays unparsed, because the read-ahead is full and no reader waits. */
export function readAheadIsFull(connection: Connection): boolean {
  const { paused, inbox, machine } = connection;
  if (machine.inputEnded || inbox.drops) return false;
  return paused || (!readAheadHasRoom(connection) && !inbox.wantsInput);
}

/** A number that changes when a reader takes a message or a piece. */
export function progress({ inbox, machine }: Connection): number {
  const { queue, pieces } = inbox;
  return machine.messagesIn - (queue?.length ?? 0) - (pieces?.cost ?? 0);
}

/** Whether the input ends within a message that a reader may want. */
export function isCut({ inbox, machine }: Connection): boolean {
  if (machine.input?.withinMessage !== true || inbox.reader === DISCARDS) return false;
  return inbox.use !== UNWANTED;
}

/**
 * Pauses the transport when the read-ahead is full and no reader waits. Resumes the transport when a
 * reader waits, or half of the read-ahead is free.
 */
export function pauseOrResume(connection: Connection): void {
  const { inbox, machine, rare } = connection;
  // A closed transport delivers nothing.
  if (machine.state === CLOSED) return;
  const { queue, pieces } = inbox;
  if (rare?.flowControl?.paused === true) {
    const isLow = inbox.wantsInput || readAheadCost(connection) <= readAheadLimit(connection) / 2;
    if (isLow) rare.flowControl.resume();
  } else if (queue !== undefined || pieces !== undefined || machine.input !== undefined) {
    const isFull = readAheadCost(connection) > readAheadLimit(connection) && !inbox.wantsInput;
    if (isFull) connection.rareParts().pause();
  }
}

/** Informs the observer if a paused connection has also written no byte for {@link BLOCKED_AFTER}. */
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
  /** Whether a pass has run in this turn, so that the timeout restarts once at the end of the turn. */
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
    // The timer also runs while a message is inflated, because its reader may cancel the read. Each step
    // of inflating restarts the timer.
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

  /** Calls the transport. Its error ends only this connection, and not the loop over all tasks of the turn. */
  #call(method: 'pause' | 'resume'): void {
    try {
      const result: unknown = this.#connection.transport[method]();
      this.#connection.watchTransport(method, result);
    } catch (cause) {
      this.#connection.abort(transportFailed(method, cause));
    }
  }

  /** Restarts the timeout, or stops it while `receive` is pending. */
  renewTimeout(): void {
    this.renewalDue = false;
    if (this.#isReceiving()) this.#stopTimeout();
    else if (this.slot !== undefined) this.#startTimeout();
  }

  #stopTimeout(): void {
    this.#connection.shared.timers.clear(this);
  }

  /** Whether `receive` or `discardReads` is pending. No timeout applies then, even to a slow handler. */
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
    // While the rate has no token, no reader can read.
    if (inbox.held) return this.#startTimeout();
    const waiting =
      bufferedAmount === 0
        ? ''
        : ` while ${bufferedAmount} bytes of writes wait; the peer may wait in the same way: read while you write`;
    const message = `no read for ${settings.idleReadTimeout} ms${waiting} (option idleReadTimeout)`;
    this.#connection.abort(new TimeoutError(message, { permanent: true }));
  }
}

/** Called when we close: creates a {@link SlowPeer} if the transport is at its high-water mark. */
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
