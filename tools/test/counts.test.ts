import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

it('pnpm check counts fails above a bound', () => {
  const packages = mkdtempSync(join(tmpdir(), 'counts-'));
  const source = join(packages, 'codec', 'src');
  const run = (names: number) => {
    const list = Array.from({ length: names }, (_, i) => `  name${i},`).join('\n');
    writeFileSync(join(source, 'internal.ts'), `export {\n${list}\n} from './names.ts';\n`);
    const args = ['--import', 'tsx', 'tools/check/counts.ts', packages];
    return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
  };
  try {
    mkdirSync(source, { recursive: true });
    expect(run(2).status).toBe(0);
    const above = run(1_000);
    expect(above.stdout).toContain('codec: 1000 internal names, at most ');
    expect(above.status).toBe(1);
  } finally {
    rmSync(packages, { recursive: true });
  }
});
