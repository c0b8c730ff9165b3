import { badType, kind } from '../arguments.ts';
import { isToken, Scanner } from './scanner.ts';

/** Longest `Sec-WebSocket-Extensions` that is accepted, in characters: 4 KiB. */
const MAX_LENGTH = 4096;
const MAX_EXTENSIONS = 16;
const MAX_PARAMS = 16;

/** One element of `Sec-WebSocket-Extensions`: a client's offer or a server's answer. */
export interface ExtensionOffer {
  /** A token, in its original case. */
  readonly name: string;
  /**
   * The parameters by name, in their order; `true` for a parameter without a value. Quotes are
   * removed.
   */
  readonly params: ReadonlyMap<string, string | true>;
  /**
   * Set by the parser when a parameter is repeated: `params` has the first one. No extension allows
   * it.
   */
  readonly repeated?: boolean | undefined;
}

/**
 * Reads `Sec-WebSocket-Extensions`, in linear time. White space may surround every separator, a
 * value may be quoted, empty elements are skipped. `__proto__` is a name like any other.
 *
 * @param value - All lines of the field, joined with commas.
 * @returns The elements in their order of preference. Undefined when the field is malformed, or
 *   longer than 4 KiB, 16 elements or 16 parameters in one element: reject the handshake then.
 * @see RFC 6455, section 9.1
 *
 * @example
 * ```ts
 * import { parseExtensions } from '@ws/codec';
 *
 * for (const { name } of parseExtensions('permessage-deflate; client_max_window_bits, x') ?? []) {
 *   console.log(name); // permessage-deflate, then x
 * }
 * ```
 */
export function parseExtensions(value: string): ExtensionOffer[] | undefined {
  if (typeof value !== 'string' || value.length > MAX_LENGTH) return undefined;
  const scan = new Scanner(value);
  const list: ExtensionOffer[] = [];
  do {
    scan.space();
    if (scan.sees(',') || scan.done) continue;
    const extension = readExtension(scan);
    if (extension === undefined || list.length === MAX_EXTENSIONS) return undefined;
    list.push(extension);
  } while (scan.take(','));
  return scan.done ? list : undefined;
}

function readExtension(scan: Scanner): ExtensionOffer | undefined {
  const name = scan.token();
  if (name === undefined) return undefined;
  const params = new Map<string, string | true>();
  let count = 0;
  scan.space();
  while (scan.take(';')) {
    scan.space();
    const key = scan.token();
    if (key === undefined || ++count > MAX_PARAMS) return undefined;
    scan.space();
    const value = scan.take('=') ? readValue(scan) : true;
    if (value === undefined) return undefined;
    if (!params.has(key)) params.set(key, value);
    scan.space();
  }
  return count > params.size ? { name, params, repeated: true } : { name, params };
}

/** RFC 6455, section 9.1: the content of a quoted string must be a token too. */
function readValue(scan: Scanner): string | undefined {
  scan.space();
  if (!scan.take('"')) return scan.token();
  const value = scan.quoted();
  return value !== undefined && isToken(value) ? value : undefined;
}

/**
 * Writes `Sec-WebSocket-Extensions`: `a; x=1, b`.
 *
 * @throws SyntaxError when a name or a value is not a token: no value can inject a header; TypeError
 *   for anything but an array of extensions.
 * @see RFC 6455, section 9.1
 *
 * @example
 * ```ts
 * import { formatExtensions, parseExtensions } from '@ws/codec';
 *
 * console.log(formatExtensions(parseExtensions('a;x="1" ,b') ?? [])); // a; x=1, b
 * ```
 */
export function formatExtensions(list: readonly ExtensionOffer[]): string {
  if (!Array.isArray(list)) throw badType('extensions: expected an array', list);
  return Array.from(list, formatExtension).join(', ');
}

function formatExtension(extension: ExtensionOffer | undefined): string {
  if (typeof extension?.params?.[Symbol.iterator] !== 'function') {
    throw badType('extensions: expected { name, params: new Map() }', extension);
  }
  let text = checkToken(extension.name);
  for (const [key, value] of extension.params) {
    text += `; ${checkToken(key)}`;
    if (value !== true) text += `=${checkToken(value)}`;
  }
  return text;
}

function checkToken(text: unknown): string {
  const isString = typeof text === 'string';
  if (isString && isToken(text)) return text;
  // JSON has no text for a BigInt or an object with a cycle.
  throw new SyntaxError(`websocket: not a token: ${isString ? JSON.stringify(text) : kind(text)}`);
}
