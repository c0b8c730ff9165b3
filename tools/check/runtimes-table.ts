/** What `tools/runtime-smoke.mjs` found on one runtime. */
export interface Tried {
  /** Its name and version, such as `node 22.23.3`. */
  readonly runtime: string;
  /** Operating system and processor. */
  readonly system: string;
  readonly parts: Readonly<Record<string, boolean>>;
}

const START = '<!-- Written by tools/check/runtimes.ts. Do not edit. -->\n';
const END = '<!-- The end of the table. -->\n';

/** The runtimes in the order of the page: by name, then by version. */
export function sorted(results: readonly Tried[]): Tried[] {
  const collator = new Intl.Collator('en', { numeric: true });
  const order = (name: string): string => name.replace(/^node/, 'a');
  return results.toSorted((a, b) => collator.compare(order(a.runtime), order(b.runtime)));
}

/** A row for the parts with the same outcomes, a column for each runtime. */
function table(results: readonly Tried[]): string {
  const parts = [...new Set(results.flatMap((each) => Object.keys(each.parts)))];
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  const names = results.map(({ runtime }) => runtime[0]!.toUpperCase() + runtime.slice(1));
  const outcome = (ok: boolean | undefined): string =>
    ok === undefined ? 'not tried' : ok ? 'yes' : '**no**';
  const rows = new Map<string, string[]>();
  for (const part of parts) {
    const cells = results.map((each) => outcome(each.parts[part])).join(' | ');
    rows.set(cells, [...(rows.get(cells) ?? []), part]);
  }
  const systems = [...new Set(results.map(({ system }) => system))];
  return [
    row([`on ${systems.join(', ')}`, ...names]),
    row(['---', ...names.map(() => '---')]),
    ...[...rows].map(([cells, names]) => row([names.join('; '), cells])),
  ].join('');
}

/** The page with the table of these results. */
export function withTable(page: string, results: readonly Tried[]): string {
  const [before, rest] = page.split(START);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error('docs/runtimes.md has no place for the table');
  return `${before}${START}\n${table(sorted(results))}\n${END}${after}`;
}
