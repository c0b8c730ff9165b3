import { MESSAGE_COST } from './payload.ts';
import { utf8Length } from './utf8-length.ts';
import type { PageSocket, WebSocketEvent, WebSocketLike } from './web-types.ts';

/** A WebSocket that connects. Its `send` would throw, so messages wait here until it is open. */
export class ConnectingSocket implements PageSocket {
  readonly underlying: WebSocketLike;
  binaryType = '';
  protocol = '';
  extensions = '';
  /** Messages that wait until the socket is open. */
  #early: (string | Uint8Array)[] = [];
  #earlyBytes = 0;

  constructor(socket: WebSocketLike) {
    this.underlying = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      this.protocol = socket.protocol;
      this.extensions = socket.extensions;
      this.#sendEarly();
    });
  }

  get readyState(): number {
    return this.underlying.readyState;
  }

  get bufferedAmount(): number {
    return this.#earlyBytes + (this.underlying.bufferedAmount || 0);
  }

  get overhead(): number {
    return this.#early.length * MESSAGE_COST;
  }

  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void {
    this.underlying.addEventListener(type, listener);
  }

  send(data: string | Uint8Array): void {
    if (this.readyState === 0) {
      this.#early.push(data.slice());
      this.#earlyBytes += typeof data === 'string' ? utf8Length(data) : data.length;
      return;
    }
    // Another listener of 'open' may send before ours has sent the early messages.
    if (this.#early.length > 0) this.#sendEarly();
    this.underlying.send(data);
  }

  close(code?: number, reason?: string): void {
    const close = (): void => this.underlying.close(code, reason);
    // Early messages would be lost if the socket closed while it connects.
    if (code !== undefined && this.#early.length > 0 && this.readyState === 0) {
      this.underlying.addEventListener('open', close);
      return;
    }
    this.#early = [];
    close();
  }

  #sendEarly(): void {
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    for (const data of early) this.underlying.send(data);
  }
}
