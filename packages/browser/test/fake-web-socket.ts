import type { WebSocketEvent, WebSocketLike } from '../src/web-types.ts';

type Listener = (event: WebSocketEvent) => void;

/** A WebSocket whose events the test sends. `sent` and `closes` have the calls of its user. */
export class FakeWebSocket implements WebSocketLike {
  readonly url: string;
  readonly protocols: string[];
  readyState = 0;
  bufferedAmount = 0;
  protocol = '';
  extensions = '';
  binaryType = 'blob';
  readonly sent: (string | Uint8Array)[] = [];
  /** The requests `$/hello` of `@ws/rpc`, which are not in `sent`. */
  readonly hellos: string[] = [];
  readonly closes: [code: number | undefined, reason: string | undefined][] = [];
  /** Whether sent bytes stay in the buffer. */
  blocked = false;
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(url = 'ws://test', protocols: string[] = []) {
    this.url = url;
    this.protocols = protocols;
  }

  addEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners.add(listener));
  }

  send(data: string | Uint8Array): void {
    if (this.readyState === 0) throw new Error('InvalidStateError');
    if (typeof data === 'string' && data.includes('"method":"$/hello"')) this.hellos.push(data);
    else this.sent.push(typeof data === 'string' ? data : data.slice());
    if (this.blocked) this.bufferedAmount += Buffer.byteLength(data);
  }

  close(code?: number, reason?: string): void {
    this.closes.push([code, reason]);
    if (this.readyState < 2) this.readyState = 2;
  }

  // The test's side

  open(protocol = ''): void {
    this.readyState = 1;
    this.protocol = protocol;
    this.emit('open', {});
  }

  message(data: unknown): void {
    this.emit('message', { data });
  }

  fail(error: unknown): void {
    this.emit('error', { error });
  }

  end(code = 1006, reason = '', wasClean = code !== 1006, error?: unknown): void {
    this.readyState = 3;
    if (!wasClean) this.emit('error', { error });
    this.emit('close', { code, reason, wasClean });
  }

  emit(type: string, event: WebSocketEvent): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}

/** An open FakeWebSocket. */
export function openSocket(): FakeWebSocket {
  const socket = new FakeWebSocket();
  socket.open();
  return socket;
}

/** The class of a dial, and the sockets that it has made. */
export function socketClass(): { WebSocket: typeof FakeWebSocket; sockets: FakeWebSocket[] } {
  const sockets: FakeWebSocket[] = [];
  class WebSocket extends FakeWebSocket {
    constructor(url?: string, protocols?: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  return { WebSocket, sockets };
}

export const bytes = (...values: number[]): ArrayBuffer => Uint8Array.from(values).buffer;
