import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Names, nameFaults } from '../check/name-faults.ts';
import { publishedPackages, scopeOf } from '../published.ts';

const root = join(import.meta.dirname, '../..');
const scope = scopeOf(root);
const packages = publishedPackages(root);
const names: Names = {
  scope,
  packages: packages.map(({ folder }) => basename(folder)),
  commands: packages.flatMap(({ manifest }) => Object.keys(manifest.bin ?? {})),
};

/** Pages, recipes and packages. Tests have other names on purpose. */
function files(): string[] {
  const all = execFileSync(
    'git',
    ['ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    {
      cwd: root,
      encoding: 'utf8',
    },
  );
  const text = /\.(?:md|m?[jt]s|json|ya?ml|vue|html|sh)$|(?:^|\/)[^./]+$/;
  const skipped = /(?:^|\/)(?:test|tests|results)\/|^tools\/check\/name-faults\.ts$|^pnpm-lock/;
  return all
    .split('\0')
    .filter((file) => text.test(file) && !skipped.test(file))
    .filter((file) => statSync(join(root, file), { throwIfNoEntry: false })?.isFile());
}

describe('the repository', () => {
  it('has one scope, and runs and installs no package of npm by a name of ours', () => {
    const all = files();
    expect(all).toContain('README.md');
    expect(all).toContain('bench/package.json');
    const faults = all.flatMap((file) =>
      nameFaults(file, readFileSync(join(root, file), 'utf8'), names),
    );
    expect(faults).toEqual([]);
  });

  it('publishes every package in the scope of tools/scope.json', () => {
    expect(names.commands.toSorted()).toEqual(['ws-bench', 'ws-conform', 'wsx']);
    for (const { folder, manifest } of packages) {
      expect(manifest.name).toBe(`${scope}/${basename(folder)}`);
    }
  });
});

describe('nameFaults', () => {
  const own: Names = { scope: '@own', packages: ['conn', 'hub'], commands: ['ws-conform', 'wsx'] };

  it.each([
    ["import '@other/conn'", '@other/conn is not in the scope @own of tools/scope.json'],
    ['npx ws-conform server', '"npx ws-conform" runs a package of npm that is not ours'],
    ['npx -y @own/hub@latest', '"npx -y @own/hub@latest" runs a package of npm that is not ours'],
    ['npx wsx', '"npx wsx" runs a package of npm that is not ours'],
    ['pnpm dlx ws-conform', '"pnpm dlx ws-conform" runs a package of npm that is not ours'],
    ['npx some-thing', '"npx some-thing" runs a package of npm that is not ours'],
    [
      'npm install koa @own/conn',
      '"npm install koa @own/conn" installs our packages from npm, which has none of ours',
    ],
    ['npm i @own/conn', '"npm i @own/conn" installs our packages from npm, which has none of ours'],
    [
      'yarn add @own/hub',
      '"yarn add @own/hub" installs our packages from npm, which has none of ours',
    ],
    ['https://esm.sh/@own/conn', '"esm.sh/@own/" loads our packages from npm'],
    ['import "npm:@own/conn"', '"npm:@own/" loads our packages from npm'],
  ])('reports %s', (text, fault) => {
    expect(nameFaults('page.md', text, own)).toEqual([`page.md: ${fault}`]);
  });

  it.each([
    "import '@own/conn'",
    'npx -y pnpm@10.34.9 check build packages',
    'npx -y -p node@20 -p pnpm@10.34.9 pnpm bench record',
    'npx vitest run packages/conn',
    'node vendor/install.mjs @own/conn',
    'node_modules/.bin/ws-conform server',
    'npm install tough-cookie',
  ])('accepts %s', (text) => {
    expect(nameFaults('page.md', text, own)).toEqual([]);
  });
});
