import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whenOver } from '@ws/tests';
import { expect, it } from 'vitest';
import { Reports } from './reports.ts';

it('the reports of a file come once, each when its line is complete', () => {
  const folder = mkdtempSync(join(tmpdir(), 'reports-'));
  whenOver(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'node');
  const reports = new Reports(path);
  whenOver(() => reports.close());
  const error = { type: 'error', text: 'é'.repeat(100_000) };
  const line = Buffer.from(`${JSON.stringify(error)}\n`);
  expect(reports.read()).toEqual([]);
  appendFileSync(path, '{"type":"stopped"}\n{"type":"state",');
  expect(reports.read()).toEqual([{ type: 'stopped' }]);
  appendFileSync(path, '"state":"up"}\n');
  // Ends within a character.
  appendFileSync(path, line.subarray(0, 33));
  expect(reports.read()).toEqual([{ type: 'state', state: 'up' }]);
  appendFileSync(path, line.subarray(33));
  expect(reports.read()).toEqual([error]);
  expect(reports.read()).toEqual([]);
});
