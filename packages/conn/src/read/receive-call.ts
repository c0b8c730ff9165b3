import type { MessageDecoder } from '@ws/codec';
import { Lease } from '@ws/codec/internal';
import {
  BUSY,
  CALL,
  CALLED,
  DISCARD,
  FREE,
  OVER,
  PROMISE,
  RECEIVE,
  SETTLED,
} from '../connection/reader.ts';
import { BorrowedMessage, type DataType } from '../message.ts';
import { type AsyncContext, asyncContexts } from '../platform/async-contexts.ts';
import type { CloseInfo } from '../platform/observer.ts';
import { Deferred, markHandled, RESOLVED, rejected, resolvedAt } from '../time/promises.ts';
import { checkReceive } from '../validate.ts';
import type { Source } from './source.ts';

/** The callback of `receive`, called with each message. */
export type MessageHandler = (message: BorrowedMessage) => void | PromiseLike<void>;

/**
 * Observes how {@link ReceiveCall}s settle. `subject` is the `Conn` of the call. One observer serves
 * many calls, so that no call needs closures.
 */
export interface ReceiveObserver<Subject extends object> {
  fulfilled(subject: Subject): void;
  rejected(subject: Subject, error: unknown): void;
}

/** Code that runs at the end of a {@link ReceiveCall}. One object serves many calls. */
export type ReceiveEnd<Subject extends object> = {
  /**
   * Returns the promise as which the call settles. Without this code, the call would reject with the
   * error of `failure`; without a failure, it would resolve.
   */
  ended(subject: Subject, failure: { readonly error: unknown } | undefined): Promise<void>;
};

/** The executor of a promise that settles elsewhere. */
const neverSettle = (): void => {};

/** The result of a call that has failed, until code asks for its rejected promise. */
class Failure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/**
 * A pending `receive` or `discardReads`. The object is the promise of the caller. It has the handler,
 * and the message that is lent to the handler.
 *
 * Creating `resolve` and `reject` costs more than the promise, and most callers never await the
 * promise. So both belong to an inner promise, which is created on first use.
 */
