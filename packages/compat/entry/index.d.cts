/// <reference types="node" />

import type { EventEmitter } from 'node:events';
import type {
  Agent,
  ClientRequest,
  ClientRequestArgs,
  IncomingMessage,
  OutgoingHttpHeaders,
  Server as HTTPServer,
} from 'node:http';
import type { Server as HTTPSServer } from 'node:https';
import type { createConnection } from 'node:net';
import type { Duplex, DuplexOptions, Writable } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type { ZlibOptions } from 'node:zlib';

/** What `send` accepts: text, bytes, or anything that `Buffer.from` takes. */
type BufferLike =
  | string
  | number
  | ArrayBufferView
  | ArrayBuffer
  | SharedArrayBuffer
  | Blob
  | readonly any[]
  | { valueOf(): ArrayBuffer | SharedArrayBuffer | Uint8Array | readonly number[] | string }
  | { [Symbol.toPrimitive](hint: string): string };

/** A WebSocket connection: a client, or a connection of a `WebSocketServer`. */
declare class WebSocket extends EventEmitter {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;

  /** The type of binary messages. Default: 'nodebuffer'. */
  binaryType: 'nodebuffer' | 'arraybuffer' | 'fragments';
  /** Bytes that were sent and that the operating system does not have yet. */
  readonly bufferedAmount: number;
  /** The names of the negotiated extensions. */
  readonly extensions: string;
  readonly isPaused: boolean;
  /** The negotiated subprotocol, or ''. */
  readonly protocol: string;
  readonly readyState: 0 | 1 | 2 | 3;
  /** The URL of a client. */
  readonly url: string;

  onopen: ((event: WebSocket.Event) => void) | null;
  onerror: ((event: WebSocket.ErrorEvent) => void) | null;
  onclose: ((event: WebSocket.CloseEvent) => void) | null;
  onmessage: ((event: WebSocket.MessageEvent) => void) | null;

  /** For the class of a server's connections. */
  constructor(address: null);
  /** Connects to `address`. */
  constructor(address: string | URL, options?: WebSocket.ClientOptions | ClientRequestArgs);
  constructor(
    address: string | URL,
    protocols?: string | string[],
    options?: WebSocket.ClientOptions | ClientRequestArgs,
  );

  /** Starts the closing handshake. `data` is the reason, of at most 123 bytes. */
  close(code?: number, data?: string | Buffer): void;
  ping(data?: any, mask?: boolean, cb?: (err: Error) => void): void;
  pong(data?: any, mask?: boolean, cb?: (err: Error) => void): void;
  /** Sends a message. `cb` is called when the socket has it, or with an error. */
  send(data: BufferLike, cb?: (err?: Error) => void): void;
  send(data: BufferLike, options: WebSocket.SendOptions, cb?: (err?: Error) => void): void;
  /** Ends the connection without a close frame. */
  terminate(): void;
  /** Stops to read. Messages of bytes that were read before are still emitted. */
  pause(): void;
  resume(): void;

  addEventListener<K extends keyof WebSocket.WebSocketEventMap>(
    type: K,
    listener:
      | ((event: WebSocket.WebSocketEventMap[K]) => void)
      | { handleEvent(event: WebSocket.WebSocketEventMap[K]): void },
    options?: WebSocket.EventListenerOptions,
  ): void;
  removeEventListener<K extends keyof WebSocket.WebSocketEventMap>(
    type: K,
    listener:
      | ((event: WebSocket.WebSocketEventMap[K]) => void)
      | { handleEvent(event: WebSocket.WebSocketEventMap[K]): void },
  ): void;

