import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { delay } from '../src/io.ts';

describe('delay', () => {
  it('lets a turn of the event loop pass for 0 ms', async () => {
    let turns = 0;
    void setTimeout(0).then(() => turns++);
    expect(await delay(0, new AbortController().signal)).toBe(true);
    expect(turns).toBe(1);
  });

  it('ends at the abort, also of an infinite time', async () => {
    const over = new AbortController();
    const waiting = delay(Infinity, over.signal);
    over.abort();
    expect(await waiting).toBe(false);
    expect(await delay(0, over.signal)).toBe(false);
  });
});
