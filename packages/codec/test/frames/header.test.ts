import { FrameHeader, ProtocolError } from '@ws/codec';
import { hex, naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';

describe('FrameHeader.read', () => {
  it.each([
    ['an empty text frame', '81 00', 2, 0],
    ['the largest 7-bit length', '82 7d', 2, 125],
    ['the smallest 16-bit length', '82 7e 00 7e', 4, 126],
    ['the largest 16-bit length', '82 7e ff ff', 4, 65_535],
    ['the smallest 64-bit length', '82 7f 0000000000010000', 10, 65_536],
    ['a length above 2^32', '82 7f 0000000180000001', 10, 0x180000001],
    ['the largest length', '82 7f 001fffffffffffff', 10, 2 ** 53 - 1],
    ['a masked frame', '82 ff 0000000000010000 37fa213d', 14, 65_536],
  ])('reads %s', (_, hexWire, size, length) => {
    const wire = hex(hexWire);
    const header = new FrameHeader();
    expect(header.read(wire, 0, wire.length)).toBe(size);
    expect(header.length).toBe(length);
    const again = new Uint8Array(size + 2);
    expect(header.write(again, 1)).toBe(size);
    expect(again.slice(1, size + 1)).toEqual(wire);
  });

  it('reads every bit of the first byte', () => {
    const header = new FrameHeader();
    expect(header.read(hex`50 00`)).toBe(2);
    expect(header).toMatchObject({ fin: false, rsv: 0x50, opcode: 0, masked: false, maskKey: 0 });
    expect(header.read(hex`aa 80 ff 00 00 01`)).toBe(6);
    expect(header).toMatchObject({ fin: true, rsv: 0x20, opcode: 10, masked: true });
    expect(header.maskKey).toBe(0xff000001 | 0);
  });

  it('returns 0 until the last header byte has arrived, and keeps its fields', () => {
    const wire = hex`82 ff 0000000000010000 37fa213d`;
    const header = new FrameHeader();
    header.read(hex`89 01`);
    for (let end = 0; end < wire.length; end++) expect(header.read(wire, 0, end)).toBe(0);
    expect(header).toMatchObject({ opcode: 9, length: 1, masked: false });
  });

  it.each([
    ['a 16-bit length below 126', '82 7e 00 7d', 4, 1002, 'non-minimal length'],
    ['a 64-bit length below 65536', '82 7f 000000000000ffff', 8, 1002, 'non-minimal length'],
    ['the top bit of a length', '82 7f 8000000000000000', 3, 1002, 'length with top bit set'],
    ['a length of 2^53', '82 7f 0020000000000000', 4, 1009, 'length of 2^53 or more'],
    ['a length of 2^56', '82 7f 0100000000000000', 3, 1009, 'length of 2^53 or more'],
  ])('rejects %s at the deciding byte', (_, hexWire, decides, closeCode, fault) => {
    const wire = hex(hexWire);
    const header = new FrameHeader();
    for (let end = 0; end < decides; end++) expect(header.read(wire, 0, end)).toBe(0);
    try {
      header.read(wire, 0, decides);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError);
      expect(error).toMatchObject({ closeCode, faults: [fault] });
    }
  });

  it('reads from the given index, and returns only the size', () => {
    const header = new FrameHeader();
    const stream = hex`81 05 68 65 6c 6c 6f 82 fe 0100 37fa213d`;
    expect(header.read(stream, 7)).toBe(8);
    expect(header).toMatchObject({ opcode: 2, length: 256, masked: true, maskKey: 0x37fa213d });
  });

  it('rejects ranges outside the bytes', () => {
    const header = new FrameHeader();
    expect(() => header.read(hex`81 00`, 0, 3)).toThrow(RangeError);
    expect(() => header.read(hex`81 00`, -1, 2)).toThrow(RangeError);
    expect(() => header.read(hex`81 00`, Number.NaN, 2)).toThrow(RangeError);
    expect(() => header.read(hex`81 00 00`, 0.5, 3)).toThrow(RangeError);
    expect(() => header.read(hex`81 00 00`, 0, 2.5)).toThrow(RangeError);
    expect(() => header.read('8100' as never, 0, 2)).toThrow(TypeError);
  });
});

describe('FrameHeader.write', () => {
  it('writes a new header as zeros', () => {
    const room = hex`ff ff`;
    expect(new FrameHeader().write(room)).toBe(2);
    expect(room).toEqual(hex`00 00`);
  });

  it('ignores the key of an unmasked header', () => {
    const header = Object.assign(new FrameHeader(), { length: 3, maskKey: 1.5 });
    const room = hex`00 00 61 62 63 64`;
    expect(header.write(room)).toBe(2);
    expect(room).toEqual(hex`00 03 61 62 63 64`);
  });

  it.each([0, 125, 126, 65535, 65536, 2 ** 32 + 5])('writes the shortest form of %d', (length) => {
    const header = new FrameHeader();
    Object.assign(header, { fin: true, opcode: 2, length, masked: true, maskKey: 0x80000001 | 0 });
    const room = new Uint8Array(14);
    const size = header.write(room);
    if (length <= 65536) {
      const naive = naiveEncode(2, new Uint8Array(length), { mask: 0x80000001 });
      expect(room.slice(0, size)).toEqual(naive.slice(0, size));
    }
    const twin = new FrameHeader();
    expect(twin.read(room, 0, size)).toBe(size);
    expect(twin).toEqual(header);
  });

  it.each([0.5, Number.NaN, -1, 13])('rejects the index %d', (at) => {
    expect(() => new FrameHeader().write(new Uint8Array(14), at)).toThrow(RangeError);
  });

  it.each([0, -1, -(2 ** 31), 2 ** 31, 2 ** 32 - 1])('accepts the key %d', (maskKey) => {
    const header = Object.assign(new FrameHeader(), { masked: true, maskKey });
    const room = new Uint8Array(6);
    const twin = new FrameHeader();
    twin.read(room, 0, header.write(room));
    expect(twin.maskKey).toBe(maskKey | 0);
  });

  it('rejects keys that are not 32-bit integers', () => {
    const write = (maskKey: unknown): number =>
      Object.assign(new FrameHeader(), { masked: true, maskKey }).write(new Uint8Array(14));
    for (const key of [1.5, Number.NaN, 2 ** 32, -(2 ** 31) - 1, Number.POSITIVE_INFINITY]) {
      expect(() => write(key)).toThrow(RangeError);
    }
    for (const key of ['1', null, undefined, 1n]) expect(() => write(key)).toThrow(TypeError);
  });

  it('rejects fields out of range', () => {
    const room = new Uint8Array(14);
    const write = (fields: object): number => Object.assign(new FrameHeader(), fields).write(room);
    expect(() => write({ opcode: 16 })).toThrow('opcode');
    expect(() => write({ opcode: Number.NaN })).toThrow(RangeError);
    expect(() => write({ rsv: 1 })).toThrow('rsv');
    expect(() => write({ length: -1 })).toThrow('length');
    expect(() => write({ length: 2 ** 53 })).toThrow('length');
    expect(() => write({ length: 1.5 })).toThrow('length');
    expect(() => Object.assign(new FrameHeader(), { length: 126 }).write(room, 11)).toThrow(
      'range',
    );
  });
});