  on<E extends keyof WebSocket.Events>(
    event: E,
    listener: (this: WebSocket, ...args: WebSocket.Events[E]) => void,
  ): this;
  on(event: string | symbol, listener: (this: WebSocket, ...args: any[]) => void): this;
  once<E extends keyof WebSocket.Events>(
    event: E,
    listener: (this: WebSocket, ...args: WebSocket.Events[E]) => void,
  ): this;
  once(event: string | symbol, listener: (this: WebSocket, ...args: any[]) => void): this;
  off<E extends keyof WebSocket.Events>(
    event: E,
    listener: (this: WebSocket, ...args: WebSocket.Events[E]) => void,
  ): this;
  off(event: string | symbol, listener: (this: WebSocket, ...args: any[]) => void): this;
  addListener<E extends keyof WebSocket.Events>(
    event: E,
    listener: (...args: WebSocket.Events[E]) => void,
  ): this;
  addListener(event: string | symbol, listener: (...args: any[]) => void): this;
  removeListener<E extends keyof WebSocket.Events>(
    event: E,
    listener: (...args: WebSocket.Events[E]) => void,
  ): this;
  removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
}

declare const Connection: typeof WebSocket;
interface Connection extends WebSocket {}

declare namespace WebSocket {
  /** A received message. */
  type RawData = Buffer | ArrayBuffer | Buffer[];
  type Data = string | Buffer | ArrayBuffer | Buffer[];
  type CertMeta = string | string[] | Buffer | Buffer[];

  /** The arguments of each event. */
  interface Events {
    close: [code: number, reason: Buffer];
    error: [error: Error];
    upgrade: [request: IncomingMessage];
    message: [data: RawData, isBinary: boolean];
    open: [];
    ping: [data: Buffer];
    pong: [data: Buffer];
    redirect: [url: string, request: ClientRequest];
    'unexpected-response': [request: ClientRequest, response: IncomingMessage];
  }

  interface SendOptions {
    /** Default: true on a client. */
    mask?: boolean | undefined;
    /** Default: text for a string, binary for bytes. */
    binary?: boolean | undefined;
    /** Default: true, when permessage-deflate was negotiated. */
    compress?: boolean | undefined;
    /** Whether the message ends with this fragment. Default: true. */
    fin?: boolean | undefined;
  }

  type VerifyClientCallbackSync<Request extends IncomingMessage = IncomingMessage> = (info: {
    origin: string;
    secure: boolean;
    req: Request;
  }) => boolean;

  type VerifyClientCallbackAsync<Request extends IncomingMessage = IncomingMessage> = (
    info: { origin: string; secure: boolean; req: Request },
    callback: (res: boolean, code?: number, message?: string, headers?: OutgoingHttpHeaders) => void,
  ) => void;

  /** May change the headers of the request, and then calls `request.end()`. */
  type FinishRequestCallback = (request: ClientRequest, websocket: WebSocket) => void;

  interface ClientOptions extends SecureContextOptions {
    protocol?: string | undefined;
    /** Default: false. */
    followRedirects?: boolean | undefined;
    /** Fills `mask`, four bytes. */
    generateMask?(mask: Buffer): void;
    /** In ms. Default: no limit. */
    handshakeTimeout?: number | undefined;
    /** Default: 10. */
    maxRedirects?: number | undefined;
    /** Default: true. */
    perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
    localAddress?: string | undefined;
    /** Subprotocols, unless they are an argument of the constructor. */
    protocols?: string | string[] | undefined;
    /** 13, the default, or 8. */
    protocolVersion?: number | undefined;
    headers?: { [key: string]: string } | undefined;
    origin?: string | undefined;
    agent?: Agent | undefined;
    host?: string | undefined;
    family?: number | undefined;
    checkServerIdentity?(servername: string, cert: CertMeta): boolean;
    rejectUnauthorized?: boolean | undefined;
    /** Default: true. */
    allowSynchronousEvents?: boolean | undefined;
    /** Default: true. */
    autoPong?: boolean | undefined;
    /** In ms. Default: 30 s. */
    closeTimeout?: number | undefined;
    /** Default: 262,144. */
    maxBufferedChunks?: number | undefined;
    /** Default: 16,384. */
    maxFragments?: number | undefined;
    /** In bytes. Default: 100 MiB. */
    maxPayload?: number | undefined;
    /** Default: 60. */
    maxPendingAutoPongs?: number | undefined;
    /** Default: false. */
    skipUTF8Validation?: boolean | undefined;
    createConnection?: typeof createConnection | undefined;
    finishRequest?: FinishRequestCallback | undefined;
  }

