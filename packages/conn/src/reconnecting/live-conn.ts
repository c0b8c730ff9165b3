import { checked, fromCaller } from '@ws/codec/internal';
import type { CloseInfo } from '../close-info.ts';
import type { ConnLike } from '../conn-like.ts';
import { BackpressureError, CloseSentError, errorOf, ReadPendingError } from '../errors.ts';
import type { Message } from '../message.ts';
import { onRejection } from '../on-rejection.ts';
import { asyncContexts } from '../platform/async-contexts.ts';
import { portablePlatform } from '../portable-platform.ts';
import type { MessageHandler } from '../read/receive-call.ts';
import { Deferred, handled, RESOLVED, rejected, resolvedLater } from '../time/promises.ts';
import { LateRejection, rejectedLater } from '../time/refusal.ts';
import { kind } from '../validate.ts';
import type { MessageData } from '../writing/payload.ts';
import { untilAborted } from './abortable-wait.ts';
import { ConnectionChain, type Reads } from './connection-chain.ts';
import { ConnectionSeries } from './connection-series.ts';
import { internalsOf } from './internals.ts';
import { MessageBacklog, type WaitingMessage } from './message-backlog.ts';
import type { DialFunction, LivePlan, ReconnectingCloseOptions } from './options.ts';
import { ReadAhead } from './read-ahead.ts';
import { isErrorOf } from './reconnecting.ts';
import { UnacknowledgedMessages } from './resend.ts';

/**
 * The state of a `ReconnectingConn`: dialing or running `onOpen`; open; waiting for the next dial,
 * or for the end of a connection that closes; closed, also while `close` ends the connection.
 */
export type ReconnectingState = 'connecting' | 'open' | 'waiting' | 'closed';

/** How a `ReconnectingConn` ended. */
export interface ReconnectingEnd {
  /**
   * The error that ended it; absent after `close`, `signal`, and a close code of `stopCodes`. For a
   * value that is no Error, thrown by a function of yours, it is an Error with that value as `cause`.
   */
  readonly error?: Error | undefined;
  /**
   * The messages with an id that the peer has not acknowledged (option `resend`), then those that
   * no connection has accepted; each in the order of the calls.
   */
  readonly unsent: readonly Message[];
}

/** The counters of a `ReconnectingConn`. */
export interface ReconnectingStats {
  /** Messages that `send` has refused with a BackpressureError. They are not in `unsent`. */
  readonly messagesRefused: number;
}

/** The listeners of {@link LiveConn.on}. */
interface ListenersOf<C> {
  readonly open: (conn: C) => unknown;
  readonly close: (info: CloseInfo) => unknown;
}

const DISCARD = { discard: true } as const;

/**
 * The base of the classes `ReconnectingConn`: that of this package takes a dial function, those of
 * node-client and browser take a URL.
 */
export class LiveConn<C extends ConnLike> implements AsyncIterable<Message>, AsyncDisposable {
  /** Resolves when it has ended; never rejects. */
  readonly closed: Promise<ReconnectingEnd>;
  readonly #series: ConnectionSeries<C>;
  readonly #backlog: MessageBacklog;
  /** Undefined without the option `resend`. */
  readonly #unacknowledged: UnacknowledgedMessages | undefined;
  readonly #plan: LivePlan<C>;
  readonly #end = new Deferred<ReconnectingEnd>();
  readonly #listeners = { open: new Set<unknown>(), close: new Set<unknown>() };
  readonly #chain = new ConnectionChain<C>();
  #conn: C | undefined;
  /** Whether `receive` was called. A call that another reader has refused does not count. */
  #receives = false;
  #ended: ReconnectingEnd | undefined;
  /** Whether `close` was called. */
  #closing = false;
  /** Whether `close` with `discard` was called: readers get no more messages. */
  #discarding = false;
  /** Whether the backlog is being sent. Later messages join it. */
  #sendingBacklog = false;
  /** Resolves when the connection has accepted the backlog, or has ended. */
  #backlogSent: Promise<void> = RESOLVED;
  /** Settles the promises of `reconnect`. */
  #reconnected: Deferred<C> | undefined;
  #refused = 0;
  #refusalReported = false;

  /** @internal */
  constructor(plan: LivePlan<C>) {
    this.#plan = plan;
    this.#backlog = new MessageBacklog(plan);
    this.#unacknowledged = plan.resend && new UnacknowledgedMessages(plan.resend);
    this.#series = new ConnectionSeries({ ...plan, dial: reportsFirst(plan) }, plan.onOpen);
    this.closed = this.#end.promise;
    void this.#run();
  }

