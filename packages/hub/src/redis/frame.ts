import type { Position } from '../position.ts';

/** Bytes from a client, a `Buffer`. */
export interface RedisBytes extends Uint8Array {
  toString(encoding?: 'latin1' | 'utf8', start?: number, end?: number): string;
}

const SPACE = 0x20;
/** Bound of the bytes that are read as epoch and offset. A UUID and 16 digits fit. */
const MAX_HEADER_BYTES = 64;

/**
 * The bytes of a message without history on a channel of Redis: a space, then the message. With
 * history the script publishes `epoch offset message`, separated by spaces.
 */
export function plainFrame(message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(SPACE), message]);
}

/** The bytes that the script publishes. */
export function keptFrame({ epoch, offset }: Position, message: Uint8Array): Uint8Array {
  return Buffer.concat([new TextEncoder().encode(`${epoch} ${offset} `), message]);
}

/** Reads both forms. Bytes of another program become a message without a position. */
export function parseFrame(
  frame: RedisBytes,
): [message: Uint8Array, position: Position | undefined] {
  const space = frame.indexOf(SPACE);
  const start = space <= 0 ? space + 1 : frame.indexOf(SPACE, space + 1) + 1;
  const [epoch, offset] = frame.toString('latin1', 0, Math.min(start, MAX_HEADER_BYTES)).split(' ');
  const kept = epoch !== '' && Number.isSafeInteger(Number(offset));
  // A copy: the frame is a view on a larger buffer, which the message would keep in memory.
  const message = new Uint8Array(frame.subarray(start));
  return [message, kept ? { epoch: epoch!, offset: Number(offset) } : undefined];
}

/**
 * Escapes braces, which would change the slot, lone surrogates, which have no UTF-8, and `%`.
 * Different names have different results.
 */
export function escapeName(name: string): string {
  return name.replace(/[{}%\p{Cs}]/gu, (character) => {
    return `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
