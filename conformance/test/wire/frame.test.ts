import { describe, expect, it } from 'vitest';
import { ByteQueue, hex, letters, utf8 } from '../../src/wire/bytes.ts';
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  frameBytes,
  PING,
  TEXT,
  takeFrame,
} from '../../src/wire/frame.ts';
import { frameFaults } from '../../src/wire/frame-faults.ts';

const key = hex('37fa213d');

function frameOf(bytes: Buffer): ReturnType<typeof takeFrame> {
  const queue = new ByteQueue();
  for (const byte of bytes) queue.push(Buffer.from([byte]));
  return takeFrame(queue);
}

describe('frameBytes', () => {
  // RFC 6455, 5.7.
  it.each([
    [
      'an unmasked text',
      { opcode: TEXT, payload: utf8('Hello'), mask: false },
      '81 05 48 65 6c 6c 6f',
    ],
    [
      'a masked text',
      { opcode: TEXT, payload: utf8('Hello'), mask: key },
      '81 85 37fa213d 7f 9f 4d 51 58',
    ],
    [
      'a fragment',
      { opcode: TEXT, payload: utf8('Hel'), fin: false, mask: false },
      '01 03 48 65 6c',
    ],
    ['reserved bits', { opcode: 0xb, rsv: 5, mask: false }, 'db 00'],
    ['a longer form', { opcode: PING, lengthBits: 64, mask: false }, '89 7f 0000000000000000'],
    [
      'a false length',
      { opcode: BINARY, claims: 2n ** 63n, mask: false },
      '82 7f 8000000000000000',
    ],
  ] as const)('writes %s', (_, spec, bytes) => {
    expect(frameBytes(spec)).toEqual(hex(bytes));
  });

  it.each([0, 125, 126, 65_535, 65_536])('writes %i bytes, and takeFrame reads them', (size) => {
    const bytes = frameBytes({ opcode: BINARY, payload: letters(size), mask: key });
    const frame = frameOf(bytes)!;
    expect(frame.payload.equals(letters(size))).toBe(true);
    expect(frame).toMatchObject({
      fin: true,
      rsv: 0,
      opcode: BINARY,
      mask: key,
      size: bytes.length,
    });
    expect(frame.lengthBits).toBe(size < 126 ? 7 : size < 65_536 ? 16 : 64);
    if (size > 0) expect(frameOf(bytes.subarray(0, -1))).toBeUndefined();
  });
});

describe('frameFaults', () => {
  const usual = { fromClient: false, deflate: false, open: false, closed: false };
  const whole = {
    fin: true,
    rsv: 0,
    opcode: TEXT,
    mask: undefined,
    lengthBits: 7,
    payload: utf8('x'),
    size: 3,
  } as const;

  it('accepts a valid frame', () => {
    expect(frameFaults(whole, usual)).toEqual([]);
    expect(frameFaults({ ...whole, mask: key }, { ...usual, fromClient: true })).toEqual([]);
    expect(frameFaults({ ...whole, rsv: 4 }, { ...usual, deflate: true })).toEqual([]);
    expect(frameFaults({ ...whole, opcode: CLOSE, payload: hex('03e8') }, usual)).toEqual([]);
  });

  it.each([
    ['after a close frame', {}, { closed: true }, /follows a close frame/],
    ['of a reserved opcode', { opcode: 3 }, {}, /opcode 3 is reserved/],
    ['from a client without a mask', {}, { fromClient: true }, /must mask/],
    ['from a server with a mask', { mask: key }, {}, /must not mask/],
    ['with RSV2', { rsv: 2 }, { deflate: true }, /RSV2 or RSV3/],
    ['with RSV1 and no extension', { rsv: 4 }, {}, /no extension was negotiated/],
    ['with RSV1 on a ping', { rsv: 4, opcode: PING }, { deflate: true }, /first frame/],
    ['that is a fragment of a ping', { opcode: PING, fin: false }, {}, /is fragmented/],
    [
      'that is a ping of 126 bytes',
      { opcode: PING, payload: letters(126), lengthBits: 16 },
      {},
      /more than 125/,
    ],
    ['that continues no message', { opcode: CONTINUATION }, {}, /no message to continue/],
    ['within a message', {}, { open: true }, /still unfinished/],
    ['in a long form', { lengthBits: 16 }, {}, /shortest form/],
    ['that is half a close code', { opcode: CLOSE }, {}, /one byte/],
    ['with close code 1006', { opcode: CLOSE, payload: hex('03ee') }, {}, /1006 must not be sent/],
    ['with a bad reason', { opcode: CLOSE, payload: hex('03e8ff') }, {}, /not UTF-8/],
  ] as const)('reports a frame %s', (_, frame, given, says) => {
    const faults = frameFaults({ ...whole, ...frame }, { ...usual, ...given });
    expect(faults.join()).toMatch(says);
    expect(faults).toHaveLength(1);
  });
});
