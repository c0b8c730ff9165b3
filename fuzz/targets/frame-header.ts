import { FrameHeader, ProtocolError } from '@ws/codec';
import { NaiveDecoder } from '@ws/tests';
import { frameFaults } from '../../packages/codec/src/frames/rules.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';

type Reads = Pick<FrameHeader, 'fin' | 'rsv' | 'opcode' | 'masked' | 'length' | 'maskKey'> & {
  read(bytes: Uint8Array, start?: number, end?: number): number;
  write(bytes: Uint8Array, at?: number): number;
};

/** Compares `FrameHeader` and `frameFaults` with RFC 6455, section 5.2, computed with BigInt. */
export function frameHeader(
  make: () => Reads = () => new FrameHeader(),
  faultsOf: typeof frameFaults = frameFaults,
): Target {
  return {
    name: 'frame-header',
    description: 'FrameHeader reads a header at its last byte, and writes it back unchanged',
    covers: ['packages/codec/src/frames/header', 'packages/codec/src/frames/rules'],
    maxLength: 24,
    dictionary: bytesOf([0x81, 0xfe], [0x82, 0x7f], [0x7e, 0, 0x7e], [0, 0, 0, 0, 0, 1, 0, 0]),
    separators: [],
    seeds: bytesOf(
      [0x81, 0x00],
      [0x82, 0x7e, 0x00, 0x7e],
      [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0x37, 0xfa, 0x21, 0x3d],
      [0xc1, 0xfe, 0xff, 0xff, 0, 0, 0, 0],
    ),
    run(input) {
      if (input.length < 2) return;
      compareHeaders(input, make);
      compareFaults(input, faultsOf);
    },
  };
}

/** The header in the bytes, or the close code of its fault; undefined if more bytes are needed. */
function headerOf(bytes: Uint8Array) {
  const [b0, b1] = bytes;
  if (b0 === undefined || b1 === undefined) return undefined;
  const short = b1 % 128;
  const size = short === 126 ? 2 : short === 127 ? 8 : 0;
  let length = size === 0 ? BigInt(short) : 0n;
  for (let i = 0; i < size; i++) {
    const there = bytes.subarray(2, 3 + i);
    if (there.length <= i) return undefined;
    length = length * 256n + BigInt(there[i]!);
    // The missing bytes allow a range: all bits zero to all bits one.
    const unit = 256n ** BigInt(size - 1 - i);
    if (length * unit >= 2n ** 63n) return { closeCode: 1002 };
    if (length * unit >= 2n ** 53n) return { closeCode: 1009 };
    if ((length + 1n) * unit <= (size === 2 ? 126n : 65_536n)) return { closeCode: 1002 };
  }
  const masked = b1 >= 128;
  const end = 2 + size + (masked ? 4 : 0);
  if (bytes.length < end) return undefined;
  const key = masked ? Buffer.from(bytes.subarray(end - 4, end)).readInt32BE() : 0;
  return { b0, masked, length: Number(length), key, end };
}

function compareHeaders(input: Uint8Array, make: () => Reads): void {
  const padded = Uint8Array.from([0xdb, ...input]);
  const header = make();
  for (let end = 0; end <= input.length; end++) {
    const expected = headerOf(input.subarray(0, end));
    let size = -1;
    try {
      size = header.read(padded, 1, 1 + end);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      ensureSame(error.closeCode, expected?.closeCode, 'close code of a bad length');
      return;
    }
    ensure(expected?.closeCode === undefined, 'a bad length fails at the first byte that shows it');
    ensureSame(size, expected?.end ?? 0, 'size of the header');
    if (expected?.b0 === undefined) continue;
    const { fin, rsv, opcode, masked, length, maskKey } = header;
    ensureSame((fin ? 128 : 0) + rsv + opcode, expected.b0, 'first byte');
    ensureSame(
      `${masked} ${length} ${maskKey}`,
      `${expected.masked} ${expected.length} ${expected.key}`,
      'fields',
    );
    const written = new Uint8Array(16).fill(0xdb);
    ensureSame(header.write(written, 1), size, 'size of the written header');
    ensureSame(
      Buffer.from(written.subarray(0, size + 2)).toString('hex'),
      Buffer.from([0xdb, ...input.subarray(0, size), 0xdb]).toString('hex'),
      'written header',
    );
    return;
  }
}

/** Compares the faults of the first two bytes with those of the naive decoder. */
function compareFaults(input: Uint8Array, faultsOf: typeof frameFaults): void {
  const [b0, b1, settings = 0] = input;
  const allowedRsv = settings & 0x70;
  const server = (settings & 1) === 1;
  const open = (settings & 2) === 2;
  const naive = new NaiveDecoder(server ? 'server' : 'client', { allowedRsv });
  // The first fragment of a message.
  if (open) naive.push(Uint8Array.from(server ? [0x01, 0x80, 0, 0, 0, 0] : [0x01, 0]));
  naive.push(Uint8Array.of(b0!, b1!));
  ensureSame(
    faultsOf(b0!, b1!, server, allowedRsv, open).join(),
    naive.failure?.faults.join() ?? '',
    'faults',
  );
}