export class ReceiveCall extends Promise<CloseInfo> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Undefined for `discardReads`. */
  readonly handler: MessageHandler | undefined;
  /** The async context of the call. The handler runs in this context. */
  readonly context: AsyncContext | undefined;
  /** The error that the handler has thrown, or that its promise rejected with. */
  thrown: { readonly error: unknown } | undefined;
  readonly #connection: Source;
  readonly #end: ReceiveEnd<object> | undefined;
  /** The object lent to the handler, created with the first message. */
  #borrowed: BorrowedMessage | undefined;
  /** A Deferred if code awaits the call. Otherwise the result, undefined until the call settles. */
  #result: Deferred<unknown> | Promise<unknown> | Failure | undefined;
  /** The first observer. Further ones need a promise, see {@link observe}. */
  #observer: ReceiveObserver<object> | undefined;

  constructor(handler: MessageHandler | undefined, connection: Source, end?: ReceiveEnd<object>) {
    super(neverSettle);
    this.handler = handler;
    this.#end = end;
    this.context = handler === undefined ? undefined : asyncContexts.capture();
    this.#connection = connection;
  }

  get name(): string {
    return this.handler === undefined ? 'discardReads' : 'receive';
  }

  /** `await`, `catch` and `Promise.all` call this on a subclass of Promise. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = CloseInfo, Caught = never>(
    onfulfilled?: ((info: CloseInfo) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    return this.#promise().then(onfulfilled, onrejected);
  }

  /** As {@link then}, with one `observer` for many calls. The first observer needs no inner promise. */
  observe(observer: ReceiveObserver<object>): void {
    if (this.#result === undefined && this.#observer === undefined) this.#observer = observer;
    else notify(observer, this.#connection.conn, this.#promise());
  }

  #settleAs(end: Promise<unknown>): void {
    if (this.#result instanceof Deferred) {
      this.#result.resolve(end);
      void markHandled(this.#result.promise);
    } else this.#result = end;
    const observer = this.#observer;
    this.#observer = undefined;
    if (observer !== undefined) notify(observer, this.#connection.conn, end);
  }

  /** Creates no rejected promise until code asks for one, because most callers only observe. */
  #reject(reason: unknown): void {
    if (this.#result instanceof Deferred) this.#result.reject(reason);
    else this.#result = new Failure(reason);
    const observer = this.#observer;
    this.#observer = undefined;
    const { conn } = this.#connection;
    if (observer !== undefined) void RESOLVED.then(() => observer.rejected(conn, reason));
  }

  #promise(): Promise<CloseInfo> {
    if (this.#result instanceof Failure) this.#result = rejected(this.#result.error);
    this.#result ??= new Deferred();
    const promise = this.#result instanceof Deferred ? this.#result.promise : this.#result;
    return promise as Promise<CloseInfo>;
  }

  // Messages

  /** Lends the message of the decoder to the handler. */
  take(decoder: MessageDecoder): void {
    const { type, bytes, start, end } = decoder;
    this.call(type, bytes, start, end, decoder.removeLease());
    if (this.#connection.inbox.ended !== undefined) this.settleAtEnd();
  }

  /** Gives queued messages to the handler, in the async context of the call of `receive`. */
  serve(): void {
    const { context } = this;
    if (context === undefined) return this.takeQueued();
    // oxlint-disable-next-line typescript/unbound-method -- `this` is the second argument
    return context.runInAsyncScope(this.takeQueued, this);
  }

  /** Gives queued messages to the handler until it is busy or has failed. */
  takeQueued(): void {
    const { inbox } = this.#connection;
    // If the handler has ended the connection, the call has settled.
    while (inbox.reader === FREE && inbox.receiveCall === this && this.thrown === undefined) {
      this.#connection.control?.checkExpiry();
      const message = inbox.shiftQueued();
      if (message === undefined) return;
      const { type, data } = message;
      this.call(type, data, 0, data.length, undefined);
      this.settleAtEnd();
    }
  }

  /** Calls the handler with `bytes[start, end)`. `lease` is their pooled memory, if any. */
  call(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
  ): void {
    // Each call has its own BorrowedMessage: a handler that keeps the object never sees bytes of
    // another connection.
    this.#borrowed ??= new BorrowedMessage(this.#connection.platform);
    const borrowed = this.#borrowed;
    if (borrowed.overwritten) this.#lendCopy(type, bytes, start, end, lease);
    else {
      borrowed.lend(type, bytes, start, end);
      borrowed.lease = lease;
    }
    this.#connection.inbox.on(CALL);
    try {
      const result = this.handler!(borrowed);
      // A handler that returns the promise of a write usually returns `RESOLVED`: no need to wait.
      if (result === undefined || result === RESOLVED) this.#handlerDone();
      else if (typeof result?.then === 'function') this.#waitFor(result);
      else this.#handlerDone();
    } catch (error) {
      this.#handlerDone();
      if (!this.#isLateAnswer(error)) this.#fail(error);
    }
  }

  /** For debugging: lends a copy. The copy is overwritten when the handler has finished. */
  #lendCopy(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
  ): void {
    const borrowed = this.#borrowed!;
    let copy: Lease;
    try {
      copy = Lease.overwritten(bytes, start, end);
    } finally {
      lease?.release();
    }
    borrowed.lend(type, copy.bytes, 0, end - start);
    borrowed.lease = copy;
  }

  /** A separate method: a closure in {@link call} would make every call allocate a context. */
  #waitFor(result: PromiseLike<void>): void {
    this.#connection.inbox.on(PROMISE);
    // `Promise.resolve` wraps foreign thenables and returns native promises unchanged.
    Promise.resolve(result).then(
      () => {
        this.#handlerDone();
        this.#continue();
      },
      (error: unknown) => {
        this.#handlerDone();
        if (this.#isLateAnswer(error)) this.#continue();
        else this.#fail(error);
      },
    );
  }

  /** The promise of the handler has settled: gives the next messages to the handler. */
  #continue(): void {
    this.takeQueued();
    this.#connection.inbox.run('reader');
    this.settleAtEnd();
  }

  /**
   * Whether `error` only means that the handler's write came after the close. The handler then gets
   * the other messages before the peer's close frame.
   */
  #isLateAnswer(error: unknown): boolean {
    return this.#connection.ending?.reasons.isLateAnswer(error) === true;
  }

  #fail(error: unknown): void {
    this.thrown = { error };
    this.#connection.handlerFailed(error, 'receive');
    this.settleAtEnd();
  }

  /** Settles the call if reading has ended and the handler is done with all messages. */
  settleAtEnd(): void {
    const { inbox, ending } = this.#connection;
    const { ended, readAhead, reader } = inbox;
    if (ended === undefined || inbox.receiveCall !== this) return;
    if (reader === CALLED || reader === BUSY || readAhead?.empty === false) return;
    inbox.receiveCall = undefined;
    inbox.on(OVER);
    const { reason } = ended;
    const { thrown } = this;
    // Two errors of a handler are no failures: a write after our close frame, and the end of reading.
    const error = thrown === undefined ? reason : thrown.error;
    const hasThrown = error !== reason && ending?.reasons.isCloseSent(error) !== true;
    const failure =
      hasThrown || !ended.normally ? { error: hasThrown ? error : reason } : undefined;
    const connection = this.#connection;
    const end = this.#end?.ended(connection.conn, failure);
    if (end !== undefined) this.#settleAs(markHandled(end));
    else if (failure === undefined) this.#settleAs(connection.closedPromise());
    else this.#reject(failure.error);
  }

  /**
   * Called when the transport is closed. A busy handler may never settle, so copies its message out
   * of the pooled memory, unless the handler has a view of that memory.
   */
  leavePools(): void {
    const borrowed = this.#borrowed;
    const lease = borrowed?.lease;
    if (lease === undefined || !borrowed!.own()) return;
    borrowed!.lease = undefined;
    lease.release();
  }

  #handlerDone(): void {
    this.#connection.inbox.on(SETTLED);
    const borrowed = this.#borrowed!;
    borrowed.takeBack();
    const { lease } = borrowed;
    if (lease === undefined) return;
    borrowed.lease = undefined;
    lease.release();
  }
}

