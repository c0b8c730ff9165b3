import {
  encodeFrame,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  FrameEncoder,
  NEED_MORE,
  SlabPool,
} from '@ws/codec';
import { hex, naiveEncode } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { simd, withoutSimd } from '../../src/masking/simd.ts';
import { bytes, Feeder, join } from '../support.ts';

const MASKED = { mask: 0x37fa213d };

afterEach(() => {
  vi.restoreAllMocks();
});

/** All events of the input so far, until NEED_MORE or FAILED. */
function events(decoder: FrameDecoder): number[] {
  const seen: number[] = [];
  for (;;) {
    const event = decoder.next();
    seen.push(event);
    if (event === NEED_MORE || event === FAILED) return seen;
  }
}

describe('FrameDecoder.next', () => {
  it('describes a frame in its fields', () => {
    const decoder = new FrameDecoder({ role: 'client', allowedRsv: 0x40 });
    decoder.push(join([hex`41 02 68 69`, hex`89 00`, hex`80 01 21`]));
    expect(decoder.next()).toBe(FRAME);
    expect(decoder).toMatchObject({ opcode: 1, fin: false, rsv: 0x40, length: 2 });
    expect(decoder.buf.slice(decoder.start, decoder.end)).toEqual(hex`68 69`);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder).toMatchObject({ opcode: 9, fin: true, rsv: 0, length: 0 });
    expect(decoder.start).toBe(decoder.end);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder).toMatchObject({ opcode: 0, fin: true, length: 1 });
    expect(decoder.next()).toBe(NEED_MORE);
  });

  it('parses and unmasks in the chunk itself', () => {
    const decoder = new FrameDecoder({ role: 'server' });
    const chunk = naiveEncode(2, bytes(300), MASKED);
    decoder.push(chunk);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.buf).toBe(chunk);
    expect(chunk.slice(decoder.start, decoder.end)).toEqual(bytes(300));
  });

  it('holds a small frame until it is complete, and lends it until the next call', () => {
    const pool = new SlabPool({ debug: true });
    const decoder = new FrameDecoder({ role: 'server', pool });
    const wire = naiveEncode(1, bytes(50), MASKED);
    decoder.push(wire.slice(0, 20));
    expect(events(decoder)).toEqual([NEED_MORE]);
    expect(decoder.atFrameBoundary).toBe(false);
    expect(pool.lent).toBe(1);
    decoder.push(join([wire.slice(20), hex`89 80 00 00 00 00`]));
    expect(decoder.next()).toBe(FRAME);
    const { buf, start, end } = decoder;
    expect(buf.slice(start, end)).toEqual(bytes(50));
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.opcode).toBe(9);
    expect(buf.slice(start, end).every((byte) => byte === 0xdb)).toBe(true);
    expect(events(decoder)).toEqual([NEED_MORE]);
    expect(pool.lent).toBe(0);
    expect(decoder.atFrameBoundary).toBe(true);
  });

  it('delivers a large incomplete frame in pieces', () => {
    const decoder = new FrameDecoder({ role: 'server' }, { holdLimit: 100 });
    const wire = naiveEncode(2, bytes(200), MASKED);
    decoder.push(wire.slice(0, 8));
    expect(events(decoder)).toEqual([FRAME_BEGIN, NEED_MORE]);
    expect(decoder).toMatchObject({ opcode: 2, length: 200, atFrameBoundary: false });
    decoder.push(wire.slice(8, 51));
    expect(decoder.next()).toBe(FRAME_DATA);
    expect(decoder.buf.slice(decoder.start, decoder.end)).toEqual(bytes(200).slice(0, 43));
    expect(decoder.next()).toBe(NEED_MORE);
    decoder.push(join([wire.slice(51), hex`8a 80 00 00 00 00`]));
    expect(decoder.next()).toBe(FRAME_DATA);
    expect(decoder.buf.slice(decoder.start, decoder.end)).toEqual(bytes(200).slice(43));
    expect(events(decoder)).toEqual([FRAME_END, FRAME, NEED_MORE]);
    expect(decoder.atFrameBoundary).toBe(true);
  });

  it.each([125, 126, 4097, 65535, 65536, 200_000])(
    'delivers a frame of %d bytes inside one chunk as one piece',
    (length) => {
      const decoder = new FrameDecoder({ role: 'server' }, { holdLimit: 0 });
      decoder.push(encodeFrame(2, bytes(length), { maskKey: 0x37fa213d }));
      expect(decoder.next()).toBe(FRAME);
      expect(decoder.length).toBe(length);
      const payload = decoder.buf.subarray(decoder.start, decoder.end);
      expect(Buffer.compare(payload, bytes(length))).toBe(0);
      expect(events(decoder)).toEqual([NEED_MORE]);
    },
  );

  it.each([
    { length: 4096, holdLimit: 4112, held: true },
    { length: 4104, holdLimit: 4112, held: true },
    { length: 4105, holdLimit: 4112, held: false },
    { length: 119, holdLimit: 125, held: true },
    { length: 120, holdLimit: 125, held: false },
    { length: 1, holdLimit: 0, held: false },
  ])('holds $length bytes at a holdLimit of $holdLimit: $held', ({ length, holdLimit, held }) => {
    const decoder = new FrameDecoder({ role: 'server' }, { holdLimit });
    const wire = naiveEncode(2, bytes(length), MASKED);
    decoder.push(wire.slice(0, -1));
    const data = length > 1 ? [FRAME_DATA] : [];
    expect(events(decoder)).toEqual(held ? [NEED_MORE] : [FRAME_BEGIN, ...data, NEED_MORE]);
    decoder.push(wire.slice(-1));
    expect(events(decoder)).toEqual(held ? [FRAME, NEED_MORE] : [FRAME_DATA, FRAME_END, NEED_MORE]);
  });

  it('delivers control frames whole, for any holdLimit', () => {
    const feeder = new Feeder(new FrameDecoder({ role: 'client' }, { holdLimit: 0 }));
    for (const byte of naiveEncode(9, bytes(125))) feeder.feed(Uint8Array.of(byte));
    expect(feeder.frames).toEqual([{ opcode: 9, fin: true, rsv: 0, payload: bytes(125) }]);
  });

  it('releases its slab when a held header announces a large frame', () => {
    const pool = new SlabPool();
    const decoder = new FrameDecoder({ role: 'server', pool });
    const wire = naiveEncode(2, bytes(5000), MASKED);
    decoder.push(wire.slice(0, 5));
    events(decoder);
    expect(pool.lent).toBe(1);
    decoder.push(wire.slice(5, 100));
    expect(events(decoder)).toEqual([FRAME_BEGIN, FRAME_DATA, NEED_MORE]);
    expect(pool.lent).toBe(0);
  });

  it.each([0, 125, 4112])(
    'returns NEED_MORE again, at every cut, with holdLimit %d',
    (holdLimit) => {
      const stream = join([
        naiveEncode(2, hex`68656c6c6f20776f726c64`, MASKED),
        naiveEncode(9, hex`70`, MASKED),
      ]);
      for (let cut = 0; cut <= stream.length; cut++) {
        const decoder = new FrameDecoder({ role: 'server' }, { holdLimit });
        const seen: number[] = [];
        for (const chunk of [stream.slice(0, cut), stream.slice(cut)]) {
          decoder.push(chunk);
          for (let asked = 0; asked < 3; ) {
            const event = decoder.next();
            if (event === NEED_MORE) asked++;
            else if (event === FRAME || event === FRAME_DATA) {
              seen.push(...decoder.buf.subarray(decoder.start, decoder.end));
            } else expect(event).not.toBe(FAILED);
          }
        }
        expect(String.fromCharCode(...seen)).toBe('hello worldp');
      }
    },
  );

  it('accepts the key 0', () => {
    const feeder = new Feeder(new FrameDecoder({ role: 'server' }, { holdLimit: 0 }));
    const wire = naiveEncode(2, bytes(300), { mask: 0 });
    feeder.feed(wire.slice(0, 100));
    feeder.feed(wire.slice(100));
    expect(feeder.frames[0]!.payload).toEqual(bytes(300));
  });
});

