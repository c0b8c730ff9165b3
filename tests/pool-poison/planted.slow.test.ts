// Planted faults: they show that the search can fail.
import { describe, expect, it } from 'vitest';
import { MemoryWire } from './memory-wire.ts';
import { traffic } from './traffic.ts';

describe('traffic', () => {
  it('finds a transport that releases bytes early', async () => {
    const wire = (): MemoryWire => Object.assign(new MemoryWire(), { releasesEarly: true });
    const seen = await traffic(5_000, 7, { wire });
    expect(seen.hits).toBeGreaterThan(10);
  });

  it('finds a pool that lends one buffer twice', async () => {
    const buffer = new Uint8Array(4096);
    const writeBufferPool = { get: () => buffer, put: () => {} };
    const seen = await traffic(5_000, 7, { settings: { writeBufferPool } });
    expect(seen.hits).toBeGreaterThan(10);
  });

  it('finds memory that is read into again before it is lent', async () => {
    const memory = new Uint8Array(300_000);
    const wire = (): MemoryWire => {
      const made = new MemoryWire();
      const feed = made.feed.bind(made);
      return Object.assign(made, {
        feed(chunk: Uint8Array): void {
          memory.set(chunk);
          setImmediate(() => feed(memory.subarray(0, chunk.length)));
        },
      });
    };
    const seen = await traffic(60_000, 7, { wire });
    expect(seen.hits).toBeGreaterThan(10);
  });
});
