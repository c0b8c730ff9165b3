/** Bytes that are written as the RFC prints them: `hex('81 05 48')`. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s+/g, ''), 'hex');
}

/** The UTF-8 of a text. */
export function utf8(text: string): Buffer {
  return Buffer.from(text, 'utf8');
}

/** `size` bytes that are the same in every run and of which no two neighbours are equal. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; at++) bytes[at] = (at * 167 + (at >> 8) * 13) & 0xff;
  return bytes;
}

/** `size` bytes of readable ASCII. */
export function letters(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0; at < size; at++) bytes[at] = 0x61 + ((at + (at >> 7)) % 26);
  return bytes;
}

/** The first bytes as hex pairs, and how many were left out. */
export function hexOf(bytes: Uint8Array, limit = 48): string {
  const shown = Buffer.from(bytes.subarray(0, limit))
    .toString('hex')
    .replaceAll(/..(?=.)/g, '$& ');
  return bytes.length > limit ? `${shown} … and ${bytes.length - limit} more` : shown;
}

/** Pieces of `size` bytes, the last one shorter. */
export function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

/** Bytes that have arrived, taken from the front. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  length = 0;

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** The first `size` bytes in one piece, or what there is of them; they stay. */
  peek(size: number): Buffer {
    let first = this.#chunks[0] ?? Buffer.alloc(0);
    if (first.length < size && this.#chunks.length > 1) {
      first = Buffer.concat(this.#chunks);
      this.#chunks = [first];
    }
    return first.subarray(0, size);
  }

  /** Removes and returns the first `size` bytes; there must be that many. */
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

/** `size` bytes that no compression makes smaller, the same in every run. */
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
