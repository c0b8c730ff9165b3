import { Lease } from '@ws/codec/internal';
import type { Reader } from '../connection/reader.ts';
import { BorrowedMessage, type DataType } from '../message.ts';
import { type AsyncContext, asyncContexts } from '../platform/async-contexts.ts';
import type { CloseInfo } from '../platform/observer.ts';
import { Deferred, RESOLVED, rejected } from '../time/promises.ts';
import { rejectWithEnd } from './pending-read.ts';

/** The callback of `receive`, called with each message. */
export type MessageHandler = (message: BorrowedMessage) => void | PromiseLike<void>;

/**
 * Gets the outcomes of many {@link ReceiveCall}s; `subject` says which one. One observer replaces
 * two closures for each call.
 */
export interface ReceiveObserver<Subject extends object> {
  fulfilled(subject: Subject): void;
  rejected(subject: Subject, error: unknown): void;
}

const never = (): void => {};

/** The error of a call that has rejected. */
class Failure {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/**
 * A pending `receive` or `discardReads`: the promise that the caller has, the handler, and the
 * message lent to the handler.
 *
 * Creating `resolve` and `reject` costs more than the promise, and most callers never await it.
 * Both are created on first use.
 */
export class ReceiveCall extends Promise<CloseInfo> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Undefined for `discardReads`. */
  readonly handler: MessageHandler | undefined;
  /** The context in which the handler runs: that of the call. */
  readonly context: AsyncContext | undefined;
  /** The error that the handler has thrown, or that its promise rejected with. */
  thrown: { readonly error: unknown } | undefined;
  /** Whether the handler has a message and has not finished with it. */
  busy = false;
  readonly #reader: Reader;
  /** The object lent to the handler, created with the first message. */
  #borrowed: BorrowedMessage | undefined;
  /** The outcome, once a caller awaits it or the call has failed. */
  #outcome: Deferred<CloseInfo> | undefined;
  /** How the call has settled, when that was before `#outcome` was created. */
  #settled: Promise<CloseInfo> | Failure | undefined;
  #observer: ReceiveObserver<object> | undefined;
  #subject: object | undefined;
  /** Whether the handler has returned a promise that has not settled. */
  #handlerPending = false;

  /** Safe for any value: `instanceof` would call a trap of a Proxy. */
  static is(value: unknown): value is ReceiveCall {
    return typeof value === 'object' && value !== null && #outcome in value;
  }

  constructor(handler: MessageHandler | undefined, reader: Reader) {
    super(never);
    this.handler = handler;
    this.context = handler === undefined ? undefined : asyncContexts.capture();
    this.#reader = reader;
  }

  get name(): string {
    return this.discards ? 'discardReads' : 'receive';
  }

  /** Whether no message is wanted. */
  get discards(): boolean {
    return this.handler === undefined;
  }

  /** Whether the code that asks was called by the handler, before the handler has returned. */
  get inCall(): boolean {
    return this.busy && !this.#handlerPending;
  }

