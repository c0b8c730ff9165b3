import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { findBun } from '../../src/harness/bun.ts';

describe('findBun', () => {
  it('finds the one of npm, or says why it cannot run', () => {
    const found = findBun(undefined);
    if ('lacks' in found) expect(found.lacks).toContain('--version');
    else expect(found.version).toMatch(/^\d+\./);
  });

  it.each([
    ['/no/such/file', "--bun: '/no/such/file --version' cannot be run: ENOENT"],
    [import.meta.dirname, 'cannot be run: EACCES'],
    [process.execPath, `is not bun: its version is '${process.version}'`],
  ])('rejects %s', (path, said) => {
    expect(() => findBun(path)).toThrow(said);
  });

  it('accepts a path with a version of Bun', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
    try {
      const path = join(folder, 'bun');
      writeFileSync(path, `#!/bin/sh\necho 1.3.2\n`);
      chmodSync(path, 0o755);
      expect(findBun(path)).toEqual({ path, version: '1.3.2' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
