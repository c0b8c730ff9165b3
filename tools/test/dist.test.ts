import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const names = readdirSync(join(root, 'packages'));
const missing = names.filter((name) => !existsSync(join(root, 'packages', name, 'dist/index.js')));

describe('a built package', () => {
  it.for(names)('is the same to require() as to import: %s', (name, { skip }) => {
    if (missing.length > 0 && process.env['WS_BUILT'] === undefined) {
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
