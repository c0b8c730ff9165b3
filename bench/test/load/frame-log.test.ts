import { encodeFrame } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { FrameLog } from '../../src/load/frame-log.ts';

const payloads = [0, 1, 125, 126, 5000, 65_535, 65_536].map((size) => Buffer.alloc(size, size));
const frames = payloads.map((payload, i) =>
  encodeFrame(1, payload, { rsv: i % 2 === 0 ? 0x40 : 0 }),
);

describe('FrameLog', () => {
  it.each([1, 3, 1000, 1_000_000])('returns the messages of chunks of %i bytes', (step) => {
    const stream = Buffer.concat(frames);
    const log = new FrameLog();
    let messages = 0;
    for (let i = 0; i < stream.length; i += step) {
      messages += log.push(stream.subarray(i, i + step));
    }
    expect(messages).toBe(payloads.length);
    expect(log.length).toBe(stream.length);
    const given = [...log.drain()];
    // toEqual compares large buffers byte by byte, which takes seconds.
    expect(given.map(({ payload }, i) => payload.equals(payloads[i]!))).not.toContain(false);
    expect(given).toHaveLength(payloads.length);
    expect(given.map(({ compressed }) => compressed)).toEqual(payloads.map((_, i) => i % 2 === 0));
    expect(log.length).toBe(0);
  });

  it('keeps an incomplete frame across a drain', () => {
    const log = new FrameLog();
    const [, , first, second] = frames;
    expect(log.push(Buffer.concat([first!, second!.subarray(0, 50)]))).toBe(1);
    expect([...log.drain()]).toHaveLength(1);
    expect(log.push(second!.subarray(50))).toBe(1);
    expect([...log.drain()][0]?.payload.equals(payloads[3]!)).toBe(true);
  });

  it('collects pings', () => {
    const log = new FrameLog();
    expect(log.push(encodeFrame(9, Buffer.from('hey')))).toBe(0);
    expect(log.pings.map(String)).toEqual(['hey']);
    expect([...log.drain()]).toEqual([]);
  });

  it.each([
    ['a binary message', encodeFrame(2, Buffer.from('hey'))],
    ['a fragment', encodeFrame(1, Buffer.from('hey'), { fin: false })],
    ['a close frame', encodeFrame(8, Buffer.alloc(0))],
  ])('rejects %s', (_, frame) => {
    expect(() => new FrameLog().push(frame)).toThrow('unexpected frame');
  });
});