describe('FrameDecoder', () => {
  it('has no facts before the first frame, and after a reset', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    const atBirth = { opcode: 0, fin: false, rsv: 0, length: 0, start: 0, end: 0 };
    expect(decoder).toMatchObject(atBirth);
    expect([decoder.buf.length, decoder.error]).toEqual([0, undefined]);
    decoder.push(hex`81 01 61 ff`);
    expect(decoder.next()).toBe(FRAME);
    decoder.reset();
    expect([decoder.buf.length, decoder.start, decoder.end]).toEqual([0, 0, 0]);
    expect(decoder.next()).toBe(NEED_MORE);
  });

  it('drops a chunk when it returns NEED_MORE', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`81 02 68 69`);
    expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
    expect(decoder).toMatchObject({ buf: new Uint8Array(0), start: 0, end: 0 });
  });

  it('begins a frame of the largest length', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`82 7f 001fffffffffffff`);
    expect(events(decoder)).toEqual([FRAME_BEGIN, NEED_MORE]);
    expect(decoder.length).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('is at a frame boundary only without buffered bytes', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    expect(decoder.atFrameBoundary).toBe(true);
    decoder.push(hex`81 00 82 00`);
    expect(decoder.atFrameBoundary).toBe(false);
    expect([decoder.next(), decoder.atFrameBoundary]).toEqual([FRAME, false]);
    expect([decoder.next(), decoder.atFrameBoundary]).toEqual([FRAME, true]);
    expect([decoder.next(), decoder.atFrameBoundary]).toEqual([NEED_MORE, true]);
  });

  it('begins a large frame with the last byte of its header', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`82 7f 00000000000100`);
    expect(events(decoder)).toEqual([NEED_MORE]);
    decoder.push(hex`00`);
    expect(events(decoder)).toEqual([FRAME_BEGIN, NEED_MORE]);
  });
});

