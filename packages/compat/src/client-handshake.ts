import { randomBytes } from 'node:crypto';
import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as requestByTcp,
} from 'node:http';
import { request as requestByTls } from 'node:https';
import { connect as connectTcp, isIP, type NetConnectOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import {
  type HandshakeOffer,
  type ResponseFacts,
  type ResponsePart,
  responseRules,
} from '@ws/codec';
import { acceptKeyByCrypto } from '@ws/node-io/internal';
import { type ClientOptions, withDefaults } from './client-options.ts';
import { CLOSING, CONNECTING, type Connection } from './connection.ts';
import { format, parse } from './extension.ts';
import { EXTENSION, mayCompress, PerMessageDeflate } from './permessage-deflate.ts';
import { isSameHost, mayGetCredentials, parseUrl, type Target, targetOf } from './target.ts';

type Headers = Record<string, unknown>;

const VERSIONS = [8, 13];
/** RFC 6455, section 4.1: a subprotocol is a token. */
const SUBPROTOCOL = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const KEY_BYTES = 16;

/**
 * Starts the handshake of a client.
 *
 * @throws SyntaxError for an invalid URL or subprotocol, RangeError for an unsupported version.
 */
export function connect(
  client: Connection,
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
  const isValid = (name: unknown): boolean => typeof name === 'string' && SUBPROTOCOL.test(name);
  if (!protocols.every(isValid) || new Set(protocols).size < protocols.length) {
    throw new SyntaxError('An invalid or duplicated subprotocol was specified');
  }
  new ClientHandshake(client, protocols, options, target).send(target);
}

/** Gives up the request of a client that is connecting. */
export function abort(client: Connection, request: ClientRequest, message: string): void {
  client._readyState = CLOSING;
  request.destroy();
  // `request.destroy()` alone may leave a socket open, for example one of an agent.
  request.socket?.destroy();
  process.nextTick(emitErrorAndClose, client, new Error(message));
}

/** The requests of one client, until one is answered with a 101 or the handshake has failed. */
class ClientHandshake {
  readonly #client: Connection;
  readonly #protocols: readonly string[];
  readonly #options: ClientOptions;
  readonly #first: Target;
  /** Headers of the application in lower case, for redirects. */
  readonly #given: Headers = {};
  // Of the current request.
  #key = '';
  #deflate: PerMessageDeflate | undefined;

  constructor(
    client: Connection,
    protocols: readonly string[],
    options: ClientOptions,
    first: Target,
  ) {
    this.#client = client;
    this.#protocols = protocols;
    this.#options = options;
    this.#first = first;
    for (const [name, value] of Object.entries(options.headers ?? {})) {
      this.#given[name.toLowerCase()] = value;
    }
  }

  /** Sends the first request, or that of a redirect. */
  send(target: Target): void {
    const client = this.#client;
    const options = this.#options;
    const request = this.#open(target);
    client._req = request;
    if (client._redirects > 0) client.emit('redirect', target.url.href, request);
    if (options.handshakeTimeout) {
      request.on('timeout', () => abort(client, request, 'Opening handshake has timed out'));
    }
    request.on('error', (error) => {
      // The errors of a request that was given up are not those of the connection.
      if (client._req !== request || client._readyState !== CONNECTING) return;
      client._req = null;
      emitErrorAndClose(client, error);
    });
    request.on('response', (response) => this.#onResponse(target, request, response));
    request.on('upgrade', (response, socket, head) => this.#onUpgrade(response, socket, head));
    if (options.finishRequest) options.finishRequest(request, client as never);
    else request.end();
  }

  #open(target: Target): ClientRequest {
    const options = this.#options;
    const { isSecure, host, port, path, socketPath } = target;
    const open = isSecure ? openTls : openTcp;
    return (isSecure ? requestByTls : requestByTcp)({
      ...options,
      createConnection: options.createConnection ?? open,
      defaultPort: options.defaultPort || (isSecure ? 443 : 80),
      protocol: undefined,
      hostname: undefined,
      method: 'GET',
      host,
      port,
      path,
      socketPath,
      timeout: options.handshakeTimeout,
      ...this.#credentials(target),
    } as RequestOptions);
  }

  /**
   * Returns the headers, and user and password, of a request. An application that listens to
   * 'redirect' removes credentials itself.
   */
  #credentials(target: Target): { headers: Headers; auth: string | undefined } {
    const given = this.#given;
    const first = this.#first;
    const headers = this.#headers();
    if (this.#client.listenerCount('redirect') === 0 && !mayGetCredentials(target, first)) {
      delete headers['authorization'];
      delete headers['cookie'];
      if (!isSameHost(target, first)) delete headers['host'];
      return { headers, auth: undefined };
    }
    const auth = target.auth ?? this.#options.auth ?? undefined;
    // As curl does: the first credentials stay, those of a redirect do not replace them.
    if (this.#options.followRedirects && auth && !given['authorization']) {
      given['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`;
    }
    return { headers, auth };
  }

  #headers(): Headers {
    const { protocolVersion = 13, origin, perMessageDeflate, maxPayload } = this.#options;
    const headers: Headers = {
      ...(this.#client._redirects > 0 ? this.#given : this.#options.headers),
      'Sec-WebSocket-Version': protocolVersion,
      'Sec-WebSocket-Key': (this.#key = randomBytes(KEY_BYTES).toString('base64')),
      Connection: 'Upgrade',
      Upgrade: 'websocket',
    };
    if (perMessageDeflate && mayCompress(maxPayload)) {
      const options = { ...(perMessageDeflate as object), isServer: false, maxPayload };
      this.#deflate = new PerMessageDeflate(options);
      headers['Sec-WebSocket-Extensions'] = format({ [EXTENSION]: this.#deflate.offer() });
    }
    if (this.#protocols.length > 0) headers['Sec-WebSocket-Protocol'] = this.#protocols.join(',');
    if (origin) headers[protocolVersion < 13 ? 'Sec-WebSocket-Origin' : 'Origin'] = origin;
    return headers;
  }

  #onResponse(target: Target, request: ClientRequest, response: IncomingMessage): void {
    const { location } = response.headers;
    const status = response.statusCode ?? 0;
    if (location && this.#options.followRedirects && status >= 300 && status < 400) {
      this.#redirect(target, request, location);
    } else if (!this.#client.emit('unexpected-response', request, response)) {
      abort(this.#client, request, `Unexpected server response: ${status}`);
    }
  }

  #redirect(from: Target, request: ClientRequest, location: string): void {
    const client = this.#client;
    if (++client._redirects > this.#options.maxRedirects!) {
      return abort(client, request, 'Maximum redirects exceeded');
    }
    request.destroy();
    let target: Target;
    try {
      const url = parseUrl(location, from.url);
      client._url = url.href;
      target = targetOf(url);
    } catch (error) {
      return emitErrorAndClose(client, error as Error);
    }
    this.send(target);
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
  #accept(response: IncomingMessage): string | undefined {
    const offered = this.#protocols;
    const offer = { accept: acceptKeyByCrypto(this.#key), subprotocols: offered, extensions: [] };
    const facts = factsOf(response);
    if (isBroken('upgrade', facts, offer)) return 'Invalid Upgrade header';
    if (isBroken('accept', facts, offer)) return 'Invalid Sec-WebSocket-Accept header';
    const protocol = response.headers['sec-websocket-protocol'];
    if (protocol === undefined && offered.length > 0) return 'Server sent no subprotocol';
    if (isBroken('subprotocol', facts, offer)) {
      return offered.length === 0
        ? 'Server sent a subprotocol but none was requested'
        : 'Server sent an invalid subprotocol';
    }
    if (protocol) this.#client._protocol = protocol;
    return this.#acceptExtensions(response.headers['sec-websocket-extensions']);
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
    this.#client._extensions = { [EXTENSION]: deflate };
    return undefined;
  }
}

/** The facts of a response that node:http has read. */
function factsOf({ rawHeaders, statusCode = 0, httpVersion }: IncomingMessage): ResponseFacts {
  // `headers` joins some repeated lines, and drops others.
  const lines = (name: string): string[] =>
    rawHeaders.filter((_, i) => {
      return i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === name.toLowerCase();
    });
  return {
    status: statusCode,
    version: httpVersion === '1.0' ? '1.0' : '1.1',
    has: (name) => lines(name).length > 0,
    lines,
    list: (name) => lines(name).join(', '),
  };
}

/** Whether a response breaks the rules about `part`. ws checks fewer parts, in an order of its own. */
function isBroken(part: ResponsePart, facts: ResponseFacts, offer: HandshakeOffer): boolean {
  return responseRules.some((rule) => rule.part === part && rule.fault(facts, offer) !== undefined);
}

function emitErrorAndClose(client: Connection, error: Error): void {
  client._readyState = CLOSING;
  client._errorEmitted = true;
  client.emit('error', error);
  client.emitClose();
}

/** Ends the socket of an invalid response. */
function abortSocket(client: Connection, socket: Duplex, message: string): void {
  client._readyState = CLOSING;
  socket.destroy(new Error(message));
  socket.once('error', (error) => client.emit('error', error));
  socket.once('close', () => client.emitClose());
}

/** `path` is that of the request here, and a Unix socket in `net.connect`. */
function openTcp(options: NetConnectOpts & { socketPath?: string }): Socket {
  return connectTcp({ ...options, path: options.socketPath } as NetConnectOpts);
}

function openTls(options: ConnectionOptions): TLSSocket {
  const { host = '' } = options;
  const servername = options.servername ?? (isIP(host) ? '' : host);
  return connectTls({ ...options, path: undefined, servername });
}
