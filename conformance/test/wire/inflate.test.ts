import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { HardViolation } from '../../src/model/verdicts.ts';
import {
  COMPRESSED_BINARIES,
  COMPRESSED_MESSAGES,
  INVALID_PAYLOADS,
} from '../../src/tables/deflate-payloads.ts';
import { hex, letters, noise, utf8 } from '../../src/wire/bytes.ts';
import { Compressor, Decompressor, fixedBlock } from '../../src/wire/deflate.ts';
import { inflate } from '../../src/wire/inflate.ts';

const TAIL = hex('0000ffff');

describe('inflate', () => {
  it.each([
    ['no bytes', Buffer.alloc(0)],
    ['a word', utf8('Hello')],
    ['text', letters(100_000)],
    ['noise', noise(70_000)],
    ['zeros', Buffer.alloc(300_000)],
  ])('reverses zlib at every level for %s', (_, plain) => {
    for (const level of [0, 1, 6, 9]) {
      for (const strategy of [
        constants.Z_DEFAULT_STRATEGY,
        constants.Z_HUFFMAN_ONLY,
        constants.Z_FIXED,
      ]) {
        const packed = deflateRawSync(plain, {
          level,
          strategy,
          finishFlush: constants.Z_SYNC_FLUSH,
        });
        expect(inflate(packed).bytes.equals(plain)).toBe(true);
      }
    }
  });

  it.each([...COMPRESSED_MESSAGES, ...COMPRESSED_BINARIES])(
    'reads $title',
    ({ compressed, plain }) => {
      expect(inflate(Buffer.concat([compressed, TAIL])).bytes.equals(plain)).toBe(true);
    },
  );

  it.each(INVALID_PAYLOADS)('rejects %s', (_, packed) => {
    expect(() => inflate(Buffer.concat([packed, TAIL]))).toThrow(/the compressed data/);
  });

  // RFC 1951, 3.2.2 and 3.2.7: zlib rejects each of them too.
  it.each([
    ['287 literal codes', 'f4 00 00 00 00', /more codes/],
    ['31 distance codes', '04 1e 00 00 00', /more codes/],
    ['an over-subscribed code of code lengths', '04 00 92 04 00', /over-subscribed/],
    ['an incomplete code of code lengths', '04 00 10 00 00', /incomplete/],
  ])('rejects %s', (_, packed, fault) => {
    const data = Buffer.concat([hex(packed), TAIL]);
    expect(() => inflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH })).toThrow();
    expect(() => inflate(data)).toThrow(fault);
  });

  it('rejects a message that keeps the end that its sender must remove', () => {
    const packed = Buffer.concat([hex('4a 04 00'), TAIL]);
    expect(() => inflate(Buffer.concat([packed, TAIL]))).toThrow(/stored block/);
  });

  it('reports the largest match distance, also into the history', () => {
    const packed = Buffer.concat([fixedBlock([{ length: 4, distance: 6 }]), TAIL]);
    const { bytes, farthest, final, blocks } = inflate(packed, utf8('abcdef'));
    expect(bytes.toString()).toBe('abcd');
    expect({ farthest, final, blocks }).toEqual({ farthest: 6, final: false, blocks: 2 });
    expect(inflate(Buffer.concat([fixedBlock([0x61], true), hex('00'), TAIL])).final).toBe(true);
  });
});

describe('Compressor and Decompressor', () => {
  it.each([
    [8, true],
    [9, true],
    [15, true],
    [15, false],
  ])('agree with a window of %i bits, takeover %s', (bits, takeover) => {
    const compressor = new Compressor(bits, takeover);
    const decompressor = new Decompressor(bits, takeover);
    for (const plain of [letters(3000), noise(700), letters(3000), Buffer.alloc(0)]) {
      const { bytes } = decompressor.decompress(compressor.compress(plain));
      expect(bytes.equals(plain)).toBe(true);
    }
  });

  it('keep the history only with context takeover', () => {
    const [keeps, forgets] = [new Compressor(15, true), new Compressor(15, false)];
    const sizes = [keeps, keeps, forgets, forgets].map((one) => one.compress(noise(2000)).length);
    expect(sizes[1]).toBeLessThan(100);
    expect(sizes[3]).toBe(sizes[2]);
  });

  it('report a match beyond the negotiated window', () => {
    const plain = Buffer.concat([noise(600), noise(600)]);
    const packed = new Compressor(15, false).compress(plain);
    expect(() => new Decompressor(9, false).decompress(packed)).toThrow(
      /refers 600 bytes back, beyond the negotiated window of 512/,
    );
  });
});

describe('a Decompressor', () => {
  it('refuses a message that still ends with 00 00 ff ff (RFC 7692, 7.2.1)', () => {
    const flush = deflateRawSync(Buffer.from('hello'), { finishFlush: constants.Z_SYNC_FLUSH });
    expect(new Decompressor(15, true).decompress(flush.subarray(0, -4)).bytes.toString()).toBe(
      'hello',
    );
    expect(() => new Decompressor(15, true).decompress(flush)).toThrow(HardViolation);
  });
});
