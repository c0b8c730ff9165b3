import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { absoluteLinks, llmsText } from '../pack-texts.ts';
import { filesOf, withFiles } from '../tarball.ts';

const repository = { url: 'git+https://git.example/x/y.git', directory: 'packages/a' };
const one = {
  folder: 'packages/a',
  manifest: { name: '@x/a', version: '0.1.0', description: 'a package', repository },
};
const README =
  '# @x/a\n\n[rooms](../../docs/rooms.md#join) ![chart](chart.svg) [site](https://a.example)\n';

describe('absoluteLinks', () => {
  it('names the files of the released version', () => {
    const blob = 'https://git.example/x/y/blob/@x/a@0.1.0';
    expect(absoluteLinks(README, one)).toBe(
      `# @x/a\n\n[rooms](${blob}/docs/rooms.md#join) ![chart](${blob.replace('blob', 'raw')}/packages/a/chart.svg) [site](https://a.example)\n`,
    );
  });

  it('leaves code as it is', () => {
    const code = '`list[0](x)`\n```js\nlist[1](y);\n```\n';
    expect(absoluteLinks(code, one)).toBe(code);
    expect(absoluteLinks('[`a`](b.md)', one)).toContain('/packages/a/b.md)');
  });

  it('keeps the text of a link without a repository', () => {
    const { repository: _, ...manifest } = one.manifest;
    expect(absoluteLinks(README, { ...one, manifest })).toBe(
      '# @x/a\n\nrooms  [site](https://a.example)\n',
    );
  });
});

describe('llmsText', () => {
  it('begins with the name and the description, then has the README', () => {
    expect(llmsText(one, '# @x/a\n\nText.\n')).toMatch(/^# @x\/a\n\n> a package\n\nText\.\n/);
  });

  it('names the exports of each entry point', () => {
    const rpc = { folder: 'packages/rpc', manifest: { name: '@ws/rpc', version: '0.1.0' } };
    expect(llmsText(rpc, '')).toMatch(
      /^- `@ws\/rpc`: .*\bcontract\b.*\n- `@ws\/rpc\/rooms`: .*\broomsOf\b/m,
    );
  });
});

describe('withFiles', () => {
  const empty = gzipSync(Buffer.alloc(1024));

  it('adds and replaces files', () => {
    const first = withFiles(empty, { a: 'one', b: 'x'.repeat(600) });
    const second = withFiles(first, { a: 'two', c: '' });
    const texts = [...filesOf(second)].map(([name, content]) => [name, String(content)]);
    expect(texts).toEqual([
      ['a', 'two'],
      ['b', 'x'.repeat(600)],
      ['c', ''],
    ]);
  });

  it('sorts by code units: packers sort by the locale, in which I may come after i', () => {
    const files = { 'chunk-iA.js': '', 'chunk-IA.js': '', 'chunk-HA.js': '' };
    expect([...filesOf(withFiles(empty, files)).keys()]).toEqual([
      'chunk-HA.js',
      'chunk-IA.js',
      'chunk-iA.js',
    ]);
  });
});
