const FIRST_SIZE = 4096;
const PING = 0x89;

/**
 * The bytes from a server, stored for a later check. During a measurement it only finds the end of
 * each frame.
 */
export class FrameLog {
  /** Payloads of received pings. The caller removes them. */
  readonly pings: Buffer[] = [];
  #bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
  #length = 0;
  /** Start of the first incomplete frame. */
  #next = 0;

  /** Bytes of complete frames in the log. */
  get length(): number {
    return this.#next;
  }

  /**
   * Stores a chunk.
   *
   * @returns Number of messages that this chunk completes.
   * @throws Error for a frame that is neither an unfragmented message nor a ping.
   */
  push(chunk: Uint8Array): number {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) this.#grow(length);
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
    let messages = 0;
    for (;;) {
      const end = frameEnd(this.#bytes, this.#next, length);
      if (end === 0) return messages;
      const first = this.#bytes[this.#next]!;
      if (isMessage(first)) messages++;
      else if (first === PING)
        this.pings.push(Buffer.from(this.#bytes.subarray(this.#next + 2, end)));
      else
        throw new Error(
          `the server sent an unexpected frame with first byte 0x${first.toString(16)}`,
        );
      this.#next = end;
    }
  }

  /**
   * The payload of each message, and whether it is compressed; valid until the next `push`. The log
   * is empty after the last one.
   */
  *drain(): Generator<{ payload: Buffer; compressed: boolean }> {
    const bytes = this.#bytes;
    for (let at = 0; at < this.#next; ) {
      const end = frameEnd(bytes, at, this.#next);
      const first = bytes[at]!;
      if (isMessage(first)) {
        yield { payload: bytes.subarray(payloadStart(bytes, at), end), compressed: first === 0xc1 };
      }
      at = end;
    }
    this.#bytes.copyWithin(0, this.#next, this.#length);
    this.#length -= this.#next;
    this.#next = 0;
  }

  #grow(least: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(least, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Whether the first byte is FIN and text, with or without RSV1. */
function isMessage(first: number): boolean {
  return (first & 0xbf) === 0x81;
}

/** Start of the payload of the server's frame at `at`. */
function payloadStart(bytes: Buffer, at: number): number {
  const short = bytes[at + 1]!;
  return at + 2 + (short < 126 ? 0 : short === 126 ? 2 : 8);
}

/** End of the frame at `at`, or 0 for an incomplete frame. */
function frameEnd(bytes: Buffer, at: number, length: number): number {
  if (length - at < 2) return 0;
  const short = bytes[at + 1]!;
  const start = payloadStart(bytes, at);
  if (start > length) return 0;
  const size =
    short < 126
      ? short
      : short === 126
        ? bytes.readUInt16BE(at + 2)
        : Number(bytes.readBigUInt64BE(at + 2));
  return start + size > length ? 0 : start + size;
}
