const BLANK_LINE = Buffer.from('\r\n\r\n');

/**
 * Counts the complete messages in one direction, from the handshake on. Reads headers only.
 */
export class MessageCounter {
  /** Complete data messages. */
  whole = 0;
  /** Matched bytes of the blank line after the handshake; 4: frames follow. */
  #blank = 0;
  readonly #header: number[] = [];
  /** Remaining payload bytes of the frame. */
  #left = 0;
  /** The frame ends a data message. */
  #ends = false;

  pass(bytes: Uint8Array): void {
    let at = 0;
    while (this.#blank < BLANK_LINE.length) {
      if (at === bytes.length) return;
      const byte = bytes[at++];
      if (byte === BLANK_LINE[this.#blank]) this.#blank++;
      else this.#blank = byte === BLANK_LINE[0] ? 1 : 0;
    }
    while (at < bytes.length) {
      if (this.#left > 0) {
        const n = Math.min(this.#left, bytes.length - at);
        this.#left -= n;
        at += n;
        if (this.#left === 0 && this.#ends) this.whole++;
        continue;
      }
      this.#header.push(bytes[at++]!);
      const payload = payloadLength(this.#header);
      if (payload < 0) continue;
      const first = this.#header[0]!;
      this.#ends = (first & 0x80) !== 0 && (first & 0x0f) < 8;
      this.#header.length = 0;
      this.#left = payload;
      if (payload === 0 && this.#ends) this.whole++;
    }
  }
}

/** Payload length of a header (RFC 6455, section 5.2); -1 for an incomplete header. */
export function payloadLength(header: ArrayLike<number>): number {
  if (header.length < 2) return -1;
  const second = header[1]!;
  const short = second & 0x7f;
  const extended = short === 127 ? 8 : short === 126 ? 2 : 0;
  if (header.length < 2 + extended + (second >= 0x80 ? 4 : 0)) return -1;
  if (extended === 0) return short;
  let length = 0;
  for (let i = 2; i < 2 + extended; i++) length = length * 256 + header[i]!;
  return length;
}
