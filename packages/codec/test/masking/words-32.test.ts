// Engines other than V8 unmask by words of 32 bits.
import { naiveEncode, naiveMask } from '@ws/tests';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { bytes, flush } from '../support.ts';

const KEY = 0x37fa213d;

beforeAll(() => {
  vi.resetModules();
  vi.doMock('../../src/masking/engine.ts', () => ({ HAS_FAST_BIGINT: false }));
});

afterAll(() => {
  vi.doUnmock('../../src/masking/engine.ts');
  vi.resetModules();
});

it('equals the byte loop at every length and alignment, and touches nothing else', async () => {
  const { misalignmentOf, swap, wordsOver, xorOwned, xorWords } = await import(
    '../../src/masking/mask.ts'
  );
  const room = new Uint8Array(300);
  expect(wordsOver(room)).toBeInstanceOf(Int32Array);
  for (const kernel of [xorWords, xorOwned]) {
    for (let align = 0; align < 16; align++) {
      const memory = room.subarray(align, align + 270);
      for (let length = 0; length <= 200; length++) {
        const start = length % 31;
        const expected = bytes(memory.length, length);
        memory.set(expected);
        kernel(memory, wordsOver(memory), misalignmentOf(memory), start, start + length, swap(KEY));
        expected.set(naiveMask(expected.slice(start, start + length), KEY), start);
        expect(Buffer.compare(memory, expected)).toBe(0);
      }
    }
  }
});

it('writes words inside the view, and single bytes where a word would begin before it', async () => {
  const { swap, xorOwned } = await import('../../src/masking/mask.ts');
  for (let misalignment = 0; misalignment < 8; misalignment++) {
    for (let start = 0; start < 12; start++) {
      for (let end = start; end <= 64 - misalignment; end++) {
        // The words are over other memory: this distinguishes writes of words and of single bytes.
        const single = new Uint8Array(64 - misalignment);
        const wide = new Uint8Array(64);
        const words = new Int32Array(wide.buffer);
        xorOwned(single, words, misalignment, start, end, swap(KEY));
        expect(wide.subarray(0, misalignment).every((byte) => byte === 0)).toBe(true);
        const changed = single.map((byte, i) => byte ^ wide[i + misalignment]!);
        const expected = new Uint8Array(single.length);
        expected.set(naiveMask(new Uint8Array(end - start), KEY), start);
        expect(Buffer.compare(changed, expected)).toBe(0);
        // The first word contains a byte before the view: the edge is single bytes.
        const from = start + misalignment;
        if (end > start && from - (from % 4) < misalignment) expect(single[start]).not.toBe(0);
        if (end - start > 12 && from >= 8 && end + misalignment < 64) {
          expect(single.every((byte) => byte === 0)).toBe(true);
        }
      }
    }
  }
});

it.each([8191, 8192, 70_001, 200_003])('unmasks %d bytes without the stage', async (length) => {
  const { xorAnywhere, swap } = await import('../../src/masking/mask.ts');
  const { simd } = await import('../../src/masking/simd.ts');
  const stage = vi.spyOn(simd()!, 'xor');
  for (let align = 0; align < 8; align++) {
    const memory = bytes(length + 100, align).subarray(align);
    const expected = memory.slice();
    expected.set(naiveMask(expected.subarray(13, 13 + length), KEY), 13);
    xorAnywhere(memory, 13, 13 + length, swap(KEY));
    expect(Buffer.compare(memory, expected)).toBe(0);
  }
  expect(stage).not.toHaveBeenCalled();
});

it('decodes and encodes masked frames', async () => {
  const { FrameDecoder, FrameEncoder, FRAME } = await import('@ws/codec');
  for (const length of [31, 125, 1000, 4000, 8191, 8192, 40_000]) {
    const payload = bytes(length, length);
    const encoder = new FrameEncoder({ role: 'client', nextKey: () => KEY });
    encoder.frame(2, true, 0, payload);
    const wire = flush(encoder);
    expect(Buffer.compare(wire, naiveEncode(2, payload, { mask: KEY }))).toBe(0);
    const decoder = new FrameDecoder({ role: 'server' });
    decoder.push(wire);
    expect(decoder.next()).toBe(FRAME);
    const { buf, start, end } = decoder;
    expect(Buffer.compare(buf.subarray(start, end), payload)).toBe(0);
  }
});
