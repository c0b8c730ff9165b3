/** Data frames up to this size are echoed through one reused buffer. */
const POOLED = 64 * 1024;

/**
 * The least that an echo server in JavaScript can do: it parses frames in place, unmasks each
 * payload into one reused buffer, and writes once for each chunk. It has no limits, no check of
 * UTF-8, no control frames, no backpressure and no fragments.
 */
export class MiniEcho {
  #rest: Buffer[] = [];
  #length = 0;
  /** Bytes of the first incomplete frame, as far as they are known. */
  #needed = 2;
  #pool = Buffer.allocUnsafeSlow(POOLED);

  /**
   * The echoes of all frames that this chunk completes; undefined for none. They are valid until the
   * next call, unless {@link keep} is called.
   */
  push(chunk: Buffer): Buffer | undefined {
    this.#rest.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#needed) return undefined;
    const bytes = this.#rest.length === 1 ? chunk : Buffer.concat(this.#rest, this.#length);
    if (bytes.length > this.#pool.length) this.#pool = Buffer.allocUnsafeSlow(bytes.length);
    const out = this.#pool;
    const [source, target] = [viewOf(bytes), viewOf(out)];
    let at = 0;
    let end = 0;
    let needed = 2;
    for (; bytes.length - at >= needed; needed = 2) {
      const short = bytes[at + 1]! & 0x7f;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      needed = header + 4;
      if (bytes.length - at < needed) break;
      const size =
        short < 126
          ? short
          : short === 126
            ? bytes.readUInt16BE(at + 2)
            : bytes.readUInt32BE(at + 6);
      needed += size;
      if (bytes.length - at < needed) break;
      for (let i = 0; i < header; i++) out[end++] = bytes[at + i]!;
      out[end - header + 1]! &= 0x7f;
      unmask(source, at + header, size, target, end);
      end += size;
      at += needed;
    }
    this.#needed = needed;
    this.#length -= at;
    this.#rest = at < bytes.length ? [bytes.subarray(at)] : [];
    return end === 0 ? undefined : out.subarray(0, end);
  }

  /** Leaves the last echoes to their reader, and takes a new buffer. */
  keep(): void {
    this.#pool = Buffer.allocUnsafeSlow(POOLED);
  }
}

/** Copies a payload behind its mask key at `key`, four bytes at a time. */
function unmask(from: DataView, key: number, size: number, to: DataView, at: number): void {
  const start = key + 4;
  const mask = from.getInt32(key);
  let i = 0;
  for (; i + 4 <= size; i += 4) to.setInt32(at + i, from.getInt32(start + i) ^ mask);
  for (; i < size; i++)
    to.setUint8(at + i, from.getUint8(start + i) ^ from.getUint8(key + (i & 3)));
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
