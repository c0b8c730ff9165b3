import type { IncomingHttpHeaders } from 'node:http';
import { WebSocketError } from '@ws/codec';

/** What a {@link BadHandshakeError} knows of the server's answer. */
export interface RefusedResponse {
  /** The HTTP status. */
  readonly status: number;
  /** As node:http gives them. */
  readonly headers: IncomingHttpHeaders;
  /** The body's first bytes. */
  readonly body: Buffer;
}

const NO_RESPONSE: RefusedResponse = { status: 0, headers: {}, body: Buffer.alloc(0) };

/**
 * The server answered, but not with a handshake that RFC 6455 lets a client accept, or a proxy refused; the message names
 * every fault.
 * The connection was destroyed. Look at `status` to decide: 401 wants credentials, 503 another try later.
 */
export class BadHandshakeError extends WebSocketError {
  declare readonly code: 'WS_ERR_BAD_HANDSHAKE';
  /**
   * The HTTP status; 0 when the answer was not HTTP, and then `cause` is the parser's error. Of a SOCKS proxy the one that an
   * HTTP proxy would have given: 407 for credentials, 403 for what it does not allow or cannot do, 502 when it could not
   * connect; 0 when it does not speak SOCKS 5.
   */
  readonly status: number;
  /** The response's headers as node:http gives them, names in lower case. */
  readonly headers: IncomingHttpHeaders;
  /** The first bytes of the response's body, at most 1,024, as they came within half a second. */
  readonly body: Buffer;

  constructor(message: string, response: RefusedResponse = NO_RESPONSE, options?: ErrorOptions) {
    super(`bad handshake: ${message}`, 'WS_ERR_BAD_HANDSHAKE', options);
    this.status = response.status;
    this.headers = response.headers;
    this.body = response.body;
  }

  override get name(): string {
    return 'BadHandshakeError';
  }
}

/** What somebody's function threw, as an error: a stream is not destroyed by `undefined`, and anything can be thrown. */
export function asError(thrown: unknown, who: string): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(`${who} threw what is no Error`, { cause: thrown });
}

/** Somebody else's words for an error message: quoted, cut, and with nothing in them that a terminal obeys. */
export function quote(text: string): string {
  const cut = text.length > 80 ? `${text.slice(0, 80)}...` : text;
  return `"${cut.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
}
