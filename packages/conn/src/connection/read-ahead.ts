import type { WebSocketError } from '@ws/codec';
import { CLOSED, type Machine } from '@ws/codec/internal';
import { TimeoutError, transportFailed } from '../errors.ts';
import { Fifo } from '../memory/fifo.ts';
import type { Message } from '../message.ts';
import type { Settings } from '../options/conn-options.ts';
import type { Observer } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';
import type { Transport } from '../transport.ts';
import { FRAMES_PER_TURN } from './shared.ts';

/** Bytes charged for each message in addition to its data. The objects of a message have 290 bytes. */
const MESSAGE_COST = 320;

/** Ms without a read and without a written byte, after which the observer is informed. */
const BLOCKED_AFTER = 5_000;

/** Bytes that a call of `ping` adds to the read-ahead: its pong may come after many messages. */
const PONG_ROOM = 1_048_576;

/** The part of a connection that the read-ahead uses. */
export type Reading = {
  readonly conn: object;
  readonly bytesIn: number;
  readonly bufferedAmount: number;
  readonly outbox: { stalledSince(now: number): number };
  readonly shared: { readonly timers: Timers };
  readonly inbox: {
    readonly readAhead: ReadAhead | undefined;
    readonly pieces: { readonly cost: number } | undefined;
    readonly receiveCall: object | undefined;
    readonly wantsInput: boolean;
    readonly drops: boolean;
    readonly held: boolean;
    readAheadOrNew(): ReadAhead;
    gate(): void;
    serve(): void;
    continue(): void;
  };
  readonly machine: Machine;
  readonly platform: Platform;
  readonly control: { readonly pings: { readonly awaited: boolean } | undefined } | undefined;
  readonly settings: Settings;
  readonly transport: Transport;
  readonly transportClosed: boolean;
  readonly paused: boolean;
  abort(error: WebSocketError): void;
  guardTransport(callback: () => void): void;
  observe(event: (observer: Observer) => unknown): void;
  watchTransport(method: keyof Transport, result: unknown): void;
};

/** Bound of the read-ahead in bytes. */
function limitOf({ control, settings }: Reading): number {
  const awaitsPong = control?.pings?.awaited === true;
  return awaitsPong ? settings.readAhead + PONG_ROOM : settings.readAhead;
}

/** Bytes of messages that are unread or incomplete, plus a cost for each message. */
function costOf({ inbox, machine }: Reading): number {
  const { readAhead, pieces } = inbox;
  return (readAhead?.cost ?? 0) + (pieces?.cost ?? 0) + (machine.input?.assembled ?? 0);
}

/** Whether unread messages leave room for more messages. Unparsed input does not count. */
export function readAheadHasRoom(connection: Reading): boolean {
  return costOf(connection) <= limitOf(connection);
}

/** Whether input stays unparsed, because the read-ahead is full and no reader waits. */
export function readAheadIsFull(connection: Reading): boolean {
  const { paused, inbox, machine } = connection;
  if (machine.inputEnded || inbox.drops) return false;
  return paused || (!readAheadHasRoom(connection) && !inbox.wantsInput);
}

/** A number that changes when a reader takes a message or a piece. */
export function readProgress({ inbox, machine }: Reading): number {
  const { readAhead, pieces } = inbox;
  return machine.messagesIn - (readAhead?.length ?? 0) - (pieces?.cost ?? 0);
}

/**
 * Pauses the transport when the read-ahead is full and no reader waits. Resumes the transport when a
 * reader waits, or half of the read-ahead is free.
 */
export function pauseOrResume(connection: Reading): void {
  const { inbox, machine } = connection;
  const { readAhead, pieces } = inbox;
  // A closed transport delivers nothing.
  if ((readAhead ?? pieces ?? machine.input) === undefined || machine.state === CLOSED) return;
  // Chunks that wait until an earlier chunk is parsed count too.
  const cost = costOf(connection) + (machine.input?.waiting ?? 0);
  const limit = limitOf(connection);
  if (readAhead?.paused === true) {
    if (inbox.wantsInput || cost <= limit / 2) readAhead.resume();
  } else if (cost > limit && !inbox.wantsInput) inbox.readAheadOrNew().pause();
}

/**
 * The messages of one connection that were parsed while no reader waited, in the order of arrival, and
 * the pause of its transport. While the transport is paused and no `receive` is pending, a timer of
 * `idleReadTimeout` is set. A connection without queued messages and without a pause has no such object.
 */
