import {
  encodeFrame,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FrameDecoder,
  MessageDecoder,
  NEED_MORE,
  TextMessage,
} from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, join } from '../support.ts';

const maskKey = 0x01020304;
const good = (length: number): Uint8Array => encodeFrame(2, bytes(length), { maskKey });
const LENGTHS = [0, 7, 125, 126, 4000, 70_000, 3, 0];

/** The chunks of `wire`, each of `size` bytes. */
function chunksOf(wire: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < wire.length; at += size) chunks.push(wire.slice(at, at + size));
  return chunks;
}

describe.each([1, 7, 4096, 1e9])('U12 FrameDecoder.offset, in chunks of %d bytes', (size) => {
  it('is the index of the frame in the stream', () => {
    const frames = LENGTHS.map(good);
    const starts = frames.map((_, i) => join(frames.slice(0, i)).length);
    const decoder = new FrameDecoder({ role: 'server' });
    const found: number[] = [];
    for (const chunk of chunksOf(join(frames), size)) {
      decoder.push(chunk);
      for (let event: number; (event = decoder.next()) > NEED_MORE; ) {
        if (event === FRAME || event === FRAME_BEGIN) found.push(decoder.offset);
        else if (decoder.offset !== found.at(-1)) found.push(-1);
      }
    }
    expect(found).toEqual(starts);
  });

  it.each([
    ['RSV1', '91 81 01020304 00'],
    ['an opcode', '83 81 01020304 00'],
    ['no mask', '81 01 41'],
    ['a length that is not minimal', '81 fe 0005 01020304 00'],
    ['a ping without FIN', '09 80 01020304'],
    ['a length of 2^63', '82 ff 8000000000000000'],
  ])('is the index of the frame with the fault: %s', (_name, bad) => {
    const before = join([good(5), good(5000)]);
    const decoder = new FrameDecoder({ role: 'server' });
    for (const chunk of chunksOf(join([before, hex(bad), good(1)]), size)) {
      decoder.push(chunk);
      let event: number;
      do event = decoder.next();
      while (event > NEED_MORE);
      if (event === FAILED) break;
    }
    expect([decoder.offset, decoder.error?.offset]).toEqual([before.length, before.length]);
    decoder.reset();
    expect(decoder.offset).toBe(0);
  });

  it('is told by a MessageDecoder, for a text that is not UTF-8 too', () => {
    const before = join([good(5), good(300)]);
    const bad = encodeFrame(TextMessage, Uint8Array.of(0xff, 0xff), { maskKey });
    const decoder = new MessageDecoder({ role: 'server' });
    for (const chunk of chunksOf(join([before, bad]), size)) {
      decoder.push(chunk);
      while (decoder.next() > NEED_MORE);
      decoder.keep();
    }
    expect([decoder.frame.offset, decoder.error?.offset]).toEqual([before.length, before.length]);
  });
});

describe('U12 FrameDecoder.offset', () => {
  it('counts the bytes that were read into `writable()`', () => {
    const frames = [good(5), good(300), good(7)];
    const wire = join(frames);
    const decoder = new FrameDecoder({ role: 'server' });
    const found: number[] = [];
    for (let at = 0; at < wire.length; at += 11) {
      const chunk = wire.subarray(at, at + 11);
      decoder.writable().set(chunk);
      decoder.commit(chunk.length);
      while (decoder.next() > NEED_MORE) found.push(decoder.offset);
    }
    expect(found).toEqual([0, frames[0]!.length, frames[0]!.length + frames[1]!.length]);
  });
});
