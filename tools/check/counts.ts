// Counts what makes the code long to read: files, lines of code, interfaces, names that only sibling
// packages import, and lines of files that can only be read together. Fails above the bounds, and prints the
// largest classes. `node ... counts.ts [folder of packages]`.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { circlesOf } from './circles.ts';
import { classesOf } from './classes.ts';

const COLUMNS = [
  'files',
  'lines',
  'interfaces',
  'internal names',
  'for the two',
  'lines in circles',
] as const;
type Counts = readonly number[];

/**
 * Goals. Where the count is at its bound, write the bound down when the count falls: {@link ROOM}. Those
 * of lines are whole hundreds.
 */
const BOUNDS: Readonly<Record<string, Counts>> = {
  browser: [23, 2_000, 12, 11, 0, 0],
  cli: [32, 3_300, 15, 0, 0, 0],
  codec: [63, 7_000, 42, 51, 1, 1_200],
  compat: [30, 3_000, 21, 0, 0, 0],
  conn: [87, 9_600, 39, 97, 9, 2_300],
  deflate: [13, 1_200, 7, 5, 0, 0],
  fetch: [24, 2_300, 30, 0, 0, 0],
  hub: [99, 12_100, 137, 0, 0, 5_800],
  'node-client': [32, 3_600, 20, 12, 0, 0],
  'node-io': [34, 2_400, 14, 25, 0, 0],
  'node-server': [56, 6_100, 40, 20, 0, 0],
  obs: [13, 1_300, 25, 0, 0, 0],
  proxy: [25, 2_600, 22, 0, 0, 600],
  reconnect: [19, 2_000, 13, 10, 0, 0],
  rpc: [37, 5_200, 46, 11, 0, 0],
};

/**
 * Lines of code of the core and of all packages, and lines in circles of imports. A package may grow while
 * another shrinks; these only fall.
 */
const SUMS = { core: 28_400, all: 62_800, circles: 9_700 };

/** The count may be so far below its bound, by column. */
const ROOM: Counts = [3, 200, 3, 3, 3, 200];

/** The packages that every server and client loads. */
const CORE = ['codec', 'conn', 'node-io', 'node-server', 'node-client'];

/** The files of `conn` that may ask the table of its reader. */
const ASK_READER = ['reader', 'inbox', 'read-ahead', 'ending'];

/** Packages that were a part of `conn`. Names that siblings export only to them are counted apart. */
const THE_TWO = ['deflate', 'reconnect'];

/** A blank line, or one of a comment: no expression starts with `*` and a space. */
const NOT_CODE = /^\s*(?:$|\/\/|\/\*|\*(?:[ /]|$))/;

const folder = process.argv[2] ?? 'packages';
const packages = readdirSync(folder).filter((name) => existsSync(`${folder}/${name}/src`));
const imported = packages.flatMap((name) => internalImports(name));
const counted = packages.map((name) => [name, countsOf(name)] as const);

printRow('', COLUMNS);
for (const [name, counts] of counted) printRow(name, counts);
const core = sum(counted.filter(([name]) => CORE.includes(name)).map(([, counts]) => counts));
const all = sum(counted.map(([, counts]) => counts));
printRow('the core', core);
printRow('all', all);
printClasses();
for (const [name, counts] of counted) judge(name, counts, BOUNDS[name] ?? []);
judgeReader();
judge('the core', core, boundsOf({ lines: SUMS.core }));
judge('all', all, boundsOf({ lines: SUMS.all, 'lines in circles': SUMS.circles }));

/**
 * `conn` has one reader, a table: one place writes its state, and only the files of {@link ASK_READER} ask it,
 * by a column.
 */
function judgeReader(): void {
  const source = `${folder}/conn/src`;
  const table = readFileSync(`${source}/connection/reader.ts`, 'utf8');
  const section = table.split(/^\/\/ /m).find((each) => each.startsWith('Columns')) ?? '';
  const columns = [...section.matchAll(/^export (?:const|function) (\w+)/gm)].map(
    ([, name]) => name!,
  );
  const asked = new RegExp(
    `^import \\{[^}]*\\b(?:${columns.join('|')})\\b[^}]*\\} from '.*/reader\\.ts'`,
    'm',
  );
  let writers = 0;
  for (const file of filesOf(source)) {
    const text = readFileSync(`${source}/${file}`, 'utf8');
    writers += [...text.matchAll(/\.reader = /g)].length;
    if (!asked.test(text) || ASK_READER.some((name) => file === `connection/${name}.ts`)) continue;
    fail(`conn: ${file} imports a column of the reader's table`);
  }
  if (writers !== 1) fail(`conn: ${writers} places write the state of the reader, not 1`);
}

