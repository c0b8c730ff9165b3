import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { LOADER } from '@ws/tests/loader';
import { expect, it } from 'vitest';

it('pnpm long browser rejects a bad number before it starts a browser', () => {
  const program = fileURLToPath(new URL('page-speed.ts', import.meta.url));
  const flags = [...LOADER, program];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, '--rounds', 'x'], {
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain('--rounds: not a valid number: x\n\nusage: pnpm long browser');
});
