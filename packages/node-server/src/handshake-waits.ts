import type { Duplex } from 'node:stream';
import { TimeoutError, type TransportError } from '@ws/conn';
import { isThenable, schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { unref } from '@ws/node-io/internal';
import { assertOpen, destroyOnError, disconnectError } from './client-socket.ts';
import { EarlyBytes, MAX_EARLY_BYTES } from './early-bytes.ts';
import { HandshakeError, tryLater } from './errors.ts';
import type { Responder } from './responder/responder.ts';

/** Grace period in ms for refusing a client that has half-closed. */
const HALF_CLOSED_GRACE_MS = 250;

/**
 * The waits of one request on its way to an answer. They end early when the client has disconnected
 * or the time is up. A request that waits for nothing does not create them.
 *
 * A client that has half-closed (sent a FIN) gets no connection, and `signal` is aborted. It may
 * still read, so a refusal is sent if it is ready within a short grace period.
 */
export class HandshakeWaits implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  readonly #responder: Responder;
  readonly #socket: Duplex;
  readonly #early: EarlyBytes;
  #startedAt: number;
  #timeout: number;
  #isTimeUp = false;
  #watching = false;
  #graceTimer: NodeJS.Timeout | undefined;
  #halfClosed: TransportError | undefined;
  #failure: Error | undefined;
  #controller: AbortController | undefined;
  #reject: ((error: Error) => void) | undefined;
  /** The names of the application's calls that have not settled. */
  readonly #pendingCalls = new Map<PromiseLike<unknown>, string>();
  #onCallsSettled: (() => void) | undefined;

  /**
   * From here on every error of the socket is caught.
   *
   * @param responder - Its stream was taken by {@link takeSocket}.
   * @param head - The bytes after the request.
   * @param timeout - Milliseconds to the answer; Infinity for no bound.
   * @param startedAt - The time from which they count, by `performance.now()`.
   */
  constructor(responder: Responder, head: Uint8Array, timeout: number, startedAt: number) {
    const { stream } = responder;
    stream.on('error', destroyOnError);
    // Otherwise a TLS socket would end itself at the peer's FIN.
    stream.allowHalfOpen = true;
    this.#responder = responder;
    this.#socket = stream;
    this.#early = new EarlyBytes(stream, head, this.#onTooMany);
    this.#timeout = timeout;
    this.#startedAt = startedAt;
  }

  /** Milliseconds; Infinity for no bound. */
  get timeout(): number {
    return this.#timeout;
  }

  /** Replaces the timeout. The new one, too, counts from the request. */
  set timeout(timeout: number) {
    this.#timeout = timeout;
    this.#restartTimer();
  }

  /** Replaces the time from which the timeout counts; Infinity while it does not count. */
  set startedAt(at: number) {
    this.#startedAt = at;
    this.#restartTimer();
  }

  #restartTimer(): void {
    if (this.slot === undefined) return;
    schedulerOf(nodePlatform).timers.clear(this);
    this.#startTimer();
  }

  /**
   * The reason why there will be no connection: the client has disconnected or has half-closed, or
   * the time is up.
   */
  get failure(): Error | undefined {
    return this.#failure ?? this.#halfClosed;
  }

  /** Aborted with {@link failure}. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.failure !== undefined) this.#controller.abort(this.failure);
    return this.#controller.signal;
  }

  /**
   * @throws TransportError when the client has disconnected or has half-closed; HandshakeError 503
   *   when the time is up, 400 after too many early bytes.
   */
  checkClient(): void {
    if (this.failure !== undefined) throw this.failure;
    assertOpen(this.#socket);
  }

  /**
   * Waits for a result, while the client is there and the time is not up.
   *
   * @throws TransportError when the client has disconnected first, HandshakeError 503 when the time
   *   is up first, 400 after too many early bytes. The result of `work` is ignored then.
   */
  async wait<T>(work: T | PromiseLike<T>): Promise<T> {
    if (!isThenable(work)) return work;
    this.#watch();
    const result = await new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      work.then(resolve, reject);
      if (this.#failure !== undefined) reject(this.#failure);
    });
    this.#reject = undefined;
    return result;
  }

  /**
   * Waits for a result of the application, for at most the handshake's time. The call may continue
   * after that: {@link whenCallsSettled} waits until it has settled.
   *
   * @throws as {@link wait}.
   */
  waitForCall<T>(name: string, work: T | PromiseLike<T>): Promise<T> {
    if (!isThenable(work)) return this.wait(work);
    // A thenable of the application may settle twice or throw. A promise does neither.
    const call = Promise.resolve(work);
    this.#pendingCalls.set(call, name);
    const onSettled = (): void => {
      this.#pendingCalls.delete(call);
      if (this.#pendingCalls.size === 0) this.#onCallsSettled?.();
    };
    call.then(onSettled, onSettled);
    return this.wait(call);
  }

  /**
   * Runs `done` when every call of the application has settled, or when the time since the request
   * is up. A call may outlive its client.
   *
   * @param overdue - Gets the names of the calls that are still pending one turn after that time.
   */
  whenCallsSettled(done: () => void, overdue: (names: readonly string[]) => void): void {
    if (this.#pendingCalls.size === 0) return done();
    const onTimeUp = (): void => {
      this.#onCallsSettled = undefined;
      done();
      // A call that ends by its signal settles in this turn.
      setImmediate(() => {
        if (this.#pendingCalls.size > 0) overdue([...this.#pendingCalls.values()]);
      });
    };
    if (this.#isTimeUp) return onTimeUp();
    const remaining = this.#remaining;
    const timer = remaining === Infinity ? undefined : setTimeout(onTimeUp, remaining);
    unref(timer);
    this.#onCallsSettled = () => {
      clearTimeout(timer);
      this.#onCallsSettled = undefined;
      done();
    };
  }

  /** Ends the waits with `reason`: {@link failure} has it, if nothing failed before. */
  abort(reason: Error): void {
    this.#failure ??= reason;
    this.#controller?.abort(reason);
    this.#reject?.(reason);
  }

  /** Stops to watch the client and the time. Errors of the socket are still caught. */
  stop(): void {
    this.#watching = false;
    schedulerOf(nodePlatform).timers.clear(this);
    clearTimeout(this.#graceTimer);
    this.#early.stopReading();
    this.#socket.off('close', this.#onClose).off('end', this.#onEnd);
  }

  /** Returns the bytes that the client has sent after its request so far, and forgets them. */
  takeEarlyBytes(): Uint8Array {
    return this.#early.take();
  }

  /** Stops catching the socket's errors: a connection, or Node, has it and catches them. */
  forgetSocket(): void {
    this.#socket.off('error', destroyOnError);
  }

  /** The time is up. */
  fire(): void {
    this.#isTimeUp = true;
    const message = `handshake timed out after ${this.#timeout} ms (option handshakeTimeout)`;
    const cause = new TimeoutError(message);
    this.abort(tryLater(503, message, { body: 'handshake timed out\n', cause }));
  }

  /**
   * Refuses a client that has sent more than is kept while it waited for earlier answers.
   *
   * @throws HandshakeError 400.
   */
  checkEarlyBytes(): void {
    if (this.#early.isFull && this.#onTooMany()) throw this.failure!;
  }

  /** Refuses the client, unless answers to its earlier requests are pending: those come first. */
  readonly #onTooMany = (): boolean => {
    if (this.#responder.isQueued) return false;
    if (this.failure !== undefined) return true;
    const message = `the client sent more than ${MAX_EARLY_BYTES} bytes before the answer`;
    this.abort(new HandshakeError(400, message));
    return true;
  };

  /** Watches the client and the time. Before the first wait no event can be emitted. */
  #watch(): void {
    if (!this.#watching) {
      this.#watching = true;
      this.#socket.on('close', this.#onClose).on('end', this.#onEnd);
      if (!this.#responder.isReadByServer) this.#early.startReading();
    }
    this.#startTimer();
  }

  /** Starts the timer for the remaining time, unless it is running. */
  #startTimer(): void {
    const remaining = this.#remaining;
    if (remaining === Infinity || this.slot !== undefined) return;
    schedulerOf(nodePlatform).timers.set(this, remaining, true);
  }

  /** Milliseconds left, 0 or more; Infinity for no bound. */
  get #remaining(): number {
    return Math.max(this.#timeout - (performance.now() - this.#startedAt), 0);
  }

  readonly #onClose = (): void => this.abort(this.#halfClosed ?? disconnectError(this.#socket));

  readonly #onEnd = (): void => {
    const error = disconnectError(this.#socket);
    this.#halfClosed = error;
    this.#controller?.abort(error);
    // The client may still read the answers to its earlier requests.
    if (this.#responder.isQueued) return;
    this.#graceTimer = setTimeout(() => this.abort(error), HALF_CLOSED_GRACE_MS);
  };
}
