import { runInNewContext } from 'node:vm';
import {
  encodeFrame,
  FRAME,
  FrameDecoder,
  FrameEncoder,
  FrameHeader,
  formatCloseMessage,
  NEED_MORE,
  parseCloseMessage,
  UTF8_ACCEPT,
  unmask,
  utf8Step,
} from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { flush } from './support.ts';

/** The bytes as a Uint8Array of another realm, as a test runner with jsdom has them. */
function foreign(bytes: Uint8Array): Uint8Array {
  const array = runInNewContext(`new Uint8Array(${bytes.length})`) as Uint8Array;
  expect(array instanceof Uint8Array).toBe(false);
  array.set(bytes);
  return array;
}

const LONG = new Uint8Array(20_000).fill(0x61);

describe('bytes of another realm are accepted by', () => {
  it.each([5, 200, 20_000])('FrameDecoder, %d bytes in a chunk', (length) => {
    const decoder = new FrameDecoder({ role: 'server' });
    const payload = LONG.subarray(0, length);
    decoder.push(foreign(encodeFrame(2, payload, { maskKey: 0x37fa213d })));
    expect(decoder.next()).toBe(FRAME);
    const { buf, start, end } = decoder;
    expect(Buffer.compare(Uint8Array.from(buf.subarray(start, end)), payload)).toBe(0);
  });

  it('FrameDecoder, in two chunks', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    const wire = encodeFrame(2, LONG, { maskKey: 0x37fa213d });
    const got: Buffer[] = [];
    for (const part of [wire.subarray(0, 9_000), wire.subarray(9_000)]) {
      decoder.push(foreign(part));
      while (decoder.next() > NEED_MORE) got.push(Buffer.from(decoder.copy()));
    }
    expect(Buffer.compare(Buffer.concat(got), LONG)).toBe(0);
  });

  it.each(['server', 'client'] as const)('FrameEncoder as a %s', (role) => {
    for (const length of [5, 200, 20_000]) {
      const payload = LONG.subarray(0, length);
      const encoder = new FrameEncoder({ role, nextKey: () => 1 });
      encoder.frame(2, true, 0, foreign(payload));
      const mask = role === 'client' ? { maskKey: 1 } : {};
      expect(Buffer.compare(flush(encoder), encodeFrame(2, payload, mask))).toBe(0);
    }
  });

  it('encodeFrame', () => {
    expect(encodeFrame(1, foreign(hex('68 69')))).toEqual(hex('81 02 68 69'));
  });

  it('FrameHeader', () => {
    const header = new FrameHeader();
    expect(header.read(foreign(hex('81 02')))).toBe(2);
    expect(header.write(foreign(new Uint8Array(2)))).toBe(2);
  });

  it('unmask', () => {
    for (const length of [5, 200, 20_000]) {
      const bytes = foreign(LONG.subarray(0, length));
      unmask(bytes, 0, length, 0x01010101);
      expect(bytes.every((byte) => byte === 0x60)).toBe(true);
    }
  });

  it('utf8Step', () => {
    const native = (bytes: Uint8Array): boolean => bytes.length > 0;
    for (const length of [5, 200]) {
      const bytes = foreign(LONG.subarray(0, length));
      expect(utf8Step(UTF8_ACCEPT, bytes, 0, length, native)).toBe(UTF8_ACCEPT);
    }
  });

  it('parseCloseMessage', () => {
    const payload = foreign(formatCloseMessage(1000, 'bye'));
    expect(parseCloseMessage(payload)).toMatchObject({ code: 1000, reason: 'bye' });
  });
});
