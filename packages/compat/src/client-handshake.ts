import { randomBytes } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls, { type ConnectionOptions } from 'node:tls';
import { acceptKey } from '@ws/http-shared';
import { type ClientOptions, withDefaults } from './client-options.ts';
import { format, parse } from './extension.ts';
import type { ActiveExtensions } from './parser-events.ts';
import { EXTENSION, PerMessageDeflate } from './permessage-deflate.ts';
import { CLOSING, CONNECTING, type ReadyState } from './ready-state.ts';
import { Redirects } from './redirects.ts';
import { parseUrl, type Target, targetOf } from './target.ts';

/** The connection that a handshake opens. */
export interface Client extends EventEmitter {
  _readyState: ReadyState;
  _url: string | undefined;
  _protocol: string;
  _extensions: ActiveExtensions;
  _errorEmitted: boolean;
  _req: ClientRequest | null;
  _configure(options: ClientOptions): void;
  setSocket(socket: Duplex, head: Buffer, options: ClientOptions): void;
  emitClose(): void;
}

const VERSIONS = [8, 13];
/** RFC 6455, section 4.1: a subprotocol is a token. */
const SUBPROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const KEY_BYTES = 16;

/** Requests that were given up: their errors are not those of the connection. */
const aborted = new WeakSet<ClientRequest>();

/**
 * Starts the handshake of a client.
 *
 * @throws SyntaxError for an invalid URL or subprotocol, RangeError for an unsupported version.
 */
export function connect(
  client: Client,
  address: string | URL,
  protocols: readonly string[],
  given: ClientOptions,
): void {
  const options = withDefaults(given);
  client._configure(options);
  const { protocolVersion } = options;
  if (!VERSIONS.includes(protocolVersion!)) {
    const supported = `(supported versions: ${VERSIONS.join(', ')})`;
    throw new RangeError(`Unsupported protocol version: ${protocolVersion} ${supported}`);
  }
  const target = targetOf(parseUrl(address));
  client._url = target.url.href;
  checkSubprotocols(protocols);
  new ClientHandshake(client, protocols, options).start(target);
}

/** Gives up the request of a client that is connecting. */
export function abort(client: Client, request: ClientRequest, message: string): void {
  client._readyState = CLOSING;
  aborted.add(request);
  request.destroy();
  // The request of an agent may have given its socket away.
  request.socket?.destroy();
  process.nextTick(emitErrorAndClose, client, new Error(message));
}

function checkSubprotocols(protocols: readonly string[]): void {
  const seen = new Set<string>();
  for (const protocol of protocols) {
    if (typeof protocol !== 'string' || !SUBPROTOCOL.test(protocol) || seen.has(protocol)) {
      throw new SyntaxError('An invalid or duplicated subprotocol was specified');
    }
    seen.add(protocol);
  }
}

/** The requests of one client, until one is answered with a 101 or the handshake has failed. */
class ClientHandshake {
  readonly #client: Client;
  readonly #protocols: readonly string[];
  readonly #options: ClientOptions;
  #redirects: Redirects | undefined;
  // Of the current request.
  #key = '';
  #deflate: PerMessageDeflate | undefined;

  constructor(client: Client, protocols: readonly string[], options: ClientOptions) {
    this.#client = client;
    this.#protocols = protocols;
    this.#options = options;
  }

  /** Sends the first request. */
  start(target: Target): void {
    const { followRedirects, headers = {} } = this.#options;
    const auth = this.#authFor(target);
    if (followRedirects) {
      this.#redirects = new Redirects(target, headers);
      this.#redirects.remember(auth);
    }
    this.#send(target, this.#open(target, headers, auth));
  }

