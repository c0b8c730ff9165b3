// Packs every published package and checks the tarballs: publint, attw, licenses, no source maps, and their sizes
// against docs/maintainers/sizes.md. With `--write` it writes that table.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { publishedPackages, tarballOf } from '../published.ts';
import { bin, type Command, node, source } from '../run.ts';
import { filesOf } from '../tarball.ts';
import { tarballFaults } from './release-faults.ts';

const OUT = '.out/pack';
const PAGE = 'docs/maintainers/sizes.md';
const TABLE = /(?<=<!-- tarballs -->\n)[^]*?(?=<!-- end of tarballs -->)/;
/** What an application with a server installs. */
const SERVER = ['codec', 'deflate', 'conn', 'node-io', 'node-server'];
/** Commands without an entry point, and so without types. */
const WITHOUT_TYPES = ['bench', 'cli'];
/**
 * Bytes of the files of {@link SERVER} together. WebSockets over HTTP/2 took 48 kB of them, the options from `rate` to
 * `schema` 69 kB, frames of a bounded size and writes within a long turn 7 kB.
 */
const MAX_INSTALLED = 1_500_000;
/** A size on the page may differ by this share: the compressor of another machine gives other bytes. */
const TOLERANCE = 0.03;

const faults: string[] = [];
/** Runs a command. Its output is a fault when it fails, and dropped otherwise. */
function run([program, ...args]: Command): void {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) faults.push(`${args.join(' ')}\n${stdout}${stderr}`);
}

/**
 * What publint finds although it is meant: a bundler that follows a `require` of compat gets CommonJS
 * that shares conn and codec with the rest of the bundle.
 */
const MEANT = /\.module should be ESM, but the code is written in CJS\.$/;

function publint(path: string): void {
  const [program, ...args] = node(bin('tools', 'publint'), '--strict', path);
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  const found = stdout.split('\n').filter((line) => /^\d+\. /.test(line));
  const isMeant = found.length > 0 && found.every((line) => MEANT.test(line));
  if (status !== 0 && !isMeant) faults.push(`${args.join(' ')}\n${stdout}${stderr}`);
}

run(source('tools/pack.ts'));
const published = publishedPackages().map(({ folder, manifest }) => ({
  folder: basename(folder),
  manifest,
  file: tarballOf(manifest),
}));

const license = readFileSync('LICENSE', 'utf8');
const versions = new Map(published.map(({ manifest }) => [manifest.name, manifest.version]));
const rows = published.map(({ folder, manifest, file }) => {
  const path = join(OUT, file);
  // For a folder, publint runs the package manager that it finds. For a tarball, it only reads.
  publint(path);
  if (!WITHOUT_TYPES.includes(folder)) {
    run(node(bin('tools', '@arethetypeswrong/cli', 'attw'), path, ...attwOptions(folder)));
  }
  const bytes = readFileSync(path);
  const files = filesOf(bytes);
  faults.push(...tarballFaults(file, files, license, versions));
  for (const name of files.keys()) {
    if (name.endsWith('.map')) faults.push(`${file}: contains the source map ${name}`);
  }
  const installed = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  return { folder, name: manifest.name, packed: bytes.length, installed };
});

const server = rows
  .filter(({ folder }) => SERVER.includes(folder))
  .reduce((sum, { installed }) => sum + installed, 0);
if (server > MAX_INSTALLED) {
  faults.push(`a server installs ${kB(server)} kB, at most ${kB(MAX_INSTALLED)} are allowed`);
}
checkPage();

for (const fault of faults) console.error(fault);
for (const { name, packed, installed } of rows) {
  console.log(`${name}: ${kB(packed)} kB packed, ${kB(installed)} kB installed`);
}
console.log(
  `packages: ${faults.length === 0 ? 'nothing found' : `${faults.length} failed`}; a server installs ${kB(server)} kB`,
);
process.exitCode = faults.length === 0 ? 0 : 1;

function checkPage(): void {
  const page = readFileSync(PAGE, 'utf8');
  const lines = rows.map(
    ({ name, packed, installed }) => `| \`${name}\` | ${kB(packed)} | ${kB(installed)} |\n`,
  );
  const total = `| a server: ${SERVER.join(', ')} | | ${kB(server)} |\n`;
  const table = `\n| tarball | kB packed | kB installed |\n|---|---:|---:|\n${lines.join('')}${total}\n`;
  if (process.argv.includes('--write')) return writeFileSync(PAGE, page.replace(TABLE, table));
  const numbers = (text: string): number[] => (text.match(/\d+(?= \|)/g) ?? []).map(Number);
  const [told, found] = [numbers(TABLE.exec(page)?.[0] ?? ''), numbers(table)];
  const near = found.every((size, i) => Math.abs(size - (told[i] ?? 0)) <= 1 + size * TOLERANCE);
  if (told.length === found.length && near) return;
  faults.push(`${PAGE} has other sizes; run this with --write. Found:${table}`);
}

function attwOptions(folder: string): string[] {
  const output = ['--no-emoji', '--format', 'ascii'];
  // Their runtimes have no CommonJS.
  if (folder === 'fetch') return [...output, '--exclude-entrypoints', 'bun', 'deno', 'workers'];
  // A page imports `standalone` by its address.
  if (['browser', 'obs'].includes(folder))
    return [...output, '--exclude-entrypoints', 'standalone'];
  return output;
}

function kB(bytes: number): string {
  return String(Math.round(bytes / 1000));
}
