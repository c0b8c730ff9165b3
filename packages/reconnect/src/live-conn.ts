import {
  BackpressureError,
  type CloseInfo,
  CloseSentError,
  type ConnLike,
  type Message,
  type MessageData,
  type MessageHandler,
  ReadPendingError,
} from '@ws/conn';
import {
  addHabits,
  CallPromise,
  checked,
  checkReceive,
  Deferred,
  errorOf,
  fromCaller,
  type Habits,
  internalsOf,
  markHandled,
  RESOLVED,
  refused,
  refuseHandlers,
  rejected,
  resolvedAt,
} from '@ws/conn/internal';
import { Backlog } from './backlog.ts';
import { ConnectionChain, type Reads } from './connection-chain.ts';
import { ConnectionSeries } from './connection-series.ts';
import { checkListener, EventListeners, type ListenersOf } from './event-listeners.ts';
import { LIVE_FACTS, LIVE_HABITS } from './habits.ts';
import { jsonOf } from './json-text.ts';
import { callOnOpen } from './on-open.ts';
import type { LivePlan, ReconnectingCloseOptions } from './options.ts';
import { ReadAhead } from './read-ahead.ts';
import { isErrorOf } from './reconnecting.ts';
import { reportingDial, reportingRetry } from './reporting.ts';
import { idOf } from './resend.ts';
import type { ReconnectingEnd, ReconnectingState, ReconnectingStats } from './state.ts';
import { untilAborted } from './waits.ts';

const DISCARD = { discard: true } as const;
/** Time in ms in which a connection that `reconnect` replaces must close. */
const REPLACED_MS = 1_000;

