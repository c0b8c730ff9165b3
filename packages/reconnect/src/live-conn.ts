import {
  BackpressureError,
  type CloseInfo,
  CloseSentError,
  type ConnLike,
  type Message,
  type MessageData,
  type MessageHandler,
  portablePlatform,
  ReadPendingError,
} from '@ws/conn';
import {
  CallPromise,
  causeText,
  checked,
  Deferred,
  errorOf,
  fromCaller,
  internalsOf,
  isThenable,
  kind,
  markHandled,
  RESOLVED,
  refused,
  rejected,
  resolvedAt,
} from '@ws/conn/internal';
import { Backlog } from './backlog.ts';
import { ConnectionChain, type Reads } from './connection-chain.ts';
import { ConnectionSeries } from './connection-series.ts';
import { checkListener, EventListeners, type ListenersOf } from './event-listeners.ts';
import type { DialFunction, LivePlan, ReconnectingCloseOptions } from './options.ts';
import { ReadAhead } from './read-ahead.ts';
import { isErrorOf } from './reconnecting.ts';
import { idOf } from './resend.ts';
import type { ReconnectingEnd, ReconnectingState, ReconnectingStats } from './state.ts';
import { openWithin, untilAborted } from './waits.ts';

const DISCARD = { discard: true } as const;
/** Time in ms for the end of a connection that `reconnect` replaces. */
const REPLACED_MS = 1_000;

/**
 * The base of the classes `ReconnectingConn`. The class of this package takes a dial function, the
 * classes of node-client and browser take a URL.
 */
export class LiveConn<C extends ConnLike> implements AsyncIterable<Message>, AsyncDisposable {
  /** Resolves when it has ended; never rejects. */
  readonly closed: Promise<ReconnectingEnd>;
  readonly #series: ConnectionSeries<C>;
  readonly #queue: Backlog;
  readonly #plan: LivePlan<C>;
  readonly #settled = new Deferred<ReconnectingEnd>();
  readonly #listeners: EventListeners<C>;
  readonly #chain = new ConnectionChain<C>();
  #conn: C | undefined;
  /** The reader of that connection, with the option `resend`. */
  #readAhead: ReadAhead | undefined;
  /** @internal The connection whose message the handler of `receive` gets. */
  reading: C | undefined = undefined;
  /** Whether `receive` was called. A call that another reader has refused does not count. */
  #receives = false;
  #ended: ReconnectingEnd | undefined;
  /** Whether `close` was called. */
  #closing = false;
  /** Whether `close` with `discard` was called: readers get no more messages. */
  #discarding = false;
  /** The connection that gets the backlog. Later messages join it. */
  #backlogConn: C | undefined;
  /** Resolves when the connection has accepted the backlog, or has ended. */
  #backlogSent: Promise<void> = RESOLVED;
  /** Resolves when the connection is no longer in use. */
  #left = new Deferred<void>();
  /** Settles the promises of `reconnect`. */
  #reconnected: Deferred<C> | undefined;
  #refused = 0;
  /** Whether a loop over the messages has begun and has not left. */
  #hasLoop = false;
  /** Whether a promise that code awaits has the error that ended this object. */
  #isTold = false;
  /** The kinds of fault that were reported. */
  readonly #reported = new Set<string>();

  /** @internal */
  constructor(plan: LivePlan<C>) {
    this.#plan = plan;
    this.#listeners = new EventListeners(plan.report);
    this.#queue = new Backlog(plan, (error) => this.#reportOnce(error, 'send', 'silence'));
    this.#series = new ConnectionSeries(
      { ...plan, dial: this.#reportsFirst(plan) },
      (conn, signal) => this.#prepare(conn, signal),
    );
    this.closed = this.#settled.promise;
    void this.#run();
  }