describe('FrameDecoder faults', () => {
  const before = '01 80 00 00 00 00';
  type Setting = {
    before?: string;
    allowedRsv?: number;
    maxFramePayload?: number;
    closeCode?: number;
  };

  describe.each<[says: string, wire: string, decides: number, faults: string, setting?: Setting]>([
    ['RSV1', 'c1 80', 2, 'RSV1 set'],
    ['RSV2 and RSV3', 'b2 80', 2, 'RSV2 set, RSV3 set'],
    ['RSV1 on a control frame', 'c9 80', 2, 'RSV1 set', { allowedRsv: 0x40 }],
    ['RSV1 on a continuation', 'c0 80', 2, 'RSV1 set', { before, allowedRsv: 0x40 }],
    ['opcode 3', '83 80', 2, 'bad opcode 3'],
    ['opcode 11', '8b 80', 2, 'bad opcode 11'],
    ['a fragmented ping', '09 80', 2, 'FIN not set on control'],
    ['a long close', '88 fe 00 7e', 2, 'len > 125 for control'],
    ['a lone continuation', '80 80', 2, 'continuation after FIN'],
    ['a message inside a message', '81 80', 2, 'data before FIN', { before }],
    ['an unmasked frame', '81 00', 2, 'bad MASK'],
    [
      'several at once',
      '79 7e',
      2,
      'RSV1 set, RSV2 set, RSV3 set, len > 125 for control, FIN not set on control, bad MASK',
    ],
    ['a short 16-bit length', '82 fe 00 7d', 4, 'non-minimal length'],
    ['a short 64-bit length', '82 ff 000000000000ffff', 8, 'non-minimal length'],
    ['the top bit of a length', '82 ff 8000000000000000', 3, 'length with top bit set'],
    ...[
      [
        'a length of 2^53',
        '82 ff 0020000000000000',
        4,
        'length of 2^53 or more',
        Infinity,
      ] as const,
      [
        'a length of 2^63 - 1',
        '82 ff 7fffffffffffffff',
        3,
        'length of 2^53 or more',
        Infinity,
      ] as const,
      [
        'a 7-bit length over the limit',
        '82 8b',
        2,
        'frame over the limit of 10 bytes',
        10,
      ] as const,
      [
        'a 16-bit length over it',
        '82 fe 01 01',
        4,
        'frame over the limit of 256 bytes',
        256,
      ] as const,
      [
        'a 64-bit length over it',
        '82 ff 0000000000010001',
        10,
        'frame over the limit of 65536 bytes',
        65_536,
      ] as const,
      [
        'the first byte over it',
        '82 ff 00 00 00 01',
        6,
        'frame over the limit of 65536 bytes',
        65_536,
      ] as const,
    ].map(
      ([says, wire, decides, faults, maxFramePayload]): [
        string,
        string,
        number,
        string,
        Setting,
      ] => [says, wire, decides, faults, { maxFramePayload, closeCode: 1009 }],
    ),
  ])('%s', (_, hexWire, decides, all, setting = {}) => {
    const { closeCode = 1002, before: first = '', ...options } = setting;
    const [wire, start, faults] = [hex(hexWire), hex(first), all.split(', ')];
    const make = (): FrameDecoder => new FrameDecoder({ role: 'server', ...options });

    it('fails at the deciding byte, byte by byte', () => {
      const decoder = make();
      for (const byte of join([start, wire.slice(0, decides - 1)])) {
        decoder.push(Uint8Array.of(byte));
        expect(events(decoder).at(-1)).toBe(NEED_MORE);
      }
      decoder.push(wire.slice(decides - 1, decides));
      expect(events(decoder)).toEqual([FAILED]);
      expect(decoder.error).toMatchObject({ closeCode, faults, code: 'WS_ERR_PROTOCOL' });
      // A hint may follow.
      expect(decoder.error?.message).toContain(`websocket: ${all}`);
    });

    it('fails the same for one chunk, also by commit', () => {
      for (const mode of ['push', 'commit'] as const) {
        const decoder = make();
        const feeder = new Feeder(decoder, mode);
        feeder.feed(join([start, wire, bytes(20)]));
        expect(feeder.failed).toBe(true);
        expect(decoder.error?.faults).toEqual(faults);
        decoder.reset();
      }
    });
  });

  it('delivers nothing after a fault, until reset', () => {
    const pool = new SlabPool();
    const decoder = new FrameDecoder({ role: 'client', pool });
    decoder.push(hex`81 00 83 00 81 00`);
    expect(events(decoder)).toEqual([FRAME, FAILED]);
    expect(decoder.next()).toBe(FAILED);
    decoder.push(hex`81 00`);
    decoder.writable();
    decoder.commit(2);
    expect(events(decoder)).toEqual([FAILED]);
    expect(decoder.atFrameBoundary).toBe(false);
    decoder.reset();
    expect(decoder.error).toBeUndefined();
    expect(pool.lent).toBe(0);
    decoder.push(hex`81 00`);
    expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
  });

  it('ignores a read that ends after a fault', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`83 00`);
    expect(events(decoder)).toEqual([FAILED]);
    decoder.commit(1);
    expect(events(decoder)).toEqual([FAILED]);
  });

  it('does not apply maxFramePayload to control frames', () => {
    const decoder = new FrameDecoder({ role: 'client', maxFramePayload: 0 });
    decoder.push(hex`89 01 00 81 00 81 01`);
    expect(events(decoder)).toEqual([FRAME, FRAME, FAILED]);
  });

  it.each([0, 125, 126, 1000, 65535, 65536, 70_000])(
    'accepts a frame of %d bytes at that limit, and no larger one',
    (maxFramePayload) => {
      const decoder = new FrameDecoder({ role: 'client', maxFramePayload });
      decoder.push(naiveEncode(2, bytes(maxFramePayload)));
      expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
      decoder.push(naiveEncode(2, bytes(maxFramePayload + 1)));
      expect(events(decoder)).toEqual([FAILED]);
      expect(decoder.error).toMatchObject({
        closeCode: 1009,
        faults: [`frame over the limit of ${maxFramePayload} bytes`],
      });
    },
  );

  it('applies maxFramePayload from the next header on', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`01 02 00 00 00 02 00 00 80 01 00`);
    expect(decoder.next()).toBe(FRAME);
    decoder.maxFramePayload = 2;
    expect(decoder.next()).toBe(FRAME);
    decoder.maxFramePayload = 0;
    expect(events(decoder)).toEqual([FAILED]);
    expect(decoder.error?.closeCode).toBe(1009);
  });
});

