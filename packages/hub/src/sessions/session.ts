import {
  CloseCode,
  type CloseInfo,
  type Conn,
  type ConnCloseOptions,
  type ConnLike,
  formatCloseMessage,
  type MessageData,
  type PreparedMessage,
} from '@ws/conn';
import {
  addHabits,
  type ConnInternals,
  checked,
  type Facts,
  type Habits,
  internalsOf,
} from '@ws/conn/internal';
import { checkKeyedOptions, checkNoEvent, jsonOf, MAX_DELAY_MS, prepare } from '../arguments.ts';
import { SESSION_FACTS, SESSION_HABITS } from '../habits.ts';
import type { JoinOptions, PendingJoin } from '../rooms/joins.ts';
import type { Joined } from '../rooms/room.ts';
import { platformOf, sendPrepared } from './conn-calls.ts';
import type { Sessions } from './sessions.ts';
import { type Waiting, WaitingMessages } from './waiting-messages.ts';

/** The options of `Session.send`. */
export interface SendOptions {
  /** With the policy `latest`, the message replaces a waiting message of this key. */
  readonly key?: string | undefined;
}

const SEND_OPTION_NAMES: readonly string[] = ['key'];
/** Bytes of memory that a waiting message costs beside its payload. */
const MESSAGE_COST = 64;
/** A session sends at most this many waiting messages in one turn, unless its close frame follows. */
const MESSAGES_PER_TURN = 1_000;

