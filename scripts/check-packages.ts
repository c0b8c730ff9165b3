// Packs every public package and lets publint and attw look at the tarballs, as npm would deliver them.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const OUT = '.out/pack';
rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

let failed = 0;
function run(command: string, args: readonly string[], cwd = '.'): void {
  if (spawnSync(command, args, { cwd, stdio: 'inherit' }).status !== 0) failed++;
}

for (const name of readdirSync('packages')) {
  run('pnpm', ['pack', '--pack-destination', join('../..', OUT)], join('packages', name));
}
// Given a folder, publint packs with whatever package manager it finds; given a tarball, it reads.
for (const tarball of readdirSync(OUT)) {
  run('publint', ['--strict', join(OUT, tarball)]);
  // ESM only, by decision: Node >= 20.19 can require() it.
  run('attw', ['--profile', 'esm-only', '--no-emoji', '--format', 'ascii', join(OUT, tarball)]);
}
console.log(`package checks: ${failed === 0 ? 'nothing found' : `${failed} failed`}`);
process.exitCode = failed === 0 ? 0 : 1;
