import { encodeFrame } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { EchoStream } from '../../src/load/echo-stream.ts';
import { piecesOf } from '../../src/load/pieces.ts';

const replies = ['one', 'second', 'six'].map((word) =>
  Buffer.from(encodeFrame(2, Buffer.from(word))),
);
const pieces = piecesOf(replies);
const ring = pieces.bytes;
const size = replies[0]!.length;
const ping = Buffer.from(encodeFrame(9, Buffer.from('there?')));

/** Pushes `bytes` in chunks of `step` bytes. */
function feed(stream: EchoStream, bytes: Buffer, step: number): number {
  let complete = 0;
  for (let i = 0; i < bytes.length; i += step) complete += stream.push(bytes.subarray(i, i + step));
  return complete;
}

describe('EchoStream', () => {
  it.each([1, 2, 4, 7, 1000])('counts the repeated replies of chunks of %i bytes', (step) => {
    const stream = new EchoStream(pieces, 0);
    expect(feed(stream, Buffer.concat([ring, ring, replies[0]!]), step)).toBe(7);
    expect(stream.bytes).toBe(2 * ring.length + size);
    expect(stream.pings).toEqual([]);
  });

  it('starts with any reply', () => {
    const stream = new EchoStream(pieces, 2);
    expect(stream.push(Buffer.concat([replies[2]!, replies[0]!]))).toBe(2);
  });

  it('does not count an incomplete reply', () => {
    const stream = new EchoStream(pieces, 0);
    expect(stream.push(ring.subarray(0, size + 2))).toBe(1);
    expect(stream.push(ring.subarray(size + 2, ring.length - 1))).toBe(1);
    expect(stream.push(ring.subarray(ring.length - 1))).toBe(1);
  });

  it.each([1, 3, 9, 1000])('collects pings in chunks of %i bytes', (step) => {
    const stream = new EchoStream(pieces, 0);
    const bytes = Buffer.concat([ping, replies[0]!, replies[1]!, ping, ping, replies[2]!]);
    expect(feed(stream, bytes, step)).toBe(3);
    expect(stream.pings.map(String)).toEqual(['there?', 'there?', 'there?']);
    expect(stream.bytes).toBe(ring.length);
  });

  it('detects every changed byte', () => {
    for (let i = 0; i < ring.length; i++) {
      const wrong = Buffer.from(ring);
      wrong[i]! ^= 1;
      expect(() => new EchoStream(pieces, 0).push(wrong)).toThrow('differs');
    }
  });

  it('detects swapped, lost and doubled replies', () => {
    const [one, two, six] = replies as [Buffer, Buffer, Buffer];
    for (const order of [
      [two, one],
      [one, six],
      [one, one],
    ]) {
      expect(() => new EchoStream(pieces, 0).push(Buffer.concat(order))).toThrow('differs');
    }
  });

  it('rejects a ping inside a reply', () => {
    const stream = new EchoStream(pieces, 0);
    const bytes = Buffer.concat([ring.subarray(0, 3), ping, ring.subarray(3)]);
    expect(() => stream.push(bytes)).toThrow('differs');
  });
});
