import type { IncomingHttpHeaders } from 'node:http';
import { WebSocketError } from '@ws/codec';

/** The part of a response that a {@link BadHandshakeError} keeps. */
export interface RefusedResponse {
  /** The HTTP status. */
  readonly status: number;
  /** The headers as in node:http, names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** The first bytes of the body, at most 1,024. */
  readonly body: Buffer;
}

const NO_RESPONSE: RefusedResponse = { status: 0, headers: {}, body: Buffer.alloc(0) };

/**
 * The server's response is not a handshake that a client may accept (RFC 6455, section 4.1), or a
 * proxy refused. The message names every fault. It quotes the first line of a body that is plain text.
 * The connection is destroyed. Use `status` to decide what to do: 401 asks for credentials, 503 for another try later.
 *
 * @example
 * ```ts
 * import { BadHandshakeError, dial } from '@ws/node-client';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0, authenticate: () => null }, () => {});
 * try {
 *   await dial(server.url);
 * } catch (error) {
 *   if (error instanceof BadHandshakeError) console.log(error.status); // 401
 * }
 * ```
 */
export class BadHandshakeError extends WebSocketError {
  declare readonly code: 'WS_ERR_BAD_HANDSHAKE';
  /**
   * The HTTP status; 0 when the response is not HTTP, with the parser's error as `cause`. For a
   * SOCKS proxy it is the status that an HTTP proxy would send: 407 for credentials, 403 for a
   * request that it does not allow or support, 502 when it could not connect, 0 when it does not
   * speak SOCKS 5.
   */
  readonly status: number;
  /** The response's headers as in node:http, names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** A private field: `util.inspect` prints the bytes of a public one on many lines. */
  readonly #body: Buffer;

  constructor(message: string, response: RefusedResponse = NO_RESPONSE, options?: ErrorOptions) {
    super(`bad handshake: ${message}${firstLine(response)}`, 'WS_ERR_BAD_HANDSHAKE', options);
    this.status = response.status;
    this.headers = response.headers;
    this.#body = response.body;
  }

  /**
   * The first bytes of the response's body: at most 1,024, and at most those of the first 500 ms
   * or of half the time that `handshakeTimeout` leaves. Yours to keep.
   */
  get body(): Buffer {
    return this.#body;
  }

  override get name(): string {
    return 'BadHandshakeError';
  }
}

/** The most characters of a body's first line in a message. */
const MAX_LINE = 200;

/** The first line of a body, for the message: many servers write the reason there. */
function firstLine({ status, headers, body }: RefusedResponse): string {
  const type = headers['content-type'] ?? '';
  if (status === 101 || !/^text\/plain *(;|$)/i.test(type)) return '';
  const line = body
    .toString('utf8')
    .trimStart()
    .split(/[\r\n]/, 1)[0]!
    .trimEnd();
  return line === '' ? '' : `: "${excerpt(line, MAX_LINE)}"`;
}

/** Quotes foreign text for an error message: at most 80 characters, escaped. */
export function quote(text: string): string {
  return `"${excerpt(text, 80)}"`;
}

/** Returns the first `most` characters of foreign text. All but printable ASCII is escaped. */
export function excerpt(text: string, most: number): string {
  const cut = text.length > most ? `${text.slice(0, most)}...` : text;
  return cut.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
