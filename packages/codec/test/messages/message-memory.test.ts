import { afterEach, describe, expect, it } from 'vitest';
import { sharedMessageBuffers } from '../../src/index.ts';
import { MessageMemory } from '../../src/messages/message-memory.ts';

const KIB = 1024;
const before = sharedMessageBuffers().lent;
const KEY = 0x37fa213d;
const PAYLOAD = Uint8Array.from({ length: 100_000 }, (_, i) => i);

afterEach(() => {
  expect(sharedMessageBuffers().lent).toBe(before);
});

/** The payload, masked with the little-endian {@link KEY}. */
const MASKED = PAYLOAD.map((byte, i) => byte ^ (KEY >>> ((i & 3) * 8)));

/** One frame whose payload arrives up to each of `ends`. */
function assembled(ends: readonly number[], own = false): MessageMemory {
  const memory = new MessageMemory();
  memory.announce(PAYLOAD.length, true);
  let at = 0;
  for (const end of ends) {
    const turn = (at & 3) * 8;
    const key = turn === 0 ? KEY : (KEY >>> turn) | (KEY << (32 - turn));
    memory.append(MASKED.slice(at, end), 0, end - at, key, own);
    at = end;
  }
  return memory;
}

/** Size of the memory for `ends`, in bytes. */
function sizeAfter(...ends: readonly number[]): number {
  const lease = assembled(ends).takeLease();
  const size = lease.bytes.length;
  lease.release();
  return size;
}

describe('MessageMemory', () => {
  it('takes no memory for a header alone', () => {
    assembled([]);
    expect(sharedMessageBuffers().lent).toBe(before);
  });

  it('takes at most 32 times the received bytes', () => {
    expect([1, 100, 600, 2_000].map((end) => sizeAfter(end))).toEqual(
      [4, 4, 64, 64].map((kib) => kib * KIB),
    );
  });

  it('reserves 16 MiB for the announced rest of all messages together, then twice their bytes', () => {
    const begin = (): MessageMemory => {
      const memory = new MessageMemory();
      memory.announce(1024 * KIB, true);
      memory.append(PAYLOAD, 0, 32 * KIB, 0, true);
      return memory;
    };
    const memories = Array.from({ length: 200 }, begin);
    const held = memories.reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(held).toBeLessThanOrEqual(200 * 64 * KIB + 16 * 1024 * KIB);
    const last = memories.pop()!;
    expect(last.bytes.length).toBe(64 * KIB);
    for (let i = 0; i < 31; i++) last.append(PAYLOAD, 0, 32 * KIB, 0, true);
    expect(last.takeOwn().buffer.byteLength).toBe(1024 * KIB);
    for (const memory of memories) memory.drop();
    const free = begin();
    expect(free.bytes.length).toBe(1024 * KIB);
    free.drop();
  });

  it('is of exactly the size of a message of the caller', () => {
    expect(assembled([4_000, 100_000], true).takeOwn().buffer.byteLength).toBe(100_000);
    const fragments = new MessageMemory();
    for (let at = 0; at < 1000; at += 100) {
      fragments.announce(100, at === 900);
      fragments.append(PAYLOAD, at, at + 100, 0, true);
    }
    expect(fragments.takeOwn().buffer.byteLength).toBe(1000);
  });

  it('leaves the pools with its bytes', () => {
    const memory = assembled([50_000]);
    memory.leavePools();
    expect(sharedMessageBuffers().lent).toBe(before);
    memory.append(MASKED.slice(50_000), 0, 50_000, KEY, false);
    expect(sharedMessageBuffers().lent).toBe(before);
    expect(Buffer.compare(memory.takeOwn(), PAYLOAD)).toBe(0);
  });

  it.each([1, 7, 1_000, 4_096, 50_000, 100_000])('joins pieces of %d bytes', (size) => {
    const ends = Array.from({ length: Math.ceil(PAYLOAD.length / size) }, (_, i) => {
      return Math.min(PAYLOAD.length, (i + 1) * size);
    });
    for (const own of [false, true]) {
      expect(Buffer.compare(assembled(ends, own).takeOwn(), PAYLOAD)).toBe(0);
    }
    const lease = assembled(ends).takeLease();
    expect(Buffer.compare(lease.bytes.subarray(0, PAYLOAD.length), PAYLOAD)).toBe(0);
    lease.release();
  });
});
