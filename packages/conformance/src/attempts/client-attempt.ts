import type { Socket } from 'node:net';
import { Violation } from '../model/verdicts.ts';
import { acceptOf, deflateTerms, type Field, headText } from '../wire/handshake.ts';
import { type Extension, fieldLines, fieldOf, type Head, parseExtensions } from '../wire/head.ts';
import { Peer } from '../wire/peer.ts';
import type { ClientRecord } from './client-record.ts';
import { type DeflateWish, TargetAttempt } from './target-attempt.ts';

/** How a handshake is accepted. */
export interface AcceptOptions {
  /** `Sec-WebSocket-Extensions`; what it says of permessage-deflate is kept to. */
  readonly extensions?: string;
  /** Fields besides {@link ClientAttempt.acceptFields}. */
  readonly fields?: readonly Field[];
  /** What follows the 101 in the same write. */
  readonly early?: (peer: Peer) => Uint8Array;
}

/** How compression is accepted. */
export interface AcceptDeflateOptions extends AcceptOptions {
  /** Says the extensions in other words that mean the same. */
  readonly say?: (extensions: string) => string;
}

const STATUS_LINE = 'HTTP/1.1 101 Switching Protocols';

/** One case against a client: holds the one connection that the client made for it, its request read. */
export class ClientAttempt extends TargetAttempt {
  readonly peer: Peer;
  /** What the client has shown on all connections of the run, this one included. */
  readonly record: ClientRecord;
  /** The port that the client has connected to. */
  readonly port: number;
  #request: Head | undefined;

  /** @param socket - Accepted with `allowHalfOpen`. */
  constructor(socket: Socket, timeout: number, record: ClientRecord) {
    super(timeout);
    this.peer = new Peer(socket, this, 1, 'server');
    this.port = socket.localPort ?? 0;
    this.record = record;
    record.maskKeys.push(this.peer.maskKeys);
  }

  /** Reads the client's request; undefined when it ends the connection, or sends no HTTP. */
  async readRequest(): Promise<Head | undefined> {
    this.#request = await this.peer.readHead('the request of a client');
    if (this.#request !== undefined) {
      this.record.keys.push(fieldOf(this.#request, 'sec-websocket-key') ?? '');
    }
    return this.#request;
  }

  /** What the client has asked. */
  get request(): Head {
    if (this.#request === undefined) throw new Error('the request was not read');
    return this.#request;
  }

  /** The request's `Sec-WebSocket-Key`. */
  get key(): string {
    const [key = '', ...more] = fieldLines(this.request, 'sec-websocket-key');
    if (key === '' || more.length > 0) {
      throw new Violation('a request has Sec-WebSocket-Key exactly once (RFC 6455, 4.1)');
    }
    return key;
  }

  /** The offers of permessage-deflate, in their order. */
  get deflateOffers(): Extension[] {
    const value = fieldOf(this.request, 'sec-websocket-extensions') ?? '';
    return parseExtensions(value).filter(({ name }) => name === 'permessage-deflate');
  }

  /** The subprotocols on offer, in their order. */
  get subprotocols(): string[] {
    const value = fieldOf(this.request, 'sec-websocket-protocol') ?? '';
    return value
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
  }

  /** The fields of an answer that keeps every rule: browsers want one of their subprotocols, if they have offered any. */
  acceptFields(): Field[] {
    return [...this.upgradeFields(), ...this.#choice()];
  }

  /** The three fields that must be there. */
  upgradeFields(): Field[] {
    return [
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', acceptOf(this.key)],
    ];
  }

  #choice(): Field[] {
    return this.subprotocols.slice(0, 1).map((name) => ['Sec-WebSocket-Protocol', name]);
  }

  /** The text of an answer that keeps every rule and names no extension. */
  acceptText(): string {
    return headText(STATUS_LINE, this.acceptFields());
  }

  /** Sends an answer of any kind, and what is to follow it in the same write. */
  async answer(
    fields: readonly Field[],
    start: string = STATUS_LINE,
    after: Uint8Array = new Uint8Array(0),
  ): Promise<void> {
    const head = Buffer.from(headText(start, fields), 'latin1');
    await this.peer.send(Buffer.concat([head, after]), 'an answer');
  }

  /** Accepts the handshake. */
  async accept({ extensions, fields = [], early }: AcceptOptions = {}): Promise<Peer> {
    const all = [...this.acceptFields(), ...fields];
    if (extensions !== undefined) {
      all.push(['Sec-WebSocket-Extensions', extensions]);
      const deflate = parseExtensions(extensions).find(({ name }) => name === 'permessage-deflate');
      if (deflate !== undefined) this.peer.agree(deflateTerms(deflate));
    }
    await this.answer(all, undefined, early?.(this.peer));
    return this.peer;
  }

  /** Accepts the handshake, without extensions. */
  open(): Promise<Peer> {
    return this.accept();
  }

  openDeflate({ takeover = true }: DeflateWish = {}): Promise<Peer> {
    return this.acceptDeflate(
      takeover ? [] : ['server_no_context_takeover', 'client_no_context_takeover'],
    );
  }

  /**
   * Accepts the handshake with compression; a client that offers none is not asked further.
   *
   * @param params - Of the answer, besides what the client's first offer asks of the server.
   */
  async acceptDeflate(
    params: readonly string[] = [],
    { say = (extensions) => extensions, ...options }: AcceptDeflateOptions = {},
  ): Promise<Peer> {
    const [offer] = this.deflateOffers;
    if (offer === undefined) this.skip('the client offers no permessage-deflate');
    const all = new Set(['permessage-deflate', ...askedOfServer(offer), ...params]);
    return this.accept({ ...options, extensions: say([...all].join('; ')) });
  }
}

/** What was asked of the server must be answered (RFC 7692, 7.1.1.1 and 7.1.2.1). */
function askedOfServer({ params }: Extension): string[] {
  return params.flatMap(([name, value]) => {
    if (name === 'server_no_context_takeover') return [name];
    return name === 'server_max_window_bits' ? [`${name}=${value ?? 15}`] : [];
  });
}