/**
 * The base of the classes `ReconnectingConn`. The class of this package takes a dial function, the
 * classes of node-client and browser take a URL.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the same
export class LiveConn<C extends ConnLike> implements AsyncIterable<Message>, AsyncDisposable {
  /** Resolves when this object has ended; never rejects. */
  readonly closed: Promise<ReconnectingEnd>;
  readonly #series: ConnectionSeries<C>;
  readonly #queue: Backlog;
  readonly #plan: LivePlan<C>;
  readonly #settled = new Deferred<ReconnectingEnd>();
  readonly #listeners: EventListeners<C>;
  readonly #chain = new ConnectionChain<C>();
  /** The connection in use. It may be closing. */
  #conn: C | undefined;
  /** Reads that connection, with the option `resend`. */
  #readAhead: ReadAhead | undefined;
  /** @internal The connection of the message that the handler of `receive` handles. */
  reading: C | undefined = undefined;
  /** @internal Called with each connection before the waiting messages. For `@ws/rpc`. */
  greet: ((conn: ConnLike) => void) | undefined = undefined;
  /** Whether `receive` was called. A call that failed because of another reader does not count. */
  #receives = false;
  #ended: ReconnectingEnd | undefined;
  /** Whether `close` was called. */
  #isClosing = false;
  /** Whether `close` was called with `discard`: readers get no more messages. */
  #isDiscarding = false;
  /** The connection to which the backlog is being sent. Later messages join the backlog. */
  #backlogConn: C | undefined;
  /** Resolves when the connection has accepted the backlog, or has ended. */
  #backlogSent: Promise<void> = RESOLVED;
  /** Resolves when that connection is no longer in use. */
  #detached = new Deferred<void>();
  /** Whether `sleep` was called, and `wake` was not called since. */
  #isAsleep = false;
  /** Settles the promises of `reconnect`. */
  #reconnected: Deferred<C> | undefined;
  /** Number of messages that `send` has refused. */
  #refused = 0;
  /** Whether a loop over the messages has begun, and has not ended by `break`. */
  #hasLoop = false;
  /** Whether code awaits the error that ended this object, so that it needs no report. */
  #isEndAwaited = false;
  /** The kinds of faults that were reported. */
  readonly #reported = new Set<string>();

  /** @internal */
  constructor(plan: LivePlan<C>) {
    hasHabits ||=
      addHabits(LiveConn.prototype, 'live', LIVE_HABITS, LIVE_FACTS) &&
      refuseHandlers(LiveConn.prototype, "write on('open', listener) or on('close', listener)");
    this.#plan = plan;
    this.#listeners = new EventListeners(plan.report);
    this.#queue = new Backlog(plan, (error) => this.#reportOnce(error, 'send', 'silence'));
    this.#series = new ConnectionSeries(
      { ...plan, dial: reportingDial(plan, () => this.#isEndAwaited), retry: reportingRetry(plan) },
      (conn, signal) => callOnOpen(plan, conn, signal, this.#queue, this.#reportOnce),
    );
    this.closed = this.#settled.promise;
    void this.#run();
  }

  get state(): ReconnectingState {
    if (this.conn !== undefined) return 'open';
    if (this.#ended !== undefined || this.#isClosing) return 'closed';
    return this.#conn === undefined ? this.#series.phase : 'waiting';
  }

  /**
   * Read with {@link receive} or `for await`.
   *
   * @deprecated
   * @throws TypeError
   */
  set onmessage(_: never) {
    throw new TypeError(
      'a ReconnectingConn has no onmessage; read with receive(handler) or for await',
    );
  }

  /** A snapshot of the counters, over all connections. */
  get stats(): ReconnectingStats {
    return { messagesRefused: this.#refused };
  }

  /** The open connection; undefined unless `state` is `open`. */
  get conn(): C | undefined {
    return this.#conn?.state === 'open' ? this.#conn : undefined;
  }

  /**
   * The messages with an id that the peer has not acknowledged (option `resend`), in the order of
   * the calls. Store them when a page ends, for example. Each read returns a new array.
   */
  get unacknowledged(): readonly Message[] {
    return this.#queue.unacknowledged;
  }

  /**
   * Sends a message on the open connection, or keeps a copy for the next one. Waiting messages are
   * sent in the order of the calls.
   *
   * @param data - As for `Conn.send`.
   * @returns Resolves when a connection has accepted the message, as `Conn.send` does. Without a
   *   connection, the message waits for the next one. If a connection ends after it has accepted a
   *   message, the message is not sent again: if that matters, let the peer acknowledge messages. With
   *   the option `resend`, the promise for a message with an id resolves at the acknowledgement.
   * @throws (rejects) BackpressureError above `maxQueuedBytes` or `maxQueuedMessages`, above
   *   `maxBufferedAmount` of the open connection when no message waits, or above a bound of `resend`
   *   for a message with an id; CloseSentError after `close`; the error that ended this object; for a
   *   message without an id, the error of the connection that had accepted it and broke; for a message
   *   with an id, CloseError when three connections in a row have ended at it with 1002, 1003,
   *   1007 or 1009, or ten over `resend.poisonAfter` with 1011; TypeError for other data or a used id.
   */
  send(data: MessageData): Promise<void> {
    try {
      // The function `id` comes first, because it may end this object.
      const { resend } = this.#plan;
      const id = resend && idOf(resend, data);
      if (this.#ended !== undefined || this.#isClosing) {
        return rejected(this.#endReason(), this);
      }
      const { conn } = this;
      const isDirect = conn !== undefined && this.#backlogConn !== conn && !this.#isAsleep;
      if (isDirect && id === undefined) return this.#counted(conn.send(data));
      const entry = this.#queue.add(data, id);
      if (this.#conn === undefined) this.#chain.want(false);
      else if (isDirect) {
        this.#queue.took(entry);
        // When the connection breaks, the next one gets the message.
        void markHandled(internalsOf(conn).sendWaiting(entry.message));
      }
      if (id !== undefined) this.#readAhead?.onSend();
      return entry.sent;
    } catch (error) {
      if (!(error instanceof BackpressureError)) return this.#badArgument(error, 'send');
      const ignored = (): void => this.#reportOnce(error, 'send');
      return this.#counted(refused(error, this, ignored));
    }
  }

  /**
   * Sends `value` as a text message in JSON. With `resend`, the function `id` gets the text.
   *
   * @returns As {@link send}.
   * @throws (rejects) TypeError for a value without JSON text: undefined, a function, a cycle.
   *   Nothing is sent then. Otherwise as {@link send}.
   */
  writeJSON(value: unknown): Promise<void> {
    try {
      return this.send(jsonOf(value));
    } catch (error) {
      return this.#badArgument(error, 'writeJSON');
    }
  }

  /** Counts a message that was refused. Only then `sent` is a CallPromise. */
  #counted(sent: Promise<void>): Promise<void> {
    if (sent instanceof CallPromise) this.#refused++;
    return sent;
  }

  /** Reports the first error of each kind from each place. The kind of an error is its name. */
  readonly #reportOnce = (error: unknown, where: string, kindOfFault?: string): void => {
    const fault = `${where} ${kindOfFault ?? (error as Partial<Error> | undefined)?.name}`;
    if (this.#reported.has(fault)) return;
    this.#reported.add(fault);
    this.#plan.report(error, { where });
  };

  /** Reports the error of a bad argument. Returns a promise that rejects with it. */
  #badArgument(error: unknown, where: string): Promise<never> {
    fromCaller(error, this, where);
    this.#plan.report(error, { where });
    return rejected(error);
  }

  /**
   * Calls `handler` with every message of every connection.
   *
   * @param handler - As for `Conn.receive`. The connection closes with 1011 when the handler fails.
   *   An error other than a WebSocketError of that connection ends this object.
   * @returns Resolves when this object has ended and the handler has finished with the last message.
   * @throws (rejects) The error that ended this object; the error of the handler; ReadPendingError
   *   when `receive` was called before; TypeError when `handler` is not a function.
   */
  receive(handler: MessageHandler): Promise<void>;
  receive(handler: MessageHandler, ...more: unknown[]): Promise<void> {
    try {
      checkReceive(handler, more);
    } catch (error) {
      return this.#badArgument(error, 'receive');
    }
    if (this.#receives) {
      return rejected(new ReadPendingError('receive', 'receive'), this);
    }
    this.#receives = true;
    return markHandled(this.#receiveAll(handler));
  }

  /**
   * Iterates over the messages of all connections, in their order. After a connection has ended, the
   * next dial waits until a loop or `receive` reads that connection, or until there is a message to send.
   * The messages that no code has read wait for the next loop. While they have `readAhead` bytes or more
   * (16 MiB in a page), or are of 64 connections, the dial waits only for a reader. The iteration ends with this object, and
   * throws the error that ended this object. `break` leaves this object open. `return()` ends a pending
   * `next()` without a message.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const stop = new AbortController();
    const messages = this.#messages(stop.signal);
    this.#hasLoop = true;
    return {
      next: () => markHandled(messages.next()),
      return: () => {
        stop.abort();
        this.#hasLoop = false;
        return messages.return(undefined);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** @param signal - An abort ends a pending `next()`. The next reader then gets the message. */
  async *#messages(signal: AbortSignal): AsyncGenerator<Message, undefined> {
    for await (const { conn, reads } of this.#chain.read(signal)) {
      // `return()` may have come while the chain gave this connection.
      if (signal.aborted) break;
      const iterator = reads[Symbol.asyncIterator]();
      const aborted = (): void => void iterator.return?.();
      signal.addEventListener('abort', aborted);
      try {
        for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
          if (this.#isDiscarding) break;
          yield next.value;
        }
      } catch (error) {
        if (!isErrorOf(conn, error) || conn.state === 'open' || this.#hasLost(conn)) throw error;
      } finally {
        signal.removeEventListener('abort', aborted);
      }
    }
    return signal.aborted ? undefined : this.#readResult();
  }

  async #receiveAll(handler: MessageHandler): Promise<void> {
    const never = new AbortController();
    for await (const { conn, reads } of this.#chain.read(never.signal)) {
      this.reading = conn;
      try {
        await reads.receive((message) => (this.#isDiscarding ? undefined : handler(message)));
      } catch (error) {
        if (error instanceof ReadPendingError) this.#receives = false;
        else if (isErrorOf(conn, error, reads.failure)) {
          if (!this.#hasLost(conn)) continue;
        } else await this.#handlerFailed(error);
        throw error;
      }
    }
    return this.#readResult();
  }

  /** The result of a reader: undefined, or a rejection with the error that ended this object. */
  #readResult(): Promise<undefined> | undefined {
    const end = this.#ended;
    return end?.error === undefined ? end && resolvedAt(end, () => undefined) : rejected(end.error);
  }

  /** Whether `close` has dropped unread messages of `conn`. The reader then gets an error. */
  #hasLost(conn: C): boolean {
    return this.#isClosing && !this.#isDiscarding && (internalsOf(conn).messagesLost ?? 0) > 0;
  }

  async #handlerFailed(error: unknown): Promise<void> {
    // Closes the connection in use: the message may be of an earlier one.
    if (this.#conn !== undefined) await internalsOf(this.#conn).closeAfterError(error);
    this.#finish({ error });
  }

  /**
   * Calls `listener` when a connection has opened, or when one has ended.
   *
   * @param event - `open`: the listener gets the connection. `close`: it gets its `CloseInfo`.
   * @returns A function that removes the listener.
   * @throws TypeError for another event, or when `listener` is not a function.
   */
  on<Event extends keyof ListenersOf<C>>(
    event: Event,
    listener: ListenersOf<C>[Event],
  ): () => void {
    checked(() => checkListener(event, listener), this, 'on');
    return this.#listeners.add(event, listener);
  }

  /**
   * Dials at once: ends a wait, or closes the open connection with 1000 during the dial. That
   * connection has a second to deliver messages. Readers get them before those of the next connection.
   * A pending dial continues, unless it is older than two seconds. After a failed dial the waits start
   * from `minDelay` again.
   *
   * @returns Resolves with the next connection that opens. Calls that overlap share one dial.
   * @throws (rejects) CloseSentError after the end. Its `cause` is the error that ended this object.
   */
  reconnect(): Promise<C> {
    if (this.#ended !== undefined || this.#isClosing) {
      return rejected(this.#noReconnect(), this);
    }
    if (this.#isAsleep) this.wake();
    const conn = this.#conn;
    this.#reconnected ??= new Deferred();
    if (conn !== undefined) this.#detach();
    this.#chain.want(true);
    this.#series.dialNow(conn !== undefined);
    if (conn !== undefined) closeReplaced(conn);
    return this.#reconnected.promise;
  }

  /**
   * Call it when the app goes to the background. Until {@link wake} this object does not dial, the
   * option `alive` of a page asks no question, and what `send` gets waits. A dial that runs is given up.
   * The open connection stays, and readers get its messages. `reconnect` and `close` wake this object.
   */
  sleep(): void {
    if (this.#ended !== undefined || this.#isClosing) return;
    this.#isAsleep = true;
    this.#series.sleep();
  }

  /**
   * Call it when the app comes to the foreground: React Native has none of the events of a page that
   * wakes. Dials at once instead of a wait, and `tries` begins at 1. An open connection may be dead: a
   * page asks at once by the option `alive`, a `Conn` by a ping of its `heartbeat` and 5 s for the
   * answer. Without an answer the connection ends with 1006, and the next dial follows at once. No
   * effect on a connection without that option.
   */
  wake(): void {
    if (this.#ended !== undefined) return;
    this.#isAsleep = false;
    this.#series.wake();
    const { conn } = this;
    if (conn !== undefined && this.#backlogConn !== conn) {
      this.#backlogSent = this.#sendBacklog(conn);
    }
  }

  /**
   * Ends this object. An open connection first sends the waiting messages, for at most its
   * `closeTimeout`, then closes. Without an open connection, this object ends at once. Messages that
   * still wait are in `unsent` of the result.
   *
   * @param options - `discard`: true drops unread and later messages of all connections, also in a
   *   second call. Default: readers get these messages, as after `Conn.close`.
   * @returns {@link closed}.
   * @throws (rejects) TypeError, RangeError for an invalid code, reason or option. Nothing ends then.
   */
  close(
    code = 1000,
    reason?: string,
    options: ReconnectingCloseOptions = {},
  ): Promise<ReconnectingEnd> {
    try {
      this.#plan.checkClose(code, reason, options);
    } catch (error) {
      return this.#badArgument(error, 'close');
    }
    this.#isDiscarding ||= options.discard === true;
    const conn = this.#conn;
    if (this.#isClosing || this.#ended !== undefined) {
      // A second call can only drop messages.
      if (this.#isDiscarding && conn?.state === 'closing') void conn.close(code, '', DISCARD);
      return this.#ended === undefined ? this.closed : resolvedAt(this.#ended, () => this.closed);
    }
    if (this.#isAsleep) this.wake();
    this.#isClosing = true;
    if (conn === undefined) this.#finish({});
    else void this.#closeConn(conn, code, reason);
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #closeConn(conn: C, code: number, reason: string | undefined): Promise<void> {
    const timeUp = new AbortController();
    const timer = setTimeout(() => timeUp.abort(), internalsOf(conn).closeTimeout);
    await untilAborted(timeUp.signal, this.#backlogSent);
    clearTimeout(timer);
    // If `conn` cannot send this code, 1005 for example, it closes with 1000.
    const close = { discard: this.#isDiscarding };
    await conn.close(code, reason, close).catch(() => conn.close(1000, '', close));
  }

  async #run(): Promise<void> {
    try {
      for await (const conn of this.#series) {
        if (this.#ended === undefined) await this.#use(conn);
        else await conn.close();
        if (this.#isClosing) break;
      }
      this.#finish({});
    } catch (error) {
      this.#finish({ error });
    }
  }

  /**
   * Gives one connection to the readers. Waits until it has closed or is replaced, and until the next
   * dial may follow.
   */
  async #use(conn: C): Promise<void> {
    this.#conn = conn;
    this.#reconnected?.resolve(conn);
    this.#reconnected = undefined;
    const { closed } = internalsOf(conn);
    // The backlog precedes messages that a reader sends as soon as it gets the connection.
    this.greet?.(conn);
    this.#queue.opened();
    this.#backlogSent = this.#sendBacklog(conn);
    this.#chain.opened(conn, this.#readsOf(conn), closed);
    const detached = new Deferred<void>();
    this.#detached = detached;
    void closed.then((info) => this.#closed(conn, info));
    this.#listeners.emit('open', conn);
    await detached.promise;
    // After `close` the end waits for no reader, because a handler may await `close`.
    if (this.#isClosing) return;
    if (!this.#queue.isEmpty) this.#chain.want(false);
    await untilAborted(this.#series.signal, this.#chain.mayDial());
  }

  #closed(conn: C, info: CloseInfo): void {
    // `reconnect` may have replaced the connection before.
    if (this.#conn === conn) {
      const refusal = this.#queue.closed(info);
      if (refusal !== undefined) this.#plan.report(refusal, { where: 'send' });
      this.#detach();
    }
    this.#listeners.emit('close', info);
  }

  /** Called when the connection is no longer in use. */
  #detach(): void {
    this.#conn = undefined;
    this.#readAhead = undefined;
    this.#queue.window?.closed();
    this.#detached.resolve();
  }

  /** Returns the source of messages for the readers: `conn` or, with `resend`, a ReadAhead. */
  #readsOf(conn: C): Reads {
    const { resend } = this.#plan;
    if (resend === undefined) return conn;
    const queue = this.#queue;
    const report = (error: unknown, where: string): void => this.#reportOnce(error, where);
    const failed = (error: unknown): void => void this.#handlerFailed(error);
    this.#readAhead = new ReadAhead(conn, resend, queue, report, failed);
    return this.#readAhead;
  }

  async #sendBacklog(conn: C): Promise<void> {
    const queue = this.#queue;
    this.#backlogConn = conn;
    while (conn.state === 'open' && this.#conn === conn && !this.#isAsleep) {
      const entry = queue.next;
      if (entry === undefined) break;
      const writable = internalsOf(conn).untilWritable();
      if (writable !== undefined) {
        // The message stays in the queue: accepted messages are lost when the connection breaks.
        await writable.catch(() => {});
        continue;
      }
      const { id, message, sent } = entry;
      if (id !== undefined && !queue.window!.hasRoom(message.data.length)) {
        await queue.window!.untilChange();
        continue;
      }
      queue.took(entry);
      const accepted = internalsOf(conn).sendWaiting(message);
      if (id === undefined) sent.resolve(accepted);
      await accepted.catch(() => {});
    }
    if (this.#backlogConn === conn) this.#backlogConn = undefined;
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#ended !== undefined) return;
    const error = errorOf(end.error);
    this.#ended = { ...(error === undefined ? {} : { error }), unsent: this.#queue.unsent };
    void this.#series.return();
    this.#settled.resolve(this.#ended);
    this.#isEndAwaited = this.#queue.rejectAll(this.#endReason()) || this.#hasLoop;
    this.#reconnected?.reject(this.#noReconnect());
    this.#chain.finish();
  }

  /** @internal Ends this object with an error, and closes its connection. For `@ws/rpc`. */
  fail(error: Error): void {
    this.#finish({ error });
    if (this.conn !== undefined) void markHandled(this.conn.close());
  }

  /** The error of a call after the end. */
  #endReason(): unknown {
    return this.#ended?.error ?? new CloseSentError();
  }

  #noReconnect(): CloseSentError {
    const cause = this.#ended?.error;
    return new CloseSentError(
      'reconnect: this ReconnectingConn has ended, and dials no more; create a new one',
      cause && { cause },
    );
  }
}

/** Closes a replaced connection, and terminates it after {@link REPLACED_MS}. */
function closeReplaced(conn: ConnLike): void {
  const timer = setTimeout(() => conn.terminate(), REPLACED_MS);
  void internalsOf(conn).closed.then(() => clearTimeout(timer));
  if (conn.state === 'open') void markHandled(conn.close());
}

/** Names that a ReconnectingConn lacks, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line no-unused-vars -- as the class
export interface LiveConn<C extends ConnLike> extends Habits<typeof LIVE_HABITS> {}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;
