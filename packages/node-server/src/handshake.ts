import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { TimeoutError, type TransportError } from '@ws/conn';
import { isUint8Array } from '@ws/conn/internal';
import { hasTransport } from '@ws/node-io';
import { callIfAllowed, isThenable } from '@ws/node-io/internal';
import { assertOpen, ClientPresence, disconnectError } from './client-presence.ts';
import { HandshakeError } from './errors.ts';
import { HandshakeDeadline } from './handshake-deadline.ts';
import { earlierResponse, ignore, isAnswered } from './responder/http-socket.ts';

/** Sockets that belong to a handshake, or that were refused by one. */
const sockets = new WeakSet<Duplex>();

/**
 * The waits of one request on its way to an answer. They end early when the client has disconnected
 * or the time is up. A request that waits for nothing needs no Handshake.
 *
 * A client that has half-closed (sent a FIN) gets no connection, and `signal` is aborted. It may
 * still read, so a refusal is sent if it is ready within a short grace period.
 */
export class Handshake {
  readonly #socket: Duplex;
  readonly #presence: ClientPresence;
  readonly #deadline: HandshakeDeadline;
  #controller: AbortController | undefined;
  #failure: Error | undefined;
  #reject: ((error: Error) => void) | undefined;
  /** The names of the application's calls that have not settled. */
  readonly #pendingCalls = new Map<PromiseLike<unknown>, string>();
  #isTimeUp = false;
  #onCallsSettled: (() => void) | undefined;

