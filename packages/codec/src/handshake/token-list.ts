import { Scanner } from './scanner.ts';

/**
 * Reads a list of tokens, such as `keep-alive, Upgrade`, in linear time. A header field that stands on several lines is
 * given as one value, joined with commas. Letters keep their case; empty elements are skipped, so that an empty value
 * is an empty list.
 *
 * @returns The tokens in their order, or undefined when anything else stands in the list: a handshake is refused then.
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
 * Says whether a `Connection` or `Upgrade` field lists `token`, ASCII case ignored. An element that is no token does not
 * count and does no harm, since `Upgrade: foo/2, websocket` is a legal request.
 *
 * @param value - All lines of the field, joined with commas.
 */
export function hasToken(value: string, token: string): boolean {
  const wanted = lowerCase(token);
  return value.split(',').some((element) => lowerCase(trim(element)) === wanted);
}

/** Only A to Z: `toLowerCase` would also take the Kelvin sign for a k. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** `String.prototype.trim` takes away more than the space and tab of RFC 9110, and a regular expression may backtrack. */
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