/** See {@link Conn.receive}. `more` are arguments that it does not take. */
export function receive(
  connection: Source,
  handler: MessageHandler,
  more: readonly unknown[],
): Promise<CloseInfo> {
  try {
    checkReceive(handler, more);
  } catch (error) {
    return connection.rejected(error, 'receive');
  }
  return startReceive(connection, handler);
}

/**
 * Begins `receive` with `handler`, or `discardReads` without one. Resolves when the connection is
 * closed after a normal end of reading.
 */
export function startReceive(
  connection: Source,
  handler: MessageHandler | undefined,
  end?: ReceiveEnd<object>,
): Promise<CloseInfo> {
  const { inbox } = connection;
  if (
    end === undefined &&
    inbox.ended?.normally === true &&
    inbox.nothingUnread &&
    inbox.receiveCall === undefined
  ) {
    return resolvedAt(inbox.ended, () => connection.closedPromise());
  }
  const call = new ReceiveCall(handler, connection, end);
  const clash = inbox.clash(call.name);
  if (clash !== undefined) return rejected(clash, inbox);
  inbox.dropPieces(`${call.name} began`);
  if (handler === undefined) inbox.checkOnly();
  inbox.receiveCall = call;
  inbox.on(handler === undefined ? DISCARD : RECEIVE);
  call.takeQueued();
  inbox.run('reader');
  call.settleAtEnd();
  return call;
}

/** See `InternalsOfConn.receiveThen`. */
export function receiveThen(
  connection: Source,
  handler: MessageHandler,
  end: ReceiveEnd<object>,
): Promise<void> {
  const clash = connection.inbox.clash('receive');
  if (clash !== undefined) return markHandled(end.ended(connection.conn, { error: clash }));
  return startReceive(connection, handler, end) as Promise<unknown> as Promise<void>;
}

function notify(observer: ReceiveObserver<object>, subject: object, call: Promise<unknown>): void {
  call.then(
    () => observer.fulfilled(subject),
    (error: unknown) => observer.rejected(subject, error),
  );
}
