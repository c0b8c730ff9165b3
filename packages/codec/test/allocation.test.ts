import { encodeFrame, FRAME, FrameDecoder, FrameEncoder, NEED_MORE } from '@ws/codec';
import { heapPerUnit } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes } from './support.ts';

// The smallest object has 24 bytes. Coverage of a test run adds 1 or 2 per frame.
const GENEROUS = 8;

describe('per frame, nothing is allocated', () => {
  it.each([16, 125, 1024])('by decoding %d masked bytes', (length) => {
    const decoder = new FrameDecoder({ role: 'server' });
    const frame = encodeFrame(2, bytes(length), { maskKey: 0x37fa213d });
    const chunk = new Uint8Array(65536);
    const whole = Math.floor(chunk.length / frame.length);
    for (let i = 0; i < whole; i++) chunk.set(frame, i * frame.length);
    const stream = chunk.subarray(0, whole * frame.length);
    const perFrame = heapPerUnit(() => {
      let frames = 0;
      decoder.push(stream);
      while (decoder.next() === FRAME) frames++;
      return frames;
    });
    expect(perFrame).toBeLessThan(GENEROUS);
  });

  it('by reads into writable(), with frames cut by every read', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    const frame = encodeFrame(2, bytes(300), { maskKey: 0x37fa213d });
    const stream = new Uint8Array(frame.length * 40);
    for (let i = 0; i < 40; i++) stream.set(frame, i * frame.length);
    const reads = Array.from({ length: 4 }, (_, i) =>
      stream.slice((i * stream.length) / 4, ((i + 1) * stream.length) / 4),
    );
    const perFrame = heapPerUnit(() => {
      let frames = 0;
      for (const read of reads) {
        decoder.writable().set(read);
        decoder.commit(read.length);
        for (let event = decoder.next(); event !== NEED_MORE; event = decoder.next()) frames++;
      }
      return frames;
    });
    expect(perFrame).toBeLessThan(GENEROUS);
  });

  it.each(['client', 'server'] as const)('by encoding as a %s', (role) => {
    const encoder = new FrameEncoder({ role, nextKey: () => 0x37fa213d });
    const payload = bytes(100);
    const perFrame = heapPerUnit(() => {
      for (let i = 0; i < 500; i++) encoder.frame(2, true, 0, payload);
      encoder.flush((_chunk, release) => release());
      return 500;
    });
    expect(perFrame).toBeLessThan(GENEROUS);
  });
});