  /**
   * From here on every error of the socket is caught.
   *
   * @param socket - Taken by {@link takeSocket}.
   * @param timeout - Milliseconds to the answer; Infinity for no bound.
   * @param startedAt - The time from which they count, by `performance.now()`.
   */
  constructor(socket: Duplex, head: Uint8Array, timeout: number, startedAt: number) {
    socket.on('error', ignore);
    this.#socket = socket;
    this.#presence = new ClientPresence(socket, head, {
      halfClosed: (error) => this.#onHalfClosed(error),
      disconnected: (error) => this.#onDisconnected(error),
    });
    this.#deadline = new HandshakeDeadline(timeout, () => this.#onExpired(), startedAt);
  }

  /** Milliseconds; Infinity for no bound. */
  get timeout(): number {
    return this.#deadline.timeout;
  }

  set timeout(timeout: number) {
    this.#deadline.timeout = timeout;
  }

  /**
   * The reason why there will be no connection: the client has disconnected or has half-closed, or
   * the time is up.
   */
  get failure(): Error | undefined {
    return this.#failure ?? this.#presence.halfClosed;
  }

  /** Aborted with {@link failure}. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.failure !== undefined) this.#controller.abort(this.failure);
    return this.#controller.signal;
  }

  /** Returns the bytes that the client has sent after its request so far, and forgets them. */
  takeEarlyBytes(): Uint8Array {
    return this.#presence.takeEarlyBytes();
  }

  /**
   * @throws TransportError when the client has disconnected or has half-closed; HandshakeError 503
   *   when the time is up.
   */
  checkClient(): void {
    if (this.failure !== undefined) throw this.failure;
    assertOpen(this.#socket);
  }

  /**
   * Waits until earlier requests on the same socket are answered, if this one was pipelined. An
   * answer that is written earlier would come before theirs, and the client would read their
   * answers as frames.
   *
   * @throws as {@link wait}.
   */
  async waitForEarlierResponses(req: object): Promise<void> {
    // Responses that a destroyed socket still carries never emit 'close'.
    if (this.#socket.destroyed) throw disconnectError(this.#socket);
    let earlier = earlierResponse(req, this.#socket);
    if (earlier === undefined) return;
    this.#presence.awaitsEarlierResponses = true;
    // At an upgrade http.Server removes its listener for 'drain' from the socket, which passes the
    // event to the response.
    const passDrain = (): void => {
      const response = earlierResponse(req, this.#socket);
      if (response?.writableNeedDrain) response.emit('drain');
    };
    this.#socket.on('drain', passDrain);
    try {
      while (earlier !== undefined) {
        const response: ServerResponse = earlier;
        await this.wait(new Promise((resolve) => response.once('close', resolve)));
        earlier = earlierResponse(req, this.#socket);
      }
    } finally {
      this.#socket.off('drain', passDrain);
    }
    this.#presence.awaitsEarlierResponses = false;
    if (!this.#socket.writable) throw disconnectError(this.#socket);
    // After the last response http.Server sets its keepAliveTimeout on the socket.
    callIfAllowed(this.#socket, 'setTimeout', 0);
  }

  /**
   * Waits for a result of the application, for at most the handshake's time. The call may continue
   * after that: {@link whenCallsSettled} waits until it has settled.
   *
   * @throws as {@link wait}.
   */
  waitForCall<T>(name: string, work: T | PromiseLike<T>): Promise<T> {
    return this.wait(this.#countCall(name, work));
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
      done();
      // A call that ends by its signal settles in this turn.
      setImmediate(() => {
        if (this.#pendingCalls.size > 0) overdue([...this.#pendingCalls.values()]);
      });
    };
    if (this.#isTimeUp) return onTimeUp();
    const { remaining } = this.#deadline;
    const timer = remaining === Infinity ? undefined : setTimeout(onTimeUp, remaining);
    timer?.unref();
    this.#onCallsSettled = () => {
      clearTimeout(timer);
      done();
    };
  }

  /**
   * Waits for a result, while the client is there and the time is not up.
   *
   * @throws TransportError when the client has disconnected first, HandshakeError 503 when the time
   *   is up first. The result of `work` is ignored then.
   */
  async wait<T>(work: T | PromiseLike<T>): Promise<T> {
    if (isThenable(work)) {
      this.#watch();
      const result = await new Promise<T>((resolve, reject) => {
        this.#reject = reject;
        work.then(resolve, reject);
        if (this.#failure !== undefined) reject(this.#failure);
      });
      this.#reject = undefined;
      return result;
    }
    return work;
  }

  /**
   * Ends the watch before an answer is written.
   *
   * @throws TransportError when the client has disconnected, Error when the request is answered
   *   already.
   */
  prepareAnswer(req: object): void {
    this.release();
    if (this.#failure !== undefined) throw this.#failure;
    if (isAnswered(req, this.#socket)) throw alreadyAnswered();
    this.checkClient();
  }

  /**
   * Waits for an answer that the application writes to the socket: until `work` settles, the socket
   * closes, or the time since the request is up.
   *
   * @throws the error of `work`.
   */
  async waitForAnswer(work: unknown): Promise<void> {
    if (!isThenable(work) || this.#socket.closed) return;
    let done!: () => void;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<unknown>((resolve, reject) => {
        done = () => resolve(undefined);
        this.#socket.once('close', done);
        const { remaining } = this.#deadline;
        const onTimeout = (): void => {
          this.#isTimeUp = true;
          done();
        };
        if (remaining !== Infinity) timer = setTimeout(onTimeout, remaining);
        this.#countCall('error', work).then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
      this.#socket.off('close', done);
    }
  }

  /** Ends the waits with `reason`: {@link failure} has it, if nothing failed before. */
  abort(reason: Error): void {
    this.#fail(reason);
  }

  /** Ends the watch. Errors of the socket are still caught. */
  release(): void {
    this.#deadline.stop();
    this.#presence.stop();
  }

  /** A connection catches the errors of the socket from here on. */
  handOver(): void {
    this.#socket.off('error', ignore);
  }

  /** Counts `work` as pending until it settles. */
  #countCall<T>(name: string, work: PromiseLike<T>): PromiseLike<T>;
  #countCall<T>(name: string, work: T | PromiseLike<T>): T | PromiseLike<T>;
  #countCall<T>(name: string, work: T | PromiseLike<T>): T | PromiseLike<T> {
    if (!isThenable(work)) return work;
    // A thenable of the application may settle twice or throw. A promise does neither.
    const call = Promise.resolve(work);
    this.#pendingCalls.set(call, name);
    const onSettled = (): void => {
      this.#pendingCalls.delete(call);
      if (this.#pendingCalls.size === 0) this.#onCallsSettled?.();
    };
    call.then(onSettled, onSettled);
    return call;
  }

  /** Watches the client and the time. Before the first wait no event can be emitted. */
  #watch(): void {
    this.#presence.watch();
    this.#deadline.start();
  }

  #onHalfClosed(error: TransportError): void {
    this.#controller?.abort(error);
  }

  #onDisconnected(error: TransportError): void {
    this.#fail(error);
  }

  #onExpired(): void {
    this.#isTimeUp = true;
    const message = `handshake timed out after ${this.timeout} ms (option handshakeTimeout)`;
    const cause = new TimeoutError(message);
    this.#fail(new HandshakeError(503, message, { body: 'handshake timed out\n', cause }));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#controller?.abort(error);
    this.#reject?.(error);
  }
}

/**
 * Takes a socket for a handshake.
 *
 * @throws Error when a handshake or a connection already has the socket; TypeError when `socket` is
 *   missing, and, with the socket destroyed, when `head` is missing.
 */
export function takeSocket(socket: Duplex, head: Uint8Array): void {
  if (typeof (socket as Duplex | null | undefined)?.on !== 'function') {
    throw new TypeError("socket: expected the one that the listener for 'upgrade' gets");
  }
  if (isTaken(socket)) {
    throw new Error('websocket: upgrade was called before for this socket');
  }
  sockets.add(socket);
  if (isUint8Array(head)) return;
  socket.on('error', ignore);
  socket.destroy();
  throw new TypeError("head: expected the bytes that the listener for 'upgrade' gets");
}

/** Gives a socket that was taken to a connection. */
export function releaseSocket(socket: Duplex): void {
  sockets.delete(socket);
}

/** Returns whether a handshake or a connection has the socket, or had it. */
export function isTaken(socket: Duplex): boolean {
  return sockets.has(socket) || hasTransport(socket);
}

/** The error for a caller that upgrades a request which has an answer. */
export function alreadyAnswered(): Error {
  return new Error('websocket: the request was already answered');
}
