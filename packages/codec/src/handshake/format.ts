import { badType, checkOptionNames, kind } from '../arguments.ts';
import { utf8Length } from '../text/utf8-automaton.ts';
import { isOf, TEXT } from './byte-class.ts';
import { type ExtensionOffer, formatExtensions } from './extensions.ts';
import { isRequestTarget, parseHostPort } from './host.ts';
import { acceptKey, isWebSocketKey } from './key.ts';
import { isToken } from './scanner.ts';

/** Options of {@link formatRequest}. */
export interface RequestOptions {
  /** Offered subprotocols, in order of preference. Default: none. */
  subprotocols?: readonly string[];
  /** Offered extensions, or the value of `Sec-WebSocket-Extensions`. Default: none. */
  extensions?: readonly ExtensionOffer[] | string;
  /** Further headers, such as `Origin` or `Authorization`. */
  headers?: HeaderLines;
}

/** Options of {@link formatSwitching}. */
export interface SwitchingOptions {
  /** The subprotocol, one of the offered names. Default: none. */
  subprotocol?: string;
  /** The accepted extensions, or the value of `Sec-WebSocket-Extensions`. Default: none. */
  extensions?: readonly ExtensionOffer[] | string;
  /** Further headers, such as `Set-Cookie`. */
  headers?: HeaderLines;
}

// Fields that each function writes itself, in lower case. Its argument `headers` may not have them.
const COMMON = ['connection', 'upgrade', 'content-length', 'transfer-encoding'];
const NEGOTIATED = ['sec-websocket-protocol', 'sec-websocket-extensions'];
const REQUEST_FIELDS = /* @__PURE__ */ COMMON.concat(NEGOTIATED, [
  'host',
  'sec-websocket-key',
  'sec-websocket-version',
]);
const SWITCHING_FIELDS = /* @__PURE__ */ COMMON.concat(NEGOTIATED, ['sec-websocket-accept']);
const REFUSAL_FIELDS = [
  'connection',
  'content-length',
  'transfer-encoding',
  'content-type',
  'x-content-type-options',
];

/** Visible ASCII only: nothing can end the line. */
const VISIBLE = /^[!-~]+$/;

/**
 * Writes the request of a client's opening handshake, up to and including its empty line.
 *
 * @param target - A path with its query, such as `/chat?room=1`, or an absolute URI of `host`.
 * @param host - `host[:port]`; without the port when it is the default of the scheme.
 * @param key - 16 random bytes in base64, new for each request:
 *   `btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))`.
 * @returns ASCII.
 * @throws TypeError for an unknown option or an argument that cannot be sent, also for a header that
 *   the handshake sets; SyntaxError for an extension that is not made of tokens.
 * @see RFC 6455, section 4.1
 *
 * @example
 * ```ts
 * import { formatRequest } from '@ws/codec';
 *
 * const key = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))));
 * console.log(formatRequest('/chat', 'example.org', key, { subprotocols: ['v1'] }));
 * ```
 */
