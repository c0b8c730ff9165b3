import type { EventEmitter } from 'node:events';
import type { ClientRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ClientOptions } from './client-options.ts';
import type { MessageParser } from './message-parser.ts';
import type { ActiveExtensions } from './permessage-deflate.ts';

/** The states of a connection, with the values of the browser's WebSocket. */
export const CONNECTING = 0;
export const OPEN = 1;
export const CLOSING = 2;
export const CLOSED = 3;

export type ReadyState = typeof CONNECTING | typeof OPEN | typeof CLOSING | typeof CLOSED;

/** Called when the socket has the frame, or with the error of the socket. */
export type SendCallback = (error?: Error | null) => void;

/** A WebSocket, as its handshake and the listeners of its socket know it. */
export interface Connection extends EventEmitter {
  readonly _isServer: boolean;
  readonly _stream: Duplex | null;
  readonly _receiver: MessageParser<Connection> | null;
  readonly _sender: {
    control(opcode: number, payload: Buffer, mask: boolean, callback: SendCallback): void;
  } | null;
  /** Frames that wait for the end of a turn. */
  readonly _frames: { flush(): void } | undefined;
  readonly _paused: boolean;
  readonly _maxPendingAutoPongs: number;
  /** In ms. */
  readonly _closeTimeout: number | undefined;
  _readyState: ReadyState;
  readonly _closeFrameReceived: boolean;
  _closeFrameSent: boolean;
  /** Set by a stream over the connection: it may answer the peer's close later, and returns true then. */
  _delaysAnswer: ((answer: () => void) => boolean) | undefined;
  _closeTimer: NodeJS.Timeout | undefined;
  _errorEmitted: boolean;
  _pendingAutoPongs: number;
  _onPongSent: SendCallback | undefined;
  // Of a client.
  _url: string | undefined;
  _protocol: string;
  _extensions: ActiveExtensions;
  _redirects: number;
  _req: ClientRequest | null;
  _configure(options: ClientOptions): void;
  setSocket(socket: Duplex, head: Buffer, options: ClientOptions): void;
  close(code?: number, reason?: Buffer): void;
  pong(data: Buffer, mask: boolean, callback: SendCallback): void;
  terminate(): void;
  emitClose(): void;
}
