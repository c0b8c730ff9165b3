import { EventEmitter } from 'node:events';
import type { ClientRequest } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { lengthOf } from '@ws/codec/internal';
import { callIfAllowed } from '@ws/node-io/internal';
import { bytesOf, EMPTY, isBlob } from './bytes.ts';
import { abort, connect } from './client-handshake.ts';
import type { ClientOptions } from './client-options.ts';
import {
  CLOSED,
  CLOSING,
  CONNECTING,
  type Connection,
  OPEN,
  type ReadyState,
  type SendCallback,
} from './connection.ts';
import { closePayload } from './control-payload.ts';
import { addHandler, defineAttributes, type EventHandler, removeHandler } from './event-target.ts';
import { MessageParser } from './message-parser.ts';
import { OutgoingFrames } from './outgoing-frames.ts';
import { own } from './owned-socket.ts';
import { type ActiveExtensions, EXTENSION, NO_EXTENSIONS } from './permessage-deflate.ts';
import type { BinaryType } from './received-message.ts';
import { Sender, type SendOptions } from './sender.ts';
import type { SharedOptions } from './shared-options.ts';
import { listen, onSendError, parserEvents, sendClose } from './socket-events.ts';

const BINARY_TYPES: readonly BinaryType[] = ['nodebuffer', 'arraybuffer', 'fragments', 'blob'];
const STATES = { CONNECTING, OPEN, CLOSING, CLOSED };
const STATE_NAMES = Object.keys(STATES);
const CLOSED_EARLY = 'WebSocket was closed before the connection was established';
/** Properties that a program sees when it enumerates a connection, as those of ws. */
const ENUMERABLE = [
  'addEventListener',
  'removeEventListener',
  'binaryType',
  'bufferedAmount',
  'extensions',
  'isPaused',
  'protocol',
  'readyState',
  'url',
];

/**
 * A WebSocket connection with the API of ws: a client, or a connection of a `WebSocketServer`.
 *
 * Fields with an underscore are internal, except `_socket`, `_sender`, `_receiver`, `_extensions`
 * and `_req`, which packages around ws use.
 */
export class WebSocket extends EventEmitter {
  declare static readonly CONNECTING: typeof CONNECTING;
  declare static readonly OPEN: typeof OPEN;
  declare static readonly CLOSING: typeof CLOSING;
  declare static readonly CLOSED: typeof CLOSED;
  declare readonly CONNECTING: typeof CONNECTING;
  declare readonly OPEN: typeof OPEN;
  declare readonly CLOSING: typeof CLOSING;
  declare readonly CLOSED: typeof CLOSED;
  declare onopen: EventHandler | null;
  declare onerror: EventHandler | null;
  declare onclose: EventHandler | null;
  declare onmessage: EventHandler | null;

  static {
    for (const [name, value] of Object.entries(STATES)) {
      Object.defineProperty(this, name, { enumerable: true, value });
      Object.defineProperty(this.prototype, name, { enumerable: true, value });
    }
    for (const name of ENUMERABLE) {
      Object.defineProperty(this.prototype, name, { enumerable: true });
    }
    defineAttributes(this.prototype);
  }

  // Plain fields: a program may wrap a connection in a Proxy.
  /** @internal */
  _readyState: ReadyState = CONNECTING;
  /** @internal */
  _stream: Duplex | null = null;
  /** @internal */
  _isServer: boolean;
  /** @internal */
  _binaryType: BinaryType = 'nodebuffer';
  /** @internal */
  _closeFrameSent = false;
  /** @internal */
  _delaysAnswer: ((answer: () => void) => boolean) | undefined = undefined;
  /** @internal */
  _closeTimer: NodeJS.Timeout | undefined = undefined;
  /** @internal */
  _closeTimeout: number | undefined = undefined;
  /** @internal */
  _errorEmitted = false;
  /** @internal */
  _paused = false;
  /** @internal */
  _autoPong = false;
  /** @internal */
  _pendingAutoPongs = 0;
  /** @internal */
  _maxPendingAutoPongs = 0;
  /** @internal */
  _protocol = '';
  /** @internal */
  _url: string | undefined = undefined;
  /** @internal */
  _onPongSent: SendCallback | undefined = undefined;
  /** Redirects that a client has followed. Programs look at it, as with ws. */
  _redirects = 0;
  /** The handshake request of a client; null after the answer. */
  _req: ClientRequest | null = null;
  /** @internal Frames that wait for the end of the turn. */
  _frames: OutgoingFrames | undefined = undefined;
  /** The negotiated extensions by name. */
  _extensions: ActiveExtensions = NO_EXTENSIONS;
  /** Parses the input; null before the connection is open. */
  _receiver: MessageParser<Connection> | null = null;
  /** Writes the frames; null before the connection is open. */
  _sender: Sender | null = null;