function fail(text: string): void {
  console.log(`${text} (tools/check/counts.ts)`);
  process.exitCode = 1;
}

function countsOf(name: string): Counts {
  const source = `${folder}/${name}/src`;
  const files = filesOf(source);
  const lines = files.flatMap((file) => codeOf(`${source}/${file}`));
  const interfaces = lines.filter((line) => /^\s*(?:export )?interface \w/.test(line));
  const internal = internalNames(`${source}/internal.ts`);
  const forTheTwo = internal.filter((each) => {
    const users = imported.filter(({ from, names }) => from === name && names.includes(each));
    return users.length > 0 && users.every(({ by }) => THE_TWO.includes(by));
  });
  const others = internal.length - forTheTwo.length;
  return [
    files.length,
    lines.length,
    interfaces.length,
    others,
    forTheTwo.length,
    circlesOf(source, files)
      .flat()
      .reduce((total, file) => total + codeOf(`${source}/${file}`).length, 0),
  ];
}

/** The handwritten files below `source`. */
function filesOf(source: string): string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (file) => /(?<!\.d)\.ts$/.test(file) && !file.startsWith('generated'),
  );
}

/** The lines of a file, without blank ones and comments. */
function codeOf(file: string): string[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => !NOT_CODE.test(line));
}

function sourcesOf(name: string): string[] {
  const source = `${folder}/${name}/src`;
  return filesOf(source).map((file) => readFileSync(`${source}/${file}`, 'utf8'));
}

/** What a package imports from the internal entries of its siblings. */
function internalImports(by: string) {
  const statements = sourcesOf(by)
    .join('\n')
    .matchAll(/^(?:import|export) (?:type )?\{([^}]*)\} from '@ws\/([a-z-]+)\/internal'/gm);
  return [...statements].map(([, list, from]) => ({ by, from: from!, names: namesOf(list!) }));
}

function internalNames(file: string): string[] {
  if (!existsSync(file)) return [];
  const lists = readFileSync(file, 'utf8').matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  return [...lists].flatMap(([, list]) => namesOf(list!));
}

/** The exported names of a list such as `a, type B, c as d`. */
function namesOf(list: string): string[] {
  const names = list.split(',').map((name) => name.trim());
  return names.filter((name) => name !== '').map((name) => name.replace(/^type |^\w+ as /g, ''));
}

function sum(rows: readonly Counts[]): Counts {
  return COLUMNS.map((_, i) => rows.reduce((total, row) => total + row[i]!, 0));
}

/** The ten largest classes of all packages. */
function printClasses(): void {
  const classes = packages.flatMap((name) => {
    const source = `${folder}/${name}/src`;
    return filesOf(source).flatMap((file) => classesOf(codeOf(`${source}/${file}`)));
  });
  const largest = classes.toSorted((a, b) => b.lines - a.lines).slice(0, 10);
  console.log();
  for (const { name, lines, fields, flags } of largest) {
    console.log(`${name.padEnd(20)} ${lines} lines, ${fields} fields, ${flags} of them flags`);
  }
}

function printRow(name: string, cells: readonly (string | number)[]): void {
  console.log(name.padEnd(12) + cells.map((cell) => String(cell).padStart(17)).join(''));
}

/** The bounds of some columns. */
function boundsOf(bounds: Partial<Record<(typeof COLUMNS)[number], number>>): Counts {
  return COLUMNS.map((column) => bounds[column] ?? Infinity);
}

/** Without a bound, nothing is allowed. */
function judge(name: string, counts: Counts, bounds: Counts): void {
  for (const [i, count] of counts.entries()) {
    const bound = bounds[i] ?? 0;
    const isAbove = count > bound;
    if (bound === Infinity || (!isAbove && bound - count <= ROOM[i]!)) continue;
    const what = isAbove ? `at most ${bound}` : `write its bound down from ${bound}`;
    fail(`${name}: ${count} ${COLUMNS[i]}, ${what}`);
  }
}
