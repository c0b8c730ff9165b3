import { describe, expect, it } from 'vitest';
import { connPair } from '../../src/index.ts';
import { YieldQueue } from '../../src/scheduler/yield-queue.ts';

const MANY = 100_000;

// An array that is shifted takes 60 s for so many callbacks.
describe('YieldQueue', () => {
  it('runs many callbacks in their order', async () => {
    const yielded = new YieldQueue((run) => void setImmediate(run));
    let ran = 0;
    let ordered = true;
    await new Promise<void>((resolve) => {
      for (let i = 0; i < MANY; i++) {
        yielded.add(() => {
          ordered &&= ran++ === i;
          if (ran === MANY) resolve();
        });
      }
    });
    expect(ordered).toBe(true);
  });

  it('lets a program that ignores the end of a connection go on', async () => {
    const [client] = connPair();
    client.terminate();
    await client.closed;
    let last: Promise<void> | undefined;
    for (let i = 0; i < MANY; i++) last = client.send('x');
    await expect(last).rejects.toThrow('close 1006');
  });
});