describe('FrameDecoder input', () => {
  it('rejects input while events are pending', () => {
    const decoder = new FrameDecoder({ role: 'client' }, { holdLimit: 0 });
    decoder.push(hex`81 00 81 00`);
    expect(() => decoder.push(hex`00`)).toThrow('events are pending');
    decoder.next();
    expect(() => decoder.commit(0)).toThrow('events are pending');
    events(decoder);
    decoder.push(join([hex`82 02 00`]));
    expect(events(decoder)).toEqual([FRAME_BEGIN, FRAME_DATA, NEED_MORE]);
    decoder.push(hex`00`);
    expect(decoder.next()).toBe(FRAME_DATA);
    expect(() => decoder.push(hex`81 00`)).toThrow('events are pending');
    expect(events(decoder)).toEqual([FRAME_END, NEED_MORE]);
  });

  it('offers no memory for a read while events are pending, which may lie in it', () => {
    const pool = new SlabPool({ debug: true });
    const decoder = new FrameDecoder({ role: 'client', pool });
    const landing = decoder.writable();
    for (let at = 0; at < landing.length; at += 2) landing.set(hex`81 00`, at);
    decoder.commit(landing.length);
    expect(decoder.next()).toBe(FRAME);
    expect(() => decoder.writable()).toThrow('events are pending');
    while (decoder.next() === FRAME);
    expect(decoder.writable().length).toBeGreaterThan(landing.length);
    decoder.reset();
    decoder.push(hex`81`);
    events(decoder);
    decoder.push(hex`01 41`);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.writable().length).toBe(12272);
    expect(pool.lent).toBe(1);
    expect(events(decoder)).toEqual([NEED_MORE]);
  });

  it('rejects input while a chunk waits after a held frame', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`81`);
    events(decoder);
    decoder.push(hex`00 81 00`);
    expect(() => decoder.push(hex`00`)).toThrow('events are pending');
    expect(decoder.next()).toBe(FRAME);
    expect(() => decoder.push(hex`00`)).toThrow('events are pending');
    expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
  });

  it('accepts input right after a frame that ended its chunk', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    decoder.push(hex`81`);
    events(decoder);
    decoder.push(hex`00`);
    expect(decoder.next()).toBe(FRAME);
    decoder.push(hex`82 00`);
    expect(decoder.next()).toBe(FRAME);
    expect(decoder.opcode).toBe(2);
  });

  it('returns the same view for every read, and a larger one once it was filled', () => {
    const pool = new SlabPool({ debug: true });
    const decoder = new FrameDecoder({ role: 'client', pool, readBufferSize: 1000 });
    const landing = decoder.writable();
    expect(landing.length).toBeGreaterThanOrEqual(1000);
    landing.set(hex`81 00 81`);
    decoder.commit(3);
    expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
    expect(decoder.writable()).toBe(landing);
    landing.fill(0);
    landing.set(hex`00`);
    decoder.commit(1);
    expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
    const sizes = [landing.length];
    for (let i = 0; i < 4; i++) {
      const next = decoder.writable();
      if (next.length !== sizes.at(-1)) sizes.push(next.length);
      for (let at = 0; at < next.length; at += 2) next.set(hex`81 00`, at);
      decoder.commit(next.length);
      while (decoder.next() === FRAME);
    }
    expect(sizes).toEqual([12272, 61424]);
    expect(pool.lent).toBe(1);
    decoder.reset();
    expect(pool.lent).toBe(0);
  });

  it('does not touch the memory of a pending read when it fails', () => {
    const pool = new SlabPool({ debug: true });
    const decoder = new FrameDecoder({ role: 'client', pool });
    const landing = decoder.writable();
    decoder.push(hex`83 00`);
    expect(events(decoder)).toEqual([FAILED]);
    expect(pool.lent).toBe(1);
    expect(decoder.writable()).toBe(landing);
    decoder.reset();
    expect(pool.lent).toBe(0);
  });

  it('rejects invalid arguments', () => {
    const decoder = new FrameDecoder({ role: 'client' });
    expect(() => decoder.push('81' as never)).toThrow(TypeError);
    expect(() => decoder.commit(Number.NaN)).toThrow(RangeError);
    expect(() => decoder.commit(-1)).toThrow(RangeError);
    expect(() => decoder.commit(1)).toThrow(
      '1 bytes do not fit into 0: call writable() before each read',
    );
    expect(() => decoder.commit(decoder.writable().length + 1)).toThrow(RangeError);
  });

  it.each([
    [{ role: 'peer' }, TypeError],
    [{ allowedRsv: 0x80 }, RangeError],
    [{ allowedRsv: Number.NaN }, RangeError],
    [{ maxFramePayload: -1 }, RangeError],
    [{ maxFramePayload: Number.NaN }, RangeError],
    [{ holdLimit: 100 }, TypeError],
    [{ readBufferSize: 0 }, RangeError],
    [{ readBufferSize: Number.NaN }, RangeError],
    [{ readBufferSize: 1e9 }, 'readBufferSize must be an integer of 1 to 1048576, not 1000000000'],
  ])('rejects the options %o', (options, type) => {
    expect(() => new FrameDecoder({ role: 'client', ...options } as never)).toThrow(type);
  });

  it.each([FrameDecoder, FrameEncoder])('names the role without options: %o', (Half) => {
    expect(() => new Half(undefined as never)).toThrow(
      "role: expected 'client' or 'server', got undefined",
    );
  });
});