  interface PerMessageDeflateOptions {
    serverNoContextTakeover?: boolean | undefined;
    clientNoContextTakeover?: boolean | undefined;
    serverMaxWindowBits?: number | undefined;
    clientMaxWindowBits?: number | undefined;
    /** Of these, `level` is used. */
    zlibDeflateOptions?: ZlibOptions | undefined;
    zlibInflateOptions?: ZlibOptions | undefined;
    /** In bytes. Default: 1024. */
    threshold?: number | undefined;
    concurrencyLimit?: number | undefined;
  }

  interface Event {
    type: string;
    target: WebSocket;
  }

  interface ErrorEvent {
    error: any;
    message: string;
    type: string;
    target: WebSocket;
  }

  interface CloseEvent {
    wasClean: boolean;
    code: number;
    reason: string;
    type: string;
    target: WebSocket;
  }

  interface MessageEvent {
    data: Data;
    type: string;
    target: WebSocket;
  }

  interface WebSocketEventMap {
    open: Event;
    error: ErrorEvent;
    close: CloseEvent;
    message: MessageEvent;
  }

  interface EventListenerOptions {
    once?: boolean | undefined;
  }

  interface ServerOptions<
    U extends typeof WebSocket.WebSocket = typeof WebSocket.WebSocket,
    V extends typeof IncomingMessage = typeof IncomingMessage,
  > {
    host?: string | undefined;
    port?: number | undefined;
    backlog?: number | undefined;
    server?: HTTPServer<V> | HTTPSServer<V> | undefined;
    verifyClient?:
      | VerifyClientCallbackAsync<InstanceType<V>>
      | VerifyClientCallbackSync<InstanceType<V>>
      | undefined;
    handleProtocols?: (protocols: Set<string>, request: InstanceType<V>) => string | false;
    path?: string | undefined;
    noServer?: boolean | undefined;
    /** Default: true. */
    allowSynchronousEvents?: boolean | undefined;
    /** Default: true. */
    autoPong?: boolean | undefined;
    /** Default: true. */
    clientTracking?: boolean | undefined;
    /** In ms. Default: 30 s. */
    closeTimeout?: number | undefined;
    /** Default: 262,144. */
    maxBufferedChunks?: number | undefined;
    /** Default: 16,384. */
    maxFragments?: number | undefined;
    /** Default: false. */
    perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
    /** In bytes. Default: 100 MiB. */
    maxPayload?: number | undefined;
    /** Default: 60. */
    maxPendingAutoPongs?: number | undefined;
    /** Default: false. */
    skipUTF8Validation?: boolean | undefined;
    WebSocket?: U | undefined;
  }

  interface AddressInfo {
    address: string;
    family: string;
    port: number;
  }

  /** The arguments of each event of a server. */
  interface ServerEvents<T, U> {
    connection: [websocket: T, request: U];
    error: [error: Error];
    headers: [headers: string[], request: U];
    close: [];
    listening: [];
    wsClientError: [error: Error, socket: Duplex, request: U];
  }

  /** A WebSocket server. */
  class Server<
    T extends typeof WebSocket.WebSocket = typeof WebSocket.WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  > extends EventEmitter {
    options: ServerOptions<T, U>;
    path: string;
    /** The open connections, unless `clientTracking` is false. */
    clients: Set<InstanceType<T>>;

    /** `callback` is called when the server listens on `port`. */
    constructor(options?: ServerOptions<T, U>, callback?: () => void);

    address(): AddressInfo | string | null;
    /** Accepts no more connections. Existing ones stay open. */
    close(cb?: (err?: Error) => void): void;
    handleUpgrade(
      request: InstanceType<U>,
      socket: Duplex,
      upgradeHead: Buffer,
      callback: (client: InstanceType<T>, request: InstanceType<U>) => void,
    ): void;
    /** Whether the path of a request fits. Override it for another rule. */
    shouldHandle(request: InstanceType<U>): boolean | Promise<boolean>;

    on<E extends keyof ServerEvents<T, U>>(
      event: E,
      listener: (this: Server<T>, ...args: ServerEvents<InstanceType<T>, InstanceType<U>>[E]) => void,
    ): this;
    on(event: string | symbol, listener: (this: Server<T>, ...args: any[]) => void): this;
    once<E extends keyof ServerEvents<T, U>>(
      event: E,
      listener: (this: Server<T>, ...args: ServerEvents<InstanceType<T>, InstanceType<U>>[E]) => void,
    ): this;
    once(event: string | symbol, listener: (this: Server<T>, ...args: any[]) => void): this;
    off<E extends keyof ServerEvents<T, U>>(
      event: E,
      listener: (this: Server<T>, ...args: ServerEvents<InstanceType<T>, InstanceType<U>>[E]) => void,
    ): this;
    off(event: string | symbol, listener: (this: Server<T>, ...args: any[]) => void): this;
    addListener<E extends keyof ServerEvents<T, U>>(
      event: E,
      listener: (...args: ServerEvents<InstanceType<T>, InstanceType<U>>[E]) => void,
    ): this;
    addListener(event: string | symbol, listener: (...args: any[]) => void): this;
    removeListener<E extends keyof ServerEvents<T, U>>(
      event: E,
      listener: (...args: ServerEvents<InstanceType<T>, InstanceType<U>>[E]) => void,
    ): this;
    removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
  }

