import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * Fields that Node's HTTP server sets on a socket that it reads. They exist in Node 20 and are not
 * documented.
 */
interface HttpSocket extends Duplex {
  readonly parser?: unknown;
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * Returns the response that `socket` currently carries. Node emits 'upgrade' and 'request' while
 * earlier pipelined responses are pending, and queues the responses internally; only `_httpMessage`
 * shows which one is current.
 */
export function currentResponse(socket: HttpSocket): ServerResponse | undefined {
  return socket._httpMessage ?? undefined;
}

/** Returns the response to an earlier request that `socket` still carries. */
export function earlierResponse(req: object, socket: Duplex): ServerResponse | undefined {
  const response = currentResponse(socket);
  // When a plain request is passed to `upgrade`, the current response is the one to that request.
  return response?.req === req ? undefined : response;
}

/** Returns the response to `req` itself, while `socket` carries it. */
export function ownResponse(req: object, socket: Duplex): ServerResponse | undefined {
  const response = currentResponse(socket);
  return response?.req === req ? response : undefined;
}

/**
 * Returns whether the application has answered `req` itself: by its response, or by ending its
 * socket.
 */
export function isAnswered(req: object, socket: Duplex): boolean {
  if (socket.destroyed) return false;
  const response = ownResponse(req, socket);
  if (response !== undefined) return response.headersSent;
  // While Node reads the socket, it keeps the response to each request until the response has
  // finished.
  return socket.writableEnded || (isHttpReading(socket) && currentResponse(socket) === undefined);
}

/**
 * Returns whether Node still parses requests from the socket: it came by another event than
 * 'upgrade'.
 */
export function isHttpReading(socket: HttpSocket): boolean {
  return socket.parser != null;
}

/** Notes whether bytes are written to a socket: not every stream counts them. */
export class WriteWatch {
  wrote = false;
  readonly #socket: Duplex;
  readonly #originals = new Map<string, unknown>();

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#watch('write');
    this.#watch('end');
  }

  stop(): void {
    for (const [name, original] of this.#originals) Reflect.set(this.#socket, name, original);
  }

  #watch(name: 'write' | 'end'): void {
    const socket = this.#socket;
    const original = Reflect.get(socket, name) as (...args: unknown[]) => unknown;
    this.#originals.set(name, original);
    Reflect.set(socket, name, (...args: unknown[]) => {
      const [chunk] = args;
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) this.wrote ||= chunk.length > 0;
      return original.apply(socket, args);
    });
  }
}

/** Removes every reader of a socket, Node's HTTP parser too, and pauses it. */
export function detachReader(socket: Duplex): void {
  socket.removeAllListeners('data');
  // A 'data' listener makes Node detach its parser from the socket handle (`unconsume` in
  // _http_server.js).
  socket.on('data', ignore).pause();
}

/**
 * A listener that does nothing. It holds no references, so it may stay on a socket until the end.
 */
export function ignore(): void {}
