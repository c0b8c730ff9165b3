// Packs every published package into `.out/pack` and checks the tarballs: publint, attw, no source
// maps, and the size of the core.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { gunzipSync } from 'node:zlib';
import { bin, type Command, node, pnpm } from '../run.ts';

const OUT = '.out/pack';
/** What an application with a server and a client installs. */
const CORE = /ws-(?:codec|conn|node-io|node-server|node-client)-\d/;
/** Bytes of the tarballs of {@link CORE} together: what a user downloads. */
const MAX_PACKED = 400_000;

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

let failed = 0;
function run([program, ...args]: Command): void {
  if (spawnSync(program, args, { stdio: 'inherit' }).status !== 0) failed++;
}

const published = readdirSync('packages').filter((name) => {
  const manifest = readFileSync(join('packages', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { private?: boolean }).private !== true;
});
const filters = published.map((name) => `--filter=./packages/${name}`);
run(pnpm('--recursive', ...filters, 'pack', '--pack-destination', resolve(OUT)));

let packed = 0;
let unpacked = 0;
for (const tarball of readdirSync(OUT)) {
  const path = join(OUT, tarball);
  // For a folder, publint runs the package manager that it finds. For a tarball, it only reads.
  run(node(bin('publint'), '--strict', path));
  run(node(bin('@arethetypeswrong/cli', 'attw'), path, ...attwOptions(tarball)));
  const bytes = readFileSync(path);
  const files = gunzipSync(bytes);
  // Headers of the archive contain the names of the files.
  if (files.includes('.map\0')) {
    console.log(`${tarball}: contains a source map`);
    failed++;
  }
  if (CORE.test(tarball)) {
    packed += bytes.length;
    unpacked += files.length;
  }
}
console.log(
  `core: ${kB(packed)} packed (at most ${kB(MAX_PACKED)}), ${kB(unpacked)} unpacked, ${OUT} has the tarballs`,
);
if (packed > MAX_PACKED) failed++;
console.log(`packages: ${failed === 0 ? 'nothing found' : `${failed} failed`}`);
process.exitCode = failed === 0 ? 0 : 1;

function attwOptions(tarball: string): string[] {
  const output = ['--no-emoji', '--format', 'ascii'];
  // A page imports `standalone` by its address.
  if (/browser|obs/.test(tarball)) return [...output, '--exclude-entrypoints', 'standalone'];
  return output;
}

function kB(bytes: number): string {
  return `${Math.round(bytes / 1000)} kB`;
}
