import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HistoryRing } from '../../src/deflate/history-ring.ts';

/** Counts acquired buffers, and overwrites released ones to reveal later reads. */
class Memory {
  lent = 0;

  acquire(bytes: number): Uint8Array {
    expect(Number.isInteger(Math.log2(bytes))).toBe(true);
    this.lent += bytes;
    return new Uint8Array(bytes).fill(0xee);
  }

  release(buffer: Uint8Array): void {
    this.lent -= buffer.length;
    buffer.fill(0xdd);
  }
}

function contentOf(ring: HistoryRing): Buffer {
  const into = Buffer.alloc(ring.length + 10, 0xcc);
  ring.copyTo(into, 5);
  expect(into.subarray(0, 5).equals(Buffer.alloc(5, 0xcc))).toBe(true);
  expect(into.subarray(-5).equals(Buffer.alloc(5, 0xcc))).toBe(true);
  return into.subarray(5, -5);
}

describe('HistoryRing', () => {
  it('keeps the newest bytes, up to the window size', () => {
    const anySize = fc.oneof(fc.nat(20), fc.nat(600), fc.constantFrom(255, 256, 257, 512, 1024));
    fc.assert(
      fc.property(
        fc.constantFrom(8, 9, 10, 11, 12),
        fc.array(anySize, { maxLength: 30 }),
        (bits, sizes) => {
          const memory = new Memory();
          const ring = new HistoryRing(memory, 1 << bits);
          let all = Buffer.alloc(0);
          let value = 0;
          for (const size of sizes) {
            const bytes = Buffer.alloc(size + 6, 0xff);
            for (let i = 3; i < size + 3; i++) bytes[i] = value++ % 251;
            ring.append(bytes, 3, size + 3);
            all = Buffer.concat([all, bytes.subarray(3, size + 3)]);
            // At most twice what it has to keep, and never less.
            const kept = all.subarray(-(1 << bits));
            expect(ring.length).toBe(kept.length);
            expect(contentOf(ring).equals(kept)).toBe(true);
            expect(ring.held).toBe(memory.lent);
            expect(ring.held).toBeLessThanOrEqual(
              Math.max(2 * kept.length, Math.min(512, 1 << bits)),
            );
          }
          ring.release();
          ring.release();
          expect([ring.length, ring.held, memory.lent]).toEqual([0, 0, 0]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('allocates no memory for empty input', () => {
    const memory = new Memory();
    const ring = new HistoryRing(memory, 1024);
    ring.append(new Uint8Array(10), 5, 5);
    expect([ring.length, memory.lent]).toEqual([0, 0]);
    ring.append(new Uint8Array(1), 0, 1);
    expect([ring.length, memory.lent]).toEqual([1, 512]);
  });

  it('restarts after a release', () => {
    const ring = new HistoryRing(new Memory(), 256);
    ring.append(Buffer.from('before'), 0, 6);
    ring.release();
    ring.append(Buffer.from('after'), 0, 5);
    expect(contentOf(ring).toString()).toBe('after');
  });
});
