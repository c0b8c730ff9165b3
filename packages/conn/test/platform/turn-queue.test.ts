import { describe, expect, it } from 'vitest';
import { connPair } from '../../src/index.ts';
import { TurnQueue } from '../../src/platform/turn-queue.ts';

const MANY = 100_000;

describe('TurnQueue', () => {
  it('runs many callbacks in their order, in a time that grows with their number', async () => {
    const turns = new TurnQueue((run) => void setImmediate(run));
    const from = performance.now();
    let ran = 0;
    let ordered = true;
    await new Promise<void>((resolve) => {
      for (let i = 0; i < MANY; i++) {
        turns.add(() => {
          ordered &&= ran++ === i;
          if (ran === MANY) resolve();
        });
      }
    });
    expect(ordered).toBe(true);
    // An array that was shifted took 60 s.
    expect(performance.now() - from).toBeLessThan(10_000);
  });

  it('lets a program that ignores the end of a connection go on', async () => {
    const [client] = connPair();
    client.terminate();
    await client.closed;
    const from = performance.now();
    let last: Promise<void> | undefined;
    for (let i = 0; i < MANY; i++) last = client.send('x');
    await expect(last).rejects.toThrow('close 1006');
    expect(performance.now() - from).toBeLessThan(10_000);
  });
});
