// The grammars of the handshake's header fields as regular expressions. They backtrack: do not use
// them for hostile text of unlimited length.

const CHAR = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]";
const VALUE = `(?:${CHAR}+|"(?:\\\\?${CHAR})+")`;
const PARAM = `;[ \\t]*${CHAR}+[ \\t]*(?:=[ \\t]*${VALUE}[ \\t]*)?`;
const EXTENSION = `${CHAR}+[ \\t]*(?:${PARAM})*`;
const listOf = (element: string): RegExp =>
  new RegExp(`^[ \\t]*(?:${element})?(?:,[ \\t]*(?:${element})?)*$`);

/** A complete value of `Sec-WebSocket-Extensions`. */
export const EXTENSIONS: RegExp = listOf(EXTENSION);
/** A complete list of tokens. */
export const TOKENS: RegExp = listOf(`${CHAR}+[ \\t]*`);

/** An element of `Sec-WebSocket-Extensions`, with all its parameters in order. */
export interface Element {
  readonly name: string;
  readonly params: readonly (readonly [string, string | true])[];
}

/**
 * Parses a value that {@link EXTENSIONS} matches. Undefined for any other value, and above 4 KiB,
 * 16 elements or 16 parameters.
 */
export function elementsOf(text: string): Element[] | undefined {
  if (text.length > 4096 || !EXTENSIONS.test(text)) return undefined;
  const elements = text
    .split(',')
    .map((part) => part.replace(/[ \t]/g, ''))
    .filter((part) => part !== '')
    .map((part) => {
      const [name, ...params] = part.split(';');
      return { name: name!, params: params.map(paramOf) };
    });
  if (elements.length > 16 || elements.some(({ params }) => params.length > 16)) return undefined;
  return elements;
}

function paramOf(text: string): readonly [string, string | true] {
  const [name, value] = text.split('=');
  return [name!, value === undefined ? true : value.replace(/["\\]/g, '')];
}

/** The tokens of a list; undefined if the list is malformed. */
export function tokensOf(text: string): string[] | undefined {
  if (!TOKENS.test(text)) return undefined;
  return text
    .split(',')
    .map((token) => token.replace(/[ \t]/g, ''))
    .filter((token) => token !== '');
}

/** Whether a list contains a token. The rest of the list may be malformed. */
export function hasListToken(text: string, token: string): boolean {
  const found = new RegExp(`(?:^|,)[ \\t]*${token}[ \\t]*(?:,|$)`, 'i').exec(text);
  // Without the flag u, the Kelvin sign does not match a k.
  return found !== null;
}

/** Whether the text is base64 of 16 bytes. The last digit has four spare bits, which may be set. */
export function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{22}==$/.test(text);
}

/**
 * The subprotocols offered; undefined for a malformed list, a repeated name, and above 4 KiB or 64
 * names.
 */
export function subprotocolsOf(text: string): string[] | undefined {
  const names = tokensOf(text);
  if (text.length > 4096 || names === undefined || names.length > 64) return undefined;
  return new Set(names).size === names.length ? names : undefined;
}