export class ReadAhead implements TimerEntry {
  slot: number | undefined;
  /** Bytes of the messages, plus a fixed cost for each message. */
  cost = 0;
  /** Whether we have paused the transport. */
  paused = false;
  /** Whether a pass has run in this turn, so that the timeout restarts once at the end of the turn. */
  renewalDue = false;
  readonly #connection: Reading;
  #messages: Fifo<Message> | undefined;
  /** Messages that readers may still get before a later turn. */
  #left = FRAMES_PER_TURN;
  /** Present while the transport is paused and a program observes blocked connections. */
  #blockedCheck: TimerEntry | undefined;

  constructor(connection: Reading) {
    this.#connection = connection;
  }

  // Messages

  get length(): number {
    return this.#messages?.length ?? 0;
  }

  get empty(): boolean {
    return this.length === 0;
  }

  /** Whether the rest of the messages waits for a later turn. */
  get isHeld(): boolean {
    return this.#left === 0 && !this.empty;
  }

  /** Whether the connection needs this object no more. */
  get isUnused(): boolean {
    return this.#left > 0 && !this.paused && this.empty;
  }

  push(message: Message): void {
    this.#messages ??= new Fifo();
    this.#messages.add(message);
    this.cost += message.data.length + MESSAGE_COST;
  }

  /** Removes the first message. */
  shift(): Message | undefined {
    const message = this.#messages?.shift();
    if (message === undefined) return undefined;
    this.cost -= message.data.length + MESSAGE_COST;
    if (--this.#left === 0) this.#giveInNextTurn();
    return message;
  }

  #giveInNextTurn(): void {
    const { inbox, platform } = this.#connection;
    platform.yield(() => {
      this.#left = FRAMES_PER_TURN;
      inbox.gate();
      inbox.serve();
      inbox.continue();
    });
  }

  /** Drops the messages. */
  clear(): void {
    this.#messages = undefined;
    this.cost = 0;
  }

  // The pause of the transport

  pause(): void {
    this.paused = true;
    this.#call('pause');
    if (this.#connection.transportClosed) return;
    // The timer also runs while a message is inflated, because its reader may cancel the read. Each step
    // of inflating restarts the timer.
    // No timeout applies while `receive` is pending, even to a slow handler.
    if (this.#connection.inbox.receiveCall === undefined) this.#startTimeout();
    if (this.#connection.platform.observer?.blocked === undefined) return;
    const fire = (): void => this.#connection.guardTransport(() => this.#checkBlocked());
    this.#blockedCheck = { slot: undefined, fire };
    this.#connection.shared.timers.set(this.#blockedCheck, BLOCKED_AFTER);
  }

  /** Informs the observer if this paused connection has also written no byte for {@link BLOCKED_AFTER}. */
  #checkBlocked(): void {
    const connection = this.#connection;
    const now = connection.platform.now();
    const ms = Math.round(now - connection.outbox.stalledSince(now));
    const { bufferedAmount } = connection;
    if (bufferedAmount === 0 || ms < BLOCKED_AFTER)
      return connection.shared.timers.set(this.#blockedCheck!, BLOCKED_AFTER);
    connection.observe((observer) => observer.blocked?.(connection.conn, bufferedAmount, ms));
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
    if (this.#connection.inbox.receiveCall !== undefined)
      this.#connection.shared.timers.clear(this);
    else if (this.slot !== undefined) this.#startTimeout();
  }

  /** Stops the timers. */
  stop(): void {
    this.#connection.shared.timers.clear(this);
    if (this.#blockedCheck !== undefined) this.#connection.shared.timers.clear(this.#blockedCheck);
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

/**
 * Bounds the reads of a connection whose transport can send nothing more, instead of the heartbeat: destroys
 * the transport after `closeTimeout` in which no byte arrived and no reader took a message.
 */
export class LastReads implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Reading;
  /** The bytes that had arrived, and the reader's progress, at the last look. */
  #bytesIn = 0;
  #progress = 0;

  constructor(connection: Reading) {
    this.#connection = connection;
    this.#watch();
  }

  #watch(): void {
    const connection = this.#connection;
    this.#bytesIn = connection.bytesIn;
    this.#progress = readProgress(connection);
    connection.shared.timers.set(this, connection.settings.closeTimeout);
  }

  fire(): void {
    const connection = this.#connection;
    const isRead = readProgress(connection) !== this.#progress || connection.inbox.held;
    if (isRead || connection.bytesIn !== this.#bytesIn) return this.#watch();
    // Not as an error of this connection: the transport reports its own.
    connection.guardTransport(() => connection.transport.destroy());
  }

  stop(): void {
    this.#connection.shared.timers.clear(this);
  }
}