  get state(): ReconnectingState {
    if (this.conn !== undefined) return 'open';
    if (this.#ended !== undefined || this.#closing) return 'closed';
    return this.#conn === undefined ? this.#series.phase : 'waiting';
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
   * Sends a message on the open connection, or keeps a copy for the next one.
   *
   * @param data - As for `Conn.send`.
   * @returns Resolves when a connection has accepted the message, as `Conn.send` does. A message
   *   that a connection had accepted when it ended is not sent again: if it matters, have the peer
   *   acknowledge it. With the option `resend`, a message with an id resolves when the peer has
   *   acknowledged it.
   * @throws (rejects) BackpressureError over `maxQueuedBytes` or `maxQueuedMessages`, over
   *   `maxBufferedAmount` of the open connection when no message waits, or for an id over a bound of
   *   `resend`; CloseSentError after `close`; the error that ended this object; the error of the
   *   connection that had accepted the message without an id and broke; TypeError for other data.
   */
  send(data: MessageData): Promise<void> {
    try {
      // First: a function of the application may end this object.
      const id = this.#unacknowledged?.idOf(data);
      if (this.#ended !== undefined || this.#closing) {
        return rejectedLater(portablePlatform, this.#endReason());
      }
      if (id !== undefined) return this.#sendWithId(this.#unacknowledged!, id, data);
      const { conn } = this;
      if (conn !== undefined && !this.#sendingBacklog) return this.#counted(conn.send(data));
      const sent = handled(this.#backlog.add(data));
      if (this.#conn === undefined) this.#chain.want();
      return sent;
    } catch (error) {
      if (!(error instanceof BackpressureError)) return this.#mistake(error, 'send');
      return this.#counted(rejectedLater(portablePlatform, error, () => this.#ignored(error)));
    }
  }

  /** @throws as `UnacknowledgedMessages.add`. */
  #sendWithId(messages: UnacknowledgedMessages, id: string, data: MessageData): Promise<void> {
    const entry = messages.add(id, data);
    const { conn } = this;
    if (this.#conn === undefined) this.#chain.want();
    else if (conn !== undefined && this.#sendingBacklog) messages.queue(entry);
    // When the connection breaks, the next one gets the message.
    else if (conn !== undefined) void handled(internalsOf(conn).sendWaiting(entry.message));
    return entry.sent.promise;
  }

  /** Counts a message whose `sent` is rejected with a BackpressureError. */
  #counted(sent: Promise<void>): Promise<void> {
    if (sent instanceof LateRejection && sent.reason instanceof BackpressureError) this.#refused++;
    return sent;
  }

  /** Reports the first refused message whose promise no code awaits. */
  #ignored(error: unknown): void {
    if (this.#refusalReported) return;
    this.#refusalReported = true;
    this.#plan.report(error, { where: 'send' });
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
      return rejectedLater(portablePlatform, new ReadPendingError('receive', 'receive'));
    }
    this.#receives = true;
    return handled(this.#receiveAll(handler));
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
    return {
      next: () => handled(messages.next()),
      return() {
        left.abort();
        return messages.return(undefined);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** @param left - Ends a pending `next`, whose message is for the next reader. */
  async *#messages(left: AbortSignal): AsyncGenerator<Message, undefined> {
    // In a later turn, so that code that begins one loop after the other blocks no other work.
    if (this.#ended !== undefined) await resolvedLater(portablePlatform, undefined);
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
        if (!isErrorOf(conn, error) || conn.state === 'open') throw error;
      } finally {
        left.removeEventListener('abort', leave);
      }
    }
    if (this.#ended?.error !== undefined && !left.aborted) throw this.#ended.error;
    return undefined;
  }

  async #receiveAll(handler: MessageHandler): Promise<void> {
    const left = new AbortController();
    for await (const { conn, reads } of this.#chain.read(left.signal)) {
      try {
        await reads.receive((message) => (this.#discarding ? undefined : handler(message)));
      } catch (error) {
        if (error instanceof ReadPendingError) this.#receives = false;
        else if (isErrorOf(conn, error, reads.failure)) continue;
        else await this.#handlerFailed(error);
        throw error;
      }
    }
    if (this.#ended?.error !== undefined) throw this.#ended.error;
  }

  async #handlerFailed(error: unknown): Promise<void> {
    // The handler may have failed with a message of an earlier connection.
    if (this.#conn !== undefined) await internalsOf(this.#conn).closeAfterError();
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
    // An object for each call: the same function may listen twice.
    const entry = { listener: asyncContexts.bind(listener) };
    const entries = this.#listeners[event];
    entries.add(entry);
    return () => void entries.delete(entry);
  }

  /**
   * Dials at once: ends a wait, or closes the open connection with 1000 and waits only for its end.
   * A dial that has begun continues. After a failed dial the waits start from `minDelay` again.
   *
   * @returns Resolves with the next connection that opens. Calls that overlap share one dial.
   * @throws (rejects) CloseSentError after the end. Its `cause` is the error that ended this object.
   */
  reconnect(): Promise<C> {
    if (this.#ended !== undefined || this.#closing) {
      return rejectedLater(portablePlatform, this.#noReconnect());
    }
    const conn = this.#conn;
    this.#reconnected ??= new Deferred();
    this.#series.dialNow(conn !== undefined);
    this.#chain.want();
    if (conn?.state === 'open') void handled(conn.close());
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
      return this.closed;
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

  /** Delivers one connection, waits until it has closed, and until the next dial may follow. */
  async #use(conn: C): Promise<void> {
    this.#conn = conn;
    this.#reconnected?.resolve(conn);
    this.#reconnected = undefined;
    // First: a reader may send at once, and what waits comes before that.
    this.#backlogSent = this.#sendBacklog(conn);
    const { closed } = internalsOf(conn);
    this.#chain.opened(conn, this.#readsOf(conn), closed);
    this.#emit('open', conn);
    const info = await closed;
    this.#conn = undefined;
    this.#chain.closed();
    this.#emit('close', info);
    // After the end no code has to read first: `close` may be awaited where a message is handled.
    if (this.#closing) return;
    if (!this.#backlog.isEmpty || this.#unacknowledged?.isEmpty === false) this.#chain.want();
    await untilAborted(this.#series.signal, this.#chain.mayDial());
  }

  /** What reads the messages of `conn` for the readers of this object. */
  #readsOf(conn: C): Reads {
    const { resend } = this.#plan;
    const messages = this.#unacknowledged;
    if (resend === undefined || messages === undefined) return conn;
    const failed = (error: unknown): void => void this.#handlerFailed(error);
    return new ReadAhead(conn, resend, (message) => messages.hides(message), failed);
  }

  async #sendBacklog(conn: C): Promise<void> {
    this.#sendingBacklog = true;
    this.#unacknowledged?.sendAgain();
    while (conn.state === 'open') {
      const again = this.#unacknowledged?.peek();
      if (again === undefined && this.#backlog.isEmpty) break;
      const writable = internalsOf(conn).untilWritable();
      if (writable !== undefined) {
        // Keep the message in the backlog: accepted messages are lost when the connection breaks.
        await writable.catch(() => {});
        continue;
      }
      const waiting = again === undefined ? this.#backlog.shift() : undefined;
      const accepted = internalsOf(conn).sendWaiting(again ?? waiting!.message);
      if (waiting === undefined) this.#unacknowledged!.shift();
      else waiting.sent.resolve(accepted);
      await accepted.catch(() => {});
    }
    this.#sendingBacklog = false;
  }

  #emit<Event extends keyof ListenersOf<C>>(
    event: Event,
    argument: Parameters<ListenersOf<C>[Event]>[0],
  ): void {
    // A copy: a listener that is added meanwhile waits for the next event.
    const entries = [...this.#listeners[event]];
    for (const entry of entries) {
      const { listener } = entry as { listener: (argument: unknown) => unknown };
      const failed = (error: unknown): void => this.#plan.report(error, { where: `on ${event}` });
      try {
        onRejection(listener(argument), failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #finish(end: { readonly error?: unknown }): void {
    if (this.#ended !== undefined) return;
    const waiting: Pick<WaitingMessage, 'message' | 'sent'>[] =
      this.#unacknowledged?.takeAll() ?? [];
    while (!this.#backlog.isEmpty) waiting.push(this.#backlog.shift()!);
    const unsent = waiting.map(({ message }) => message);
    const error = errorOf(end.error);
    this.#ended = { ...(error === undefined ? {} : { error }), unsent };
    void this.#series.return();
    this.#end.resolve(this.#ended);
    const reason = this.#endReason();
    for (const { sent } of waiting) sent.reject(reason);
    this.#reconnected?.reject(this.#noReconnect());
    this.#chain.end();
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

function checkListener(event: unknown, listener: unknown): void {
  if (event !== 'open' && event !== 'close') {
    throw new TypeError(`on: expected 'open' or 'close', got ${String(event)}`);
  }
  if (typeof listener !== 'function') {
    throw new TypeError(`on: expected a function, got ${kind(listener)}`);
  }
}

/** The dial function of `plan`. It reports its first failure: the dials after it are silent. */
function reportsFirst<C extends ConnLike>({ dial, report }: LivePlan<C>): DialFunction<C> {
  let reported = false;
  return async (options) => {
    try {
      return await dial(options);
    } catch (error) {
      if (!reported && !options.signal.aborted) report(error, { where: 'dial' });
      reported = true;
      throw error;
    }
  };
}
