import type { Extension } from '@ws/codec';
import { encoded, utf8Length } from '@ws/codec/internal';

/** Encodes the messages of a connection with its extension. */
export class MessageEncoder {
  readonly extension: Extension;

  constructor(extension: Extension) {
    this.extension = extension;
  }

  /**
   * Whether the extension encodes a message as a whole.
   *
   * @param size - Size in bytes.
   * @param compress - The option of the caller.
   */
  wants(size: number, compress: boolean | undefined): boolean {
    const { extension } = this;
    return size <= (extension.maxBytes ?? Infinity) && extension.wants(size, compress);
  }

  wantsText(text: string, compress: boolean | undefined): boolean {
    const { extension } = this;
    const units = text.length;
    // A UTF-16 unit has one to three bytes.
    if (units > (extension.maxBytes ?? Infinity) || !extension.wants(units * 3, compress)) {
      return false;
    }
    return this.wants(utf8Length(text), compress);
  }

  /**
   * As {@link wants}, for a message of a MessageWriter, whatever its size.
   *
   * @param size - Infinity for a message of several fragments.
   */
  wantsFragments(size: number, compress: boolean | undefined): boolean {
    return this.extension.wants(size, compress);
  }

  /** As {@link wants}, for a prepared message. A shared encoding has its own bound. */
  wantsPrepared(size: number): boolean {
    const { extension } = this;
    const { shared } = extension;
    if (shared === undefined) return this.wants(size, undefined);
    return size <= (shared.maxBytes ?? Infinity) && extension.wants(size, undefined);
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
}
