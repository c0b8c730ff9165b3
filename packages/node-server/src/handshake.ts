import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TimeoutError, TransportError } from '@ws/conn';
import { HandshakeError } from './errors.ts';

const taken = new WeakSet<Duplex>();

/** Hears what nobody else wants to hear; holds nothing, so it may stay on a socket for good. */
function ignore(): void {}

/** A request on its way to an answer: knows when its client is gone and when its time is up. */
export class Handshake {
  readonly #socket: Duplex;
  readonly #timeout: number;
  readonly #started = performance.now();
  #watching = false;
  #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;
  #failure: Error | undefined;
  #reject: ((error: Error) => void) | undefined;

  /**
   * Takes the socket over. Nothing that happens to it from here on is uncaught.
   *
   * @param timeout - From here to the answer, in ms; Infinity for no bound.
   * @throws Error when the socket has been taken before.
   */
  constructor(socket: Duplex, head: Uint8Array, timeout: number) {
    if (taken.has(socket)) throw new Error('websocket: upgrade was called before for this socket');
    taken.add(socket);
    this.#socket = socket;
    this.#timeout = timeout;
    socket.on('error', ignore);
    // Else a TLS socket would end itself at the peer's FIN.
    socket.allowHalfOpen = true;
    // Back in the socket the first frames stand before whatever it reads meanwhile, its end for example.
    if (head.length > 0 && !socket.destroyed) socket.unshift(Buffer.from(head));
  }

  /** What ended the handshake before its answer: the client is gone, or the time is up. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Aborted when the client is gone or the time is up. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#failure !== undefined) this.#controller.abort(this.#failure);
    return this.#controller.signal;
  }

  /**
   * Waits until the requests before this one are answered, when it was pipelined behind some: an answer that was written
   * now would stand before theirs, and theirs among the frames.
   *
   * @throws as {@link wait}.
   */
  async turn(req: IncomingMessage): Promise<void> {
    let earlier = earlierResponse(req, this.#socket);
    if (earlier === undefined) return;
    while (earlier !== undefined) {
      const response: ServerResponse = earlier;
      await this.wait(new Promise((resolve) => response.once('close', resolve)));
      earlier = earlierResponse(req, this.#socket);
    }
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
    if (!this.#socket.writable) throw this.#gone();
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
        const left = this.#started + this.#timeout - performance.now();
        if (left < Infinity) timer = setTimeout(enough, Math.max(left, 1));
        work.then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
      this.#socket.off('close', enough);
    }
  }

  /** Nothing is watched any more, save errors. */
  release(): void {
    clearTimeout(this.#timer);
    this.#socket.off('close', this.#onGone);
    this.#socket.off('end', this.#onGone);
  }

  /** Looks out for the client's end and the time's. Until something is waited for, no event can come. */
  #watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#socket.on('close', this.#onGone);
    this.#socket.on('end', this.#onGone);
    if (this.#timeout === Infinity) return;
    this.#timer = setTimeout(() => {
      const cause = new TimeoutError(`handshake timed out after ${this.#timeout} ms`);
      this.#fail(new HandshakeError(503, 'handshake timed out', { cause }));
    }, this.#timeout);
  }

  readonly #onGone = (): void => {
    this.#fail(this.#gone());
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

/** What Node's HTTP server keeps on a socket that it reads. */
interface HttpSocket extends Duplex {
  readonly parser?: unknown;
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * The response to an earlier request that `socket` still carries. Node holds 'upgrade' back for none, as little as
 * 'request', but lines up the responses itself; whose turn it is only this field of its own tells.
 */
export function earlierResponse(req: IncomingMessage, socket: Duplex): ServerResponse | undefined {
  const { _httpMessage: response } = socket as HttpSocket;
  // Of a plain request that is handed to `upgrade` it is the response to that very request.
  return response == null || response.req === req ? undefined : response;
}

/** The response to `req` itself, while `socket` carries it. */
export function ownResponse(req: IncomingMessage, socket: HttpSocket): ServerResponse | undefined {
  const { _httpMessage: response } = socket;
  return response?.req === req ? response : undefined;
}

/** Says whether the application has answered the request itself: by the response to it, or by ending its socket. */
export function isAnswered(req: IncomingMessage, socket: HttpSocket): boolean {
  if (socket.destroyed) return false;
  const response = ownResponse(req, socket);
  if (response !== undefined) return response.headersSent;
  // Node keeps the response to every request that it reads until it is finished.
  return socket.writableEnded || (isRead(socket) && socket._httpMessage == null);
}

/** The mistake of a caller, not of the peer. */
export function answered(): Error {
  return new Error('websocket: the request has been answered by something else');
}

/** Says whether Node still reads requests from the socket: it came by another event than 'upgrade'. */
export function isRead(socket: HttpSocket): boolean {
  return socket.parser != null;
}

/** Says whether there is something to wait for. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
