import { pattern } from '../peers/pattern.ts';

/** What one message carries: all of its bytes follow from this, so that each of them can be checked. */
export interface Content {
  readonly text: boolean;
  /** Whose message it is: of a direction of a connection, or of a room. */
  readonly tag: number;
  /** Its place among those of its tag. */
  readonly number: number;
  /** Bytes, roughly: 0 is exact, others have room for the head at least. */
  readonly size: number;
}

/** Tag, number and length stand before the pattern, as bytes; in text they stand as digits. */
const HEAD = 12;
const LARGEST = 131_072;
/** Where in the pattern a message begins differs from number to number. */
const STARTS = 4_096;

const bytes = pattern(LARGEST + STARTS, 7);

// Characters of one to four bytes, 16 bytes and 11 UTF-16 units in each piece.
const PIECE_BYTES = 16;
const PIECE_UNITS = 11;
const pieces = Array.from({ length: (LARGEST + STARTS) / PIECE_BYTES }, (_, i) => {
  return `${String(i).padStart(7, '0')}é€😀`;
}).join('');

function startOf({ tag, number }: Content): number {
  return (Math.imul(tag, 31) + Math.imul(number, 17)) & (STARTS - 1);
}

/** The message as a string. */
export function textOf(content: Content): string {
  const { tag, number, size } = content;
  if (size === 0) return '';
  const from = (startOf(content) >> 4) * PIECE_UNITS;
  const length = Math.floor(Math.min(size, LARGEST) / PIECE_BYTES) * PIECE_UNITS;
  return `${tag}:${number}:${size};${pieces.slice(from, from + length)}`;
}

/** The message as bytes, in memory of its own. */
export function bytesOf(content: Content): Buffer {
  if (content.text) return Buffer.from(textOf(content));
  const size = binarySize(content);
  const made = Buffer.allocUnsafeSlow(size);
  if (size === 0) return made;
  made.writeUInt32LE(content.tag, 0);
  made.writeUInt32LE(content.number, 4);
  made.writeUInt32LE(size, 8);
  const from = startOf(content);
  made.set(bytes.subarray(from, from + size - HEAD), HEAD);
  return made;
}

function binarySize({ size }: Content): number {
  return size === 0 ? 0 : Math.max(HEAD, Math.min(size, LARGEST));
}

/** Whether `data` is exactly this message: its type, and every byte. */
export function isContent(content: Content, text: boolean, data: string | Uint8Array): boolean {
  if (text !== content.text) return false;
  if (typeof data === 'string') return data === textOf(content);
  if (text) return Buffer.from(textOf(content)).equals(data);
  const size = binarySize(content);
  if (data.length !== size) return false;
  if (size === 0) return true;
  const got = Buffer.from(data.buffer, data.byteOffset, size);
  const from = startOf(content);
  return (
    got.readUInt32LE(0) === content.tag &&
    got.readUInt32LE(4) === content.number &&
    got.readUInt32LE(8) === size &&
    got.compare(bytes, from, from + size - HEAD, HEAD) === 0
  );
}

/** What stands at the head of `data`, for a person. */
export function headOf(text: boolean, data: string | Uint8Array): string {
  const { length } = data;
  if (length === 0) return 'an empty message';
  if (text) return `text ${Buffer.from(data).toString().slice(0, 40)} (${length})`;
  const got = Buffer.from(data as Uint8Array);
  if (length < HEAD) return `bytes ${got.toString('hex')}`;
  return `bytes ${got.readUInt32LE(0)}:${got.readUInt32LE(4)}:${got.readUInt32LE(8)} (${length})`;
}
