// `pnpm pack-all`, after the build: a tarball of each published package in `.out/pack`, with its bill of materials, and
// an installer for other projects. It tests nothing.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { absoluteLinks, llmsText } from './pack-texts.ts';
import { publishedPackages, tarballOf } from './published.ts';
import { pnpm } from './run.ts';
import { sbomOf, sbomText } from './sbom.ts';
import { filesOf, withFiles } from './tarball.ts';

const OUT = '.out/pack';
const MANIFEST = 'package/package.json';

/** pnpm writes the dependencies in the order in which it has resolved them. */
function sortedManifest(text: Buffer): string {
  const manifest = JSON.parse(text.toString()) as Record<string, object>;
  for (const kind of [
    'dependencies',
    'devDependencies',
    'optionalDependencies',
    'peerDependencies',
  ]) {
    const list = manifest[kind];
    if (list === undefined) continue;
    const sorted = Object.entries(list).toSorted(([a], [b]) => (a < b ? -1 : 1));
    manifest[kind] = Object.fromEntries(sorted);
  }
  return JSON.stringify(manifest, undefined, 2);
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

// pnpm packs what it has installed. What bench needs is large, and `pnpm bench` installs it.
const published = publishedPackages().filter(
  ({ folder }) => existsSync(join(folder, 'node_modules')) || folder !== 'bench',
);
const filters = published.map(({ folder }) => `--filter=./${folder}`);
console.log(`packing ${published.length} packages`);
const [program, ...args] = pnpm('--recursive', ...filters, 'pack', '--pack-destination');
const { status, stdout, stderr } = spawnSync(program, [...args, resolve(OUT)], {
  encoding: 'utf8',
  shell: process.platform === 'win32',
});
if (status !== 0) {
  console.error(`${stdout}${stderr}`);
  process.exit(1);
}

const manifests = new Map(published.map(({ manifest }) => [manifest.name, manifest]));
for (const one of published) {
  const file = join(OUT, tarballOf(one.manifest));
  const readme = absoluteLinks(readFileSync(join(one.folder, 'README.md'), 'utf8'), one);
  const packed = readFileSync(file);
  const tarball = withFiles(packed, {
    'package/README.md': readme,
    'package/llms.txt': llmsText(one, readme),
    [MANIFEST]: sortedManifest(filesOf(packed).get(MANIFEST)!),
  });
  writeFileSync(file, tarball);
  writeFileSync(join(OUT, sbomOf(one.manifest)), sbomText(one.manifest, tarball, manifests));
}

const known = published.map(({ manifest }) => {
  const dependencies = Object.keys(manifest.dependencies ?? {}).filter((name) =>
    manifests.has(name),
  );
  return [manifest.name, { file: tarballOf(manifest), dependencies }];
});
writeFileSync(join(OUT, 'packages.json'), JSON.stringify(Object.fromEntries(known), undefined, 2));
copyFileSync('tools/install.mjs', join(OUT, 'install.mjs'));

console.log(
  `${manifests.size} tarballs, each with its bill of materials (CycloneDX). Install some of them in your project, for example:`,
);
console.log(`node ${resolve(OUT, 'install.mjs')} @ws/node-server`);
if (!published.some(({ folder }) => folder === 'bench')) {
  console.log('@ws/bench is not among them: pnpm bench --help installs what it needs');
}