  const WebSocketServer: typeof Server;
  interface WebSocketServer<
    T extends typeof WebSocket.WebSocket = typeof WebSocket.WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  > extends Server<T, U> {}
  const WebSocket: typeof Connection;
  interface WebSocket extends Connection {}

  /** Turns a connection into a stream: a chunk is a message. */
  function createWebSocketStream(websocket: WebSocket, options?: DuplexOptions): Duplex;

  type SendCallback = (error?: Error | null) => void;

  /** Parses frames. Emits 'message', 'ping', 'pong', 'conclude' and 'error'. */
  class Receiver extends Writable {
    constructor(options?: {
      allowSynchronousEvents?: boolean;
      binaryType?: WebSocket['binaryType'];
      extensions?: Record<string, PerMessageDeflate>;
      isServer?: boolean;
      maxBufferedChunks?: number;
      maxFragments?: number;
      maxPayload?: number;
      skipUTF8Validation?: boolean;
    });
  }

  /** Writes frames to a socket. */
  class Sender {
    constructor(
      socket: Duplex,
      extensions?: Record<string, PerMessageDeflate>,
      generateMask?: (mask: Buffer) => void,
    );
    /** Builds a frame for `sendFrame`. */
    static frame(
      data: Uint8Array | string,
      options: {
        opcode: number;
        fin?: boolean;
        rsv1?: boolean;
        mask?: boolean;
        readOnly?: boolean;
        generateMask?: (mask: Buffer) => void;
      },
    ): (Uint8Array | string)[];
    close(code: number | undefined, data: string | Buffer | undefined, mask: boolean, cb?: SendCallback): void;
    ping(data: any, mask: boolean, cb?: SendCallback): void;
    pong(data: any, mask: boolean, cb?: SendCallback): void;
    send(data: any, options: SendOptions, cb?: SendCallback): void;
    sendFrame(list: readonly (Uint8Array | string)[], cb?: SendCallback): void;
  }

  /** permessage-deflate (RFC 7692). */
  class PerMessageDeflate {
    constructor(options?: PerMessageDeflateOptions & { isServer?: boolean; maxPayload?: number });
    static readonly extensionName: string;
    params: Record<string, number | true> | null;
    offer(): Record<string, number | true>;
    accept(configurations: readonly Record<string, (string | true)[]>[]): Record<string, number | true>;
    cleanup(): void;
    compress(data: Buffer | string, fin: boolean, cb: (error: Error | null, data?: Buffer) => void): void;
    decompress(data: Buffer, fin: boolean, cb: (error: Error | null, data?: Buffer) => void): void;
  }

  /** `Sec-WebSocket-Extensions`. */
  namespace extension {
    function format(extensions: Record<string, object>): string;
    function parse(header: string): Record<string, Record<string, (string | true)[]>[]>;
  }

  /** `Sec-WebSocket-Protocol`. */
  namespace subprotocol {
    function parse(header: string): Set<string>;
  }
}

export = WebSocket;
