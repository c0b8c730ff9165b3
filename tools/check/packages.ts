// Packs every published package into `.out/pack` and checks the tarballs: publint, attw and their
// unpacked size.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { gunzipSync } from 'node:zlib';
import { bin, type Command, node, pnpm } from '../run.ts';

const OUT = '.out/pack';
/** Unpacked bytes of all packages except the conformance suite. */
const MAX_UNPACKED = 1_100_000;

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

let failed = 0;
function run([program, ...args]: Command, cwd = '.'): void {
  if (spawnSync(program, args, { cwd, stdio: 'inherit' }).status !== 0) failed++;
}

for (const name of readdirSync('packages')) {
  const folder = join('packages', name);
  if (
    (JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { private?: boolean })
      .private
  ) {
    continue;
  }
  run(pnpm('-C', folder, 'pack', '--pack-destination', join('../..', OUT)));
}

let unpacked = 0;
for (const tarball of readdirSync(OUT)) {
  const path = join(OUT, tarball);
  // For a folder, publint runs the package manager that it finds. For a tarball, it only reads.
  run(node(bin('publint'), '--strict', path));
  // ESM only: Node >= 20.19 can require() it.
  run(
    node(
      bin('@arethetypeswrong/cli', 'attw'),
      '--profile',
      'esm-only',
      '--no-emoji',
      '--format',
      'ascii',
      path,
    ),
  );
  if (!tarball.includes('conformance')) unpacked += gunzipSync(readFileSync(path)).length;
}
console.log(`unpacked: ${Math.round(unpacked / 1000)} kB (at most ${MAX_UNPACKED / 1000} kB)`);
if (unpacked > MAX_UNPACKED) failed++;
console.log(`packages: ${failed === 0 ? 'nothing found' : `${failed} failed`}`);
process.exitCode = failed === 0 ? 0 : 1;
