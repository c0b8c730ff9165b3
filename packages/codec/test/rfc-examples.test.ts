import { encodeFrame, FrameDecoder, FrameHeader } from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, Feeder, join, KEY } from './support.ts';

const hello = new TextEncoder().encode('Hello');

type Frames = readonly (readonly [opcode: number, payload: Uint8Array, fin?: boolean])[];

// RFC 6455, section 5.7, as printed there. A server reads the masked ones.
const examples: readonly [says: string, wire: Uint8Array, frames: Frames][] = [
  ['a single-frame unmasked text message', hex`81 05 48 65 6c 6c 6f`, [[1, hello]]],
  ['a single-frame masked text message', hex`81 85 37 fa 21 3d 7f 9f 4d 51 58`, [[1, hello]]],
  [
    'a fragmented unmasked text message',
    hex`01 03 48 65 6c 80 02 6c 6f`,
    [
      [1, hello.slice(0, 3), false],
      [0, hello.slice(3)],
    ],
  ],
  ['an unmasked ping', hex`89 05 48 65 6c 6c 6f`, [[9, hello]]],
  ['a masked pong', hex`8a 85 37 fa 21 3d 7f 9f 4d 51 58`, [[10, hello]]],
  ['256 bytes of binary data', join([hex`82 7e 01 00`, bytes(256)]), [[2, bytes(256)]]],
  ['64 KiB', join([hex`82 7f 00 00 00 00 00 01 00 00`, bytes(65_536)]), [[2, bytes(65_536)]]],
];

describe('the examples of RFC 6455, section 5.7', () => {
  it.each(examples)('decode and encode: %s', (says, wire, frames) => {
    const masked = says.includes(' masked');
    const feeder = new Feeder(new FrameDecoder({ role: masked ? 'server' : 'client' }));
    feeder.feed(wire);
    expect(feeder.frames).toEqual(
      frames.map(([opcode, payload, fin = true]) => ({ opcode, fin, rsv: 0, payload })),
    );
    const options = masked ? { maskKey: KEY } : {};
    const encoded = frames.map(([opcode, payload, fin = true]) =>
      encodeFrame(opcode, payload, { fin, ...options }),
    );
    expect(join(encoded)).toEqual(wire);
    const header = new FrameHeader();
    const size = header.read(wire, 0, wire.length);
    const maskKey = masked ? KEY : 0;
    expect(header).toMatchObject({ length: frames[0]![1].length, masked, maskKey });
    const again = new Uint8Array(14);
    expect(header.write(again, 0)).toBe(size);
    expect(again.slice(0, size)).toEqual(wire.slice(0, size));
  });
});
