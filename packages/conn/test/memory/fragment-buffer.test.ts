import {
  encodeFrame,
  FRAME_BEGIN,
  FRAME_DATA,
  FrameDecoder,
  sharedMessageBuffers,
} from '@ws/codec';
import { afterEach, describe, expect, it } from 'vitest';
import { FragmentBuffer } from '../../src/memory/fragment-buffer.ts';

const KIB = 1024;
const PAYLOAD = Uint8Array.from({ length: 100_000 }, (_, i) => i);

afterEach(() => {
  expect(sharedMessageBuffers().lent).toBe(0);
});

/**
 * Feeds a frame in chunks: its header, then the payload up to each of `ends`. Returns the buffer.
 */
function assembled(ends: readonly number[]): FragmentBuffer {
  const wire = encodeFrame(2, PAYLOAD, { maskKey: 0x37fa213d });
  const header = wire.length - PAYLOAD.length;
  const frames = new FrameDecoder({ role: 'server', holdLimit: 0 });
  const buffer = new FragmentBuffer(frames);
  let fed = 0;
  for (const end of [0, ...ends]) {
    frames.push(wire.slice(fed, header + end));
    fed = header + end;
    if (buffer.incomplete) buffer.offer();
    for (let event = frames.next(); event > 0; event = frames.next()) {
      if (event === FRAME_BEGIN) buffer.expect(frames.length);
      if (event === FRAME_DATA) buffer.arrived(frames.end - frames.start);
      if (buffer.incomplete) buffer.offer();
    }
  }
  return buffer;
}

/** Size of the memory for `ends`, in bytes. */
function sizeAfter(...ends: readonly number[]): number | undefined {
  const lease = assembled(ends).complete();
  const size = lease?.bytes.length;
  lease?.release();
  return size;
}

describe('FragmentBuffer', () => {
  it('takes no memory for a header alone', () => {
    assembled([]);
    expect(sharedMessageBuffers().lent).toBe(0);
  });

  it('takes memory for the received bytes while the pool has no free memory', () => {
    const free: Uint8Array[] = [];
    for (let size = 4 * KIB; size <= 4096 * KIB; size *= 2) {
      for (let bytes; (bytes = sharedMessageBuffers().takeFree(size)) !== undefined; ) {
        free.push(bytes);
      }
    }
    // Releasing a buffer frees it for the next message: each message is larger than the ones before.
    expect([1, 5_000, 9_000, 40_000].map((end) => sizeAfter(end))).toEqual(
      [4, 8, 16, 64].map((kib) => kib * KIB),
    );
    for (const bytes of free) sharedMessageBuffers().give(bytes);
  });

  it('takes up to 16 times the received bytes while the pool has free memory', () => {
    const lengths = [2 * KIB, 32 * KIB, 128 * KIB];
    const buffers = lengths.map((length) => sharedMessageBuffers().take(length));
    for (const buffer of buffers) sharedMessageBuffers().give(buffer);
    expect([1, 2 * KIB, 50_000].map((end) => sizeAfter(end))).toEqual(
      [4, 32, 128].map((kib) => kib * KIB),
    );
  });

  it.each([1, 7, 1_000, 4_096, 50_000, 100_000])(
    'assembles the payload from chunks of %d bytes',
    (size) => {
      const ends = Array.from({ length: Math.ceil(PAYLOAD.length / size) }, (_, i) => {
        return Math.min(PAYLOAD.length, (i + 1) * size);
      });
      const lease = assembled(ends).complete()!;
      expect(Buffer.compare(lease.bytes.subarray(0, PAYLOAD.length), PAYLOAD)).toBe(0);
      lease.release();
    },
  );
});
