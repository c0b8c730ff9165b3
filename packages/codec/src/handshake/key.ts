import { toUtf8 } from '../text/utf8-automaton.ts';

// Sixteen bytes are 21 characters and two more bits. The other bits of the last character have no
// meaning: the key that RFC 6455, section 4.1 prints has some. The accept value counts the characters
// as sent, so a key of other spare bits has another value.
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Whether `value` is a `Sec-WebSocket-Key`: 24 characters of base64 that decode to 16 bytes.
 *
 * @see RFC 6455, sections 4.1 and 4.2.1
 *
 * @example
 * ```ts
 * import { isWebSocketKey } from '@ws/codec';
 *
 * console.log(isWebSocketKey('dGhlIHNhbXBsZSBub25jZQ=='), isWebSocketKey('short')); // true false
 * ```
 */
export function isWebSocketKey(value: string): boolean {
  return KEY.test(value);
}

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Computes `Sec-WebSocket-Accept` for the `Sec-WebSocket-Key` of a request: a server sends it, a
 * client compares it. Synchronous, without the platform's cryptography. The packages for Node use `node:crypto`,
 * which is faster: see `acceptKeyByCrypto` of node-io.
 *
 * @param key - As sent. A server checks it with {@link isWebSocketKey} first.
 * @returns 28 characters of base64.
 * @throws TypeError when `key` is not a string.
 * @see RFC 6455, section 4.2.2, step 5
 *
 * @example
 * ```ts
 * import { acceptKey } from '@ws/codec';
 *
 * console.log(acceptKey('dGhlIHNhbXBsZSBub25jZQ==')); // s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
 * ```
 */
export function acceptKey(key: string): string {
  if (typeof key !== 'string') throw new TypeError(`key must be a string, not ${typeof key}`);
  return btoa(String.fromCharCode(...sha1(toUtf8(key + GUID))));
}

const BLOCK = 64;

/**
 * Returns the SHA-1 digest of `bytes`, 20 bytes. The handshake needs it; it protects nothing
 * (RFC 6455, section 10.8).
 *
 * @see RFC 3174
 */
export function sha1(bytes: Uint8Array): Uint8Array {
  // One byte 0x80, zeros, and the length in bits as 64 bits fill the last block.
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / BLOCK) * BLOCK);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);

  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const words = new Int32Array(80);
  for (let at = 0; at < padded.length; at += BLOCK) addBlock(state, words, view, at);

  const digest = new DataView(new ArrayBuffer(20));
  state.forEach((word, i) => digest.setInt32(4 * i, word));
  return new Uint8Array(digest.buffer);
}

function addBlock(state: Int32Array, words: Int32Array, view: DataView, at: number): void {
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + 4 * i);
  for (let i = 16; i < 80; i++) {
    words[i] = rotate(words[i - 3]! ^ words[i - 8]! ^ words[i - 14]! ^ words[i - 16]!, 1);
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  for (let i = 0; i < 80; i++) {
    const next = (rotate(a, 5) + mix(i, b, c, d) + e + words[i]!) | 0;
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
}

/** The function and the constant of round `i` (RFC 3174, section 5). */
function mix(i: number, b: number, c: number, d: number): number {
  if (i < 20) return ((b & c) | (~b & d)) + 0x5a827999;
  if (i < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (i < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
  return (b ^ c ^ d) + 0xca62c1d6;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
