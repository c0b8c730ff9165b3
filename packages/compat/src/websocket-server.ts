import { EventEmitter } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { acceptKey } from '@ws/codec';
import { abortHandshake, answerPlainRequest } from './abort-handshake.ts';
import { format, parse as parseExtensions } from './extension.ts';
import { ownerOf } from './owned-socket.ts';
import {
  type ActiveExtensions,
  EXTENSION,
  mayCompress,
  NO_EXTENSIONS,
  PerMessageDeflate,
} from './permessage-deflate.ts';
import { type ServerOptions, type VerifyClientInfo, withDefaults } from './server-options.ts';
import { parse as parseSubprotocols } from './subprotocol.ts';
import { WebSocket } from './websocket.ts';

type UpgradeCallback = (client: WebSocket, request: IncomingMessage) => void;

/** A request that is being checked. */
interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly callback: UpgradeCallback;
}

/** What the request offers. */
interface Offer {
  readonly key: string;
  readonly protocols: Set<string>;
  readonly extensions: ActiveExtensions;
}

/** A request that is refused. */
interface Refusal {
  readonly status: number;
  /** Refusals without a message are not errors of the client's WebSocket code. */
  readonly message?: string;
  readonly headers?: OutgoingHttpHeaders;
}

const RUNNING = 0;
const CLOSING = 1;
const CLOSED = 2;
/** RFC 6455, section 4.2.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSIONS = [8, 13];

/**
 * A WebSocket server with the API of ws.
 *
 * @example
 * ```ts
 * import { WebSocketServer } from '@ws/compat';
 *
 * const server = new WebSocketServer({ port: 0 });
 * server.on('connection', (ws) => ws.on('message', (data: Buffer) => ws.send(data)));
 * server.on('listening', () => server.close());
 * ```
 */
export class WebSocketServer extends EventEmitter {
  options: ServerOptions;
  /** The open connections. The property does not exist if `clientTracking` is false, as in ws. */
  declare clients: Set<WebSocket> | undefined;
  /** @internal */
  _server: Server | null = null;
  /** @internal */
  _state: typeof RUNNING | typeof CLOSING | typeof CLOSED = RUNNING;
  /** @internal */
  _removeListeners: (() => void) | undefined = undefined;
  /** @internal */
  _emitsCloseWhenEmpty = false;
  /** @internal */
  _untrack: (this: WebSocket) => void = untracking(this);

  /**
   * @param callback - Called when the server listens on `port`.
   * @throws TypeError unless exactly one of `port`, `server` and `noServer` is given.
   */
  constructor(options?: ServerOptions, callback?: () => void) {
    super();
    this.options = withDefaults(options);
    const { port, host, backlog, server, noServer, clientTracking } = this.options;
    const hasPort = port != null;
    if ([hasPort, server, noServer].filter(Boolean).length !== 1) {
      throw new TypeError(
        'One and only one of the "port", "server", or "noServer" options must be specified',
      );
    }
    if (hasPort) {
      this._server = createServer(answerPlainRequest);
      this._server.listen(port, host as string, backlog as number, callback);
    } else if (server) {
      this._server = server;
    }
    if (this._server !== null) listen(this, this._server);
    if (clientTracking) this.clients = new Set();
  }

  /**
   * The address of the server, null when it is closed.
   *
   * @throws Error in mode `noServer`.
   */
  address(): AddressInfo | string | null {
    if (this.options.noServer) throw new Error('The server is operating in "noServer" mode');
    return this._server === null ? null : this._server.address();
  }

  /**
   * Accepts no more connections. Existing ones stay open. 'close' is emitted when the HTTP server
   * of `port` has closed, or when there are no more `clients`.
   */
  close(callback?: (error?: Error) => void): void {
    if (this._state === CLOSED) {
      if (callback) this.once('close', () => callback(new Error('The server is not running')));
      process.nextTick(emitClose, this);
      return;
    }
    if (callback) this.once('close', callback);
    if (this._state === CLOSING) return;
    this._state = CLOSING;
    const server = this._server;
    this._removeListeners?.();
    this._removeListeners = undefined;
    this._server = null;
    // Its own server closes when the connections have closed.
    if (!this.options.noServer && !this.options.server) server!.close(() => emitClose(this));
    else if (this.clients !== undefined && this.clients.size > 0) this._emitsCloseWhenEmpty = true;
    else process.nextTick(emitClose, this);
  }

  /** Whether the path of a request fits. Override it for another rule. */
  shouldHandle(request: IncomingMessage): unknown {
    const { path } = this.options;
    return !path || request.url!.replace(/\?.*/s, '') === path;
  }

  /** Checks the request of a client, answers it, and calls `callback` with the connection. */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    callback: UpgradeCallback,
  ): void {
    socket.on('error', onSocketError);
    const upgrade: Upgrade = { request, socket, head, callback };
    const checked = check(this, request);
    if ('status' in checked) refuse(this, upgrade, checked);
    else verify(this, upgrade, checked);
  }
}

function listen(wss: WebSocketServer, server: Server): void {
  const emitConnection: UpgradeCallback = (ws, request) => {
    wss.emit('connection', ws, request);
  };
  const listeners = {
    listening: () => void wss.emit('listening'),
    error: (error: Error) => void wss.emit('error', error),
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      wss.handleUpgrade(request, socket, head, emitConnection);
    },
  };
  for (const [name, listener] of Object.entries(listeners)) server.on(name, listener);
  wss._removeListeners = () => {
    for (const [name, listener] of Object.entries(listeners)) {
      server.removeListener(name, listener);
    }
  };
}

