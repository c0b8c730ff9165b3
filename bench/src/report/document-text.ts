/** A document as JSON, with each list of numbers in one line. */
export function documentText(document: object): string {
  const text = JSON.stringify(document, rounded, 1);
  return `${text.replace(/\[[-\d.,e\s]+\]/g, (list) => list.replace(/\s+/g, ''))}\n`;
}

/** Six significant digits. */
function rounded(_: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isInteger(value)) return value;
  return Number(value.toPrecision(6));
}
