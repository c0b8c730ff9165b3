import { type Role, unmask } from '@ws/codec';
import { naiveEncode } from '@ws/tests';
import { Input, piecesOf } from '../harness/input.ts';
import { bytesOf, type Target } from '../harness/target.ts';
import { compareDecoders, type DecoderSetup, type MakeDecoder } from '../oracles/frame-decoder.ts';

/** Number of settings at the start of an input, in bytes. */
const SETTINGS = 9;
/** Enough bytes for the stage of the SIMD memory. */
const STAGED = new Uint8Array(8_192);

/** Compares `FrameDecoder` with the naive decoder for all options and any cuts. */
export function frameStream(make?: MakeDecoder): Target {
  return {
    name: 'frame-stream',
    description:
      'FrameDecoder agrees with the naive decoder for any cuts and options, in bounded memory',
    covers: ['packages/codec/src/'],
    maxLength: 1_000,
    dictionary: bytesOf(
      ...[
        [0x81, 0x82],
        [0x01, 0x83],
        [0x80, 0x80],
        [0x89, 0x84],
        [0x8a, 0x80],
        [0x88, 0x82],
      ].map((head) => [...head, 0, 0, 0, 0]),
      [0x82, 0xfe, 0x00, 0x7e],
      [0x82, 0xfe, 0x10, 0x00],
      [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
      [0x02, 0x7e, 0x01, 0x00],
      [0x81, 0x02],
      [0x00, 0x00],
      [0x80, 0x01],
      [0x89, 0x00],
      [0xc1, 0x01],
      [0x82, 0x7f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
      [0xff, 0xff],
    ),
    separators: [],
    seeds: seeds(),
    run(input) {
      // The stage keeps a view of the size that it had last: not that of the input before.
      unmask(STAGED, 0, STAGED.length, 1);
      const read = new Input(input);
      const setup = setupOf(read);
      const cuts = read.cuts(4);
      const stream = stretched(read.rest());
      compareDecoders(piecesOf(stream, cuts), setup, make);
    },
  };
}

function setupOf(read: Input): DecoderSetup {
  const flags = read.byte();
  const pushes = read.byte();
  return {
    role: (flags & 1) === 1 ? 'client' : 'server',
    simd: (flags & 2) === 0,
    allowedRsv: flags & 0x70,
    maxFramePayload: read.pick([Infinity, Infinity, 0, 125, 126, 300, 4096, 65_535, 65_536]),
    holdLimit: read.pick([4112, 0, 1, 125, 1000, 4111]),
    readBufferSize: read.pick([4096, 1, 16, 65_536]),
    pushes: [(pushes & 1) === 0, (pushes & 2) === 0, (pushes & 4) === 0],
  };
}

/**
 * Appends bytes 0xff, their number given by the last byte: a short input can thus contain a large
 * frame. 0xff is an invalid header, so the stream fails after the payload.
 */
function stretched(bytes: Uint8Array): Uint8Array {
  const last = bytes.at(-1) ?? 0;
  // Rare: the naive decoder is slow with frames larger than a slab.
  const more = last < 224 ? 0 : last < 250 ? (last - 223) * 250 : 65_536 + last - 250;
  const whole = new Uint8Array(bytes.length + more).fill(0xff);
  whole.set(bytes);
  return whole;
}

/** Valid streams for both roles. */
function seeds(): Uint8Array[] {
  const text = Buffer.from('hello');
  return (['server', 'client'] as const).flatMap((role: Role) => {
    const mask = role === 'server' ? { mask: 0x01020304 } : {};
    const streams: Uint8Array[][] = [
      [
        naiveEncode(1, text, mask),
        naiveEncode(9, text, mask),
        naiveEncode(8, Uint8Array.of(3, 232), mask),
      ],
      [
        naiveEncode(2, text, { ...mask, fin: false }),
        naiveEncode(10, text, mask),
        naiveEncode(0, new Uint8Array(130), mask),
      ],
      [naiveEncode(2, new Uint8Array(4200), mask).slice(0, 500), Uint8Array.of(239)],
      [naiveEncode(2, new Uint8Array(65_540), mask).slice(0, 20), Uint8Array.of(253)],
    ];
    return streams.map((frames) => {
      const settings = new Uint8Array(SETTINGS);
      settings[0] = role === 'client' ? 1 : 0;
      settings[5] = 7;
      return Uint8Array.from(Buffer.concat([settings, ...frames]));
    });
  });
}
