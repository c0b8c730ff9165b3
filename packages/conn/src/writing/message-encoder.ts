import type { Extension, SharedEncoding } from '@ws/codec';
import { encoded, NO_BYTES, utf8Length } from '@ws/codec/internal';
import { COPY_BELOW } from '../memory/copy.ts';
import type { PreparedMessage } from './prepared-message.ts';

/** Encodes the messages of a connection with its extension. */
export class MessageEncoder {
  /** Whether the close frame is about to be sent, so that messages are sent unencoded. */
  flushing = false;
  readonly extension: Extension;

  constructor(extension: Extension) {
    this.extension = extension;
  }

  /**
   * Whether the extension encodes a message.
   *
   * @param size - Size in bytes; Infinity for a message in fragments.
   * @param compress - The option of the caller.
   */
  wants(size: number, compress: boolean | undefined): boolean {
    return this.extension.wants(size, this.flushing ? false : compress);
  }

  wantsText(text: string, compress: boolean | undefined): boolean {
    // A UTF-16 unit has three bytes at most.
    if (!this.wants(text.length * 3, compress)) return false;
    return this.wants(utf8Length(text), compress);
  }

  /** Whether another thread encodes messages of `size` bytes. False while {@link flushing}. */
  isLarge(size: number): boolean {
    return !this.flushing && this.extension.shared?.isLarge(size) === true;
  }

  /** Whether a text fits pooled memory, and no other thread encodes it. */
  isShort(text: string): boolean {
    const maxBytes = text.length * 3;
    return maxBytes < COPY_BELOW && !this.isLarge(maxBytes);
  }

  /**
   * Encodes `bytes[start, end)`, one part of a message. `first` marks the first part and `fin` the
   * last. The output stays in the extension's `output` until `endOutput`.
   *
   * @returns Size of the output in bytes; -1 when the extension does not encode the message.
   */
  encode(bytes: Uint8Array, start: number, end: number, first: boolean, fin: boolean): number {
    const extension = this.extension;
    return encoded(extension.encode(bytes, start, end, first, fin), extension, first);
  }

  /** RSV bits of the first frame of the output. */
  get outputRsv(): number {
    const { sentRsv, rsv } = this.extension;
    return sentRsv ?? rsv;
  }

  /**
   * Returns the encoded variant of a prepared message. Empty bytes: the message is sent unencoded.
   * Undefined: another thread must encode the message first.
   */
  variantOf(message: PreparedMessage, shared: SharedEncoding): Uint8Array | undefined {
    try {
      const variant = message.variants.get(shared);
      return variant === undefined && this.flushing ? NO_BYTES : variant;
    } catch {
      // Out of memory: sends the message unencoded.
      return NO_BYTES;
    }
  }
}