describe('FrameDecoder.next, when the buffer of the chunk was detached,', () => {
  const detach = ({ buffer }: Uint8Array): void => {
    structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  };

  it.each([
    { role: 'server', mask: MASKED },
    { role: 'client', mask: {} },
  ] as const)('throws as $role before every frame, and recovers by reset', ({ role, mask }) => {
    for (const fin of [true, false]) {
      const decoder = new FrameDecoder({ role });
      const chunk = join([
        naiveEncode(2, 'a', { ...mask, fin }),
        naiveEncode(fin ? 2 : 0, 'b', mask),
      ]);
      decoder.push(chunk);
      expect(decoder.next()).toBe(FRAME);
      detach(chunk);
      expect(() => decoder.next()).toThrow('detached');
      expect(() => decoder.next()).toThrow('detached');
      decoder.reset();
      decoder.push(naiveEncode(2, 'a', mask));
      expect(events(decoder)).toEqual([FRAME, NEED_MORE]);
    }
  });

  it('throws when only the first byte of a header is left, and not when nothing is', () => {
    for (const left of [1, 0]) {
      const decoder = new FrameDecoder({ role: 'server' });
      const chunk = join([naiveEncode(2, 'a', MASKED), Uint8Array.of(0x82).subarray(0, left)]);
      decoder.push(chunk);
      expect(decoder.next()).toBe(FRAME);
      detach(chunk);
      if (left === 0) expect(decoder.next()).toBe(NEED_MORE);
      else expect(() => decoder.next()).toThrow('detached');
    }
  });

  it.each([5, 50, 500, 20_000])('throws inside a payload of %i bytes', (size) => {
    const decoder = new FrameDecoder({ role: 'server' }, { holdLimit: 0 });
    const chunk = naiveEncode(2, bytes(size), { ...MASKED, claims: size + 1 });
    decoder.push(chunk);
    expect(decoder.next()).toBe(FRAME_BEGIN);
    detach(chunk);
    expect(() => decoder.next()).toThrow('detached');
  });
});

