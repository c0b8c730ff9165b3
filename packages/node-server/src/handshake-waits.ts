import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { types } from 'node:util';
import { TimeoutError, TransportError } from '@ws/conn';
import { isThenable, schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { hasTransport, nodePlatform } from '@ws/node-io';
import { unref } from '@ws/node-io/internal';
import { HandshakeError } from './errors.ts';
import type { Responder } from './responder/responder.ts';

/** Grace period in ms for refusing a client that has half-closed. */
const HALF_CLOSED_GRACE_MS = 250;
/** Bytes kept for one client. RFC 6455, section 4.1, allows it to send none before the answer. */
const MAX_EARLY_BYTES = 64 * 1024;
/** Milliseconds between probes of a paused socket. */
const PROBE_MS = 100;

/** Sockets that belong to a handshake, or that were refused by one. */
const taken = new WeakSet<Duplex>();

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
  taken.add(socket);
  if (types.isUint8Array(head)) return;
  socket.on('error', ignore);
  socket.destroy();
  throw new TypeError("head: expected the bytes that the listener for 'upgrade' gets");
}

/** Gives a socket that was taken to a connection. */
export function releaseSocket(socket: Duplex): void {
  taken.delete(socket);
}

/** Returns whether a handshake or a connection has the socket, or had it. */
export function isTaken(socket: Duplex): boolean {
  return taken.has(socket) || hasTransport(socket);
}

/** @throws TransportError when the socket can no longer carry a connection. */
export function assertOpen(socket: Duplex): void {
  if (!socket.writable || socket.readableEnded) throw disconnectError(socket);
}

/** The error for a client that has disconnected. */
export function disconnectError(socket: Duplex): TransportError {
  return new TransportError('the client closed the connection before the end of the handshake', {
    cause: socket.errored ?? undefined,
  });
}

/**
 * A listener that does nothing. It holds no references, so it may stay on a socket until the end.
 */
export function ignore(): void {}

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
  readonly #startedAt: number;
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
    stream.on('error', ignore);
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

  /** Ends the watch. Errors of the socket are still caught. */
  release(): void {
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

  /** A connection catches the errors of the socket from here on. */
  handOver(): void {
    this.#socket.off('error', ignore);
  }

  /** The time is up. */
  fire(): void {
    this.#isTimeUp = true;
    const message = `handshake timed out after ${this.#timeout} ms (option handshakeTimeout)`;
    const cause = new TimeoutError(message);
    this.abort(new HandshakeError(503, message, { body: 'handshake timed out\n', cause }));
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
    if (this.#timeout === Infinity || this.slot !== undefined) return;
    schedulerOf(nodePlatform).timers.set(this, this.#remaining, true);
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

/**
 * Keeps the bytes that a client sends before it has its answer. Reading them makes the client's end
 * visible: a FIN arrives after all bytes that were sent before it.
 */
export class EarlyBytes {
  readonly #socket: Duplex;
  readonly #bytes: GatheredBytes;
  readonly #onFull: () => boolean;
  #reading = false;
  #probeTimer: NodeJS.Timeout | undefined;

  /**
   * @param head - Bytes that were read from the socket before.
   * @param onFull - Called when the client has sent more than is kept. Returns whether to drop more
   *   bytes; otherwise the socket is paused.
   */
  constructor(socket: Duplex, head: Uint8Array, onFull: () => boolean) {
    this.#socket = socket;
    this.#bytes = new GatheredBytes(head);
    this.#onFull = onFull;
  }

  /** Whether the client has sent more than is kept. */
  get isFull(): boolean {
    return this.#bytes.length > MAX_EARLY_BYTES;
  }

  /** Reads the socket until {@link stopReading}. */
  startReading(): void {
    this.#reading = true;
    this.#socket.on('data', this.#onData).resume();
  }

  stopReading(): void {
    clearInterval(this.#probeTimer);
    this.#probeTimer = undefined;
    if (!this.#reading) return;
    this.#reading = false;
    this.#socket.off('data', this.#onData).pause();
  }

  /** Returns all bytes in order, and forgets them. */
  take(): Uint8Array {
    return this.#bytes.take();
  }

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.isFull && this.#onFull()) return;
    this.#bytes.append(chunk);
    if (!this.isFull || this.#onFull()) return;
    this.#socket.pause();
    // A paused socket emits no 'end', but an empty write fails after a reset. Over TLS it does not:
    // there only the handshake's timeout ends the wait.
    if (this.#socket instanceof Socket) {
      this.#probeTimer ??= setInterval(this.#probeSocket, PROBE_MS);
    }
  };

  readonly #probeSocket = (): void => {
    if (this.#socket.writable) this.#socket.write('');
  };
}

/** Bytes of several chunks as one. Chunks of a byte would cost 200 bytes each. */
export class GatheredBytes {
  /** Its first `length` bytes are gathered. */
  #bytes: Uint8Array;
  #length: number;
  /** Whether this object may write to `#bytes`. */
  #isOwned = false;

  /** @param first - Referenced, not changed. */
  constructor(first: Uint8Array) {
    this.#bytes = first;
    this.#length = first.length;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a chunk. The first one is referenced. */
  append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      this.#bytes = chunk;
      this.#isOwned = false;
    } else {
      if (!this.#isOwned || length > this.#bytes.length) this.#grow(length);
      this.#bytes.set(chunk, this.#length);
    }
    this.#length = length;
  }

  /** Returns all bytes in order, and forgets them. The caller owns the memory. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    const taken = this.#isOwned ? bytes : new Uint8Array(bytes);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    this.#isOwned = false;
    return taken;
  }

  /** Doubles, so that `needed` bytes take at most twice their size. */
  #grow(needed: number): void {
    // A message may be a view of it, so no other memory may be behind that view.
    const bytes = Buffer.alloc(Math.max(needed, 2 * this.#length));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#isOwned = true;
  }
}
