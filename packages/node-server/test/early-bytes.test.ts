import { PassThrough } from 'node:stream';
import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { EarlyBytes } from '../src/early-bytes.ts';

/** Early bytes of a client that has sent `chunks` after `head`. */
function received(head: Uint8Array, chunks: Iterable<Uint8Array>): EarlyBytes {
  const socket = new PassThrough();
  const early = new EarlyBytes(socket, head, () => false);
  early.startReading();
  for (const chunk of chunks) socket.emit('data', chunk);
  return early;
}

function* singleBytes(count: number): Iterable<Uint8Array> {
  for (let i = 0; i < count; i++) yield Uint8Array.of(i);
}

describe('EarlyBytes', () => {
  it.each([0, 1, 2, 3, 100, 5_000, 60_000])('keeps %i bytes that came one by one', (count) => {
    const head = Buffer.from('head');
    const expected = Buffer.concat([head, ...singleBytes(count)]);
    const early = received(head, singleBytes(count));
    expect(Buffer.compare(early.take(), expected)).toBe(0);
    expect(early.take().length).toBe(0);
    expect(head.toString()).toBe('head');
  });

  it('keeps chunks of any size in order, without a head', () => {
    const chunks = [1, 7, 4_096, 3, 0, 20_000, 1].map((size, i) => Buffer.alloc(size, i + 1));
    const early = received(Buffer.alloc(0), chunks);
    expect(Buffer.compare(early.take(), Buffer.concat(chunks))).toBe(0);
  });

  it('holds at most twice the bytes it has received', () => {
    const held: EarlyBytes[] = [];
    const measure = (): number => {
      collectGarbage();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const fill = (): void => void held.push(received(Buffer.alloc(0), singleBytes(40_000)));
    fill();
    const before = measure();
    for (let i = 0; i < 10; i++) fill();
    expect(measure() - before).toBeLessThan(10 * (2 * 40_000 + 16_384));
    expect(held).toHaveLength(11);
  });

  it('gives memory that no other bytes are behind', () => {
    const { buffer, length } = received(Buffer.from('a'), singleBytes(2_000)).take();
    expect(new Uint8Array(buffer).subarray(length).every((byte) => byte === 0)).toBe(true);
  });
});
