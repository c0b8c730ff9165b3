import { lowerCase } from './byte-class.ts';
import { Scanner } from './scanner.ts';

/**
 * Reads a list of tokens, such as `keep-alive, Upgrade`, in linear time. A field of several lines
 * is one list: join its lines with commas. Case is kept. Empty elements are skipped, so an empty
 * value is an empty list.
 *
 * @returns The tokens in their order. Undefined when the list contains anything else: reject the
 *   handshake then.
 * @see RFC 9110, section 5.6.1
 *
 * @example
 * ```ts
 * import { parseTokenList } from '@ws/codec';
 *
 * console.log(parseTokenList('keep-alive, Upgrade')); // [ 'keep-alive', 'Upgrade' ]
 * ```
 */
export function parseTokenList(value: string): string[] | undefined {
  if (typeof value !== 'string') return undefined;
  const scan = new Scanner(value);
  const tokens: string[] = [];
  do {
    scan.space();
    const token = scan.token();
    if (token !== undefined) tokens.push(token);
    scan.space();
  } while (scan.take(','));
  return scan.done ? tokens : undefined;
}

/** Optional white space (RFC 9110, section 5.6.3). `String.prototype.trim` removes more. */
const SPACES = ' \t';

/**
 * Whether a `Connection` or `Upgrade` field lists `token`, ignoring ASCII case. An element that is
 * not a token is skipped: `Upgrade: foo/2, websocket` is a legal request.
 *
 * @param value - All lines of the field, joined with commas.
 */
export function hasToken(value: string, token: string): boolean {
  for (let start = 0; start <= value.length; ) {
    const comma = value.indexOf(',', start);
    const next = comma === -1 ? value.length : comma;
    let end = next;
    while (start < end && SPACES.includes(value[start]!)) start++;
    while (start < end && SPACES.includes(value[end - 1]!)) end--;
    if (end - start === token.length && isAt(value, start, token)) return true;
    start = next + 1;
  }
  return false;
}

/** Whether `value` has `token` at `start`, ignoring ASCII case. */
function isAt(value: string, start: number, token: string): boolean {
  for (let i = 0; i < token.length; i++) {
    const code = value.charCodeAt(start + i);
    const wanted = token.charCodeAt(i);
    if (code !== wanted && lowerCase(code) !== lowerCase(wanted)) return false;
  }
  return true;
}

/** Longest `Sec-WebSocket-Protocol` that is accepted, in characters: 4 KiB. */
const MAX_LENGTH = 4096;
const MAX_NAMES = 64;

/**
 * Reads the subprotocols that a client offers, in its order of preference. Names are
 * case-sensitive.
 *
 * @param value - All lines of `Sec-WebSocket-Protocol`, joined with commas.
 * @returns The names. Undefined when the field is malformed, repeats a name, or is longer than 4
 *   KiB or 64 names.
 * @see RFC 6455, sections 4.1 and 11.3.4
 *
 * @example
 * ```ts
 * import { parseSubprotocols } from '@ws/codec';
 *
 * console.log(parseSubprotocols('v2, v1')); // [ 'v2', 'v1' ]
 * console.log(parseSubprotocols('v1, v1')); // undefined
 * ```
 */
export function parseSubprotocols(value: string): string[] | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return undefined;
  const names = parseTokenList(value);
  if (names === undefined || names.length > MAX_NAMES) return undefined;
  return new Set(names).size === names.length ? names : undefined;
}
