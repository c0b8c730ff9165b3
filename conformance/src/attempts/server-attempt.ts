import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { Link } from '../model/link.ts';
import { HardViolation, Refused, Unanswered, Unreachable, Violation } from '../model/verdicts.ts';
import { deflateAnswerFaults, isValidOffer } from '../wire/deflate-answer.ts';
import {
  answerFaults,
  deflateTerms,
  type Field,
  type HandshakeOffer,
  headText,
  requestFields,
  withoutField,
} from '../wire/handshake.ts';
import { fieldOf, type Head, parseExtensions, statusOf } from '../wire/head.ts';
import { ENABLE_CONNECT_PROTOCOL, type Setting } from '../wire/http2-frames.ts';
import { Http2Session } from '../wire/http2-session.ts';
import type { Http2Stream } from '../wire/http2-stream.ts';
import { Peer } from '../wire/peer.ts';
import { TlsWire } from '../wire/tls-wire.ts';
import { openTunnel } from '../wire/tunnel.ts';
import { type DeflateOptions, TargetAttempt } from './target-attempt.ts';

/** Options of an opening handshake. */
export interface OpenOptions {
  /** Value of `Sec-WebSocket-Extensions`. Default: no field. */
  readonly extensions?: string;
  /** Names in `Sec-WebSocket-Protocol`. Default: no field. */
  readonly subprotocols?: readonly string[];
  /** Returns bytes to send after the request, in the same write. */
  readonly early?: (peer: Peer) => Uint8Array;
  /** How to connect. Default: one TLS or TCP connection without ALPN. */
  readonly tls?: ConnectOptions;
}

/** How to connect over TLS. */
export interface ConnectOptions {
  /** Protocols to offer in ALPN. Default: no offer. */
  readonly alpn?: readonly string[];
  /** The only version of TLS. Default: those of Node. */
  readonly version?: 'TLSv1.2';
  /** Size of the TCP writes below TLS; makes {@link Peer.tls} have the wire. Default: no wire. */
  readonly cut?: number;
  /** True: no TLS, also for `wss:`. Default: false. */
  readonly plain?: boolean;
}

/** How to start an HTTP/2 session. */
export interface SessionOptions extends ConnectOptions {
  /** Settings of the suite in addition. Default: none. */
  readonly settings?: readonly Setting[];
  /** False: the server need not admit WebSockets. Default: true. */
  readonly needsConnectProtocol?: boolean;
}

/** The certificates of a `wss:` run, in PEM. */
export interface TlsSettings {
  /** Authorities that the server's certificate must come from. Default: any certificate is valid. */
  readonly ca?: string | undefined;
  /** Certificate of the suite, for a server that asks for one. */
  readonly cert?: string | undefined;
  /** Private key of `cert`. */
  readonly key?: string | undefined;
}

/** What all requests of a run have in common. */
export interface RequestSettings {
  /** Fields that every request has in addition. Default: none. */
  readonly headers?: readonly Field[] | undefined;
  /** Subprotocols that every request offers. Default: none. */
  readonly subprotocols?: readonly string[] | undefined;
  /** Value of the `Host` field. Default: that of the URL. */
  readonly host?: string | undefined;
  /** Where the connections go, instead of the URL's host and port. */
  readonly connect?: { readonly host: string; readonly port: number } | undefined;
  /** An `http:` URL of a proxy that opens a tunnel to the server. Default: none. */
  readonly proxy?: URL | undefined;
  /** Certificates of `wss:`. */
  readonly tls?: TlsSettings | undefined;
  /**
   * True: each connection is a stream of an HTTP/2 session (RFC 8441), by ALPN for `wss:`, and by prior
   * knowledge for `ws:`. Default: false.
   */
  readonly http2?: boolean | undefined;
  /** False: the server does not echo. Cases that need an echo are skipped. Default: true. */
  readonly echoes?: boolean | undefined;
  /** True: transcripts contain every byte. Default: the first 48 bytes of each segment. */
  readonly allBytes?: boolean | undefined;
  /** Attempts with the same seed send the same keys. */
  readonly seed?: string | undefined;
  /** The network to the server, which attempts measure together. Default: each measures it. */
  readonly link?: Link | undefined;
}

