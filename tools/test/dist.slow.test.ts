import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
/** Published packages: the adapters bundle the private one. */
const names = readdirSync(join(root, 'packages')).filter((name) => name !== 'http-shared');
const missing = names.filter((name) => !existsSync(join(root, 'packages', name, 'dist/index.js')));

describe('a built package', () => {
  it.for(names)('exports the same to require() and to import: %s', (name, { skip }) => {
    if (missing.length > 0) {
      console.log(`skipped: ${missing.join(', ')} not built; run pnpm build`);
      skip('not built');
    }
    const code = `
      const required = require('@ws/${name}');
      import('@ws/${name}').then((imported) => {
        const names = Object.keys(imported);
        if (names.some((key) => required[key] !== imported[key])) throw new Error('two copies');
        console.log(names.length > 0);
      });`;
    const out = execFileSync(process.execPath, ['-e', code], { cwd: root, encoding: 'utf8' });
    expect(out.trim()).toBe('true');
  });
});
