/** The fields of a frame besides opcode and payload, all of them at the tester's mercy. */
export interface NaiveFrameOptions {
  /** Default true. */
  readonly fin?: boolean;
  /** 0x40, 0x20, 0x10 as on the wire. Default 0. */
  readonly rsv?: number;
  /** Masks with these four bytes, or with a key written as one big-endian 32-bit number. Default: unmasked. */
  readonly mask?: Uint8Array | number;
  /** Bits of the length field, to write a length that is not minimal. Default: the shortest that fits. */
  readonly lengthBits?: 7 | 16 | 64;
}

/** One frame by RFC 6455, section 5.2, byte by byte. Checks nothing: broken frames are wanted too. */
export function naiveEncode(
  opcode: number,
  payload: Uint8Array,
  options: NaiveFrameOptions = {},
): Uint8Array {
  const { fin = true, rsv = 0, mask } = options;
  const { length } = payload;
  const bits = options.lengthBits ?? (length < 126 ? 7 : length < 65_536 ? 16 : 64);
  const out = [(fin ? 128 : 0) + rsv + opcode];
  const maskBit = mask === undefined ? 0 : 128;
  if (bits === 7) out.push(maskBit + length);
  else {
    out.push(maskBit + (bits === 16 ? 126 : 127));
    for (let shift = BigInt(bits) - 8n; shift >= 0n; shift -= 8n) {
      out.push(Number((BigInt(length) >> shift) % 256n));
    }
  }
  if (mask === undefined) return Uint8Array.from([...out, ...payload]);
  const key = typeof mask === 'number' ? keyBytes(mask) : mask;
  return Uint8Array.from([...out, ...key, ...naiveMask(payload, key)]);
}

/** A copy of `bytes`, XORed with a four byte key. Undoes itself (RFC 6455, section 5.3). */
export function naiveMask(bytes: Uint8Array, key: Uint8Array | number): Uint8Array {
  const four = typeof key === 'number' ? keyBytes(key) : key;
  return bytes.map((byte, i) => byte ^ four[i % 4]!);
}

function keyBytes(key: number): Uint8Array {
  return Uint8Array.of(key >>> 24, key >>> 16, key >>> 8, key);
}