describe('FrameDecoder and the SIMD kernel', () => {
  /** Bytes of each kernel call while a server reads frames of the given lengths in one chunk. */
  function calls(
    mode: 'push' | 'commit',
    lengths: readonly number[],
    options: object = {},
  ): number[] {
    const xor = vi.spyOn(simd()!, 'xor');
    const decoder = new FrameDecoder({ role: 'server', pool: new SlabPool(), ...options });
    const feeder = new Feeder(decoder, mode);
    feeder.feed(join(lengths.map((length) => naiveEncode(2, bytes(length), MASKED))));
    const payloads = feeder.frames.map(({ payload }) => payload);
    expect(payloads).toEqual(lengths.map((length) => bytes(length)));
    return xor.mock.calls.map(([at, end]) => end - at);
  }

  it.each([
    { says: 'a long frame', lengths: [128], unmasks: [128] },
    { says: 'no frame that ends the piece too soon', lengths: [127], unmasks: [] },
    { says: 'every frame of 8 bytes after one', lengths: [200, 50, 8, 7], unmasks: [200, 50, 8] },
    { says: 'a frame of 12 with much behind it', lengths: [12, 3000], unmasks: [12, 3000] },
    { says: 'no frame of 11 before that', lengths: [11, 3000], unmasks: [3000] },
    { says: 'one of 31 with 2 KiB ahead', lengths: [31, 2009], unmasks: [31, 2009] },
    { says: 'none of 31 with a byte less', lengths: [31, 2008], unmasks: [2008] },
    { says: 'one of 32 with 128 bytes ahead', lengths: [32, 90], unmasks: [32, 90] },
    { says: 'none of 32 with a byte less', lengths: [32, 89], unmasks: [] },
  ])('unmasks $says where reads land in its memory', ({ lengths, unmasks }) => {
    expect(calls('commit', lengths)).toEqual(unmasks);
  });

  it.each([
    { says: 'a frame of 8 KiB', lengths: [8192], unmasks: [8192] },
    { says: 'no frame of less', lengths: [8191], unmasks: [] },
    {
      says: 'it after a small one as well',
      lengths: [200, 8192, 8191, 8192],
      unmasks: [8192, 8192],
    },
  ])('unmasks $says of other memory', ({ lengths, unmasks }) => {
    expect(calls('push', lengths)).toEqual(unmasks);
  });

  it('is not needed, which the slab may keep', () => {
    let taken = 0;
    const slab = {
      bytes: new Uint8Array(65536),
      release: () => {},
      get words() {
        taken++;
        return new BigInt64Array(this.bytes.buffer);
      },
    };
    expect(calls('commit', [200, 12, 11, 3000], { pool: { take: () => slab } })).toEqual([]);
    expect(taken).toBe(1);
  });

  it('is not used where WebAssembly is not available', () => {
    const lengths = [200, 50, 9000];
    const xor = vi.spyOn(simd()!, 'xor').mockClear();
    const frames = lengths.map((length) => naiveEncode(2, bytes(length), MASKED));
    const payloads = withoutSimd(() => {
      const feeder = new Feeder(new FrameDecoder({ role: 'server', pool: new SlabPool() }), 'push');
      feeder.feed(join(frames));
      return feeder.frames.map(({ payload }) => payload);
    });
    expect(payloads).toEqual(lengths.map((length) => bytes(length)));
    expect(xor).not.toHaveBeenCalled();
  });
});

