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

it('decodes and encodes masked frames', async () => {
  const { FrameDecoder, FrameEncoder, FRAME } = await import('@ws/codec');
  for (const length of [31, 125, 1000, 4000, 8191]) {
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