/** The offer that most browsers send. */
export const DEFLATE_OFFER = 'permessage-deflate; client_max_window_bits';

/** The address as a URL has it. */
function hostText({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** One run of a case against a server. It opens the connections. */
export class ServerAttempt extends TargetAttempt {
  readonly url: URL;
  /** Subprotocols that every request offers. */
  readonly subprotocols: readonly string[];
  /** Value of the `Host` field. */
  readonly host: string;
  /** Whether connections are streams of HTTP/2. */
  readonly http2: boolean;
  readonly #headers: readonly Field[];
  readonly #connect: RequestSettings['connect'];
  readonly #proxy: URL | undefined;
  readonly #tls: TlsSettings;
  #connections = 0;

  constructor(
    url: URL,
    timeout: number,
    {
      headers = [],
      subprotocols = [],
      host = url.host,
      connect,
      proxy,
      tls = {},
      http2 = false,
      echoes = true,
      allBytes = false,
      seed,
      link,
    }: RequestSettings = {},
  ) {
    super(timeout, seed, link);
    this.echoes = echoes;
    this.transcript.complete = allBytes;
    this.url = url;
    this.host = host;
    this.http2 = http2;
    this.#connect = connect;
    this.#proxy = proxy;
    this.#tls = tls;
    this.subprotocols = subprotocols;
    const offered = subprotocols.join(', ');
    this.#headers =
      offered === '' ? headers : [...headers, ['Sec-WebSocket-Protocol', offered] as const];
  }

  /** Returns the next `Sec-WebSocket-Key`. */
  freshKey(): string {
    return this.randomBytes(16).toString('base64');
  }

  /** Request target: path and query. */
  get target(): string {
    return this.url.pathname + this.url.search;
  }

  /** Opens a TCP or TLS connection without sending anything. @throws Unreachable */
  async connect(options: ConnectOptions = {}): Promise<Peer> {
    if (this.http2) {
      const session = await this.connectHttp2(options);
      const peer = this.peerOf(session.stream());
      peer.tls = session.tls;
      return peer;
    }
    const connection = ++this.#connections;
    const tcp = await this.#connectTcp();
    if (this.url.protocol !== 'wss:' || options.plain === true) {
      return new Peer(tcp, this, connection, 'client');
    }
    const { socket, wire } = await this.#connectTls(tcp, options);
    const peer = new Peer(socket, this, connection, 'client', tcp);
    peer.tls = { alpnProtocol: alpnOf(socket), wire };
    return peer;
  }

  /** Starts an HTTP/2 session. @throws Unreachable when the server has no HTTP/2 or no WebSockets over it. */
  async connectHttp2({
    settings,
    needsConnectProtocol = true,
    ...options
  }: SessionOptions = {}): Promise<Http2Session> {
    const tcp = await this.#connectTcp();
    tcp.setNoDelay(true);
    const isTls = this.url.protocol === 'wss:';
    const tls = isTls ? await this.#connectTls(tcp, { alpn: ['h2'], ...options }) : undefined;
    if (tls !== undefined && alpnOf(tls.socket) !== 'h2') {
      throw new Unreachable('the server does not select h2 in ALPN');
    }
    const scheme = isTls ? 'https' : 'http';
    const session = new Http2Session(tls?.socket ?? tcp, this, ++this.#connections, scheme);
    if (tls !== undefined) session.tls = { alpnProtocol: 'h2', wire: tls.wire };
    session.start(settings);
    const started = await session.until(
      () => session.settings.size > 0 || session.firstFrame !== undefined,
      'SETTINGS',
      this.timeout,
    );
    if (!started || session.firstFrame === undefined) {
      const text = 'the server did not answer the preface of HTTP/2 with SETTINGS';
      throw new Unreachable(text, !started);
    }
    if (needsConnectProtocol && session.settings.get(ENABLE_CONNECT_PROTOCOL) !== 1) {
      throw new Unreachable(
        'the server does not send SETTINGS_ENABLE_CONNECT_PROTOCOL 1 (RFC 8441, 3)',
      );
    }
    return session;
  }

  /** Makes a connection of a stream. */
  peerOf(stream: Http2Stream): Peer {
    return new Peer(stream, this, ++this.#connections, 'client');
  }

  async #connectTls(
    tcp: Socket,
    options: ConnectOptions,
  ): Promise<{ readonly socket: TLSSocket; readonly wire: TlsWire | undefined }> {
    const wire = options.cut === undefined ? undefined : new TlsWire(tcp, options.cut);
    const socket = connectTls({ socket: wire ?? tcp, ...this.#tlsOptions(options) });
    this.onDispose(() => socket.destroy());
    await this.#connected(socket, 'secureConnect', this.url.host);
    return { socket, wire };
  }

  async #connectTcp(): Promise<Socket> {
    const proxy = this.#proxy;
    const target = this.#connect ?? addressOf(this.url);
    let start = performance.now();
    const tcp = connectTcp({
      ...(proxy === undefined ? target : addressOf(proxy)),
      allowHalfOpen: true,
    });
    tcp.once('lookup', () => {
      start = performance.now();
    });
    // Its peer reports an error later.
    tcp.on('error', () => {});
    this.onDispose(() => tcp.destroy());
    const to = this.#connect === undefined ? this.url.host : hostText(this.#connect);
    await this.#connected(tcp, 'connect', proxy?.host ?? to);
    if (proxy !== undefined) {
      start = performance.now();
      await openTunnel(tcp, proxy, target, this.timeout);
    }
    this.link.measured(performance.now() - start);
    return tcp;
  }

  #tlsOptions({ alpn, version }: ConnectOptions): ConnectionOptions {
    const { host } = addressOf(this.url);
    return {
      ...this.#tls,
      // Test servers use self-signed certificates.
      rejectUnauthorized: this.#tls.ca !== undefined,
      ...(isIP(host) === 0 && { servername: host }),
      ...(alpn !== undefined && { ALPNProtocols: [...alpn] }),
      ...(version !== undefined && { minVersion: version, maxVersion: version }),
    };
  }

  #connected(socket: Socket, event: string, to: string): Promise<void> {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => {
        // The connection of a late process may be in the queue of the next turn.
        const text = `no connection to ${to} within ${this.timeout} ms`;
        setImmediate(() => fail(new Unreachable(text, true)));
      }, this.timeout);
      const onError = (error: Error): void => {
        clearTimeout(timer);
        fail(new Unreachable(`no connection to ${to}: ${reasonOf(error)}`));
      };
      socket.once('error', onError);
      socket.once(event, () => {
        clearTimeout(timer);
        socket.off('error', onError);
        done();
      });
    });
  }

  /** Fields of a valid request. */
  fields(key: string = this.freshKey()): Field[] {
    return [...requestFields(this.host, key), ...this.#headers];
  }

  /** Sends a GET request with these fields. */
  async sendRequest(peer: Peer, fields: readonly Field[]): Promise<void> {
    const text = headText(`GET ${this.target} HTTP/1.1`, fields);
    await peer.send(Buffer.from(text, 'latin1'), 'a request');
  }

  /**
   * Opens a connection.
   *
   * @throws Violation when the server refuses the handshake, or when its answer is invalid.
   */
  async open(options: OpenOptions = {}): Promise<Peer> {
    const peer = await this.connect(options.tls);
    await this.openOn(peer, options);
    return peer;
  }

  /** Performs the handshake on a connection and returns the header of the answer. */
  async openOn(
    peer: Peer,
    { extensions, subprotocols = [], early }: OpenOptions = {},
  ): Promise<Head> {
    const key = this.freshKey();
    const offered = [...new Set([...this.subprotocols, ...subprotocols])];
    const fields = withoutField(this.fields(key), 'Sec-WebSocket-Protocol');
    if (extensions !== undefined) fields.push(['Sec-WebSocket-Extensions', extensions]);
    if (offered.length > 0) fields.push(['Sec-WebSocket-Protocol', offered.join(', ')]);
    const request = Buffer.from(headText(`GET ${this.target} HTTP/1.1`, fields), 'latin1');
    await peer.send(Buffer.concat([request, early?.(peer) ?? new Uint8Array(0)]), 'a request');
    const head = await this.readAnswer(peer);
    this.judgeAnswer(head, key, {
      extensions: parseExtensions(extensions ?? '').map(({ name }) => name),
      subprotocols: offered,
    });
    this.#agree(peer, head, extensions ?? '');
    return head;
  }

  /** Reads the header of the answer. @throws Violation when the connection ends without one. */
  async readAnswer(peer: Peer): Promise<Head> {
    const head = await peer.readHead('the answer to the handshake');
    if (head === undefined) throw new Unanswered();
    return head;
  }

  /**
   * Checks the answer to a request. Default: a request without extensions, and with the subprotocols
   * of every request.
   *
   * @throws HardViolation for an invalid 101, and Refused for another status.
   */
  judgeAnswer(
    head: Head,
    key: string,
    { extensions = [], subprotocols = this.subprotocols }: Partial<HandshakeOffer> = {},
  ): void {
    const faults = answerFaults(head, { key, extensions, subprotocols });
    if (faults.length === 0) return;
    throw new (statusOf(head) === 101 ? HardViolation : Refused)(faults.join('; '));
  }

  /** Checks that the answer fits one of the offers (RFC 7692, 5.1), and applies it. */
  #agree(peer: Peer, head: Head, extensions: string): void {
    const isDeflate = ({ name }: { readonly name: string }): boolean =>
      name === 'permessage-deflate';
    const answer = parseExtensions(fieldOf(head, 'sec-websocket-extensions') ?? '').find(isDeflate);
    if (answer === undefined) return;
    const offers = parseExtensions(extensions).filter(isDeflate).filter(isValidOffer);
    if (offers.length === 0) {
      throw new Violation(
        `the server accepted "${extensions}", expected a decline (RFC 7692, 7.1)`,
      );
    }
    const faults = offers.map((offer) => deflateAnswerFaults(answer, offer));
    const best = faults.toSorted((a, b) => a.length - b.length)[0]!;
    if (best.length > 0) throw new HardViolation(best.join('; '));
    peer.useDeflate(deflateTerms(answer));
  }

  /** Opens a connection with compression. Skips the case when the server declines it. */
  openDeflate({ takeover = true }: DeflateOptions = {}): Promise<Peer> {
    const plain = '; server_no_context_takeover; client_no_context_takeover';
    return this.openOffering(takeover ? DEFLATE_OFFER : DEFLATE_OFFER + plain);
  }

  /**
   * Opens a connection with this offer. Skips the case when the server declines the offer, also
   * with an HTTP error: section 13.1 asks whether it refuses valid offers.
   */
  async openOffering(offer: string): Promise<Peer> {
    let peer: Peer;
    try {
      peer = await this.open({ extensions: offer });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.skip(`the server refused a handshake with the offer "${offer}"`);
    }
    if (peer.deflate === undefined) this.skip(`the server declined "${offer}"`);
    return peer;
  }
}

function addressOf({ hostname, port, protocol }: URL): { host: string; port: number } {
  const host = hostname.replaceAll(/^\[|\]$/g, '');
  return { host, port: Number(port || (protocol === 'wss:' ? 443 : 80)) };
}

function alpnOf({ alpnProtocol }: TLSSocket): string | undefined {
  return typeof alpnProtocol === 'string' ? alpnProtocol : undefined;
}

/** Why a connection failed, in one line. OpenSSL's own text has addresses and files of its source. */
function reasonOf(error: Error & { readonly library?: string; readonly reason?: string }): string {
  if (error.library === undefined) return error.message.trim();
  return `TLS failed (${error.reason ?? 'no reason'}); a server without TLS has a ws: URL`;
}
