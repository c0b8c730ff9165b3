import { readFileSync } from 'node:fs';
import ts from 'typescript';

/** A test by its file and its titles, `describe / it`, as the source has them. */
export interface Holder {
  /** Path from the root. */
  readonly test: string;
  /** The titles from the outermost `describe` to the `it`, joined by ` / `; templates of `each` as they are written. */
  readonly title: string;
  /** For `each`: text of the row that is meant, a string in that file. */
  readonly row?: string | undefined;
}

/** What `semantics-map.json` says of one bullet or row: the tests that hold it, or the reason why none does. */
export interface Entry extends Partial<Holder> {
  /** How the bullet or row begins. */
  readonly says: string;
  /** Further tests, where one is not enough. */
  readonly also?: readonly Holder[] | undefined;
  /** What we do instead, where the design decides otherwise than the bullet. */
  readonly differs?: string | undefined;
  /** Why no test holds it. */
  readonly reason?: string | undefined;
}

/** Ids and what they say, in the order of the document. */
export type Items = ReadonlyMap<string, string>;

/**
 * The list items and table rows of SEMANTICS.md: `4.2/3` is the third of section 4.2, whether it is a bullet, a numbered
 * line or a row.
 */
export function semanticsItems(text: string): Items {
  const items = new Map<string, string>();
  let section = '';
  let position = 0;
  for (const line of text.split('\n')) {
    const heading = /^#{2,3} (\d+(?:\.\d+)?)/.exec(line);
    if (heading !== null) {
      section = heading[1]!;
      position = 0;
    } else if (section !== '' && isItem(line)) {
      position++;
      items.set(`${section}/${position}`, line.replace(/^(?:- |\d+\. |\| *)/, ''));
    }
  }
  return items;
}

function isItem(line: string): boolean {
  return /^(?:- |\d+\. )/.test(line) || (line.startsWith('| ') && !line.startsWith('| Go name'));
}

/** The rows of DESIGN.md §3: `options/readLimit`, `decisions/start`, `errors/CloseError`. */
export function designItems(text: string): Items {
  const items = new Map<string, string>();
  const names: Record<string, string> = {
    'option of Conn': 'options',
    matter: 'decisions',
    class: 'errors',
  };
  let table: string | undefined;
  for (const line of text.split('\n')) {
    if (!line.startsWith('|')) {
      table = undefined;
      continue;
    }
    const cell = line.split(/(?<!\\)\|/)[1]!.trim();
    if (/^-+$/.test(cell)) continue;
    if (table !== undefined) items.set(`${table}/${rowId(cell)}`, cell);
    const known = Object.keys(names).find((name) => cell.startsWith(name));
    if (table === undefined && known !== undefined) table = names[known];
  }
  return items;
}

function rowId(cell: string): string {
  return cell.replaceAll('`', '').split(/[({:]/)[0]!.trim();
}

/** The tests of a file, and all strings in it: for the rows of `each`. */
export interface TestFile {
  readonly titles: ReadonlySet<string>;
  readonly strings: ReadonlySet<string>;
}

/** Reads the titles of a test file out of its source: nothing is run. */
export function readTestFile(path: string): TestFile {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  const titles = new Set<string>();
  const strings = new Set<string>();
  const visit = (node: ts.Node, above: readonly string[]): void => {
    if (ts.isStringLiteralLike(node)) strings.add(node.text);
    const found = ts.isCallExpression(node) ? titleOf(node, source) : undefined;
    if (found === undefined) {
      ts.forEachChild(node, (child) => visit(child, above));
      return;
    }
    const path = [...above, found.title];
    if (found.kind !== 'describe') titles.add(path.join(' / '));
    ts.forEachChild(node, (child) => visit(child, path));
  };
  visit(source, []);
  return { titles, strings };
}

/** The title of `it('…')`, `describe.each(…)('…')` and the like. */
function titleOf(
  call: ts.CallExpression,
  source: ts.SourceFile,
): { readonly kind: string; readonly title: string } | undefined {
  const kind = callee(call.expression);
  const [first] = call.arguments;
  if (kind === undefined || first === undefined) return undefined;
  if (ts.isStringLiteralLike(first)) return { kind, title: first.text };
  if (!ts.isTemplateExpression(first)) return undefined;
  return { kind, title: first.getText(source).slice(1, -1) };
}

/** `it` for `it`, `it.skipIf(…)`, `it.each(…)`: the name that a chain of calls begins with. None for what never runs. */
function callee(node: ts.Expression): string | undefined {
  if (ts.isIdentifier(node)) {
    return ['it', 'test', 'describe'].includes(node.text) ? node.text : undefined;
  }
  if (ts.isPropertyAccessExpression(node)) {
    return ['skip', 'todo'].includes(node.name.text) ? undefined : callee(node.expression);
  }
  if (ts.isCallExpression(node)) return callee(node.expression);
  return undefined;
}

/** What is wrong with the map itself: entries that name nothing, and titles that do not exist. */
export function mapFaults(
  map: Readonly<Record<string, Entry>>,
  read: (path: string) => TestFile | undefined,
): string[] {
  const faults: string[] = [];
  for (const [id, entry] of Object.entries(map)) {
    const { test, title, row, reason, also = [] } = entry;
    const holders = [...also];
    if (test !== undefined && title !== undefined) holders.unshift({ test, title, row });
    if ((holders.length === 0) === (reason === undefined || reason.trim() === '')) {
      faults.push(`${id}: either a test and a title, or a reason`);
    }
    for (const holder of holders) {
      const fault = holderFault(holder, read);
      if (fault !== undefined) faults.push(`${id}: ${fault}`);
    }
  }
  return faults;
}

/** Why a test that is named cannot be the one that is meant; undefined when it can. */
export function holderFault(
  { test, title, row }: Holder,
  read: (path: string) => TestFile | undefined,
): string | undefined {
  const file = read(test);
  if (file === undefined) return `there is no ${test}`;
  if (!file.titles.has(title)) return `${test} has no "${title}"`;
  if (row !== undefined && !file.strings.has(row)) return `${test} has no row "${row}"`;
  return undefined;
}

/** Where the map and the documents differ. */
export function documentFaults(map: Readonly<Record<string, Entry>>, items: Items): string[] {
  const missing = [...items.keys()].filter((id) => !(id in map));
  const changed = [...items].filter(([id, text]) => id in map && !text.startsWith(map[id]!.says));
  const gone = Object.keys(map).filter((id) => !items.has(id));
  return [
    ...missing.map((id) => `${id}: not in the map: ${items.get(id)!}`),
    ...changed.map(([id, text]) => `${id}: the document now says: ${text}`),
    ...gone.map((id) => `${id}: not in the documents`),
  ];
}
