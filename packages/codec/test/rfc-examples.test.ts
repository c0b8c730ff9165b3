import { encodeFrame, FrameDecoder, FrameHeader } from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, Feeder, join } from './support.ts';

const hello = new TextEncoder().encode('Hello');

// RFC 6455, section 5.7, as printed there.
const examples = [
  {
    says: 'a single-frame unmasked text message',
    role: 'client',
    wire: hex`81 05 48 65 6c 6c 6f`,
    frames: [{ opcode: 1, fin: true, rsv: 0, payload: hello }],
  },
  {
    says: 'a single-frame masked text message',
    role: 'server',
    wire: hex`81 85 37 fa 21 3d 7f 9f 4d 51 58`,
    frames: [{ opcode: 1, fin: true, rsv: 0, payload: hello }],
  },
  {
    says: 'a fragmented unmasked text message',
    role: 'client',
    wire: hex`01 03 48 65 6c 80 02 6c 6f`,
    frames: [
      { opcode: 1, fin: false, rsv: 0, payload: hello.slice(0, 3) },
      { opcode: 0, fin: true, rsv: 0, payload: hello.slice(3) },
    ],
  },
  {
    says: 'an unmasked ping',
    role: 'client',
    wire: hex`89 05 48 65 6c 6c 6f`,
    frames: [{ opcode: 9, fin: true, rsv: 0, payload: hello }],
  },
  {
    says: 'a masked pong',
    role: 'server',
    wire: hex`8a 85 37 fa 21 3d 7f 9f 4d 51 58`,
    frames: [{ opcode: 10, fin: true, rsv: 0, payload: hello }],
  },
  {
    says: '256 bytes of binary data',
    role: 'client',
    wire: join([hex`82 7e 01 00`, bytes(256)]),
    frames: [{ opcode: 2, fin: true, rsv: 0, payload: bytes(256) }],
  },
  {
    says: '64 KiB of binary data',
    role: 'client',
    wire: join([hex`82 7f 00 00 00 00 00 01 00 00`, bytes(65536)]),
    frames: [{ opcode: 2, fin: true, rsv: 0, payload: bytes(65536) }],
  },
] as const;

describe('the examples of RFC 6455, section 5.7', () => {
  it.each(examples)('decode: $says', ({ role, wire, frames }) => {
    const feeder = new Feeder(new FrameDecoder({ role }));
    feeder.feed(wire);
    expect(feeder.frames).toEqual(frames);
  });

  it.each(examples)('encode: $says', ({ role, wire, frames }) => {
    const options = role === 'server' ? { maskKey: 0x37fa213d } : {};
    const encoded = frames.map(({ opcode, payload, fin }) =>
      encodeFrame(opcode, payload, { fin, ...options }),
    );
    expect(join(encoded)).toEqual(wire);
  });

  it.each(examples)('show their header: $says', ({ role, wire, frames }) => {
    const header = new FrameHeader();
    const size = header.read(wire, 0, wire.length);
    expect(header.length).toBe(frames[0].payload.length);
    expect(header.masked).toBe(role === 'server');
    expect(header.maskKey).toBe(role === 'server' ? 0x37fa213d : 0);
    const again = new Uint8Array(14);
    expect(header.write(again, 0)).toBe(size);
    expect(again.slice(0, size)).toEqual(wire.slice(0, size));
  });
});