  /**
   * Connects to a server.
   *
   * @param address - The URL; `null` for the connection of a server, which then calls
   *   {@link setSocket}.
   * @param protocols - The subprotocols to offer.
   * @throws SyntaxError for an invalid URL or subprotocol, RangeError for an unsupported version.
   */
  constructor(
    address: string | URL | null,
    protocols?: string | string[] | ClientOptions | SharedOptions,
    options?: ClientOptions | SharedOptions,
  ) {
    super();
    this._isServer = address === null;
    if (address === null) {
      this._configure(options ?? {});
      return;
    }
    const isOptions =
      typeof protocols === 'object' && protocols !== null && !Array.isArray(protocols);
    const chosen = ((isOptions ? protocols : options) ?? {}) as ClientOptions;
    const { protocols: listed = [] } = chosen;
    const offered = isOptions || protocols === undefined ? listed : (protocols as string);
    connect(this, address, Array.isArray(offered) ? offered : [offered], chosen);
  }

  /** @internal */
  _configure({ autoPong, closeTimeout, maxPendingAutoPongs = 0 }: SharedOptions): void {
    this._autoPong = Boolean(autoPong);
    // As in ws: without the option, which servers and clients always set, the timer's default of 1 ms.
    this._closeTimeout = closeTimeout;
    this._maxPendingAutoPongs = maxPendingAutoPongs | 0;
  }

  get binaryType(): BinaryType {
    return this._binaryType;
  }

  set binaryType(type: BinaryType) {
    if (!BINARY_TYPES.includes(type)) return;
    this._binaryType = type;
    if (this._receiver !== null) this._receiver.binaryType = type;
  }

  /** Bytes that were sent and that the socket could not take yet. */
  get bufferedAmount(): number {
    if (this._stream === null) return this._bufferedAfterClose;
    const unwritten = this._sender!._bufferedBytes + (this._frames?.unwritten ?? 0);
    return this._stream.writableLength + unwritten + this._bufferedAfterClose;
  }

  /** The names of the negotiated extensions, with commas between them. */
  get extensions(): string {
    return Object.keys(this._extensions).join();
  }

  get isPaused(): boolean {
    return this._paused;
  }

  get protocol(): string {
    return this._protocol;
  }

  get readyState(): ReadyState {
    return this._readyState;
  }

  /** The URL of a client; undefined for a connection of a server. */
  get url(): string {
    return this._url as string;
  }

  /**
   * The socket, null before the connection is open. All frames are written to it first, so that
   * what the caller writes comes after them.
   */
  get _socket(): Socket | null {
    this._frames?.flush();
    return this._stream as Socket | null;
  }

  /** Programs set it, for example to `request.socket`. */
  set _socket(socket: Socket | null) {
    this._stream = socket;
  }

  addEventListener(type: string, handler: EventHandler, options?: { once?: boolean }): void {
    addHandler(this, type, handler, Boolean(options?.once));
  }

  removeEventListener(type: string, handler: EventHandler): void {
    removeHandler(this, type, handler);
  }

  /** Opens the connection on a socket whose handshake is complete. Servers and clients call it. */
  setSocket(
    socket: Duplex,
    head: Buffer,
    options: SharedOptions & Pick<ClientOptions, 'generateMask'>,
  ): void {
    // Another stream may keep the memory that frames share.
    const coalesces = socket instanceof Socket && !options.generateMask;
    if (coalesces) this._frames = new OutgoingFrames(socket, !this._isServer);
    const { _extensions: extensions, _binaryType: binaryType, _isServer: isServer } = this;
    const all = { ...options, binaryType, extensions, isServer };
    this._receiver = new MessageParser<Connection>(this, parserEvents, all, this._frames);
    this._receiver.machine.autoPong = this._autoPong;
    this._sender = new Sender(socket, this._extensions, options.generateMask, this);
    this._stream = socket;
    own(socket, this);
    callIfAllowed(socket, 'setTimeout', 0);
    callIfAllowed(socket, 'setNoDelay', true);
    if (head.length > 0) socket.unshift(head);
    listen(socket);
    this._readyState = OPEN;
    this.emit('open');
  }

  /** @internal */
  _onSendError(error: Error): void {
    onSendError(this, error);
  }

  /** @internal */
  get _closeFrameReceived(): boolean {
    return this._receiver?.machine.received !== undefined;
  }

