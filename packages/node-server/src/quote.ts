/** Most characters of a client's value in a message. */
const MAX_VALUE = 80;
/** Characters outside printable ASCII, and those with a meaning in HTML or quoted text. */
const UNSAFE = /[^\x21-\x7e]|[<>&"'`\\]/gu;

/**
 * Returns a value of a client for a message or a body: escaped, at most 80 characters;
 * `(empty)` for none.
 */
export function quoted(value: string): string {
  if (value === '') return '(empty)';
  const escaped = value.slice(0, MAX_VALUE + 1).replace(UNSAFE, escapeCharacter);
  return escaped.length > MAX_VALUE ? `${escaped.slice(0, MAX_VALUE - 3)}...` : escaped;
}

function escapeCharacter(char: string): string {
  return `\\u{${char.codePointAt(0)!.toString(16)}}`;
}
