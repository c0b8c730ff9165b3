import { describe, expect, it } from 'vitest';
import {
  changelogFaults,
  commonFaults,
  manifestFaults,
  tarballFaults,
} from '../check/release-faults.ts';
import type { Manifest, Published } from '../published.ts';

const good: Manifest = {
  name: '@x/a',
  version: '0.1.0',
  license: 'MIT',
  repository: { url: 'git+https://git.example/x/y.git', directory: 'packages/a' },
  publishConfig: { access: 'public', provenance: true },
};

function published(changed: Partial<Manifest>): Published {
  return { folder: 'packages/a', manifest: { ...good, ...changed } };
}

describe('manifestFaults', () => {
  it('is empty for a complete package, and for one whose repository is open', () => {
    expect(manifestFaults(published({}), '@x')).toEqual([]);
    const { repository: _, ...open } = good;
    expect(manifestFaults({ folder: 'packages/a', manifest: open }, '@x')).toEqual([]);
  });

  it.each<[Partial<Manifest>, string]>([
    [{ name: '@x/A b' }, '@x/A b: npm rejects the name'],
    [{ name: '@y/a' }, '@y/a: not in the scope @x of tools/scope.json'],
    [
      { repository: { url: 'https://git.example/x', directory: 'packages/a' } },
      '@x/a: repository.url is https://git.example/x, not git+https://….git',
    ],
    [
      { repository: { ...good.repository, directory: 'a' } },
      '@x/a: repository.directory is not packages/a',
    ],
    [{ publishConfig: { provenance: true } }, '@x/a: publishConfig.access is not public'],
    [{ publishConfig: { access: 'public' } }, '@x/a: publishConfig.provenance is not true'],
    [{ license: 'UNLICENSED' }, '@x/a: license is not MIT'],
    [{ scripts: { postinstall: 'node x' } }, '@x/a: runs postinstall on the machines of its users'],
  ])('reports %o', (changed, fault) => {
    expect(manifestFaults(published(changed), '@x')).toEqual([fault]);
  });
});

describe('commonFaults', () => {
  const second = { folder: 'packages/b', manifest: { ...good, name: '@x/b' } };

  it.each<[string, Partial<Manifest>, string]>([
    ['another version', { version: '0.2.0' }, '@x/a: has version 0.2.0, the others 0.1.0'],
    ['a name twice', { name: '@x/b' }, '@x/b: two packages have this name'],
    [
      'another repository',
      { repository: {} },
      '@x/a: has repository undefined, the others git+https://git.example/x/y.git',
    ],
  ])('reports %s', (_, changed, fault) => {
    expect(commonFaults([second, published(changed)])).toEqual([fault]);
    expect(commonFaults([second, published({})])).toEqual([]);
  });

  it('lets the tools have versions of their own', () => {
    const tool = { folder: 'bench', manifest: { ...good, name: '@x/bench', version: '0.2.0' } };
    expect(commonFaults([tool, second, published({})])).toEqual([]);
  });

  it.each(['0.0.0', '1', ''])('reports the version "%s"', (version) => {
    expect(commonFaults([published({ version })])).toEqual([
      `@x/a: npm needs a version such as 0.1.0, got ${version}`,
    ]);
  });
});

describe('changelogFaults', () => {
  it.each<[string | undefined, string[]]>([
    ['# a\n\n## 0.1.0\n\nThe first release.\n', []],
    [undefined, ['CHANGELOG.md: does not exist']],
    ['# a\n\n## 0.0.9\n\nOld.\n', ['CHANGELOG.md: has no section "## 0.1.0"']],
    ['# a\n\n## 0.1.0\n\n## 0.0.9\n\nOld.\n', ['CHANGELOG.md: the section "## 0.1.0" is empty']],
  ])('reports %j', (text, faults) => {
    expect(changelogFaults('CHANGELOG.md', text, '0.1.0')).toEqual(faults);
  });
});

describe('tarballFaults', () => {
  const versions = new Map([['@x/b', '0.1.0']]);
  const manifest = {
    ...good,
    bin: { a: './dist/cli.js' },
    dependencies: { '@x/b': '0.1.0', other: '^1.0.0' },
  };
  const packed = {
    'package.json': JSON.stringify(manifest),
    LICENSE: 'MIT',
    'README.md': '# a [b](https://example.org)',
    'llms.txt': '# a',
    'dist/cli.js': '#!/usr/bin/env node\n',
  };

  function faultsOf(changed: Readonly<Record<string, string | undefined>>): string[] {
    const files = Object.entries({ ...packed, ...changed }).flatMap(([name, text]) =>
      text === undefined ? [] : [[`package/${name}`, Buffer.from(text)] as const],
    );
    return tarballFaults('a.tgz', new Map(files), 'MIT', versions);
  }

  function depending(wanted: string): { 'package.json': string } {
    return { 'package.json': JSON.stringify({ ...manifest, dependencies: { '@x/b': wanted } }) };
  }

  it('is empty for a complete tarball', () => {
    expect(faultsOf({})).toEqual([]);
  });

  it.each<[string, Readonly<Record<string, string | undefined>>, string]>([
    ['no license', { LICENSE: undefined }, 'has no LICENSE'],
    ['another license', { LICENSE: 'ISC' }, 'LICENSE is not that of the repository'],
    ['no README', { 'README.md': undefined }, 'has no README.md'],
    ['a relative link', { 'README.md': '[b](../b)' }, 'README.md has [b](../b)'],
    ['no llms.txt', { 'llms.txt': undefined }, 'has no llms.txt'],
    [
      'a missing command',
      { 'dist/cli.js': undefined },
      'does not contain ./dist/cli.js, the command a',
    ],
    [
      'a command that no shell can start',
      { 'dist/cli.js': 'run()' },
      './dist/cli.js does not start with #!',
    ],
    [
      'a version that npm does not know',
      depending('workspace:^'),
      'depends on @x/b by workspace:^',
    ],
    ['another version of a sibling', depending('0.0.9'), 'depends on @x/b 0.0.9, not on 0.1.0'],
  ])('reports %s', (_, changed, fault) => {
    expect(faultsOf(changed)).toEqual([`a.tgz: ${fault}`]);
  });
});
