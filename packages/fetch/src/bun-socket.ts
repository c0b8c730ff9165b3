import type { PageSocket, WebSocketEvent } from '@ws/browser/internal';

/** The part of a ServerWebSocket of Bun that this package uses. */
export interface BunWebSocket<Data> {
  data: Data;
  readonly remoteAddress: string;
  binaryType: string;
  readonly isPaused: boolean;
  send(data: string | Uint8Array): number;
  getBufferedAmount(): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
  ping(data?: Uint8Array): number;
  pong(data?: Uint8Array): number;
  pause?(): void;
  resume?(): void;
}

/** Bytes of messages that no read has taken, with {@link MESSAGE_COST} for each, before Bun pauses. */
const READ_AHEAD = 2 ** 16;
const MESSAGE_COST = 320;
/** How long a connection may be paused without a read, in ms: as `idleReadTimeout` of a Conn. */
const IDLE_READ_TIMEOUT = 300_000;

type Listener = (event: WebSocketEvent) => void;

/** A ServerWebSocket of Bun in the form of a WebSocket. */
export class BunSocket implements PageSocket {
  readyState = 1;
  binaryType = '';
  readonly extensions = '';
  readonly protocol: string;
  readonly ws: BunWebSocket<unknown>;
  readonly #listeners: Record<string, Listener | undefined> = {};
  /** Whether Bun has queued messages. Only then its amount is asked for. */
  #isWaiting = false;
  /** Bytes of the messages since the reader asked for the next one. */
  #unread = 0;
  #idleTimer: unknown;

  constructor(ws: BunWebSocket<unknown>, protocol: string) {
    this.ws = ws;
    this.protocol = protocol;
    // Cheaper for JavaScriptCore than an ArrayBuffer for each message.
    ws.binaryType = 'uint8array';
  }

  get bufferedAmount(): number {
    return this.#isWaiting && this.readyState === 1 ? this.ws.getBufferedAmount() : 0;
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners[type] = listener;
  }

  send(data: string | Uint8Array): void {
    // -1: queued. 0: dropped, except for an empty message.
    const sent = this.ws.send(data);
    if (sent < 0) this.#isWaiting = true;
    else if (sent === 0 && data.length > 0) this.ws.terminate();
  }

  /** Without a code, ends the connection at once. */
  close(code?: number, reason?: string): void {
    if (this.readyState !== 1 && code !== undefined) return;
    if (this.readyState === 3) return;
    this.readyState = 2;
    if (code === undefined) this.ws.terminate();
    else this.ws.close(code, reason);
  }

  /** The reader has taken all messages. */
  pull(): void {
    this.#unread = 0;
    if (this.#idleTimer === undefined) return;
    clearTimeout(this.#idleTimer as number);
    this.#idleTimer = undefined;
    if (this.readyState === 1) this.ws.resume?.();
  }

  received(data: string | Uint8Array): void {
    this.#unread += data.length + MESSAGE_COST;
    this.#listeners['message']!({ data });
    if (this.#unread <= READ_AHEAD || this.#idleTimer !== undefined || this.readyState !== 1)
      return;
    // Since Bun 1.4.1. Before, `maxQueuedBytes` is the bound.
    this.ws.pause?.();
    // While it is paused, Bun does not see the end of the connection.
    this.#idleTimer = setTimeout(() => this.close(), IDLE_READ_TIMEOUT);
  }

  drained(): void {
    if (this.ws.getBufferedAmount() === 0) this.#isWaiting = false;
    this.#listeners['drain']!({});
  }

  closed(code: number, reason: string): void {
    clearTimeout(this.#idleTimer as number);
    this.readyState = 3;
    this.#listeners['close']!({ code, reason, wasClean: code !== 1006 });
  }
}