  get state(): ReconnectingState {
    if (this.conn !== undefined) return 'open';
    if (this.#ended !== undefined || this.#closing) return 'closed';
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
   * the calls; to store them when a page ends, for example. A new array for each read.
   */
  get unacknowledged(): readonly Message[] {
    return this.#queue.unacknowledged;
  }

  /**
   * Sends a message on the open connection, or keeps a copy for the next one. Messages that wait
   * leave in the order of the calls.
   *
   * @param data - As for `Conn.send`.
   * @returns Resolves when a connection has accepted the message, as `Conn.send` does; without a
   *   connection it waits for the next one. A message that a connection had accepted when it ended is
   *   not sent again: if it matters, have the peer acknowledge it. With the option `resend`, a message
   *   with an id resolves when the peer has acknowledged it.
   * @throws (rejects) BackpressureError over `maxQueuedBytes` or `maxQueuedMessages`, over
   *   `maxBufferedAmount` of the open connection when no message waits, or for an id over a bound of
   *   `resend`; CloseSentError after `close`; the error that ended this object; the error of the
   *   connection that had accepted the message without an id and broke; CloseError for a message with
   *   an id at which three connections in a row have ended with 1007 or 1009; TypeError for other
   *   data or a used id.
   */
  send(data: MessageData): Promise<void> {
    try {
      // First: a function of the application may end this object.
      const { resend } = this.#plan;
      const id = resend && idOf(resend, data);
      if (this.#ended !== undefined || this.#closing) {
        return rejected(this.#endReason(), this);
      }
      const { conn } = this;
      const isDirect = conn !== undefined && this.#backlogConn !== conn;
      if (isDirect && id === undefined) return this.#counted(conn.send(data));
      const entry = this.#queue.add(data, id);
      if (this.#conn === undefined) this.#chain.want();
      else if (isDirect) {
        this.#queue.took(entry);
        // When the connection breaks, the next one gets the message.
        void markHandled(internalsOf(conn).sendWaiting(entry.message));
      }
      if (id !== undefined) this.#readAhead?.sendWaits();
      return entry.sent;
    } catch (error) {
      if (!(error instanceof BackpressureError)) return this.#mistake(error, 'send');
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
    let text: string | undefined;
    let fault = `${typeof value} cannot be written as JSON`;
    let cause: unknown;
    try {
      text = JSON.stringify(value);
    } catch (error) {
      // For a cycle, the first line of the error says enough. What `toJSON` throws may be no Error.
      fault = `value cannot be written as JSON: ${causeText(error).split('\n', 1)[0]}`;
      cause = error;
    }
    if (text !== undefined) return this.send(text);
    return this.#mistake(new TypeError(fault, { cause }), 'writeJSON');
  }

  /** Counts a message that is rejected with a BackpressureError. */
  #counted(sent: Promise<void>): Promise<void> {
    if (sent instanceof CallPromise) this.#refused++;
    return sent;
  }

  /** Reports the first error of each kind from each place. The kind of an error is its name. */
  #reportOnce(error: unknown, where: string, kindOfFault?: string): void {
    const fault = `${where} ${kindOfFault ?? (error as Partial<Error> | undefined)?.name}`;
    if (this.#reported.has(fault)) return;
    this.#reported.add(fault);
    this.#plan.report(error, { where });
  }

  /** Returns a promise that rejects with `error`, which is about an argument, and reports it. */
  #mistake(error: unknown, where: string): Promise<never> {
    fromCaller(error, this, where);
    this.#plan.report(error, { where });
    return rejected(error);
  }

  /**
   * Calls `handler` with every message of every connection.
   *
   * @param handler - As for `Conn.receive`. The connection closes with 1011 when the handler fails.
   *   An error other than a WebSocketError of that connection ends this object.
   * @returns Resolves at the end, when the handler has finished with the last message.
   * @throws (rejects) The error that ended this object; the error of the handler; ReadPendingError
   *   when `receive` was called before; TypeError when `handler` is not a function.
   */
  receive(handler: MessageHandler): Promise<void> {
    if (typeof handler !== 'function') {
      const error = new TypeError(`receive: expected a function, got ${kind(handler)}`);
      return this.#mistake(error, 'receive');
    }
    if (this.#receives) {
      return rejected(new ReadPendingError('receive', 'receive'), this);
    }
    this.#receives = true;
    return markHandled(this.#receiveAll(handler));
  }

  /**
   * Iterates over the messages of all connections, in their order. When the loop has not begun the
   * last connection, the next dial waits for the loop or for a message to send. When the loop is 64
   * connections behind, the dial waits for the loop. The iteration ends with this object, and throws
   * the error that ended it. `break` leaves this object open. `return()` ends a pending `next`,
   * which then takes no message.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const left = new AbortController();
    const messages = this.#messages(left.signal);
    this.#hasLoop = true;
    return {
      next: () => markHandled(messages.next()),
      return: () => {
        left.abort();
        this.#hasLoop = false;
        return messages.return(undefined);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** @param left - Ends a pending `next`. Its message is for the next reader. */
  async *#messages(left: AbortSignal): AsyncGenerator<Message, undefined> {
    for await (const { conn, reads } of this.#chain.read(left)) {
      const iterator = reads[Symbol.asyncIterator]();
      const leave = (): void => void iterator.return?.();
      left.addEventListener('abort', leave);
      try {
        for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
          if (this.#discarding) break;
          yield next.value;
        }
      } catch (error) {
        if (!isErrorOf(conn, error) || conn.state === 'open' || this.#hasLost(conn)) throw error;
      } finally {
        left.removeEventListener('abort', leave);
      }
    }
    return left.aborted ? undefined : this.#ofEnd();
  }

  async #receiveAll(handler: MessageHandler): Promise<void> {
    const left = new AbortController();
    for await (const { conn, reads } of this.#chain.read(left.signal)) {
      this.reading = conn;
      try {
        await reads.receive((message) => (this.#discarding ? undefined : handler(message)));
      } catch (error) {
        if (error instanceof ReadPendingError) this.#receives = false;
        else if (isErrorOf(conn, error, reads.failure)) {
          if (!this.#hasLost(conn)) continue;
        } else await this.#handlerFailed(error);
        throw error;
      }
    }
    return this.#ofEnd();
  }

  /** The result of reading after the end. */
  #ofEnd(): Promise<undefined> | undefined {
    const end = this.#ended;
    return end?.error === undefined ? end && resolvedAt(end, () => undefined) : rejected(end.error);
  }

  /** Whether messages were dropped at the end by `close`. The reader then does not end normally. */
  #hasLost(conn: C): boolean {
    return this.#closing && !this.#discarding && (internalsOf(conn).messagesLost ?? 0) > 0;
  }

  async #handlerFailed(error: unknown): Promise<void> {
    // The handler may have failed with a message of an earlier connection.
    if (this.#conn !== undefined) await internalsOf(this.#conn).closeAfterError(error);
    this.#finish({ error });
  }

  /**
   * Calls `listener` for each connection that opens, or for the end of each.
   *
   * @param event - `open`: the listener gets the connection. `close`: it gets its `CloseInfo`.
   * @returns Removes the listener.
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
   * Dials at once: ends a wait, or closes the open connection with 1000 meanwhile. What that
   * connection still delivers, for a second at most, comes before the messages of the next one. A
   * dial that has begun continues, unless it is older than two seconds. After a failed dial the waits
   * start from `minDelay` again.
   *
   * @returns Resolves with the next connection that opens. Calls that overlap share one dial.
   * @throws (rejects) CloseSentError after the end. Its `cause` is the error that ended this object.
   */
  reconnect(): Promise<C> {
    if (this.#ended !== undefined || this.#closing) {
      return rejected(this.#noReconnect(), this);
    }
    const conn = this.#conn;
    this.#reconnected ??= new Deferred();
    if (conn !== undefined) this.#leave();
    this.#chain.want();
    this.#series.dialNow(conn !== undefined);
    if (conn !== undefined) closeReplaced(conn);
    return this.#reconnected.promise;
  }

  /**
   * Ends this object. An open connection first sends the waiting messages, for at most its
   * `closeTimeout`, then closes. Without an open connection it ends at once. Messages that still
   * wait are `unsent`.
   *
   * @param options - `discard`: true drops unread and later messages of all connections. A second
   *   call may ask for that. Default: readers get them, as after `Conn.close`.
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
      return this.#mistake(error, 'close');
    }
    this.#discarding ||= options.discard === true;
    const conn = this.#conn;
    if (this.#closing || this.#ended !== undefined) {
      // A second call can only drop messages.
      if (this.#discarding && conn?.state === 'closing') void conn.close(code, '', DISCARD);
      return this.#ended === undefined ? this.closed : resolvedAt(this.#ended, () => this.closed);
    }
    this.#closing = true;
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
    // A code that this connection cannot send, 1005 for example, must not leave it open.
    const close = { discard: this.#discarding };
    await conn.close(code, reason, close).catch(() => conn.close(1000, '', close));
  }

  async #run(): Promise<void> {
    try {
      for await (const conn of this.#series) {
        if (this.#ended === undefined) await this.#use(conn);
        else await conn.close();
        if (this.#closing) break;
      }
      this.#finish({});
    } catch (error) {
      this.#finish({ error });
    }
  }

  /**
   * Delivers one connection, waits until it has closed or is replaced, and until the next dial may
   * follow.
   */
  async #use(conn: C): Promise<void> {
    this.#conn = conn;
    this.#reconnected?.resolve(conn);
    this.#reconnected = undefined;
    const { closed } = internalsOf(conn);
    // First: a reader may send at once, and what waits comes before that.
    this.#backlogSent = this.#sendBacklog(conn);
    this.#chain.opened(conn, this.#readsOf(conn), closed);
    const left = new Deferred<void>();
    this.#left = left;
    void closed.then((info) => this.#closed(conn, info));
    this.#listeners.emit('open', conn);
    await left.promise;
    // After the end no code has to read first: `close` may be awaited where a message is handled.
    if (this.#closing) return;
    if (!this.#queue.isEmpty) this.#chain.want();
    await untilAborted(this.#series.signal, this.#chain.mayDial());
  }

  #closed(conn: C, info: CloseInfo): void {
    // Otherwise `reconnect` has replaced it.
    if (this.#conn === conn) {
      const refusal = this.#queue.closed(info);
      if (refusal !== undefined) this.#plan.report(refusal, { where: 'send' });
      this.#leave();
    }
    this.#listeners.emit('close', info);
  }

  /** The connection is no longer in use. */
  #leave(): void {
    this.#conn = undefined;
    this.#readAhead = undefined;
    this.#queue.window?.closed();
    this.#chain.closed();
    this.#left.resolve();
  }

  /**
   * Runs `onOpen`, within `handshakeTimeout`.
   *
   * @throws (also rejects) the error of `onOpen`; TimeoutError.
   */
  #prepare(conn: C, signal: AbortSignal): unknown {
    const failed = (error: unknown): never => {
      if (!signal.aborted) this.#reportOnce(error, 'onOpen');
      throw error;
    };
    const { last } = this.#queue;
    try {
      const work = this.#plan.onOpen?.(conn);
      if (!isThenable(work)) return undefined;
      const sendWaits = (): boolean => this.#queue.last !== last;
      const report = (error: Error): void => this.#reportOnce(error, 'onOpen', 'wait');
      return openWithin(this.#plan.handshakeTimeout, work, sendWaits, report).catch(failed);
    } catch (error) {
      return failed(error);
    }
  }

  /** Reads the messages of `conn` for the readers of this object. */
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
    queue.opened();
    while (conn.state === 'open' && this.#conn === conn && queue.next !== undefined) {
      const writable = internalsOf(conn).untilWritable();
      if (writable !== undefined) {
        // Keep the message in the queue: accepted messages are lost when the connection breaks.
        await writable.catch(() => {});
        continue;
      }
      const entry = queue.next;
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

  /** The dial function of `plan`. It reports its first failure: the dials after it are silent. */
  #reportsFirst({ dial, report }: LivePlan<C>): DialFunction<C> {
    let reported = false;
    return async (options) => {
      try {
        return await dial(options);
      } catch (error) {
        if (!reported && !options.signal.aborted) {
          // The error may end this object, and code may await that.
          portablePlatform.yield(() => {
            if (!this.#isTold) report(error, { where: 'dial' });
          });
        }
        reported = true;
        throw error;
      }
    };
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#ended !== undefined) return;
    const error = errorOf(end.error);
    this.#ended = { ...(error === undefined ? {} : { error }), unsent: this.#queue.unsent };
    void this.#series.return();
    this.#settled.resolve(this.#ended);
    this.#isTold = this.#queue.rejectAll(this.#endReason()) || this.#hasLoop;
    this.#reconnected?.reject(this.#noReconnect());
    this.#chain.finish();
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

/** Closes a connection, and gives up its end after {@link REPLACED_MS}. */
function closeReplaced(conn: ConnLike): void {
  const timer = setTimeout(() => conn.terminate(), REPLACED_MS);
  void internalsOf(conn).closed.then(() => clearTimeout(timer));
  if (conn.state === 'open') void markHandled(conn.close());
}
