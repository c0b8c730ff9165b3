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
import { UsageError } from '../../src/command-line/usage-error.ts';
import { OutputFile } from '../../src/report/output-file.ts';

const root = process.getuid?.() === 0;
if (root) console.log('skipped: a read-only folder; root may write to it');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('OutputFile', () => {
  it('creates the file on write, not before', () => {
    const file = new OutputFile('json', join(folder, 'a'));
    expect(readdirSync(folder)).toEqual([]);
    file.write('new');
    expect(readdirSync(folder)).toEqual(['a']);
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new');
  });

  it('keeps the old content until the write, and follows links', () => {
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

  it('leaves no temporary file when the write fails', () => {
    const file = new OutputFile('json', join(folder, 'a'));
    mkdirSync(join(folder, 'a'));
    expect(() => file.write('new')).toThrow();
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('writes directly to a path that is no file', () => {
    expect(() => new OutputFile('json', '/dev/null').write('new')).not.toThrow();
  });

  it.each([
    ['no/such/folder', 'ENOENT'],
    ['.', 'it is a folder'],
    ['file/below', 'ENOTDIR'],
  ])('rejects %s', (path, why) => {
    writeFileSync(join(folder, 'file'), '');
    const given = join(folder, path);
    expect(() => new OutputFile('html', given)).toThrow(UsageError);
    expect(() => new OutputFile('html', given)).toThrow(
      `--html: '${given}' cannot be written: ${why}`,
    );
  });

  it.skipIf(root)('rejects a read-only folder', () => {
    chmodSync(folder, 0o555);
    expect(() => new OutputFile('html', join(folder, 'a'))).toThrow('EACCES');
    chmodSync(folder, 0o755);
  });
});
