import type { Socket } from 'node:net';
import { Violation } from '../model/verdicts.ts';
import { acceptOf, deflateTerms, type Field, headText } from '../wire/handshake.ts';
import { type Extension, fieldLines, fieldOf, type Head, parseExtensions } from '../wire/head.ts';
import { Peer } from '../wire/peer.ts';
import type { TlsWire } from '../wire/tls-wire.ts';
import type { ClientRecord } from './client-record.ts';
import { type DeflateOptions, TargetAttempt } from './target-attempt.ts';

/** Options of an accepted handshake. */
export interface AcceptOptions {
  /** Value of `Sec-WebSocket-Extensions`. The peer uses its permessage-deflate parameters. */
  readonly extensions?: string;
  /** Fields in addition to {@link ClientAttempt.acceptFields}. */
  readonly fields?: readonly Field[];
  /** Returns bytes to send after the 101, in the same write. */
  readonly early?: (peer: Peer) => Uint8Array;
}

/** Options of a handshake that accepts compression. */
export interface AcceptDeflateOptions extends AcceptOptions {
  /** Rewrites the value of `Sec-WebSocket-Extensions` without changing its meaning. */
  readonly rewrite?: (extensions: string) => string;
}

/** The TLS connection of a client. */
export interface ClientTls {
  /** The stream below TLS. */
  readonly wire: TlsWire;
  /** The host name in the TLS handshake (RFC 6066, 3); undefined before it, and without one. */
  readonly serverName: string | undefined;
  /** The protocols of ALPN (RFC 7301); undefined without ALPN. */
  readonly protocols: readonly string[] | undefined;
}

const STATUS_LINE = 'HTTP/1.1 101 Switching Protocols';

/** One run of a case against a client. It holds the one connection of the client for this case. */
export class ClientAttempt extends TargetAttempt {
  readonly peer: Peer;
  /** Keys of all connections of the run, this one included. */
  readonly record: ClientRecord;
  /** Local port that the client has connected to; undefined for the default port of its scheme. */
  readonly port: number | undefined;
  /** What the client has sent in the TLS handshake; undefined without TLS. */
  readonly tls: ClientTls | undefined;
  #request: Head | undefined;
  #answeredAt: number | undefined;

  /**
   * @param socket - Accepted with `allowHalfOpen`.
   * @param tcp - The TCP socket below a TLS socket. Default: `socket`.
   * @param tls - Of a TLS socket.
   */
  constructor(
    socket: Socket,
    timeout: number,
    record: ClientRecord,
    tcp: Socket = socket,
    tls?: ClientTls,
  ) {
    super(timeout, '', record.link);
    this.peer = new Peer(socket, this, 1, 'server', tcp);
    this.tls = tls;
    const defaultPort = tls === undefined ? 80 : 443;
    this.port = tcp.localPort === defaultPort ? undefined : tcp.localPort;
    this.record = record;
    record.maskKeys.push(this.peer.maskKeys);
  }

  /**
   * Reads the client's request.
   *
   * @returns The header, or undefined when the client ends the connection first.
   */
  async readRequest(): Promise<Head | undefined> {
    this.#request = await this.peer.readHead('the request of a client');
    if (this.#request !== undefined) {
      this.record.keys.push(fieldOf(this.#request, 'sec-websocket-key') ?? '');
    }
    return this.#request;
  }

  /** The request's header. @throws Error before {@link readRequest}. */
  get request(): Head {
    if (this.#request === undefined) throw new Error('the request was not read');
    return this.#request;
  }

  /** The request's `Sec-WebSocket-Key`. @throws Violation when there is not exactly one. */
  get key(): string {
    const [key = '', ...more] = fieldLines(this.request, 'sec-websocket-key');
    if (key === '' || more.length > 0) {
      throw new Violation('the request must have Sec-WebSocket-Key exactly once (RFC 6455, 4.1)');
    }
    return key;
  }

  /** The client's permessage-deflate offers, in order. */
  get deflateOffers(): Extension[] {
    const value = fieldOf(this.request, 'sec-websocket-extensions') ?? '';
    return parseExtensions(value).filter(({ name }) => name === 'permessage-deflate');
  }

  /** The offered subprotocols, in order. */
  get subprotocols(): string[] {
    const value = fieldOf(this.request, 'sec-websocket-protocol') ?? '';
    return value
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
  }

  /** Fields of a valid answer. It selects the first subprotocol, because browsers require one. */
  acceptFields(): Field[] {
    return [...this.upgradeFields(), ...this.#subprotocolFields()];
  }

  /** The three required fields of a valid answer. */
  upgradeFields(): Field[] {
    return [
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', acceptOf(this.key)],
    ];
  }

  #subprotocolFields(): Field[] {
    return this.subprotocols.slice(0, 1).map((name) => ['Sec-WebSocket-Protocol', name]);
  }

  /** Text of a valid answer without an extension. */
  acceptText(): string {
    return headText(STATUS_LINE, this.acceptFields());
  }

  /** Measures the network: the first bytes after our answer take at least one round trip. */
  override progressed(): void {
    super.progressed();
    if (this.#answeredAt === undefined) return;
    this.link.measured(performance.now() - this.#answeredAt);
    this.#answeredAt = undefined;
  }

  /** Sends any answer, and the bytes `after` in the same write. */
  async answer(
    fields: readonly Field[],
    start: string = STATUS_LINE,
    after: Uint8Array = new Uint8Array(0),
  ): Promise<void> {
    const head = Buffer.from(headText(start, fields), 'latin1');
    this.#answeredAt = performance.now();
    await this.peer.send(Buffer.concat([head, after]), 'an answer');
  }

  /** Accepts the handshake and returns the open connection. */
  async accept({ extensions, fields = [], early }: AcceptOptions = {}): Promise<Peer> {
    const all = [...this.acceptFields(), ...fields];
    if (extensions !== undefined) {
      all.push(['Sec-WebSocket-Extensions', extensions]);
      const deflate = parseExtensions(extensions).find(({ name }) => name === 'permessage-deflate');
      if (deflate !== undefined) this.peer.useDeflate(deflateTerms(deflate));
    }
    await this.answer(all, undefined, early?.(this.peer));
    return this.peer;
  }

  /** Accepts the handshake without extensions. */
  open(): Promise<Peer> {
    return this.accept();
  }

  /** Accepts the handshake with compression. Skips the case when the client offers none. */
  openDeflate({ takeover = true }: DeflateOptions = {}): Promise<Peer> {
    return this.acceptDeflate(
      takeover ? [] : ['server_no_context_takeover', 'client_no_context_takeover'],
    );
  }

  /**
   * Accepts the handshake with compression. Skips the case when the client offers none.
   *
   * @param params - Parameters of the answer, in addition to those that the first offer requires.
   */
  async acceptDeflate(
    params: readonly string[] = [],
    { rewrite = (extensions) => extensions, ...options }: AcceptDeflateOptions = {},
  ): Promise<Peer> {
    const [offer] = this.deflateOffers;
    if (offer === undefined) this.skip('the client offers no permessage-deflate');
    const all = new Set(['permessage-deflate', ...askedOfServer(offer), ...params]);
    return this.accept({ ...options, extensions: rewrite([...all].join('; ')) });
  }
}

/** Parameters that the answer must repeat (RFC 7692, 7.1.1.1 and 7.1.2.1). */
function askedOfServer({ params }: Extension): string[] {
  return params.flatMap(([name, value]) => {
    if (name === 'server_no_context_takeover') return [name];
    return name === 'server_max_window_bits' ? [`${name}=${value ?? 15}`] : [];
  });
}
