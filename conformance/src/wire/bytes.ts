/** Returns the bytes of hex pairs, written as the RFC prints them: `hex('81 05 48')`. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s+/g, ''), 'hex');
}

/** Returns the UTF-8 bytes of a text. */
export function utf8(text: string): Buffer {
  return Buffer.from(text, 'utf8');
}

/** Returns `size` bytes, the same in every run, without two equal neighbours. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 167 + (at >> 8) * 13) & 0xff;
  return bytes;
}

/** Returns `size` bytes of ASCII letters. */
export function letters(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; at++) bytes[at] = 0x61 + ((at + (at >> 7)) % 26);
  return bytes;
}

/** Splits bytes into pieces of `size` bytes. The last piece may be shorter. */
export function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

/** A queue of received bytes. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  /** Number of bytes in the queue. */
  length = 0;

  /** Appends a chunk. The queue keeps a reference to it. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** Returns the first `size` bytes, or all bytes when there are fewer, without removing them. */
  peek(size: number): Buffer {
    let first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length < size && this.#chunks.length > 1) {
      first = Buffer.concat(this.#chunks);
      this.#chunks = [first];
    }
    return first.subarray(0, size);
  }

  /** Removes the first `size` bytes and returns a copy. The queue must contain that many. */
  take(size: number): Buffer {
    const taken = Buffer.from(this.peek(size));
    let left = size;
    while (left > 0) {
      const first = this.#chunks[0]!;
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left);
        break;
      }
      left -= first.length;
      this.#chunks.shift();
    }
    this.length -= size;
    return taken;
  }
}

/** Returns `size` incompressible bytes, the same in every run. */
export function noise(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = 0x9e3779b9;
  for (let at = 0; at < size; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
