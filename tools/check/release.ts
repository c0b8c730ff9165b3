// `pnpm release`: checks everything that cannot be changed after publishing, and leaves the
// tarballs in `.out/pack`.
import { readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import { pnpm, runAll, source } from '../run.ts';
import { type Manifest, releaseFaults } from './release-faults.ts';

const faults = readdirSync('packages').flatMap((name) => {
  const directory = `packages/${name}`;
  const manifest = JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')) as Manifest;
  return manifest.private === true ? [] : releaseFaults(manifest, directory);
});
for (const fault of faults) console.error(fault);
const packed = await runAll([pnpm('--silent', 'run', 'build'), source('tools/check/packages.ts')]);
if (faults.length === 0 && packed) {
  console.log('publish each tarball of .out/pack with: npm publish <tarball> --access public');
} else process.exitCode = 1;
