import type { IncomingHttpHeaders } from 'node:http';
import { WebSocketError } from '@ws/codec';
import { excerpt } from '@ws/codec/internal';
import { TransportError } from '@ws/conn';
import { causeText, errorOf } from '@ws/conn/internal';

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
   * The first bytes of the response's body: at most 1,024, that came within 500 ms or within half of
   * the time that `handshakeTimeout` leaves. Yours to keep.
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

/** The meaning of the error of a system call for a dial, by its code. */
const MEANINGS: ReadonlyMap<unknown, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOTFOUND', 'the name does not exist'],
  ['EAI_AGAIN', 'no DNS server has answered'],
  ['EHOSTUNREACH', 'no route leads there'],
  ['ENETUNREACH', 'no route leads there'],
  ['ENOENT', 'there is no such socket'],
]);

/** OpenSSL's codes for an answer that is not TLS. */
const NOT_TLS_CODES: ReadonlySet<unknown> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_HTTP_REQUEST',
]);

/**
 * The server that the caller named, another server after a redirect, or a proxy. The server's
 * identity options do not apply after a redirect. A proxy has its own TLS options.
 */
export type PeerKind = 'server' | 'redirect' | 'proxy';

/**
 * The error of a dial whose connection failed. The message names the failure, and has
 * the message of `cause` and its meaning.
 *
 * @param advice - The end of the message.
 */
export function dialError(
  what: string,
  cause: unknown,
  peer: PeerKind = 'server',
  advice = '',
): TransportError {
  const why = [causeText(cause), meaningOf(cause, peer)].filter((text) => text !== '');
  const message = why.length === 0 ? what : `${what}: ${excerpt(why.join('; '), 300)}`;
  return new TransportError(message + advice, { cause });
}

function meaningOf(cause: unknown, peer: PeerKind): string {
  const code = propertyOf(cause, 'code');
  if (NOT_TLS_CODES.has(code)) {
    return peer === 'proxy'
      ? 'the proxy does not speak TLS there; use http:'
      : 'the server does not speak TLS there; use ws:';
  }
  const meaning = MEANINGS.get(code) ?? '';
  return code === 'ENOTFOUND' ? meaning + nameAdvice(propertyOf(cause, 'hostname')) : meaning;
}

/** @param host - The name that was not found, as Node's error has it. */
function nameAdvice(host: unknown): string {
  if (typeof host !== 'string' || host.includes('.')) return '';
  return `; write its full name, such as ${host}.org, or its IP address`;
}

/** A getter or a trap of the application's error may throw. */
function propertyOf(cause: unknown, name: 'code' | 'hostname'): unknown {
  try {
    return (cause as { code?: unknown; hostname?: unknown } | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}

/** Errors of the caller's functions. */
const functionErrors = new WeakSet<object>();

/**
 * Calls a function of the caller for a dial: for the URL, the headers, the proxy or the cookies.
 *
 * @throws (rejects with) its error, which {@link isFunctionError} recognizes.
 */
export async function callFunction<T>(call: () => T | PromiseLike<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (isObject(error)) functionErrors.add(error);
    throw error;
  }
}

/** Returns whether a dial has failed by a function of the caller. */
export function isFunctionError(error: unknown): boolean {
  return isObject(error) && functionErrors.has(error);
}

/** Returns the error of a dial. Only functions of the caller throw values that are no objects. */
export function withError(thrown: unknown): object {
  if (isObject(thrown)) return thrown;
  const error = errorOf(thrown) ?? new Error('a function of the options has thrown undefined');
  functionErrors.add(error);
  return error;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