/**
 * One connection of a {@link Hub}.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub } from '@ws/hub';
 *
 * const hub = new Hub();
 * const [client, server] = connPair();
 * const session = hub.add(server);
 * await session.join('lobby');
 * session.send('welcome');
 * console.log((await client.readMessage()).text(), session.rooms.size); // welcome 1
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the same
export class Session<Data = unknown> {
  /** Unique in this hub. */
  readonly id: string;
  /**
   * The connection. Only the hub reads it, but you may write to it. While your writer is open, messages
   * of the hub wait, up to `maxBufferedAmount`. A connection of `@ws/fetch` on Bun, Deno or Workers has
   * only the methods of a ConnLike.
   */
  readonly conn: Conn<Data>;
  /** The request of the handshake, from the server or from `Hub.add`. */
  readonly request: unknown;
  /** @internal The joins that wait for a promise of `mayJoin`, by room. Undefined before the first one. */
  joining: Map<string, PendingJoin<Data>> | undefined = undefined;
  #held: { messages: number; bytes: number } | undefined;
  readonly #hub: Sessions<Data>;
  /** Stored here, because each message of a broadcast needs it. */
  readonly #internals: ConnInternals;
  /** The name of the only joined room, or a Set of names. Most sessions are in one room: no Set. */
  #joined: string | Set<string> | undefined;
  #keys: Map<string, unknown> | undefined;
  #waiting: WaitingMessages | undefined;
  /** Whether a call of {@link #sendWaiting} is scheduled. */
  #isSendDue = false;
  /** Whether {@link close} is sending the waiting messages. */
  #closing = false;
  /** Whether the session was closed so that messages of the peer are dropped. */
  #dropsInput = false;

  /** @internal */
  constructor(hub: Sessions<Data>, conn: Conn<Data>, id: string, request: unknown) {
    hasHabits ||= addHabits(Session.prototype, 'session', SESSION_HABITS, SESSION_FACTS);
    this.#hub = hub;
    this.conn = conn;
    this.#internals = internalsOf(conn as ConnLike);
    this.id = id;
    this.request = request;
  }

  /** The value of {@link Conn.data}. */
  get data(): Data {
    return this.conn.data;
  }

  set data(data: Data) {
    this.conn.data = data;
  }

  /** The names of the rooms that the session has joined. */
  get rooms(): ReadonlySet<string> {
    this.#joined ??= new Set();
    if (typeof this.#joined === 'string') this.#joined = new Set([this.#joined]);
    return this.#joined;
  }

  /** @internal Number of {@link rooms}. */
  get roomCount(): number {
    return typeof this.#joined === 'string' ? 1 : (this.#joined?.size ?? 0);
  }

  /** @internal */
  isIn(room: string): boolean {
    return typeof this.#joined === 'string' ? this.#joined === room : !!this.#joined?.has(room);
  }

  /** @internal */
  entered(room: string): void {
    if (this.#joined === undefined) this.#joined = room;
    else if (typeof this.#joined === 'string') this.#joined = new Set([this.#joined, room]);
    else this.#joined.add(room);
  }

  /** @internal */
  left(room: string): void {
    if (typeof this.#joined === 'string') this.#joined = undefined;
    else this.#joined?.delete(room);
  }

  /** @internal Number and bytes of the live messages that resumes hold, in all rooms together. */
  get held(): { messages: number; bytes: number } {
    this.#held ??= { messages: 0, bytes: 0 };
    return this.#held;
  }

  /** @internal A copy of {@link rooms}. The caller may change the rooms while it iterates. */
  roomNames(): readonly string[] {
    return typeof this.#joined === 'string' ? [this.#joined] : [...(this.#joined ?? [])];
  }

  /** `closed` as soon as the connection no longer takes messages. */
  get state(): 'open' | 'closed' {
    return this.conn.state === 'open' ? 'open' : 'closed';
  }

  /** Number and bytes of the messages that wait here because the peer reads too slowly. */
  get queued(): Waiting {
    const { messages = 0, bytes = 0 } = this.#waiting ?? {};
    return { messages, bytes };
  }

  /** Stores a value of the application under `key`. */
  set(key: string, value: unknown): void {
    this.keys().set(key, value);
  }

  /** The value that {@link set} has stored under `key`, or undefined. */
  get(key: string): unknown {
    return this.#keys?.get(key);
  }

  /** All stored values. Changes to this Map change the session. */
  keys(): Map<string, unknown> {
    this.#keys ??= new Map();
    return this.#keys;
  }

  /**
   * Sends a message to this session at once: before messages that were published in the same turn.
   * When the peer reads too slowly, the message waits, within the bounds of the hub.
   *
   * @param data - As for `Conn.send`. Bytes are copied.
   * @param options - `key`: with the policy `latest`, the message replaces a waiting one of this key.
   * @returns False when the message was dropped, and after the end of the session.
   * @throws TypeError or RangeError for invalid data or options.
   */
  send(data: MessageData | PreparedMessage, options: SendOptions = {}): boolean {
    if (this.state === 'closed') return false;
    const message = checked(
      () => {
        checkKeyedOptions(
          'session.send',
          options,
          SEND_OPTION_NAMES,
          this.#hub.settings.overflow === 'latest',
        );
        return prepare(data, 'session.send');
      },
      this,
      'send',
    );
    return this.deliver(message, options.key);
  }

  /**
   * @internal As {@link send}, but after the messages that this node has published in this turn.
   *
   * @param dropped - Called when the message was waiting and is dropped for a later one.
   */
  sendWatched(text: string, dropped: () => void): boolean {
    if (this.state === 'closed') return false;
    this.#hub.flush(this);
    return this.deliver(prepare(text, 'session.send'), undefined, dropped);
  }

  /**
   * Sends `value` as a text message in JSON, as {@link send} does.
   *
   * @throws TypeError when `value` cannot be written as JSON: undefined, a function, a cycle, a
   *   BigInt. Nothing is sent then. Otherwise as {@link send}.
   */
  writeJSON(value: unknown, options: SendOptions = {}): boolean {
    const format = (): string => {
      checkNoEvent(value, this.#hub.listeners.events);
      return jsonOf(value);
    };
    return this.send(checked(format, this, 'writeJSON'), options);
  }

  /**
   * Joins a room. Without the option `mayJoin`, and when it returns `true`, the session is a member
   * when this call returns. When `mayJoin` returns a promise, the session is a member when the
   * returned promise resolves. A member gets the messages that are published from then on.
   *
   * With an option, the session resumes. It first gets the message of `first`, then each message
   * that it has missed, as fast as its client reads, then the live messages. The options need a hub
   * without a backplane, or a room with `delivery: 'through'`. A member may resume too.
   *
   * @returns Resolves when the session is a member; with an option, when it has all missed messages.
   *   While the session is joining or has joined, a call without options returns the same result.
   * @throws (rejects) {@link RoomRefusedError}, also when the session leaves the room before the
   *   decision; {@link SessionClosedError} when the session ends before; TypeError or RangeError for
   *   an invalid name or option; the error of `first`. A rejection is never reported as unhandled. The
   *   event `error` reports refused joins, at most once a second.
   */
  join(room: string, options?: JoinOptions<Data>): Promise<Joined<Data>> {
    return this.#hub.rooms.joins.join(this, room, options);
  }

  /**
   * Leaves a room. The session first gets the messages that were published in this turn, except while
   * a long delivery of earlier messages is in progress. A join that waits for `mayJoin` rejects; over
   * `serveRooms`, `mayJoin` is asked again. Otherwise no effect when the session is not in the room.
   */
  leave(room: string): void {
    this.#hub.rooms.revoke(this, room);
  }

  /**
   * Changes what the members of a room see of this session, see `Room.presence`.
   *
   * @param info - JSON of at most 1 KiB, which is copied; undefined hides the session.
   * @throws {@link RoomRefusedError} when the session is not a member; RangeError for an `info` above
   *   1 KiB or an invalid name; TypeError for an `info` that is no JSON, and in a room without the
   *   option `presence`.
   */
  show(room: string, info: unknown): void {
    checked(() => this.#hub.rooms.show(this, room, info), this, 'show');
  }

  /**
   * Sends the waiting messages and, as {@link leave}, the messages that were published in this turn.
   * Then closes the connection, see `Conn.close`, and leaves all rooms.
   *
   * @param options - As of `Conn.close`. `discard`: drops the messages that the peer sends before
   *   its close frame. Default: false for the codes 1000 and 1001, else true: your listeners get no
   *   message of a session after you have ended it, for example with 4401.
   */
  close(code?: number, reason?: string, options: ConnCloseOptions = {}): Promise<CloseInfo> {
    // A listener of `sent` may call `close` within `close`. The outer call sends the rest, then closes.
    if (this.#closing) return this.conn.closed;
    this.#closing = true;
    this.#hub.flush(this);
    this.#flushWaiting();
    this.#closing = false;
    return this.#close(code, reason, options);
  }

  #close(
    code: number | undefined,
    reason: string | undefined,
    options: ConnCloseOptions,
  ): Promise<CloseInfo> {
    const isForced =
      code !== undefined && code !== CloseCode.NormalClosure && code !== CloseCode.GoingAway;
    const discard = options?.discard ?? isForced;
    const closed = this.conn.close(code, reason, { ...options, discard });
    this.#closeSent(discard);
    return closed;
  }

  /** A close frame was sent, or the connection has ended. */
  #closeSent(discard: boolean): void {
    if (this.state !== 'closed') return;
    this.#dropsInput ||= discard;
    this.#hub.stopped(this);
  }

  /** @internal The connection accepts no more messages. */
  writesEnded(): void {
    if (this.state === 'closed') this.#hub.stopped(this);
  }

  /** @internal `hub.close` waits for `work`, a promise that never rejects, as for a listener. */
  counts(work: Promise<unknown>): void {
    void this.#hub.counts(work);
  }

  /** @internal Whether messages of the peer reach the listeners. */
  get takesInput(): boolean {
    return !this.#dropsInput && this.conn.state !== 'closed' && this.#internals.dropsInput !== true;
  }

  /** @internal As {@link close}, for a hub that closes many sessions and waits for their end. */
  closeWith(
    code: number,
    reason: string,
    { timeout, discard }: { readonly timeout: number; readonly discard: boolean },
  ): void {
    this.#flushWaiting();
    if (this.#internals.startClose === undefined) {
      this.#hub.terminateAfter(this, timeout);
      void this.conn.close(code, reason, { timeout: MAX_DELAY_MS, discard });
    } else this.#internals.startClose(formatCloseMessage(code, reason), timeout, discard);
    this.#closeSent(discard);
  }

  /**
   * @internal Sends a message now or, if the peer reads too slowly, later.
   *
   * @param dropped - Called when the message waits and a later one takes its place.
   */
  deliver(message: PreparedMessage, key: string | undefined, dropped?: () => void): boolean {
    return this.#sendNow(message) ?? this.#enqueue(this.#waiting!, message, key, dropped);
  }

  /**
   * @internal As {@link deliver}, for a message that the history of its room has. Such messages take at
   * most half of the queue, so that the others find room.
   *
   * @returns False when the message does not fit: the member then reads it from the history.
   */
  deliverKept(message: PreparedMessage): boolean {
    if (this.#sendNow(message) !== undefined) return true;
    const waiting = this.#waiting!;
    if (waiting.messages > 0 && !this.#fitsKept(waiting, message.bytes.length)) return false;
    waiting.addKept(message);
    return true;
  }

  /** Sends a message. Returns undefined when it must wait, and false when the session has ended. */
  #sendNow(message: PreparedMessage): boolean | undefined {
    if (this.state === 'closed') {
      this.#hub.stopped(this);
      return false;
    }
    if (this.#waiting !== undefined) return undefined;
    const writable = this.#internals.untilWritable();
    if (writable === undefined && this.#tryToSend(message, false)) {
      this.#hub.delivered(this, message);
      return true;
    }
    if (this.conn.state !== 'open') return false;
    this.#waiting = new WaitingMessages();
    this.#sendAfter(writable);
    return undefined;
  }

  /**
   * @internal Sends several messages at once.
   * @returns False when they must be sent one by one.
   */
  deliverAll(messages: readonly PreparedMessage[]): boolean {
    const hub = this.#hub;
    if (this.#waiting !== undefined || hub.listeners.sent) return false;
    if (this.#internals.sendAll?.(messages) !== true) return false;
    hub.deliveredCount += messages.length;
    return true;
  }

  /**
   * @internal Resolves when no message waits and the connection accepts more. Undefined when a message
   * may be sent at once, and after the end of the session. Never rejects.
   */
  untilWritable(): Promise<void> | undefined {
    if (this.state === 'closed') return undefined;
    if (this.#waiting !== undefined && this.#waiting.messages > 0) {
      return this.#waiting.untilEmpty();
    }
    return this.#internals.untilWritable()?.catch(() => {});
  }

  /** @internal The connection has ended. Returns the number of messages that were still waiting. */
  dropWaiting(): number {
    const lost = this.#waiting?.clear() ?? 0;
    this.#waiting = undefined;
    return lost;
  }

  #tryToSend(message: PreparedMessage, waited: boolean): boolean {
    return sendPrepared(this.conn, this.#internals, message, waited, this);
  }

  /** @internal A resume has dropped `lost` held messages without a position, above a bound. */
  overflowHeld(lost: number): void {
    const { overflow } = this.#hub.settings;
    this.#hub.overflowed(this, lost, overflow);
    if (overflow === 'close') void this.#close(CloseCode.TryAgainLater, 'reads too slowly', {});
  }

  /** @internal The connection has refused a message that was counted as delivered. */
  lostMessage(): void {
    this.#hub.overflowed(this, 1, 'refused');
  }

  /** Sends the waiting messages, even above the high-water mark: the close frame follows. */
  #flushWaiting(): void {
    const waiting = this.#waiting;
    for (let first = waiting?.first(); first !== undefined; first = waiting!.first()) {
      // A listener of `sent` may end the connection. The rest then counts as dropped.
      if (this.state === 'closed' || !this.#tryToSend(first, true)) return;
      waiting!.shift();
      this.#hub.delivered(this, first);
    }
  }

  #enqueue(
    waiting: WaitingMessages,
    message: PreparedMessage,
    key: string | undefined,
    onDrop: (() => void) | undefined,
  ): boolean {
    const hub = this.#hub;
    const { length } = message.bytes;
    const { overflow } = hub.settings;
    const tooLong = !this.#fits(waiting.kept, length);
    const latestKey = overflow === 'latest' && !tooLong ? key : undefined;
    let dropped = latestKey !== undefined && waiting.remove(latestKey) ? 1 : 0;
    let dropCalls: (() => void)[] | undefined;
    if (this.#fits(waiting, length)) {
      // Within the bounds.
    } else if (this.#awaitsWriter(waiting, length)) {
      // The peer is not slow.
    } else if (overflow === 'close') {
      hub.overflowed(this, waiting.clear() + 1, overflow);
      void this.#close(CloseCode.TryAgainLater, 'reads too slowly', {});
      return false;
    } else if (tooLong) {
      hub.overflowed(this, 1, overflow);
      return false;
    } else {
      for (; !this.#fits(waiting, length); dropped++) {
        const call = waiting.dropFirst();
        if (call !== undefined) (dropCalls ??= []).push(call);
      }
    }
    waiting.add(message, latestKey, onDrop);
    // Calls the application last: these callbacks and a listener of `overflow` may send messages too.
    for (const call of dropCalls ?? []) call();
    if (dropped > 0) hub.overflowed(this, dropped, overflow);
    return true;
  }

  #fits(waiting: Waiting, bytes: number): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#hub.settings;
    return waiting.messages < maxQueuedMessages && waiting.bytes + bytes <= maxQueuedBytes;
  }

  #fitsKept(waiting: WaitingMessages, bytes: number): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#hub.settings;
    const { kept } = waiting;
    const isHalf =
      kept.messages < maxQueuedMessages / 2 && kept.bytes + bytes <= maxQueuedBytes / 2;
    return (isHalf && this.#fits(waiting, bytes)) || this.#awaitsWriter(waiting, bytes);
  }

  /** Whether the connection waits for the application's open writer. */
  #awaitsWriter(waiting: Waiting, bytes: number): boolean {
    const total = waiting.bytes + bytes + waiting.messages * MESSAGE_COST;
    return this.#internals.awaitsWriter?.(total) === true;
  }

  /**
   * Schedules {@link #sendWaiting}.
   *
   * @param writable - Resolves when the connection accepts messages again, see `untilWritable`.
   */
  #sendAfter(writable: Promise<void> | undefined): void {
    if (this.#isSendDue) return;
    this.#isSendDue = true;
    // Without a promise, the bytes of this turn alone exceed `maxBufferedAmount`.
    if (writable === undefined) this.#sendNextTurn(true);
    // A rejection means that the connection has ended. The hub removes the session.
    else
      writable.then(
        () => this.#sendWaiting(false),
        () => {},
      );
  }

  #sendNextTurn(afterTurn: boolean): void {
    this.#isSendDue = true;
    platformOf(this.conn).yield(() => this.#sendWaiting(afterTurn));
  }

  /**
   * Sends the waiting messages until the connection accepts no more, but {@link MESSAGES_PER_TURN} at
   * most: other work of the process runs between them.
   *
   * @param afterTurn - Whether the connection had a turn to send its bytes, so that the first message
   *   is sent in any case. If the connection has an expired write deadline, it ends.
   */
  #sendWaiting(afterTurn: boolean): void {
    this.#isSendDue = false;
    const waiting = this.#waiting;
    let force = afterTurn;
    let sent = 0;
    for (let first = waiting?.first(); first !== undefined; first = waiting!.first()) {
      if (this.state === 'closed') return;
      const writable = this.#internals.untilWritable();
      if (writable !== undefined) return this.#sendAfter(writable);
      if (!this.#tryToSend(first, force)) return this.#refused(force);
      // An expired write deadline has ended the connection.
      if (this.conn.state !== 'open') return;
      waiting!.shift();
      this.#hub.delivered(this, first);
      force = false;
      if (++sent === MESSAGES_PER_TURN) return this.#sendNextTurn(false);
    }
    this.#waiting = undefined;
  }

  /**
   * The connection has not accepted a message.
   *
   * @param forced - Whether the write ignored `maxBufferedAmount`. Then there is no memory left.
   */
  #refused(forced: boolean): void {
    if (forced) void this.#close(CloseCode.TryAgainLater, '', {});
    else this.#sendAfter(undefined);
  }
}

/** Names that a Session lacks, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line no-unused-vars -- as the class
export interface Session<Data = unknown>
  extends Habits<typeof SESSION_HABITS>,
    Facts<typeof SESSION_FACTS> {}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;
