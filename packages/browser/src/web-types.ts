/** An event of a {@link WebSocketLike}. */
export interface WebSocketEvent {
  /** In a `message` event. */
  readonly data?: unknown;
  /** In a `close` event. */
  readonly code?: number;
  /** In a `close` event. */
  readonly reason?: string;
  /** In a `close` event. */
  readonly wasClean?: boolean;
  /** In an `error` event. Browsers hide the error; other runtimes have it. */
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
  /** The object of the browser, if that is another object. */
  readonly underlying?: WebSocketLike;
  /** Cost in bytes of the objects of waiting messages, on top of `bufferedAmount`. */
  readonly overhead?: number;
  /** Called when the reader has taken all messages. Only a socket of Bun can be paused. */
  pull?(): void;
}

/** The class of a {@link WebSocketLike}. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;