  /** @internal */
  emitClose(): void {
    const receiver = this._receiver;
    if (this._stream !== null) {
      this._sender!.releaseStream();
      this._extensions[EXTENSION]?.cleanup();
      receiver!.destroy();
    }
    this._readyState = CLOSED;
    const code = receiver?.machine.received?.code ?? CloseCode.AbnormalClosure;
    this.emit('close', code, receiver?.reason ?? EMPTY);
  }

  /**
   * Starts the closing handshake. A client that is connecting gives up.
   *
   * @throws TypeError or RangeError for a code or reason that must not be sent.
   */
  close(code?: number, reason?: string | Buffer): void {
    switch (this._readyState) {
      case CLOSED:
        return;
      case CONNECTING:
        return abandon(this);
      case OPEN:
        this._receiver!.close(closePayload(code, reason));
        return sendClose(this);
      case CLOSING:
        return sendClose(this);
    }
  }

  /** Stops to read. Messages of bytes that were read before are still emitted. */
  pause(): void {
    if (!isReading(this)) return;
    this._paused = true;
    this._stream!.pause();
  }

  resume(): void {
    if (!isReading(this)) return;
    this._paused = false;
    if (!this._receiver!.full) this._stream!.resume();
  }

  ping(data?: unknown, mask?: boolean | SendCallback, callback?: SendCallback): void {
    sendControl(this, 'ping', data, mask, callback);
  }

  pong(data?: unknown, mask?: boolean | SendCallback, callback?: SendCallback): void {
    sendControl(this, 'pong', data, mask, callback);
  }

  /**
   * Sends a message.
   *
   * @param data - Text, bytes, or what `Buffer.from` takes. Bytes may be changed afterwards.
   * @param callback - Called when the socket has the message, or with an error.
   * @throws Error while the connection is not open yet.
   */
  send(data: unknown, options?: SendOptions | SendCallback, callback?: SendCallback): void {
    checkConnected(this);
    const done = typeof options === 'function' ? options : callback;
    const chosen = typeof options === 'function' ? undefined : options;
    const payload = typeof data === 'number' ? data.toString() : data;
    if (this._readyState !== OPEN) return refuse(this, payload, done);
    const binary = typeof payload !== 'string';
    const defaults = { binary, mask: !this._isServer, compress: true, fin: true };
    // As in ws, an option that is present and undefined is false.
    const known = chosen === undefined ? defaults : { ...defaults, ...chosen };
    this._sender!.send(payload || EMPTY, known, done);
  }

  /** Ends the connection without a close frame. */
  terminate(): void {
    if (this._readyState === CLOSED) return;
    if (this._readyState === CONNECTING) return abandon(this);
    this._readyState = CLOSING;
    this._stream?.destroy();
  }

  /** @internal */
  _bufferedAfterClose = 0;
}

/** Gives up a handshake. */
function abandon(ws: WebSocket): void {
  abort(ws, ws._req!, CLOSED_EARLY);
}

/** A message after the end counts as buffered, and its callback gets an error. */
function refuse(ws: WebSocket, data: unknown, callback: SendCallback | undefined): void {
  if (data) ws._bufferedAfterClose += isBlob(data) ? data.size : lengthOf(bytesOf(data));
  if (!callback) return;
  // The callbacks of earlier messages come first.
  ws._frames?.flush();
  process.nextTick(callback, notOpen(ws));
}

function notOpen({ readyState }: WebSocket): Error {
  const state = `readyState ${readyState} (${STATE_NAMES[readyState]})`;
  return new Error(`WebSocket is not open: ${state}`);
}

function sendControl(
  ws: WebSocket,
  type: 'ping' | 'pong',
  data: unknown,
  mask: boolean | SendCallback | undefined,
  callback: SendCallback | undefined,
): void {
  checkConnected(ws);
  // The callback may be any of the arguments.
  if (typeof data === 'function') {
    return sendControl(ws, type, undefined, undefined, data as SendCallback);
  }
  if (typeof mask === 'function') return sendControl(ws, type, data, undefined, mask);
  const payload = typeof data === 'number' ? data.toString() : data;
  if (ws._readyState !== OPEN) return refuse(ws, payload, callback);
  ws._sender![type](payload || EMPTY, mask === undefined ? !ws._isServer : mask, callback);
}

function checkConnected(ws: WebSocket): void {
  if (ws._readyState === CONNECTING) throw notOpen(ws);
}

function isReading(ws: WebSocket): boolean {
  return ws._readyState === OPEN || ws._readyState === CLOSING;
}
