import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
  it('takes each id once, also after a restart', () => {
    const path = file();
    const journal = new Journal(path, 1_000_000);
    expect(journal.take({ id: 'a', text: 'tea' })).toBe(true);
    expect(journal.take({ id: 'a', text: 'tea' })).toBe(false);
    const restarted = new Journal(path, 1_000_000);
    expect(restarted.take({ id: 'a', text: 'tea' })).toBe(false);
    expect(restarted.take({ id: 'b', text: 'tea' })).toBe(true);
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(2);
  });

  it('forgets ids after a time, oldest first, and keeps the orders', () => {
    const path = file();
    const journal = new Journal(path, 1_000);
    for (const id of ['a', 'b']) journal.take({ id, text: 'tea' });
    journal.forget(Date.now());
    expect(journal.size).toBe(2);
    journal.forget(Date.now() + 2_000);
    expect(journal.size).toBe(0);
    expect(readFileSync(path, 'utf8').trimEnd().split('\n')).toHaveLength(2);
  });
});