  /** `await`, `catch` and `Promise.all` call this on a subclass of Promise. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = CloseInfo, Caught = never>(
    onfulfilled?: ((info: CloseInfo) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    return this.#promise().then(onfulfilled, onrejected);
  }

  /** As {@link then}. With one observer the call needs no promise besides itself until the end. */
  observe<Subject extends object>(observer: ReceiveObserver<Subject>, subject: Subject): void {
    const isFirst = this.#outcome === undefined && this.#observer === undefined;
    if (!isFirst || this.#settled !== undefined) {
      return notify(observer, subject, this.#promise());
    }
    this.#observer = observer;
    this.#subject = subject;
  }

  resolve(info: Promise<CloseInfo>): void {
    if (this.#outcome === undefined) this.#settled = info;
    else this.#outcome.resolve(info);
    if (this.#observer !== undefined) notify(this.#observer, this.#subject!, info);
    this.#forgetObserver();
  }

  /** The rejected promise is made once code asks for it: most callers only observe. */
  reject(error: unknown): void {
    if (this.#outcome === undefined) this.#settled = new Failure(error);
    else this.#outcome.reject(error);
    if (this.#observer !== undefined) this.#notifyOf(this.#observer, this.#subject!, error);
    this.#forgetObserver();
  }

  #notifyOf(observer: ReceiveObserver<object>, subject: object, error: unknown): void {
    void RESOLVED.then(() => observer.rejected(subject, error));
  }

  #forgetObserver(): void {
    this.#observer = undefined;
    this.#subject = undefined;
  }

  /** Reading has ended with `error`. */
  end(error: unknown): void {
    // If no code awaits the call, its stack would name no caller.
    if (this.#outcome === undefined) return this.reject(error);
    if (this.#observer !== undefined) notify(this.#observer, this.#subject!, this.#outcome.promise);
    this.#forgetObserver();
    rejectWithEnd(this.#outcome, error);
  }

  #promise(): Promise<CloseInfo> {
    if (this.#settled instanceof Failure) this.#settled = rejected(this.#settled.error);
    if (this.#settled !== undefined) return this.#settled;
    this.#outcome ??= new Deferred();
    return this.#outcome.promise;
  }

  /**
   * Calls the handler with `bytes[start, end)`; `lease` is the pooled memory of the bytes, if any.
   */
  call(
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
  ): void {
    // Each connection has its own BorrowedMessage. A handler that keeps this object never sees
    // bytes of another connection.
    this.#borrowed ??= new BorrowedMessage(this.#reader.platform);
    const borrowed = this.#borrowed;
    if (borrowed.overwritten) this.#lendCopy(type, bytes, start, end, lease);
    else {
      borrowed.lend(type, bytes, start, end);
      borrowed.lease = lease;
    }
    this.busy = true;
    try {
      const result = this.handler!(borrowed);
      // Writes return `RESOLVED` while there is room. That promise has already resolved, so the
      // call does not wait for it.
      if (result === undefined || result === RESOLVED) this.#release();
      else if (typeof result?.then === 'function') this.#waitFor(result);
      else this.#release();
    } catch (error) {
      this.#release();
      if (!this.#reader.isLateAnswer(error)) this.#fail(error);
    }
  }

  /** For debugging: lends a copy, which is overwritten when the handler has finished. */
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

  /**
   * This code is a separate method: a closure in {@link call} would make V8 allocate a context at
   * every call.
   */
  #waitFor(result: PromiseLike<void>): void {
    this.#handlerPending = true;
    // `Promise.resolve` wraps foreign thenables and returns native promises unchanged.
    Promise.resolve(result).then(
      () => {
        this.#handlerPending = false;
        this.#release();
        this.#reader.handlerSettled();
      },
      (error: unknown) => {
        this.#handlerPending = false;
        this.#release();
        if (this.#reader.isLateAnswer(error)) this.#reader.handlerSettled();
        else this.#fail(error);
      },
    );
  }

  #fail(error: unknown): void {
    this.thrown = { error };
    this.#reader.handlerFailed(error);
  }

  /**
   * The transport is closed. A handler that is still at work may never settle: its message leaves the
   * pooled memory, unless the handler has a view of it.
   */
  leavePools(): void {
    const borrowed = this.#borrowed;
    const lease = borrowed?.lease;
    if (lease === undefined || !borrowed!.own()) return;
    borrowed!.lease = undefined;
    lease.release();
  }

  #release(): void {
    this.busy = false;
    const borrowed = this.#borrowed!;
    borrowed.takeBack();
    const { lease } = borrowed;
    if (lease === undefined) return;
    borrowed.lease = undefined;
    lease.release();
  }
}

function notify<Subject extends object>(
  observer: ReceiveObserver<Subject>,
  subject: Subject,
  outcome: Promise<unknown>,
): void {
  outcome.then(
    () => observer.fulfilled(subject),
    (error: unknown) => observer.rejected(subject, error),
  );
}
