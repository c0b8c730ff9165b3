import { Scanner } from './scanner.ts';

/**
 * Reads a list of tokens, such as `keep-alive, Upgrade`, in linear time. A field of several lines
 * is one list: join its lines with commas. Case is kept. Empty elements are skipped, so an empty
 * value is an empty list.
 *
 * @returns The tokens in their order. Undefined when the list contains anything else: reject the
 *   handshake then.
 * @see RFC 9110, section 5.6.1
 */
export function parseTokenList(value: string): string[] | undefined {
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

/**
 * Whether a `Connection` or `Upgrade` field lists `token`, ignoring ASCII case. An element that is
 * not a token is skipped: `Upgrade: foo/2, websocket` is a legal request.
 *
 * @param value - All lines of the field, joined with commas.
 */
export function hasToken(value: string, token: string): boolean {
  const wanted = lowerCase(token);
  return value.split(',').some((element) => lowerCase(trim(element)) === wanted);
}

/** Only A to Z: `toLowerCase` would also convert the Kelvin sign to k. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/**
 * `String.prototype.trim` removes more than the space and tab of RFC 9110, and a regular expression
 * may backtrack.
 */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text, start)) start++;
  while (start < end && isSpace(text, end - 1)) end--;
  return text.slice(start, end);
}

function isSpace(text: string, at: number): boolean {
  return text[at] === ' ' || text[at] === '\t';
}
