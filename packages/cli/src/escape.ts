/**
 * Characters that control a terminal or hide text: C0 and C1 without the line break and the tab,
 * marks of direction, and line separators.
 */
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Returns `text` with each character that controls a terminal as an escape of JSON: `\u001b`. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Escapes as {@link escapeControls} does, on one line of at most `most` characters. */
export function excerpt(text: string, most = 200): string {
  const line = escapeControls(text.slice(0, most + 1))
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t');
  return line.length > most || text.length > most ? `${line.slice(0, most)}…` : line;
}

const COLORS = { key: 36, string: 32, number: 33, word: 35 } as const;
/** A string with the colon of a key, a number, or one of the three words. */
const TOKEN =
  /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

/** Returns JSON with colours, and every other text as it is. The text is already escaped. */
export function colorJson(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  return text.replace(TOKEN, (token, string?: string, colon?: string) => {
    if (string === undefined) return paint(/^[tfn]/.test(token) ? 'word' : 'number', token);
    return colon === undefined ? paint('string', token) : paint('key', string) + colon;
  });
}

function paint(kind: keyof typeof COLORS, text: string): string {
  return `\u001b[${COLORS[kind]}m${text}\u001b[39m`;
}
