/** Bytes that an error shows before and from the first difference. */
const BEFORE = 4;
const FROM = 20;

/**
 * The first difference of two messages: its position, and the bytes around it as hex and as text.
 *
 * @param got - May be an incomplete message, when its bytes differ before its end.
 */
export function differenceOf(got: Uint8Array, expected: Uint8Array): string {
  let at = 0;
  while (at < got.length && at < expected.length && got[at] === expected[at]) at++;
  const start = Math.max(0, at - BEFORE);
  const shown = (bytes: Uint8Array): string => {
    const part = Buffer.from(bytes.subarray(start, at + FROM));
    if (part.length === 0) return 'nothing';
    const hex = part.toString('hex').match(/../g)!.join(' ');
    const more = bytes.length > at + FROM ? ' …' : '';
    return `${hex}${more}  ${escaped(part.toString('latin1'))}`;
  };
  return [
    `differs at byte ${at} of ${expected.length}; from byte ${start}:`,
    `  expected ${shown(expected)}`,
    `  got      ${shown(got)}`,
  ].join('\n');
}

/** Text of a peer in quotes, without control characters. A byte above ASCII is `\\xe9`. */
function escaped(text: string): string {
  return JSON.stringify(text).replace(
    /[^ -~]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
