import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  changelogFaults,
  commonFaults,
  manifestFaults,
  tarballFaults,
} from '../check/release-faults.ts';
import { type Manifest, type Published, publishedPackages, scopeOf } from '../published.ts';

const root = join(import.meta.dirname, '../..');

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
    'README.md': '# a',
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

describe('pnpm release', () => {
  function release(args: readonly string[], cwd = root) {
    const script = join(root, 'tools/check/release.ts');
    const node = ['--import', import.meta.resolve('tsx'), script, ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, node, { cwd, encoding: 'utf8' });
    return { status, stdout, stderr };
  }

  /** The files that are checked before anything is built. */
  function copyOfManifests(): string {
    const folder = mkdtempSync(join(tmpdir(), 'release '));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const packages = publishedPackages(root).flatMap((each) => [
      `${each.folder}/package.json`,
      `${each.folder}/CHANGELOG.md`,
    ]);
    for (const name of ['CHANGELOG.md', 'tools/scope.json', ...packages]) {
      cpSync(join(root, name), join(folder, name));
    }
    mkdirSync(join(folder, '.changeset'));
    return folder;
  }

  it('refuses a faulty package before it builds anything', () => {
    const folder = copyOfManifests();
    const file = join(folder, 'packages/conn/package.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"MIT"', '"ISC"'));
    const { status, stderr } = release(['--dry-run'], folder);
    expect([status, stderr]).toEqual([
      1,
      `${scopeOf(root)}/conn: license is not MIT\n\nrefused: 1 found. Nothing was published. Nothing was built.\n`,
    ]);
  });

  it('refuses open steps without --dry-run', () => {
    const folder = copyOfManifests();
    writeFileSync(join(folder, '.changeset/new.md'), '');
    for (const { folder: path, manifest } of publishedPackages(root)) {
      const { repository: _, ...open } = manifest;
      writeFileSync(join(folder, path, 'package.json'), JSON.stringify(open));
    }
    const { status, stderr } = release([], folder);
    expect([status, stderr.split('\n').slice(0, 2)]).toEqual([
      1,
      [
        'no package.json has a repository, so npm rejects provenance',
        'no version has a changeset of .changeset',
      ],
    ]);
  });
});