export function formatRequest(
  target: string,
  host: string,
  key: string,
  options: RequestOptions = {},
): string {
  checkOptionNames('formatRequest', options, ['subprotocols', 'extensions', 'headers']);
  const { subprotocols = [], extensions = [], headers } = options;
  if (typeof host !== 'string' || parseHostPort(host) === undefined) {
    throw new TypeError(`host must be host[:port], not ${shown(host)}`);
  }
  if (typeof target !== 'string' || !VISIBLE.test(target) || !isRequestTarget(target, host)) {
    throw new TypeError(`target must be a path such as /chat?room=1, not ${shown(target)}`);
  }
  checkKey(key);
  if (!Array.isArray(subprotocols) || new Set(subprotocols).size < subprotocols.length) {
    throw new TypeError('subprotocols must be an array of different names');
  }
  for (const name of subprotocols) checkSubprotocol(name);
  return (
    `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
    negotiatedLines(subprotocols.join(', '), extensionsValue(extensions)) +
    `${formatLines(headers, REQUEST_FIELDS)}\r\n`
  );
}

/**
 * Writes the 101 response that accepts a handshake, up to and including its empty line. Frames may
 * follow it at once.
 *
 * {@link RequestHead} has an example.
 *
 * @param key - The `Sec-WebSocket-Key` of the request.
 * @returns ASCII.
 * @throws TypeError for an unknown option or an argument that cannot be sent, also for a header that
 *   the handshake sets; SyntaxError for an extension that is not made of tokens.
 * @see RFC 6455, section 4.2.2
 */
export function formatSwitching(key: string, options: SwitchingOptions = {}): string {
  checkOptionNames('formatSwitching', options, ['subprotocol', 'extensions', 'headers']);
  const { subprotocol = '', extensions = [], headers } = options;
  checkKey(key);
  if (subprotocol !== '') checkSubprotocol(subprotocol);
  const list = extensionsValue(extensions);
  const lines = formatLines(headers, SWITCHING_FIELDS);
  return switchingHead(acceptKey(key), subprotocol, list, lines);
}

/**
 * The head of every 101, from parts that are checked. {@link formatSwitching} checks them.
 *
 * @param accept - The result of {@link acceptKey}, or of a faster SHA-1 of the platform.
 * @param subprotocol - `''` for none, as `extensions`.
 * @param lines - Further header lines, each with its CRLF.
 */
export function switchingHead(
  accept: string,
  subprotocol: string,
  extensions: string,
  lines: string,
): string {
  const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`;
  return `${head}${negotiatedLines(subprotocol, extensions)}${lines}\r\n`;
}

/** The lines of values that are checked; `''` for none. */
function negotiatedLines(protocol: string, extensions: string): string {
  let lines = '';
  if (protocol !== '') lines += `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  if (extensions !== '') lines += `Sec-WebSocket-Extensions: ${extensions}\r\n`;
  return lines;
}

/**
 * Writes the whole response that refuses a handshake. End the stream after it.
 *
 * {@link RequestHead} has an example.
 *
 * @param status - 300 to 599, except 304, which has no body.
 * @param headers - Such as the headers of a {@link Refusal}, or `Retry-After`.
 * @param text - The body, as plain text. Do not put input of the client into it.
 * @returns ASCII, except for `text`. Encode it as UTF-8: `Content-Length` counts these bytes.
 * @throws RangeError for another status, TypeError for another argument that cannot be sent.
 */
export function formatRefusal(
  status: number,
  headers: HeaderLines | undefined,
  text: string,
): string {
  if (!(Number.isInteger(status) && status >= 300 && status <= 599 && status !== 304)) {
    throw new RangeError(`status must be an integer of 300 to 599 except 304, not ${status}`);
  }
  if (typeof text !== 'string') throw new TypeError(`text must be a string, not ${kind(text)}`);
  const lines = formatLines(headers, REFUSAL_FIELDS);
  return refusalHead(status, REASONS[status] ?? '', lines, utf8Length(text)) + text;
}

/**
 * The head of every refusal of a handshake, from parts that are checked. {@link formatRefusal}
 * checks them.
 *
 * @param lines - Further header lines, each with its CRLF. A `Content-Type` or an
 *   `X-Content-Type-Options` among them replaces the default.
 * @param length - Bytes of the body; undefined for a status without one.
 */
export function refusalHead(
  status: number,
  reason: string,
  lines: string,
  length: number | undefined,
): string {
  // RFC 9110, section 7.8: a sender of Upgrade lists it in Connection.
  let fields = `Connection: ${/^upgrade:/im.test(lines) ? 'close, Upgrade' : 'close'}\r\n`;
  if (!/^content-type:/im.test(lines)) fields += 'Content-Type: text/plain; charset=utf-8\r\n';
  if (!/^x-content-type-options:/im.test(lines)) fields += 'X-Content-Type-Options: nosniff\r\n';
  if (length !== undefined) fields += `Content-Length: ${length}\r\n`;
  return `HTTP/1.1 ${status} ${reason}\r\n${fields}${lines}\r\n`;
}

/** Reason phrases of refusals. Another status has an empty one (RFC 9112, section 4). */
const REASONS: { readonly [status: number]: string } = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  421: 'Misdirected Request',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/** Returns and checks the value of `Sec-WebSocket-Extensions`. */
function extensionsValue(extensions: readonly ExtensionOffer[] | string): string {
  if (typeof extensions !== 'string') return formatExtensions(extensions);
  formatLine('Sec-WebSocket-Extensions', extensions);
  return extensions;
}

function checkKey(key: unknown): void {
  if (typeof key === 'string' && isWebSocketKey(key)) return;
  throw new TypeError(`key must be 16 bytes in base64, not ${shown(key)}`);
}

function checkSubprotocol(name: unknown): void {
  if (typeof name === 'string' && isToken(name)) return;
  // Not shown: it may be a token of a login.
  const got = typeof name === 'string' ? 'a string with other characters' : kind(name);
  throw new TypeError(`a subprotocol must be a token, not ${got}`);
}

/** A value in a message: a string in quotes, the type of anything else. */
function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : kind(value);
}

/**
 * Headers for a message: an object, a Map, a `Headers`, or pairs. A list as a value is sent as
 * several lines. A value that is undefined is left out.
 */
export type HeaderLines =
  | Iterable<readonly [name: string, value: string | readonly string[]]>
  | { readonly [name: string]: string | readonly string[] | undefined };

/**
 * Writes header lines, each with its CRLF.
 *
 * @param own - Names in lower case of the fields that the handshake sets itself.
 * @throws TypeError for a name that is no token or is in `own`, and for a value that is not ASCII
 *   text.
 */
function formatLines(headers: HeaderLines | undefined, own: readonly string[]): string {
  if (headers === undefined) return '';
  if (typeof headers !== 'object' || headers === null) {
    throw badType('headers: expected an object or pairs', headers);
  }
  let text = '';
  for (const entry of Symbol.iterator in headers ? headers : Object.entries(headers)) {
    if (!Array.isArray(entry)) throw new TypeError('headers: expected pairs of name and value');
    const [name, value] = entry as unknown as readonly [unknown, unknown];
    if (typeof name !== 'string' || !isToken(name)) {
      throw new TypeError(`headers: ${JSON.stringify(name)} is not a name`);
    }
    if (own.includes(name.toLowerCase())) {
      throw new TypeError(`headers: ${name} is set by the handshake`);
    }
    if (value === undefined) continue;
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      text += formatLine(name, line);
    }
  }
  return text;
}

/** Writes header lines of pairs that are checked. */
export function linesOf(pairs: readonly (readonly [name: string, value: string])[]): string {
  let text = '';
  for (const [name, value] of pairs) text += `${name}: ${value}\r\n`;
  return text;
}

/** @throws TypeError for a value that could add a line or that has more than ASCII. */
function formatLine(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw new TypeError(`headers: ${name} must be a string, not ${kind(value)}`);
  }
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0x7f || !isOf(TEXT, code)) {
      throw new TypeError(
        `headers: ${name} has ${JSON.stringify(value[i])}; use ASCII without control characters`,
      );
    }
  }
  return `${name}: ${value}\r\n`;
}
