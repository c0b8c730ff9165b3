// Counts what makes the code long to read: files, lines of code, interfaces, and names that only
// sibling packages import. Fails above the bounds. `node ... counts.ts [folder of packages]`.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';

const COLUMNS = ['files', 'lines', 'interfaces', 'internal names'] as const;
type Counts = readonly number[];

/** Lower a bound when its count falls. Those of lines are whole hundreds. */
const BOUNDS: Readonly<Record<string, Counts>> = {
  browser: [23, 1_800, 13, 12],
  cli: [33, 3_400, 19, 0],
  codec: [55, 6_000, 36, 39],
  compat: [32, 3_000, 26, 0],
  conn: [107, 12_000, 57, 75],
  fetch: [26, 2_200, 34, 0],
  hub: [88, 10_100, 124, 0],
  'node-client': [30, 3_500, 21, 19],
  'node-io': [30, 2_500, 16, 26],
  'node-server': [50, 5_400, 36, 27],
  obs: [14, 1_300, 26, 0],
  proxy: [25, 2_600, 22, 0],
  rpc: [24, 3_300, 44, 11],
};

/** The packages that every server and client loads. */
const CORE = ['codec', 'conn', 'node-io', 'node-server', 'node-client'];

/** A blank line, or one of a comment: no expression starts with `*` and a space. */
const NOT_CODE = /^\s*(?:$|\/\/|\/\*|\*(?:[ /]|$))/;

const folder = process.argv[2] ?? 'packages';
const packages = readdirSync(folder).filter((name) => existsSync(`${folder}/${name}/src`));
const counted = packages.map((name) => [name, countsOf(`${folder}/${name}/src`)] as const);

printRow('', COLUMNS);
for (const [name, counts] of counted) printRow(name, counts);
const ofCore = counted.filter(([name]) => CORE.includes(name)).map(([, counts]) => counts);
printRow('the core', sum(ofCore));
printRow('all', sum(counted.map(([, counts]) => counts)));
for (const [name, counts] of counted) judge(name, counts);

/** The handwritten sources of a package. */
function countsOf(source: string): Counts {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
    (file) => /(?<!\.d)\.ts$/.test(file) && !file.startsWith('generated'),
  );
  const lines = files
    .flatMap((file) => readFileSync(`${source}/${file}`, 'utf8').split('\n'))
    .filter((line) => !NOT_CODE.test(line));
  const interfaces = lines.filter((line) => /^\s*(?:export )?interface \w/.test(line));
  return [files.length, lines.length, interfaces.length, internalNames(`${source}/internal.ts`)];
}

function internalNames(file: string): number {
  if (!existsSync(file)) return 0;
  const lists = readFileSync(file, 'utf8').matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  return [...lists].flatMap(([, names]) => names!.split(',')).filter((name) => name.trim()).length;
}

function sum(rows: readonly Counts[]): Counts {
  return COLUMNS.map((_, i) => rows.reduce((total, counts) => total + counts[i]!, 0));
}

function printRow(name: string, cells: readonly (string | number)[]): void {
  console.log(name.padEnd(12) + cells.map((cell) => String(cell).padStart(15)).join(''));
}

/** A package without bounds may have nothing. */
function judge(name: string, counts: Counts): void {
  for (const [i, column] of COLUMNS.entries()) {
    const bound = BOUNDS[name]?.[i] ?? 0;
    if (counts[i]! <= bound) continue;
    console.log(`${name}: ${counts[i]} ${column}, at most ${bound} (tools/check/counts.ts)`);
    process.exitCode = 1;
  }
}
