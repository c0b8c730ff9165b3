/**
 * Longest token, in characters. A server closes a connection that sends a protocol line of more than
 * 4,096 bytes (option `max_control_line` of the server).
 */
const MAX_TOKEN = 3_000;

/**
 * A channel as one token of a subject. Different channels have different tokens. A UTF-16 unit
 * other than an ASCII letter, a digit or one of `_ / : @ -` becomes `=` and four hexadecimal
 * digits.
 *
 * @throws RangeError for a channel that is too long.
 */
export function subjectToken(channel: string): string {
  const token = channel.replace(/[^\w/:@-]/g, escaped);
  if (token.length <= MAX_TOKEN) return token;
  throw new RangeError(
    `the subject of the room has ${token.length} characters, more than ${MAX_TOKEN}`,
  );
}

function escaped(unit: string): string {
  return `=${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
