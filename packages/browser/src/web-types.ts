/** An event of a {@link WebSocketLike}. */
export interface WebSocketEvent {
  /** Of `message`. */
  readonly data?: unknown;
  /** Of `close`. */
  readonly code?: number;
  /** Of `close`. */
  readonly reason?: string;
  /** Of `close`. */
  readonly wasClean?: boolean;
  /** Of `error`. Browsers hide it; other runtimes have it. */
  readonly error?: unknown;
}

/**
 * The part of a browser's `WebSocket` that this package uses. The classes of `ws`, undici and other
 * runtimes have it too.
 *
 * @see https://websockets.spec.whatwg.org/#the-websocket-interface
 */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly protocol: string;
  readonly extensions: string;
  binaryType: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- each class takes its own kinds of data
  send(data: any): void;
  close(code?: number, reason?: string): void;
  // oxlint-disable-next-line typescript/no-explicit-any -- each class has its own events
  addEventListener(type: string, listener: (event: any) => void): void;
}

/** The socket of a BrowserConn: a WebSocket, or a ConnectingSocket. */
export interface PageSocket extends WebSocketLike {
  /** The object of the browser, if it is another one. */
  readonly underlying?: WebSocketLike;
  /** Bytes of the objects of messages that wait, on top of `bufferedAmount`. */
  readonly overhead?: number;
  /** The reader has taken all messages; only a socket of Bun can be paused. */
  pull?(): void;
}

/** The class of a {@link WebSocketLike}. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;
