// The grammars of the handshake's header fields once more, as the regular languages that they are: short to write, and
// no match for hostile text of any length.

const CHAR = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]";
const VALUE = `(?:${CHAR}+|"(?:\\\\?${CHAR})+")`;
const PARAM = `;[ \\t]*${CHAR}+[ \\t]*(?:=[ \\t]*${VALUE}[ \\t]*)?`;
const EXTENSION = `${CHAR}+[ \\t]*(?:${PARAM})*`;
const listOf = (element: string): RegExp =>
  new RegExp(`^[ \\t]*(?:${element})?(?:,[ \\t]*(?:${element})?)*$`);

/** A whole `Sec-WebSocket-Extensions`. */
export const EXTENSIONS: RegExp = listOf(EXTENSION);
/** A whole list of tokens. */
export const TOKENS: RegExp = listOf(`${CHAR}+[ \\t]*`);

/** An element of `Sec-WebSocket-Extensions`, each parameter as it stood there, in order. */
export interface Element {
  readonly name: string;
  readonly params: readonly (readonly [string, string | true])[];
}

/** Reads what {@link EXTENSIONS} takes; undefined for all else, and past 4 KiB, 16 elements or 16 parameters. */
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

/** The tokens of a list; undefined for what is none. */
export function tokensOf(text: string): string[] | undefined {
  if (!TOKENS.test(text)) return undefined;
  return text
    .split(',')
    .map((token) => token.replace(/[ \t]/g, ''))
    .filter((token) => token !== '');
}

/** Whether a token stands in a list that may hold other things too. */
export function lists(text: string, token: string): boolean {
  const found = new RegExp(`(?:^|,)[ \\t]*${token}[ \\t]*(?:,|$)`, 'i').exec(text);
  // The Kelvin sign is a k for a regular expression only with the flag u.
  return found !== null;
}

/** 16 bytes in the only way in which base64 writes them. */
export function isKey(text: string): boolean {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === 16 && bytes.toString('base64') === text;
}

/** The subprotocols offered; undefined for a malformed list, and past 4 KiB or 64 names. */
export function subprotocolsOf(text: string): string[] | undefined {
  const names = tokensOf(text);
  if (text.length > 4096 || names === undefined || names.length > 64) return undefined;
  return new Set(names).size === names.length ? names : undefined;
}
