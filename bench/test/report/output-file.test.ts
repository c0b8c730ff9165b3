import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutputFile } from '../src/report/output-file.ts';
import { UsageError } from '../src/usage-error.ts';

const root = process.getuid?.() === 0;
if (root) console.log('skipped: a folder that is read-only; root may write everything');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('OutputFile', () => {
  it('is there when it is written, and not before', () => {
    const file = new OutputFile('json', join(folder, 'a'));
    expect(readdirSync(folder)).toEqual([]);
    file.write('new');
    expect(readdirSync(folder)).toEqual(['a']);
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new');
  });

  it('leaves what was there until it is written, and follows links', () => {
    writeFileSync(join(folder, 'a'), 'old');
    symlinkSync('a', join(folder, 'b'));
    const file = new OutputFile('json', join(folder, 'b'));
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old');
    file.write('new');
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new');
    expect(readdirSync(folder, { withFileTypes: true }).map((one) => one.isFile())).toEqual([
      true,
      false,
    ]);
  });

  it('leaves nothing of itself when it cannot be written', () => {
    const file = new OutputFile('json', join(folder, 'a'));
    mkdirSync(join(folder, 'a'));
    expect(() => file.write('new')).toThrow();
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('writes what is no file as it is', () => {
    expect(() => new OutputFile('json', '/dev/null').write('new')).not.toThrow();
  });

  it.each([
    ['no/such/folder', 'ENOENT'],
    ['.', 'it is a folder'],
    ['file/below', 'ENOTDIR'],
  ])('refuses %s', (path, why) => {
    writeFileSync(join(folder, 'file'), '');
    const given = join(folder, path);
    expect(() => new OutputFile('html', given)).toThrow(UsageError);
    expect(() => new OutputFile('html', given)).toThrow(
      `--html: '${given}' cannot be written: ${why}`,
    );
  });

  it.skipIf(root)('refuses a folder that is read-only', () => {
    chmodSync(folder, 0o555);
    expect(() => new OutputFile('html', join(folder, 'a'))).toThrow('EACCES');
    chmodSync(folder, 0o755);
  });
});
