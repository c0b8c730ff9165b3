import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Journal } from '../journal.ts';

function file(): string {
  const folder = mkdtempSync(join(tmpdir(), 'journal-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'orders.jsonl');
}

describe('Journal', () => {
  it('takes each id once, also after a restart', async () => {
    const path = file();
    const journal = await Journal.open(path, 1_000_000);
    expect(journal.take({ id: 'a', text: 'tea' })).toBe(true);
    expect(journal.take({ id: 'a', text: 'tea' })).toBe(false);
    const restarted = await Journal.open(path, 1_000_000);
    expect(restarted.take({ id: 'a', text: 'tea' })).toBe(false);
    expect(restarted.take({ id: 'b', text: 'tea' })).toBe(true);
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('forgets ids after a time, oldest first, and keeps the orders', async () => {
    const path = file();
    const journal = await Journal.open(path, 1_000);
    for (const id of ['a', 'b']) journal.take({ id, text: 'tea' });
    journal.forget(Date.now());
    expect(journal.size).toBe(2);
    journal.forget(Date.now() + 2_000);
    expect(journal.size).toBe(0);
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(2);
  });

  it('skips half a line, and ends it', async () => {
    const path = file();
    const journal = await Journal.open(path, 1_000_000);
    journal.take({ id: 'a', text: 'tea' });
    appendFileSync(path, '\n{"id":"b","te');
    journal.take({ id: 'c', text: 'tea' });
    const restarted = await Journal.open(path, 1_000_000);
    expect(['a', 'b', 'c'].map((id) => restarted.take({ id, text: 'tea' }))).toEqual([
      false,
      true,
      false,
    ]);
  });
});
