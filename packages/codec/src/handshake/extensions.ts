import { isToken, Scanner } from './scanner.ts';

/** Longest `Sec-WebSocket-Extensions` that is read, in characters: 4 KiB. */
const MAX_LENGTH = 4096;
const MAX_EXTENSIONS = 16;
const MAX_PARAMS = 16;

/** One element of `Sec-WebSocket-Extensions`: what a client offers, or what a server answers. */
export interface Extension {
  /** A token, as it was written. */
  readonly name: string;
  /** By name, in their order; `true` for a parameter without a value. Quoted values have lost their quotes. */
  readonly params: ReadonlyMap<string, string | true>;
  /** Set by the parser when a parameter stands more than once: `params` has the first, and no extension allows it. */
  readonly repeated?: boolean | undefined;
}

/**
 * Reads `Sec-WebSocket-Extensions`, in linear time. White space may stand around every separator, a value may be quoted,
 * empty elements are skipped. Names are only names: `__proto__` is one like any other.
 *
 * @param value - All lines of the field, joined with commas.
 * @returns The elements in their order of preference, or undefined when the field is malformed or longer than 4 KiB, 16
 *   elements or 16 parameters in one of them: a handshake is refused then.
 * @see RFC 6455, section 9.1
 */
export function parseExtensions(value: string): Extension[] | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const scan = new Scanner(value);
  const list: Extension[] = [];
  do {
    scan.space();
    if (scan.sees(',') || scan.done) continue;
    const extension = readExtension(scan);
    if (extension === undefined || list.length === MAX_EXTENSIONS) return undefined;
    list.push(extension);
  } while (scan.take(','));
  return scan.done ? list : undefined;
}

function readExtension(scan: Scanner): Extension | undefined {
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

/** RFC 6455, 9.1: what comes out of a quoted string must be a token too. */
function readValue(scan: Scanner): string | undefined {
  scan.space();
  if (!scan.take('"')) return scan.token();
  const value = scan.quoted();
  return value !== undefined && isToken(value) ? value : undefined;
}

/**
 * Writes `Sec-WebSocket-Extensions`: `a; x=1, b`.
 *
 * @throws SyntaxError when a name or a value is no token, so that nothing given here can break out of its header.
 * @see RFC 6455, section 9.1
 */
export function formatExtensions(list: readonly Extension[]): string {
  return list.map(formatExtension).join(', ');
}

function formatExtension({ name, params }: Extension): string {
  let text = checkToken(name);
  for (const [key, value] of params) {
    text += `; ${checkToken(key)}`;
    if (value !== true) text += `=${checkToken(value)}`;
  }
  return text;
}

function checkToken(text: string): string {
  if (!isToken(text)) throw new SyntaxError(`websocket: not a token: ${JSON.stringify(text)}`);
  return text;
}
