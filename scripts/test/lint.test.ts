import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

const PLANTED = `
import { once } from 'node:events';
import { createServer } from 'node:net';

async function work(): Promise<void> {}
const server = createServer();
work();
once(server, 'close');
[1].forEach(async () => work());
void work();
await work();
`;

describe('the linter', () => {
  it('finds each planted floating and misused promise, and no other', { timeout: 30_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'lint-'));
    try {
      const config = { extends: join(root, 'tsconfig.base.json') };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
      writeFileSync(join(folder, 'promises.ts'), PLANTED);
      // For the types of Node.
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
      const args = ['--config', join(root, '.oxlintrc.json'), '--format', 'unix', 'promises.ts'];
      const { stdout } = spawnSync(join(root, 'node_modules/.bin/oxlint'), args, {
        cwd: folder,
        encoding: 'utf8',
      });
      const found = [...stdout.matchAll(/promises\.ts:(\d+):\d+: .*\((.*)\)\]/g)];
      expect(found.map(([, line, rule]) => `${line} ${rule}`)).toEqual([
        '7 no-floating-promises',
        '8 no-floating-promises',
        '9 no-misused-promises',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
