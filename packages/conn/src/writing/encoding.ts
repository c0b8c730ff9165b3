import type { Extension } from '@ws/codec';
import { encoded, utf8Length } from '@ws/codec/internal';

// The messages that the extension of a connection encodes.

/**
 * Whether the extension encodes a message as a whole.
 *
 * @param size - Size in bytes.
 * @param compress - The option of the caller.
 */
export function wantsMessage(
  extension: Extension,
  size: number,
  compress: boolean | undefined,
): boolean {
  return size <= (extension.maxBytes ?? Infinity) && extension.wants(size, compress);
}

/** As {@link wantsMessage}, for a text whose size in bytes is unknown. */
export function wantsText(
  extension: Extension,
  text: string,
  compress: boolean | undefined,
): boolean {
  const units = text.length;
  // A UTF-16 unit has one to three bytes.
  if (units > (extension.maxBytes ?? Infinity) || !extension.wants(units * 3, compress)) {
    return false;
  }
  return wantsMessage(extension, utf8Length(text), compress);
}

/** As {@link wantsMessage}, for a prepared message. A shared encoding has its own bound. */
export function wantsPrepared(extension: Extension, size: number): boolean {
  const { shared } = extension;
  if (shared === undefined) return wantsMessage(extension, size, undefined);
  return size <= (shared.maxBytes ?? Infinity) && extension.wants(size, undefined);
}

/**
 * Encodes `bytes[start, end)`, one part of a message. `first` marks the first part and `fin` the
 * last. The output stays in the extension's `output` until `endOutput`.
 *
 * @returns Size of the output in bytes; -1 when the extension does not encode the message.
 */
export function encodePart(
  extension: Extension,
  bytes: Uint8Array,
  start: number,
  end: number,
  first: boolean,
  fin: boolean,
): number {
  return encoded(extension.encode(bytes, start, end, first, fin), extension, first);
}

/** RSV bits of the first frame of the output. */
export function outputRsv({ sentRsv, rsv }: Extension): number {
  return sentRsv ?? rsv;
}
