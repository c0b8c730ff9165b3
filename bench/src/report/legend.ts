import type { Table } from './table.ts';

/** What contenders are, by name. */
const MEANINGS: ReadonlyMap<string, string> = new Map([
  ['receive', 'ours, a handler'],
  ['loop', 'ours, for await'],
  ['serveRaw', 'ours without node:http'],
  ['ours', 'this library'],
  ['ws', 'as npm installs it'],
  ['ws, native mask', 'with bufferutil'],
  ['ws, corked', 'bufferutil, and corked by its application'],
  ['ws, corked, JS masks', 'corked by its application; bufferutil is missing'],
  ['raw1', 'TCP alone'],
  ['bare', 'TCP after the handshake'],
]);

/** Columns of the narrowest terminal. */
const WIDTH = 80;

/** Lines that explain the columns of a table, and its brackets. */
export function legendOf({ series }: Table): string[] {
  const known = series.flatMap(({ name }) => {
    const meaning = MEANINGS.get(name);
    return meaning === undefined ? [] : [`${name}: ${meaning};`];
  });
  const hasRange = series.some(({ values }) =>
    values.some(
      (value) => typeof value === 'object' && value !== null && value.least !== value.most,
    ),
  );
  return [
    ...wrapped(known).map((line, i, { length }) => (i === length - 1 ? line.slice(0, -1) : line)),
    ...(hasRange ? ['2.1 (1.8-2.4): the median, the least and the most'] : []),
  ];
}

/** The words in lines, none of them wider than {@link WIDTH}. */
function wrapped(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const line = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && line.length <= WIDTH) lines[lines.length - 1] = line;
    else lines.push(word);
  }
  return lines;
}
