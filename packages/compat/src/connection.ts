import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { MessageParser } from './message-parser.ts';

/** The states of a connection, with the values of the browser's WebSocket. */
export const CONNECTING = 0;
export const OPEN = 1;
export const CLOSING = 2;
export const CLOSED = 3;

export type ReadyState = typeof CONNECTING | typeof OPEN | typeof CLOSING | typeof CLOSED;

/** Called when the socket has the frame, or with the error of the socket. */
export type SendCallback = (error?: Error | null) => void;

/** A sender of control frames. */
interface Controls {
  control(opcode: number, payload: Buffer, mask: boolean, callback: SendCallback): void;
}

/** What the listeners of a socket know of the WebSocket that owns it. */
export interface Connection extends EventEmitter {
  readonly _isServer: boolean;
  readonly _stream: Duplex | null;
  readonly _receiver: MessageParser<Connection> | null;
  readonly _sender: Controls | null;
  /** Frames that wait for the end of a turn. */
  readonly _frames: { flush(): void } | undefined;
  readonly _paused: boolean;
  readonly _maxPendingAutoPongs: number;
  /** In ms. */
  readonly _closeTimeout: number | undefined;
  _readyState: ReadyState;
  _closeFrameSent: boolean;
  _closeTimer: NodeJS.Timeout | undefined;
  _errorEmitted: boolean;
  _pendingAutoPongs: number;
  _onPongSent: SendCallback | undefined;
  close(code?: number, reason?: Buffer): void;
  pong(data: Buffer, mask: boolean, callback: SendCallback): void;
  terminate(): void;
  emitClose(): void;
}