  #authFor(target: Target): string | undefined {
    return target.auth ?? this.#options.auth ?? undefined;
  }

  #open(target: Target, headers: Record<string, unknown>, auth: string | undefined): ClientRequest {
    const options = this.#options;
    const open = target.isSecure ? openTLS : openTCP;
    const { request } = target.isSecure ? https : http;
    const defaultPort = target.isSecure ? 443 : 80;
    return request({
      ...(options as RequestOptions),
      createConnection: options.createConnection ?? (open as RequestOptions['createConnection']),
      defaultPort: options.defaultPort || defaultPort,
      protocol: undefined,
      hostname: undefined,
      method: 'GET',
      host: target.host,
      port: target.port ?? defaultPort,
      path: target.path,
      socketPath: target.socketPath,
      timeout: options.handshakeTimeout,
      headers: this.#headers(headers) as NonNullable<RequestOptions['headers']>,
      auth,
    } as RequestOptions);
  }

  #headers(given: Record<string, unknown>): Record<string, unknown> {
    const { protocolVersion = 13, origin } = this.#options;
    this.#key = randomBytes(KEY_BYTES).toString('base64');
    this.#deflate = this.#createDeflate();
    const headers: Record<string, unknown> = {
      ...given,
      'Sec-WebSocket-Version': protocolVersion,
      'Sec-WebSocket-Key': this.#key,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
    };
    if (this.#deflate !== undefined) {
      headers['Sec-WebSocket-Extensions'] = format({ [EXTENSION]: this.#deflate.offer() });
    }
    if (this.#protocols.length > 0) headers['Sec-WebSocket-Protocol'] = this.#protocols.join(',');
    if (origin) headers[protocolVersion < 13 ? 'Sec-WebSocket-Origin' : 'Origin'] = origin;
    return headers;
  }

  #createDeflate(): PerMessageDeflate | undefined {
    const { perMessageDeflate, maxPayload } = this.#options;
    if (!perMessageDeflate) return undefined;
    const options = perMessageDeflate === true ? {} : perMessageDeflate;
    return new PerMessageDeflate({ ...options, isServer: false, maxPayload });
  }

  #send(target: Target, request: ClientRequest): void {
    const client = this.#client;
    const { handshakeTimeout, finishRequest } = this.#options;
    client._req = request;
    if (this.#redirects !== undefined && this.#redirects.count > 0) {
      client.emit('redirect', target.url.href, request);
    }
    if (handshakeTimeout) {
      request.on('timeout', () => abort(client, request, 'Opening handshake has timed out'));
    }
    request.on('error', (error) => {
      if (client._req !== request || aborted.has(request)) return;
      client._req = null;
      emitErrorAndClose(client, error);
    });
    request.on('response', (response) => this.#onResponse(target, request, response));
    request.on('upgrade', (response, socket, head) => this.#onUpgrade(response, socket, head));
    if (finishRequest) finishRequest(request, client as never);
    else request.end();
  }

  #onResponse(target: Target, request: ClientRequest, response: IncomingMessage): void {
    const { location } = response.headers;
    const status = response.statusCode ?? 0;
    if (location && this.#redirects !== undefined && status >= 300 && status < 400) {
      this.#redirect(this.#redirects, target, request, location);
    } else if (!this.#client.emit('unexpected-response', request, response)) {
      abort(this.#client, request, `Unexpected server response: ${status}`);
    }
  }

  #redirect(redirects: Redirects, from: Target, request: ClientRequest, location: string): void {
    const client = this.#client;
    if (++redirects.count > this.#options.maxRedirects!) {
      return abort(client, request, 'Maximum redirects exceeded');
    }
    aborted.add(request);
    request.destroy();
    let target: Target;
    try {
      const url = parseUrl(location, from.url);
      client._url = url.href;
      target = targetOf(url);
    } catch (error) {
      return emitErrorAndClose(client, error as Error);
    }
    const trusted = client.listenerCount('redirect') > 0;
    const { headers, auth } = redirects.follow(target, this.#authFor(target), trusted);
    this.#send(target, this.#open(target, headers, auth));
  }

  #onUpgrade(response: IncomingMessage, socket: Duplex, head: Buffer): void {
    const client = this.#client;
    client.emit('upgrade', response);
    // A listener may have closed the connection.
    if (client._readyState !== CONNECTING) return;
    client._req = null;
    const problem = this.#accept(response);
    if (problem !== undefined) return abortSocket(client, socket, problem);
    client.setSocket(socket, head, this.#options);
  }

  /** Takes over what the server has chosen. Returns the problem of an invalid response. */
  #accept({ headers }: IncomingMessage): string | undefined {
    if (headers.upgrade?.toLowerCase() !== 'websocket') return 'Invalid Upgrade header';
    if (headers['sec-websocket-accept'] !== acceptKey(this.#key)) {
      return 'Invalid Sec-WebSocket-Accept header';
    }
    const protocol = headers['sec-websocket-protocol'];
    const problem = this.#subprotocolProblem(protocol);
    if (problem !== undefined) return problem;
    if (protocol) this.#client._protocol = protocol;
    return this.#acceptExtensions(headers['sec-websocket-extensions']);
  }

  #subprotocolProblem(protocol: string | undefined): string | undefined {
    const offered = this.#protocols;
    if (protocol === undefined) {
      return offered.length > 0 ? 'Server sent no subprotocol' : undefined;
    }
    if (offered.length === 0) return 'Server sent a subprotocol but none was requested';
    return offered.includes(protocol) ? undefined : 'Server sent an invalid subprotocol';
  }

  #acceptExtensions(header: string | undefined): string | undefined {
    const deflate = this.#deflate;
    if (header === undefined) return undefined;
    if (deflate === undefined) {
      return 'Server sent a Sec-WebSocket-Extensions header but no extension was requested';
    }
    try {
      const extensions = parse(header);
      const [name, ...others] = Object.keys(extensions);
      if (name !== EXTENSION || others.length > 0) {
        return 'Server indicated an extension that was not requested';
      }
      deflate.accept(extensions[EXTENSION]!);
    } catch {
      return 'Invalid Sec-WebSocket-Extensions header';
    }
    this.#client._extensions[EXTENSION] = deflate;
    return undefined;
  }
}

function emitErrorAndClose(client: Client, error: Error): void {
  client._readyState = CLOSING;
  client._errorEmitted = true;
  client.emit('error', error);
  client.emitClose();
}

/** Ends the socket of an invalid response. */
function abortSocket(client: Client, socket: Duplex, message: string): void {
  client._readyState = CLOSING;
  socket.destroy(new Error(message));
  socket.once('error', (error) => client.emit('error', error));
  socket.once('close', () => client.emitClose());
}

/** `path` is that of the request here, and a Unix socket in `net.connect`. */
function openTCP(options: net.NetConnectOpts & { socketPath?: string; path?: string }): net.Socket {
  return net.connect({ ...options, path: options.socketPath } as net.NetConnectOpts);
}

function openTLS(options: ConnectionOptions): tls.TLSSocket {
  const { servername, host = '' } = options;
  const named = servername || servername === '' ? servername : net.isIP(host) ? '' : host;
  return tls.connect({ ...options, path: undefined, servername: named });
}
