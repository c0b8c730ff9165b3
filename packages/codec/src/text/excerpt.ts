/** Quotes foreign text for an error message: at most 80 characters, escaped. */
export function quote(text: string): string {
  return `"${excerpt(text, 80)}"`;
}

/** Returns the first `most` characters of foreign text. All but printable ASCII is escaped. */
export function excerpt(text: string, most: number): string {
  const cut = text.length > most ? `${text.slice(0, most)}...` : text;
  return cut.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
