import { randomBytes } from 'node:crypto';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { type Extension, formatExtensions, parseTokenList } from '@ws/codec';
import { quote } from './errors.ts';
import type { Target } from './url.ts';

/** Headers of the caller's: an object, a Map, a `Headers`, or pairs. An array as a value is sent as several lines. */
export type HeadersInput =
  | Iterable<readonly [string, string | readonly string[]]>
  | { readonly [name: string]: string | readonly string[] | undefined };

/** What we ask of the server: the opening handshake of RFC 6455, section 4.1. */
export interface HandshakeRequest {
  /** Sec-WebSocket-Key: 16 random bytes in base64. */
  readonly key: string;
  /** Names and values in turn, as they are sent. */
  readonly headers: readonly string[];
  /** The caller's own headers, without the subprotocols. */
  readonly own: readonly (readonly [string, string])[];
  /** The subprotocols on offer. */
  readonly subprotocols: readonly string[];
  /** The extension on offer: permessage-deflate. */
  readonly offer: Extension | undefined;
  /** The caller gave a Cookie header, which replaces the jar's cookies. */
  readonly hasCookie: boolean;
}

/** Headers that make the handshake a handshake. */
const FIXED: ReadonlySet<string> = new Set([
  'upgrade',
  'connection',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
]);

/** Headers that promise a body: the first frames would be taken for it. */
const FRAMING: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'expect',
  'trailer',
]);

const PROTOCOL = 'sec-websocket-protocol';

/**
 * Makes the request for one dial.
 *
 * @throws TypeError for a header that is malformed, or that is not the caller's to set; SyntaxError for a subprotocol
 *   that is no token, or is there twice.
 */
export function makeRequest(
  target: Target,
  headers: HeadersInput,
  subprotocols: readonly string[],
  offer?: Extension,
): HandshakeRequest {
  const own = readHeaders(headers);
  const hosts = own.filter(([name]) => name.toLowerCase() === 'host');
  if (hosts.length > 1) throw new TypeError('headers: Host is there twice');
  const key = randomBytes(16).toString('base64');
  const lines = [
    // It replaces the header only: where we connect to, and whose certificate we ask for, is the URL's to say.
    ['Host', hosts[0]?.[1] ?? target.host],
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Key', key],
    ['Sec-WebSocket-Version', '13'],
  ];
  let offered = subprotocols;
  if (subprotocols.length > 0) lines.push(['Sec-WebSocket-Protocol', subprotocols.join(', ')]);
  const byHand = own.filter(([name]) => name.toLowerCase() === PROTOCOL).map(([, value]) => value);
  if (byHand.length > 0) {
    if (subprotocols.length > 0) {
      throw new TypeError('headers: Sec-WebSocket-Protocol is set by the option subprotocols');
    }
    const tokens = parseTokenList(byHand.join(', '));
    if (tokens === undefined)
      throw new SyntaxError('headers: Sec-WebSocket-Protocol is no list of tokens');
    offered = checkSubprotocols(tokens);
  }
  if (offer !== undefined) lines.push(['Sec-WebSocket-Extensions', formatExtensions([offer])]);
  lines.push(...own.filter(([name]) => name.toLowerCase() !== 'host'));
  const hasCookie = own.some(([name]) => name.toLowerCase() === 'cookie');
  return {
    key,
    headers: lines.flat(),
    own: own.filter(([name]) => name.toLowerCase() !== PROTOCOL),
    subprotocols: offered,
    offer,
    hasCookie,
  };
}

/** The caller's headers, one pair for each line, checked. */
function readHeaders(headers: HeadersInput): [string, string][] {
  if (typeof headers !== 'object' || headers === null) {
    throw new TypeError('headers: expected an object or pairs');
  }
  const entries = Symbol.iterator in headers ? headers : Object.entries(headers);
  const lines: [string, string][] = [];
  for (const entry of entries as Iterable<[string, unknown]>) {
    // Names and values in turn, as node:http takes them too, would give headers of single letters.
    if (!Array.isArray(entry)) throw new TypeError('headers: expected pairs of name and value');
    const [name, value] = entry;
    if (value === undefined) continue;
    checkName(name);
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof line !== 'string') throw new TypeError(`headers: ${name} is no string`);
      validateHeaderValue(name, line);
      lines.push([name, line]);
    }
  }
  return lines;
}

function checkName(name: string): void {
  validateHeaderName(name);
  const lower = name.toLowerCase();
  if (FIXED.has(lower)) {
    throw new TypeError(`headers: ${name} is the handshake's own and cannot be set`);
  }
  if (FRAMING.has(lower)) {
    throw new TypeError(`headers: ${name} cannot be set, a handshake has no body`);
  }
}

/**
 * Checks a list of subprotocols and copies it.
 *
 * @throws TypeError when it is no array of strings; SyntaxError for a name that is no token, or is there twice.
 */
export function checkSubprotocols(names: unknown): readonly string[] {
  if (!Array.isArray(names)) throw new TypeError('subprotocols: expected an array of strings');
  const seen = new Set<string>();
  for (const name of names as unknown[]) {
    if (typeof name !== 'string') throw new TypeError('subprotocols: expected an array of strings');
    if (parseTokenList(name)?.[0] !== name) {
      throw new SyntaxError(`subprotocols: ${quote(name)} is no token`);
    }
    if (seen.has(name)) throw new SyntaxError(`subprotocols: ${quote(name)} is there twice`);
    seen.add(name);
  }
  return [...seen];
}
