import { CloseMessage, PongMessage } from '@ws/codec';

/** Longest frame header: 2 bytes, a 64-bit length and a masking key. */
const MAX_HEADER = 14;
const FIN = 0x80;
const MASK = 0x80;
const TWO_32 = 2 ** 32;

/**
 * Reads frame headers as they pass and skips their payloads. It judges nothing: the peers see every
 * fault themselves. After a length of 2^53 or more no border is known any more.
 *
 * @see RFC 6455, section 5.2
 */
export class FrameScanner {
  /** Size of the last frame read, with its header. */
  size = 0;
  opcode = 0;
  /** Index of the payload in the frame. */
  payloadAt = 0;
  /** Frames and complete messages so far. */
  frames = 0;
  messages = 0;
  /** Payload bytes of the current message, as on the wire. */
  messageLength = 0;
  /** The length of a frame could not be read. */
  lost = false;

  /**
   * Reads the header at `at`.
   *
   * @returns false when the header is cut off or its length has no meaning (see {@link lost}).
   *   Nothing is counted then.
   */
  read(bytes: Uint8Array, at: number, end: number): boolean {
    if (end - at < 2) return false;
    const b0 = bytes[at]!;
    const b1 = bytes[at + 1]!;
    const short = b1 & 0x7f;
    let length = short;
    let header = 2;
    if (short === 126) {
      header = 4;
      if (end - at < 4) return false;
      length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    } else if (short === 127) {
      header = 10;
      if (end - at < 10) return false;
      length = readLength64(bytes, at + 2);
      if (!Number.isSafeInteger(length + MAX_HEADER)) {
        this.lost = true;
        return false;
      }
    }
    if ((b1 & MASK) !== 0) header += 4;
    if (end - at < header) return false;
    this.opcode = b0 & 0x0f;
    this.payloadAt = header;
    this.size = header + length;
    this.frames++;
    if (this.opcode < 8) this.#countData(length, (b0 & FIN) !== 0);
    return true;
  }

  /** Whether the last frame is a close frame or a pong, which may need a look inside. */
  get isCloseOrPong(): boolean {
    return this.opcode === CloseMessage || this.opcode === PongMessage;
  }

  #countData(length: number, fin: boolean): void {
    this.messageLength = this.opcode === 0 ? this.messageLength + length : length;
    if (fin) this.messages++;
  }
}

function readLength64(bytes: Uint8Array, at: number): number {
  const high =
    ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  const low =
    ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>>
    0;
  return high * TWO_32 + low;
}

/** Returns the payload of a control frame, unmasked. `frame` starts at its header. */
export function controlPayload(frame: Uint8Array, payloadAt: number, size: number): Uint8Array {
  const payload = new Uint8Array(frame.subarray(payloadAt, size));
  if ((frame[1]! & MASK) === 0) return payload;
  for (let i = 0; i < payload.length; i++) payload[i]! ^= frame[payloadAt - 4 + (i & 3)]!;
  return payload;
}
