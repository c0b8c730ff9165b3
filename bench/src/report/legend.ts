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
  ['raw1', 'TCP alone'],
  ['bare', 'TCP after the handshake'],
]);

/** Lines that explain the columns of a table, and its brackets. */
export function legendOf({ series }: Table): string[] {
  const known = series.flatMap(({ name }) => {
    const meaning = MEANINGS.get(name);
    return meaning === undefined ? [] : [`${name}: ${meaning}`];
  });
  const hasRange = series.some(({ values }) =>
    values.some(
      (value) => typeof value === 'object' && value !== null && value.least !== value.most,
    ),
  );
  return [
    ...(known.length === 0 ? [] : [known.join('; ')]),
    ...(hasRange ? ['2.1 (1.8-2.4): the median, the least and the most'] : []),
  ];
}
