import type { Extension, SharedEncoding } from '@ws/codec';
import { encoded, NO_BYTES, utf8Length } from '@ws/codec/internal';
import { COPY_BELOW } from '../memory/copy.ts';
import type { PreparedMessage } from './prepared-message.ts';

/** Encodes the messages of a connection by its extension. */
export class MessageEncoder {
  /** The close frame is about to be sent: messages are no longer encoded. */
  flushing = false;
  readonly extension: Extension;

  constructor(extension: Extension) {
    this.extension = extension;
  }

  /**
   * Whether the extension changes a message.
   *
   * @param size - In bytes; Infinity for a message in fragments.
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

  /** Whether another thread encodes a message of `size` bytes. A close frame waits for none. */
  isLarge(size: number): boolean {
    return !this.flushing && this.extension.shared?.isLarge(size) === true;
  }

  /** Whether a text fits pooled memory, and is not {@link isLarge large}. */
  isShort(text: string): boolean {
    const most = text.length * 3;
    return most < COPY_BELOW && !this.isLarge(most);
  }

  /**
   * Encodes `bytes[start, end)`, a part of a message: its `first`, or its last (`fin`). The result is
   * in `output` of the extension until `endOutput`, which follows the last part.
   *
   * @returns The size of the output in bytes; -1 when the extension leaves the message as it is.
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
   * Returns the encoded variant of a prepared message. It is empty when the message is sent as it is;
   * undefined when another thread must encode it first.
   */
  variantOf(message: PreparedMessage, shared: SharedEncoding): Uint8Array | undefined {
    try {
      const variant = message.variants.get(shared);
      return variant === undefined && this.flushing ? NO_BYTES : variant;
    } catch {
      // There is no memory for it.
      return NO_BYTES;
    }
  }
}
