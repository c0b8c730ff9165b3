import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  designItems,
  documentFaults,
  type Entry,
  mapFaults,
  readTestFile,
  semanticsItems,
  type TestFile,
} from '../semantics.ts';

const root = join(import.meta.dirname, '../..');

function reader(): (path: string) => TestFile | undefined {
  const files = new Map<string, TestFile>();
  return (path) => {
    if (!existsSync(join(root, path))) return undefined;
    const file = files.get(path) ?? readTestFile(join(root, path));
    files.set(path, file);
    return file;
  };
}

describe('semantics-map.json', () => {
  it('names a test that exists, or a reason, for every id', () => {
    const text = readFileSync(join(root, 'semantics-map.json'), 'utf8');
    expect(mapFaults(JSON.parse(text) as Record<string, Entry>, reader())).toEqual([]);
  });

  it('agrees with the documents, where they are there', () => {
    const args = ['--import', 'tsx', 'scripts/check-semantics.ts'];
    const said = execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    console.log(said.trim());
    expect(said).toMatch(/ 0 faults|not compared/);
  });
});

describe('the check of the map', () => {
  function testFile(source: string): string {
    const folder = mkdtempSync(join(tmpdir(), 'map '));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'x.test.ts');
    writeFileSync(path, source);
    return path;
  }

  it('finds titles, those of templates and of nested describes too', () => {
    const path = testFile(`
      describe('a', () => {
        it('b', () => {});
        describe.each([1])('c %d', () => {
          it.each([['row', 1]] as const)('d %s', { timeout: 5 }, () => {});
          it.skipIf(false)(\`e \${'f'}\`, () => {});
        });
        for (const x of []) test("g", () => it);
        it.skip('never', () => {});
        it.todo('later');
        it.skip.each([1])('no row', () => {});
      });
      describe.skip('i', () => it('j', () => {}));
      other('h', () => {});
    `);
    const { titles, strings } = readTestFile(path);
    expect([...titles]).toEqual(['a / b', 'a / c %d / d %s', "a / c %d / e ${'f'}", 'a / g', 'j']);
    expect(strings.has('row')).toBe(true);
  });

  it('names every entry that holds nothing', () => {
    const path = testFile("describe('a', () => { it('b', () => 'row'); });");
    const read = (name: string): TestFile | undefined =>
      name === 'x' ? readTestFile(path) : undefined;
    const good = { says: '', test: 'x', title: 'a / b' };
    const map: Record<string, Entry> = {
      good,
      row: { ...good, row: 'row' },
      reason: { says: '', reason: 'because' },
      bare: { says: '' },
      blank: { says: '', reason: ' ' },
      both: { ...good, reason: 'because' },
      file: { ...good, test: 'y' },
      title: { ...good, title: 'a / c' },
      noRow: { ...good, row: 'other' },
      also: { ...good, also: [{ test: 'x', title: 'b' }] },
    };
    expect(mapFaults(map, read)).toEqual([
      'bare: either a test and a title, or a reason',
      'blank: either a test and a title, or a reason',
      'both: either a test and a title, or a reason',
      'file: there is no y',
      'title: x has no "a / c"',
      'noRow: x has no row "other"',
      'also: x has no "b"',
    ]);
  });

  it('reads bullets, numbered lines and rows by their place, and compares them', () => {
    const items = semanticsItems(
      '# t\n- none\n## 2. E\n| Go name | x |\n|---|---|\n| ErrA | y |\n- b\n### 2.1 F\n1. c\n   - d\n',
    );
    expect([...items]).toEqual([
      ['2/1', 'ErrA | y |'],
      ['2/2', 'b'],
      ['2.1/1', 'c'],
    ]);
    const rows = designItems(
      '| option of Conn | default |\n|---|---|\n| `a: x \\| y` | 1 |\n\n| other |\n|---|\n| z |\n\n| matter | decided |\n|---|---|\n| the end (`x`) | d |\n',
    );
    expect([...rows.keys()]).toEqual(['options/a', 'decisions/the end']);
    const map = { '2/1': { says: 'ErrA' }, '2/2': { says: 'other' }, gone: { says: '' } };
    expect(documentFaults(map, items)).toEqual([
      '2.1/1: not in the map: c',
      '2/2: the document now says: b',
      'gone: not in the documents',
    ]);
  });
});
