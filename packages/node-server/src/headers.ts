import { validateHeaderName, validateHeaderValue } from 'node:http';
import { isError, kind } from '@ws/conn/internal';
import { assertOption, type HeaderEntries, headerEntries } from '@ws/node-io/internal';
import type { AppRequest, HandlerContext, HandshakeRequest } from './conn-handler.ts';
import { type HeaderPair, serverFault } from './errors.ts';
import type { RouteParams } from './route-table.ts';

/**
 * Headers for a response: a `Headers`, a Map, pairs, or an object. A list as a value is sent as
 * several lines.
 */
export type HeadersInput = HeaderEntries;

/**
 * The option `headers`: headers of each accepting answer, or a function that returns them for one
 * request. It may be async.
 */
export type HeadersOption<Auth, Req = HandshakeRequest> =
  | HeadersInput
  | ((
      req: Req,
      context: HandlerContext<Auth, RouteParams<string>>,
    ) => HeadersInput | PromiseLike<HeadersInput>);

/** {@link HeadersOption}, checked. */
export type HeadersSource =
  | readonly HeaderPair[]
  | Extract<HeadersOption<unknown, AppRequest>, (...args: never) => unknown>;

export const NO_HEADERS: readonly HeaderPair[] = [];

/** Headers that only the handshake may set. */
const HANDSHAKE_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'sec-websocket-accept',
]);

/** Headers of an accepting answer that the handshake negotiates, with the option for it. */
const NEGOTIATED_BY: ReadonlyMap<string, string> = new Map([
  ['sec-websocket-extensions', 'compression'],
  ['sec-websocket-protocol', 'subprotocols'],
]);

/**
 * Checks the headers that an application adds to a response.
 *
 * @throws TypeError for a name or a value that a header cannot contain (CR, LF, NUL, ...), and for
 *   a header that only the handshake may set.
 */
export function headerPairs(input: HeadersInput | undefined): HeaderPair[] {
  if (input === undefined) return [];
  // Both are objects without entries.
  const isHeaders = typeof input === 'object' && !isResponse(input) && !isError(input);
  if (!isHeaders || input === null) {
    throw new TypeError(`headers: expected an object, Headers or pairs, got ${kind(input)}`);
  }
  const pairs: HeaderPair[] = [];
  for (const [name, value] of headerEntries(input)) {
    validateHeaderName(name);
    if (HANDSHAKE_HEADERS.has(name.toLowerCase())) {
      throw new TypeError(`header ${name} is set by the handshake`);
    }
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const isText = typeof line === 'string' || typeof line === 'number';
      assertOption(`header ${name}`, line, isText, 'a string or a list of strings');
      validateHeaderValue(name, String(line));
      pairs.push([name, String(line)]);
    }
  }
  return pairs;
}

/**
 * Checks headers that an application adds to an accepting answer by the option `headers`.
 *
 * @throws TypeError as {@link headerPairs}, and for headers that the handshake negotiates.
 */
export function optionHeaderPairs(input: HeadersInput | undefined): HeaderPair[] {
  const pairs = namedHeaderPairs(input);
  for (const [name] of pairs) {
    const option = NEGOTIATED_BY.get(name.toLowerCase());
    if (option === undefined) continue;
    throw new TypeError(`headers: ${name} is set by the handshake; use option ${option}`);
  }
  return pairs;
}

/**
 * As {@link optionHeaderPairs}, for the result of a function.
 *
 * @throws HandshakeError 500 for headers that cannot be sent.
 */
export function returnedHeaders(input: HeadersInput): HeaderPair[] {
  try {
    return optionHeaderPairs(input);
  } catch (error) {
    throw serverFault('headers', error);
  }
}

/** @throws TypeError that names the option. */
function namedHeaderPairs(input: HeadersInput | undefined): HeaderPair[] {
  try {
    return headerPairs(input);
  } catch (cause) {
    const { message } = cause as Error;
    throw new TypeError(message.startsWith('headers: ') ? message : `headers: ${message}`, {
      cause,
    });
  }
}

/** Returns `base` and `over`. Of a name that both have, only the lines of `over` stay. */
export function mergeHeaders(
  base: readonly HeaderPair[],
  over: readonly HeaderPair[],
): readonly HeaderPair[] {
  if (base.length === 0) return over;
  if (over.length === 0) return base;
  const kept = base.filter(([name]) => headerOf(over, name.toLowerCase()) === undefined);
  return [...kept, ...over];
}

/**
 * Returns the value of the first header called `name` in `pairs`.
 *
 * @param name - In lower case.
 */
export function headerOf(pairs: readonly HeaderPair[], name: string): string | undefined {
  for (let i = 0; i < pairs.length; i++) {
    if (pairs[i]![0].toLowerCase() === name) return pairs[i]![1];
  }
  return undefined;
}

/** The parts of a Response. Some classes have other streams, or none. */
export type AnyResponse = Readonly<
  Partial<{ status: unknown; headers: object | null; body: unknown }>
>;

/**
 * Whether a value of the application is a Response: of this realm, of undici, of a ponyfill, or of a
 * framework that has replaced the global class. `instanceof` does not know them.
 */
export function isResponse(value: unknown): value is AnyResponse {
  return kind(value) === 'Response';
}

/**
 * Fields of one connection, never of the next (RFC 9110, section 7.6.1), and fields that the
 * handshake writes itself, so that both sides agree on them.
 */
const NEVER_FORWARDED: ReadonlySet<string> = new Set(
  (
    'connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer ' +
    'transfer-encoding upgrade http2-settings content-length expect sec-websocket-accept ' +
    'sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version'
  ).split(' '),
);

/**
 * Returns the lines that may pass to the next connection. It drops hop-by-hop fields, the fields
 * that `Connection` names, the pseudo-headers of HTTP/2 and the fields of the handshake. CGI-like
 * backends read `_` in a name as `-`: for them `Transfer_Encoding` means `Transfer-Encoding`.
 *
 * @param drops - Whether a field, by its name in lower case and with `-` for `_`, is left out too:
 *   `clientLines` drops Host and, of a client that is not trusted, the forwarding headers.
 */
export function endToEnd(
  lines: readonly HeaderPair[],
  drops: (name: string) => boolean = () => false,
): HeaderPair[] {
  const named = new Set<string>();
  for (const [name, value] of lines) {
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue;
    for (const each of value.split(',')) named.add(plainName(each.trim()));
  }
  return lines.filter(([name]) => {
    const plain = plainName(name);
    if (plain.startsWith(':')) return false;
    return !NEVER_FORWARDED.has(plain) && !named.has(plain) && !drops(plain);
  });
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
