// The methods of a decoder for its fields, and of an encoder for its chunks.
import {
  encodeFrame,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FrameDecoder,
  FrameEncoder,
  NEED_MORE,
  SlabPool,
} from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, cut, join } from '../support.ts';

const text = (payload: string): Uint8Array =>
  encodeFrame(1, new TextEncoder().encode(payload), { maskKey: 0x37fa213d });

describe('FrameDecoder.view and copy', () => {
  it('return a borrowed and an owned plain Uint8Array, also of a pushed Buffer', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    decoder.push(Buffer.from(text('hello')));
    expect(decoder.next()).toBe(FRAME);
    const [view, copy] = [decoder.view(), decoder.copy()];
    expect([view.constructor, copy.constructor]).toEqual([Uint8Array, Uint8Array]);
    expect(Buffer.from(view).toString()).toBe('hello');
    expect(copy).toEqual(view);
    expect([view.buffer === decoder.buf.buffer, copy.buffer.byteLength]).toEqual([true, 5]);
  });

  it('return the current piece of a large frame, and nothing between frames', () => {
    const decoder = new FrameDecoder({ role: 'server' }, { holdLimit: 0 });
    decoder.push(text('hello').subarray(0, 8));
    expect([decoder.view().length, decoder.next(), decoder.copy().length]).toEqual([
      0,
      FRAME_BEGIN,
      0,
    ]);
    expect(decoder.next()).toBe(FRAME_DATA);
    expect(Buffer.from(decoder.copy()).toString()).toBe('he');
  });
});

describe('FrameDecoder.rest', () => {
  const after = join([text('next'), hex('81')]);
  const stream = join([text('hello'), after]);

  it.each(Array.from({ length: text('hello').length }, (_, at) => at))(
    'returns the bytes after the first frame, cut at %d',
    (at) => {
      const decoder = new FrameDecoder({ role: 'server' });
      for (const piece of cut(stream, at === 0 ? [] : [at])) {
        decoder.push(piece.slice());
        if (decoder.next() === FRAME) break;
      }
      expect(decoder.rest()).toEqual(after);
      expect(decoder.rest()).toEqual(after);
      expect(decoder.next()).toBe(FRAME);
      expect(decoder.rest()).toEqual(hex('81'));
      expect(decoder.next()).toBe(NEED_MORE);
      expect(decoder.rest()).toEqual(hex('81'));
    },
  );

  it('returns bytes that were read into writable()', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    decoder.writable().set(stream);
    decoder.commit(stream.length);
    expect(decoder.rest()).toEqual(stream);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.rest()).toEqual(after);
  });

  it('returns a chunk that no step has read', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    decoder.push(stream.slice(0, 3));
    decoder.next();
    decoder.push(stream.slice(3));
    expect(decoder.rest()).toEqual(stream);
  });

  it('is empty after a fault and after reset', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    decoder.push(join([hex('f1 80'), stream]));
    expect(decoder.next()).toBe(FAILED);
    expect(decoder.rest()).toHaveLength(0);
    decoder.reset();
    expect(decoder.rest()).toHaveLength(0);
  });
});

describe('FrameEncoder.flush', () => {
  it('passes all pending bytes in order, and removes them', () => {
    const pool = new SlabPool();
    const encoder = new FrameEncoder({ role: 'server', pool });
    const large = Buffer.from(bytes(100_000));
    encoder.text(1, true, 0, 'hello');
    let released = 0;
    encoder.frame(2, true, 0, large, 0, large.length, () => released++);
    encoder.text(1, true, 0, 'bye');
    const chunks: Uint8Array[] = [];
    const releases: (() => void)[] = [];
    encoder.flush((chunk, release) => {
      chunks.push(chunk);
      releases.push(release);
    });
    expect(chunks.every((chunk) => chunk.constructor === Uint8Array)).toBe(true);
    expect(chunks[1]!.buffer).toBe(large.buffer);
    expect(join(chunks)).toEqual(
      join([
        hex('81 05'),
        new TextEncoder().encode('hello'),
        hex('82 7f 00 00 00 00 00 01 86 a0'),
        large,
        hex('81 03 62 79 65'),
      ]),
    );
    expect([encoder.pending, released]).toEqual([0, 0]);
    for (const release of releases) release();
    expect([pool.lent, released]).toEqual([0, 1]);
  });

  it('passes frames that the callback appends', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    encoder.text(1, true, 0, 'a');
    const sizes: number[] = [];
    encoder.flush((chunk, release) => {
      sizes.push(chunk.length);
      if (sizes.length < 3) encoder.text(1, true, 0, 'bb');
      release();
    });
    expect(sizes).toEqual([3, 4, 4]);
  });

  it('U3 drops the later chunks when the callback throws', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    encoder.frame(2, true, 0, new Uint8Array(100_000));
    expect(() =>
      encoder.flush(() => {
        throw new Error('full');
      }),
    ).toThrow('full');
    expect(encoder.pending).toBe(0);
  });

  it('throws a TypeError without a function, and keeps the frames', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    const fails = (): void => encoder.flush(undefined as never);
    expect(fails).toThrow(new TypeError('write must be a function'));
    encoder.text(1, true, 0, 'a');
    expect(fails).toThrow(new TypeError('write must be a function'));
    expect(encoder.pending).toBe(3);
    encoder.discard();
  });
});

describe('FrameEncoder.bytes', () => {
  it('returns a copy of all pending bytes, and releases the memory', () => {
    const pool = new SlabPool();
    const encoder = new FrameEncoder({ role: 'server', pool });
    const large = bytes(100_000);
    encoder.frame(2, true, 0, large);
    const all = encoder.bytes();
    large.fill(0);
    expect(all).toEqual(encodeFrame(2, bytes(100_000)));
    expect([encoder.pending, pool.lent, encoder.bytes().length]).toEqual([0, 0, 0]);
  });
});

describe('FrameEncoder.close', () => {
  it('appends a close frame', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    expect(encoder.close(1001, 'bye')).toBe(7);
    expect(encoder.close(1000)).toBe(4);
    expect(encoder.close()).toBe(2);
    expect(encoder.bytes()).toEqual(hex('88 05 03 e9 62 79 65 88 02 03 e8 88 00'));
  });

  it('appends nothing for a code that must not be sent', () => {
    const encoder = new FrameEncoder({ role: 'server' });
    expect(() => encoder.close(1006)).toThrow(RangeError);
    expect(() => encoder.close(1000, 'x'.repeat(124))).toThrow(RangeError);
    expect(encoder.pending).toBe(0);
  });
});
