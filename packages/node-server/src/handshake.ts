import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TimeoutError, TransportError } from '@ws/conn';
import { hasTransport } from '@ws/node-io';
import { EarlyBytes } from './early-bytes.ts';
import { HandshakeError } from './errors.ts';
import { earlierResponse, isAnswered, isRead } from './http-socket.ts';
import { ignore } from './linger.ts';

/** How long the application's word is waited for that a client which has ended its half can still be told, in ms. */
const LAST_WORD_MS = 250;

const taken = new WeakSet<Duplex>();

/**
 * A request on its way to an answer: knows when its client is gone and when its time is up.
 *
 * A client that has ended its half, by a FIN, gets no connection any more, and `signal` is aborted. It may still read,
 * as far as anybody can tell, so a refusal that comes soon is waited for.
 */
export class Handshake {
  /** Milliseconds; Infinity for no bound. */
  readonly timeout: number;
  /** Called when the client is gone, or has ended its half. */
  onGone: (() => void) | undefined;
  readonly #socket: Duplex;
  readonly #early: EarlyBytes;
  readonly #started = performance.now();
  #watching = false;
  #inTurn = false;
  #timer: NodeJS.Timeout | undefined;
  #lastWord: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #left: TransportError | undefined;
  #failure: Error | undefined;
  #reject: ((error: Error) => void) | undefined;

  /**
   * Takes the socket over. Nothing that happens to it from here on is uncaught.
   *
   * @param timeout - From here to the answer, in ms; Infinity for no bound.
   * @throws Error when the socket has been taken before; TypeError, with the socket destroyed, when `head` is missing.
   */
  constructor(socket: Duplex, head: Uint8Array, timeout: number) {
    if (taken.has(socket) || hasTransport(socket))
      throw new Error('websocket: upgrade was called before for this socket');
    taken.add(socket);
    socket.on('error', ignore);
    if (!(head instanceof Uint8Array)) {
      socket.destroy();
      throw new TypeError("head: expected the bytes that the listener for 'upgrade' gets");
    }
    // Else a TLS socket would end itself at the peer's FIN.
    socket.allowHalfOpen = true;
    this.#socket = socket;
    this.#early = new EarlyBytes(socket, head);
    this.timeout = timeout;
  }

  /** Why there will be no connection: the client is gone, or the time is up. */
  get failure(): Error | undefined {
    return this.#failure ?? this.#left;
  }

  /** Aborted when the client is gone or the time is up. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.failure !== undefined) this.#controller.abort(this.failure);
    return this.#controller.signal;
  }

  /** What the client has sent behind its request so far. */
  takeEarly(): Uint8Array {
    return this.#early.take();
  }

  /** @throws TransportError when there is nobody to make a connection with. */
  checkClient(): void {
    if (this.failure !== undefined) throw this.failure;
    if (!this.#socket.writable || this.#socket.readableEnded) throw this.#gone();
  }

  /**
   * Waits until the requests before this one are answered, when it was pipelined behind some: an answer that was written
   * now would stand before theirs, and theirs among the frames.
   *
   * @throws as {@link wait}.
   */
  async turn(req: IncomingMessage): Promise<void> {
    // Those that a socket which is gone still has are never closed.
    if (this.#socket.destroyed) throw this.#gone();
    let earlier = earlierResponse(req, this.#socket);
    if (earlier === undefined) return;
    this.#inTurn = true;
    while (earlier !== undefined) {
      const response: ServerResponse = earlier;
      await this.wait(new Promise((resolve) => response.once('close', resolve)));
      earlier = earlierResponse(req, this.#socket);
    }
    this.#inTurn = false;
    if (!this.#socket.writable) throw this.#gone();
    // Node took the connection for idle after the last of them.
    (this.#socket as Partial<Socket>).setTimeout?.(0);
  }

  /**
   * Waits for what the application decides.
   *
   * @throws TransportError when the client is gone first, HandshakeError 503 when the time is up first; what `work`
   *   comes to is of no interest then.
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
   * The answer is about to be written.
   *
   * @throws TransportError when nobody would get it, Error when there has been one.
   */
  end(req: IncomingMessage): void {
    this.release();
    if (this.#failure !== undefined) throw this.#failure;
    if (isAnswered(req, this.#socket)) throw answered();
    this.checkClient();
  }

  /**
   * Waits for an answer that the application writes to the socket, as long as there is a socket, and time: what is left
   * from the request on.
   *
   * @throws what `work` throws or rejects with.
   */
  async answered(work: unknown): Promise<void> {
    if (!isThenable(work) || this.#socket.closed) return;
    let enough!: () => void;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<unknown>((resolve, reject) => {
        enough = () => resolve(undefined);
        this.#socket.once('close', enough);
        const left = this.timeout - (performance.now() - this.#started);
        if (left !== Infinity) timer = setTimeout(enough, Math.max(left, 0));
        work.then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
      this.#socket.off('close', enough);
    }
  }

  /** Nothing is watched any more, save errors. */
  release(): void {
    this.#watching = false;
    clearTimeout(this.#timer);
    clearTimeout(this.#lastWord);
    this.#early.release();
    this.#socket.off('close', this.#onClose);
    this.#socket.off('end', this.#onEnd);
  }

  /** There is a connection, which hears of errors itself: nothing of the handshake stays with its socket. */
  handOver(): void {
    taken.delete(this.#socket);
    this.#socket.off('error', ignore);
  }

  /** Looks out for the client's end and the time's. Until something is waited for, no event can come. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#socket.on('close', this.#onClose);
    this.#socket.on('end', this.#onEnd);
    if (!isRead(this.#socket)) this.#early.read();
    if (this.timeout === Infinity) return;
    this.#timer = setTimeout(() => {
      const cause = new TimeoutError(`handshake timed out after ${this.timeout} ms`);
      this.#fail(new HandshakeError(503, 'handshake timed out', { cause }));
    }, this.timeout);
  }

  readonly #onClose = (): void => {
    this.#fail(this.#left ?? this.#gone());
    this.onGone?.();
  };

  readonly #onEnd = (): void => {
    const left = this.#gone();
    this.#left = left;
    this.#controller?.abort(left);
    this.onGone?.();
    // The answers before this one are still due.
    if (!this.#inTurn) this.#lastWord = setTimeout(() => this.#fail(left), LAST_WORD_MS);
  };

  #gone(): TransportError {
    return new TransportError('the client is gone before the end of the handshake', {
      cause: this.#socket.errored ?? undefined,
    });
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#controller?.abort(error);
    this.#reject?.(error);
  }
}

/** The mistake of a caller, not of the peer. */
export function answered(): Error {
  return new Error('websocket: the request has been answered by something else');
}

/** Says whether there is something to wait for. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
