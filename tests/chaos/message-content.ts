import { pattern } from '../peers/pattern.ts';

/** Describes a message; its bytes follow from these fields. */
export interface Content {
  readonly text: boolean;
  /** Identifies a direction of a connection, or a room. */
  readonly tag: number;
  /** Index among the messages of its tag. */
  readonly number: number;
  /** Approximate size in bytes; 0 is exact. */
  readonly size: number;
}

/** Size of tag, number and length before the pattern, in bytes. Text has decimal digits. */
const HEAD = 12;
const LARGEST = 131_072;
/** Number of different start offsets in the pattern. */
const STARTS = 4_096;

const bytes = pattern(LARGEST + STARTS, 7);

// Each piece has 16 bytes, 11 UTF-16 units, and characters of one to four bytes.
const PIECE_BYTES = 16;
const PIECE_UNITS = 11;
const pieces = Array.from({ length: (LARGEST + STARTS) / PIECE_BYTES }, (_, i) => {
  return `${String(i).padStart(7, '0')}é€😀`;
}).join('');

function startOf({ tag, number }: Content): number {
  return (Math.imul(tag, 31) + Math.imul(number, 17)) & (STARTS - 1);
}

export function textOf(content: Content): string {
  const { tag, number, size } = content;
  if (size === 0) return '';
  const from = (startOf(content) >> 4) * PIECE_UNITS;
  const length = Math.floor(Math.min(size, LARGEST) / PIECE_BYTES) * PIECE_UNITS;
  return `${tag}:${number}:${size};${pieces.slice(from, from + length)}`;
}

/** The message as new bytes. */
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

/** True when `data` has the type and every byte of the message. */
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

/** The identification in `data` as text. */
export function headOf(text: boolean, data: string | Uint8Array): string {
  const { length } = data;
  if (length === 0) return 'an empty message';
  if (text) return `text ${Buffer.from(data).toString().slice(0, 40)} (${length})`;
  const got = Buffer.from(data as Uint8Array);
  if (length < HEAD) return `bytes ${got.toString('hex')}`;
  return `bytes ${got.readUInt32LE(0)}:${got.readUInt32LE(4)}:${got.readUInt32LE(8)} (${length})`;
}