describe('FrameDecoder.available', () => {
  it.each(['server', 'client'] as const)(
    'is the payload that the input of a %s still contains',
    (role) => {
      const wire = encodeFrame(2, bytes(70_000), role === 'server' ? { maskKey: 0x37fa213d } : {});
      const header = wire.length - 70_000;
      const decoder = new FrameDecoder({ role }, { holdLimit: 0 });
      const available: number[] = [];
      const feed = (chunk: Uint8Array): void => {
        decoder.push(chunk);
        available.push(decoder.available);
        while (decoder.next() !== NEED_MORE) available.push(decoder.available);
      };
      feed(wire.slice(0, header - 1));
      feed(wire.slice(header - 1, header + 10));
      feed(wire.slice(header + 10, header + 30));
      feed(join([wire.slice(header + 30), wire]));
      const rest = 70_000 - 30;
      expect(available).toEqual([0, 0, 10, 0, 20, 0, rest, 0, 0, 0]);
    },
  );

  it('is 0 after a fault', () => {
    const decoder = new FrameDecoder({ role: 'client' }, { holdLimit: 0 });
    decoder.push(join([naiveEncode(2, bytes(70_000)), Uint8Array.of(0xff, 0xff)]).slice());
    while (decoder.next() !== FAILED) expect(decoder.available).toBe(0);
    expect(decoder.available).toBe(0);
  });
});

describe('FrameDecoder limits', () => {
  it.each([Number.NaN, undefined])('fail closed when maxFramePayload becomes %s', (limit) => {
    for (const length of [1, 1000, 70_000]) {
      const decoder = new FrameDecoder({ role: 'client' });
      decoder.maxFramePayload = limit as number;
      decoder.push(naiveEncode(2, bytes(length)));
      expect(decoder.next()).toBe(FAILED);
      expect(decoder.error?.closeCode).toBe(1009);
    }
  });
});
