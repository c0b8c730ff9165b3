import type { Position } from '../position.ts';

/** Bytes from a client: a `Buffer`. */
export interface RedisBytes extends Uint8Array {
  toString(encoding?: 'latin1' | 'utf8', start?: number, end?: number): string;
}

const SPACE = 0x20;
/** Bound of the bytes of epoch and offset in a frame: a UUID and 16 digits fit. */
const MAX_HEADER_BYTES = 64;

/** The bytes on a channel of Redis for a message without history: a space, then the message. */
export function plainFrame(message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(SPACE), message]);
}

/** The bytes for a message with history, as the script publishes them: `epoch offset message`. */
export function keptFrame({ epoch, offset }: Position, message: Uint8Array): Uint8Array {
  return Buffer.concat([new TextEncoder().encode(`${epoch} ${offset} `), message]);
}

/** Reads a frame of either form. Bytes of another program become a message without a position. */
export function parseFrame(
  frame: RedisBytes,
): [message: Uint8Array, position: Position | undefined] {
  const first = frame.indexOf(SPACE);
  const start = first <= 0 ? first + 1 : frame.indexOf(SPACE, first + 1) + 1;
  const [epoch, offset] = frame.toString('latin1', 0, Math.min(start, MAX_HEADER_BYTES)).split(' ');
  const hasPosition = epoch !== '' && Number.isSafeInteger(Number(offset));
  // Copies the message: a view would keep the larger buffer of the frame in memory.
  const message = new Uint8Array(frame.subarray(start));
  return [message, hasPosition ? { epoch: epoch!, offset: Number(offset) } : undefined];
}

/**
 * Escapes braces, which would change the slot, lone surrogates, which have no UTF-8, and `%`. Different
 * names have different results.
 */
export function escapeName(name: string): string {
  return name.replace(/[{}%\p{Cs}]/gu, (character) => {
    return `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