function check(server: WebSocketServer, request: IncomingMessage): Offer | Refusal {
  const { headers, method } = request;
  const key = headers['sec-websocket-key'];
  if (method !== 'GET') return { status: 405, message: 'Invalid HTTP method' };
  if (headers.upgrade?.toLowerCase() !== 'websocket') {
    return { status: 400, message: 'Invalid Upgrade header' };
  }
  if (key === undefined || !KEY.test(key)) {
    return { status: 400, message: 'Missing or invalid Sec-WebSocket-Key header' };
  }
  if (!VERSIONS.includes(versionOf(request))) {
    const message = 'Missing or invalid Sec-WebSocket-Version header';
    return { status: 400, message, headers: { 'Sec-WebSocket-Version': '13, 8' } };
  }
  if (!server.shouldHandle(request)) return { status: 400 };
  const protocols = readProtocols(headers['sec-websocket-protocol']);
  if (protocols === undefined) {
    return { status: 400, message: 'Invalid Sec-WebSocket-Protocol header' };
  }
  const extensions = acceptExtensions(server, headers['sec-websocket-extensions']);
  if (extensions === undefined) {
    return { status: 400, message: 'Invalid or unacceptable Sec-WebSocket-Extensions header' };
  }
  return { key, protocols, extensions };
}

function acceptExtensions(
  server: WebSocketServer,
  header: string | undefined,
): ActiveExtensions | undefined {
  const { perMessageDeflate, maxPayload } = server.options;
  if (!perMessageDeflate || header === undefined || !mayCompress(maxPayload)) return NO_EXTENSIONS;
  const options = perMessageDeflate === true ? {} : perMessageDeflate;
  try {
    const offers = parseExtensions(header)[EXTENSION];
    if (offers === undefined) return NO_EXTENSIONS;
    const deflate = new PerMessageDeflate({ ...options, isServer: true, maxPayload });
    deflate.accept(offers);
    return { [EXTENSION]: deflate };
  } catch {
    return undefined;
  }
}

function refuse(
  server: WebSocketServer,
  { request, socket }: Upgrade,
  { status, message, headers }: Refusal,
): void {
  if (message !== undefined && server.listenerCount('wsClientError') > 0) {
    server.emit('wsClientError', new Error(message), socket, request);
  } else {
    abortHandshake(socket, status, message, headers);
  }
}

function verify(server: WebSocketServer, upgrade: Upgrade, offer: Offer): void {
  const { verifyClient } = server.options;
  const { request, socket } = upgrade;
  if (!verifyClient) return complete(server, upgrade, offer);
  const { headers } = request;
  const { authorized, encrypted } = request.socket as {
    authorized?: boolean;
    encrypted?: boolean;
  };
  const info: VerifyClientInfo = {
    origin: versionOf(request) === 8 ? (headers['sec-websocket-origin'] as string) : headers.origin,
    secure: Boolean(authorized || encrypted),
    req: request,
  };
  if (verifyClient.length === 2) {
    verifyClient.call(server.options, info, (accepted, status, message, more) => {
      if (accepted) complete(server, upgrade, offer);
      else abortHandshake(socket, status || 401, message, more);
    });
  } else if ((verifyClient as (info: VerifyClientInfo) => unknown).call(server.options, info)) {
    complete(server, upgrade, offer);
  } else {
    abortHandshake(socket, 401);
  }
}

function complete(
  server: WebSocketServer,
  { request, socket, head, callback }: Upgrade,
  offer: Offer,
): void {
  // The client has left during an asynchronous check.
  if (!socket.readable || !socket.writable) {
    socket.destroy();
    return;
  }
  if (ownerOf(socket) !== undefined) {
    throw new Error(
      'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration',
    );
  }
  if (server._state !== RUNNING) return abortHandshake(socket, 503);
  const Connection = server.options.WebSocket ?? WebSocket;
  const ws = new Connection(null, undefined, server.options);
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptKey(offer.key)}`,
  ];
  const protocol = chooseProtocol(server, offer.protocols, request);
  if (protocol) {
    lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    ws._protocol = protocol;
  }
  const deflate = offer.extensions[EXTENSION];
  if (deflate !== undefined) {
    lines.push(`Sec-WebSocket-Extensions: ${format({ [EXTENSION]: deflate.params! })}`);
    ws._extensions = offer.extensions;
  }
  server.emit('headers', lines, request);
  socket.write(lines.concat('\r\n').join('\r\n'));
  socket.removeListener('error', onSocketError);
  ws.setSocket(socket, head, server.options);
  if (server.clients !== undefined) {
    server.clients.add(ws);
    ws.on('close', server._untrack);
  }
  callback(ws, request);
}

function chooseProtocol(
  server: WebSocketServer,
  protocols: Set<string>,
  request: IncomingMessage,
): string | false | undefined {
  if (protocols.size === 0) return undefined;
  const { handleProtocols } = server.options;
  if (handleProtocols) return handleProtocols.call(server.options, protocols, request as never);
  return protocols.values().next().value;
}

/** The listener of 'close' of all connections in `clients`. */
function untracking(server: WebSocketServer): (this: WebSocket) => void {
  return function () {
    const clients = server.clients!;
    clients.delete(this);
    if (server._emitsCloseWhenEmpty && clients.size === 0) process.nextTick(emitClose, server);
  };
}

function emitClose(server: WebSocketServer): void {
  server._state = CLOSED;
  server.emit('close');
}

function onSocketError(this: Duplex): void {
  this.destroy();
}

function versionOf({ headers }: IncomingMessage): number {
  return Number(headers['sec-websocket-version']);
}

/** Undefined for an invalid header. */
function readProtocols(header: string | undefined): Set<string> | undefined {
  if (header === undefined) return new Set();
  try {
    return parseSubprotocols(header);
  } catch {
    return undefined;
  }
}
