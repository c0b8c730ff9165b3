/** Fields of a frame besides opcode and payload. No combination is rejected. */
export interface NaiveFrameOptions {
  /** Default true. */
  readonly fin?: boolean;
  /** RSV bits as on the wire: 0x40, 0x20, 0x10. Default 0. */
  readonly rsv?: number;
  /** Masking key: four bytes, or one big-endian 32-bit number. Default: unmasked. */
  readonly mask?: Uint8Array | number;
  /** Payload length that the header announces. Default: the length of the payload. */
  readonly claims?: number | bigint;
  /** Width of the length field, also for a length that is not minimal. Default: the shortest that fits. */
  readonly lengthBits?: 7 | 16 | 64;
}

/** Encodes one frame by RFC 6455, section 5.2, byte by byte. Checks nothing: tests need broken frames too. */
export function naiveEncode(
  opcode: number,
  payload: Uint8Array | string = '',
  options: NaiveFrameOptions = {},
): Uint8Array {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const { fin = true, rsv = 0, mask } = options;
  const length = BigInt(options.claims ?? body.length);
  const bits = options.lengthBits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const maskBit = mask === undefined ? 0 : 128;
  const short = bits === 7 ? Number(length) : bits === 16 ? 126 : 127;
  const header = [(fin ? 128 : 0) + rsv + opcode, maskBit + short];
  for (let shift = bits === 7 ? 0 : bits; shift > 0; shift -= 8) {
    header.push(Number((length >> BigInt(shift - 8)) % 256n));
  }
  if (mask !== undefined) header.push(...keyBytes(mask));
  const frame = new Uint8Array(header.length + body.length);
  frame.set(header);
  frame.set(mask === undefined ? body : naiveMask(body, mask), header.length);
  return frame;
}

/** Returns a copy of `bytes`, XORed with a four-byte key. A second call restores it (RFC 6455, section 5.3). */
export function naiveMask(bytes: Uint8Array, key: Uint8Array | number): Uint8Array {
  const four = keyBytes(key);
  const masked = new Uint8Array(bytes);
  for (let i = 0; i < masked.length; i++) masked[i]! ^= four[i % 4]!;
  return masked;
}

function keyBytes(key: Uint8Array | number): Uint8Array {
  if (typeof key !== 'number') return key;
  return Uint8Array.of(key >>> 24, key >>> 16, key >>> 8, key);
}
