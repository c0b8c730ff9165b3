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

/**
 * The socket of a BrowserConn: a WebSocket, or a WebSocketStream or a WebSocket that connects in the
 * form of an open one.
 */
export interface PageSocket extends WebSocketLike {
  /** The object of the browser, if it is another one. */
  readonly underlying?: WebSocketLike | WebSocketStreamLike;
  /** Bytes of the objects of messages that wait, on top of `bufferedAmount`. */
  readonly overhead?: number;
  /** Asks for the next message; a WebSocket cannot be paused. */
  pull?(): void;
  /** Whether a message was asked for, and has not come. */
  readonly isReading?: boolean;
}

/** The class of a {@link WebSocketLike}. */
export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike;

/** One direction of a {@link WebSocketStreamLike}. */
export interface StreamReadable {
  getReader(): { read(): Promise<{ done: boolean; value?: unknown }> };
}

/** One direction of a {@link WebSocketStreamLike}. */
export interface StreamWritable {
  getWriter(): { write(data: string | Uint8Array): Promise<void>; abort(): Promise<void> };
}

/**
 * The part of `WebSocketStream` that this package uses.
 *
 * @see https://developer.mozilla.org/docs/Web/API/WebSocketStream
 */
export interface WebSocketStreamLike {
  readonly opened: Promise<{
    readonly readable: StreamReadable;
    readonly writable: StreamWritable;
    readonly protocol: string;
    readonly extensions: string;
  }>;
  readonly closed: Promise<{
    readonly closeCode?: number | undefined;
    readonly reason?: string | undefined;
  }>;
  close(info?: { closeCode?: number; reason?: string }): void;
}

/** The class of a {@link WebSocketStreamLike}. */
export type WebSocketStreamConstructor = new (
  url: string,
  options?: { protocols?: string[] },
) => WebSocketStreamLike;
