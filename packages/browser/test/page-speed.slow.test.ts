import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it.each([
  ['--rounds', 'x'],
  ['--rounds', '0'],
  ['--messages', '1.5'],
  ['--messages', ''],
])('pnpm long browser rejects %s %j before it starts a browser', (name, value) => {
  const program = fileURLToPath(new URL('page-speed.ts', import.meta.url));
  const flags = ['--conditions=@ws/source', '--import', 'tsx', program];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, name, value], {
    encoding: 'utf8',
  });
  expect([status, stdout]).toEqual([2, '']);
  expect(stderr).toContain(`${name}: not a valid number: ${value}\n\nusage: pnpm long browser`);
});
