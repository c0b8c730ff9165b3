import type { ServerResponse } from 'node:http';
import type { Duplex, Writable } from 'node:stream';
import { callIfAllowed } from '@ws/node-io/internal';
import { disconnectError } from '../client-socket.ts';
import { Http1Responder } from './http1.ts';
import { endAnsweredSocket } from './linger.ts';
import type { Responder } from './responder.ts';

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

/** Answers a request of node:http on its socket. */
export class NodeHttpResponder extends Http1Responder {
  readonly #req: object;

  constructor(req: object, socket: Duplex) {
    super(socket);
    this.#req = req;
  }

  /** By its response, or by ending its socket. */
  override get isAnswered(): boolean {
    const stream: HttpSocket = this.stream;
    if (stream.destroyed) return false;
    const response = stream._httpMessage;
    if (response?.req === this.#req) return response.headersSent;
    // While Node reads the socket, it keeps the response to each request until the response has
    // finished.
    return stream.writableEnded || (stream.parser != null && response == null);
  }

  override get answer(): Writable | undefined {
    if (!this.isAnswered) return undefined;
    const response = currentResponse(this.stream);
    if (response?.req === this.#req) return response;
    // The server has sent it, and reads the next request.
    return this.isReadByServer ? undefined : this.stream;
  }

  override get isQueued(): boolean {
    return this.#earlier !== undefined;
  }

  /** The socket came by another event than 'upgrade'. */
  override get isReadByServer(): boolean {
    return (this.stream as HttpSocket).parser != null;
  }

  override async untilEarlierAnswered(
    wait: Parameters<Responder['untilEarlierAnswered']>[0],
  ): Promise<void> {
    const { stream } = this;
    // At an upgrade http.Server removes its listener for 'drain' from the socket, which passes the
    // event to the response.
    const passDrain = (): void => {
      if (this.#earlier?.writableNeedDrain) this.#earlier.emit('drain');
    };
    stream.on('drain', passDrain);
    try {
      for (let earlier = this.#earlier; earlier !== undefined; earlier = this.#earlier) {
        const response = earlier;
        await wait(new Promise((resolve) => response.once('close', resolve)));
      }
    } finally {
      stream.off('drain', passDrain);
    }
    if (!stream.writable) throw disconnectError(stream);
    // After the last response http.Server sets its keepAliveTimeout on the socket.
    callIfAllowed(stream, 'setTimeout', 0);
  }

  override endAnswered(stallTimeout: number): void {
    // Node still reads the socket and continues with the next request.
    if (this.isReadByServer) return;
    const response = currentResponse(this.stream);
    const own = response?.req === this.#req ? response : undefined;
    endAnsweredSocket(this.stream, own, stallTimeout);
  }

  /** The response to an earlier request that the socket still carries. */
  get #earlier(): ServerResponse | undefined {
    const response = (this.stream as HttpSocket)._httpMessage ?? undefined;
    // When a plain request is passed to `upgrade`, the current response is the one to that request.
    return response?.req === this.#req ? undefined : response;
  }
}
