import { isUtf8 } from 'node:buffer';
import type { FrameDecoder } from '@ws/codec';
import { arrayBufferOf, join } from './bytes.ts';

/** The type of binary messages. */
export type BinaryType = 'nodebuffer' | 'arraybuffer' | 'fragments' | 'blob';
/** A received message. */
export type RawData = Buffer | ArrayBuffer | Buffer[] | Blob;

/** A frame of up to this size in bytes gets its memory when its header has come. */
const LARGEST_AT_ONCE = 256 * 1024;
/** Bytes. Up to this size, a loop finds that a text is ASCII faster than a call. */
const SHORT_TEXT = 24;

/** A message that comes in several frames or pieces, or is compressed. */
export class ReceivedMessage {
  readonly opcode: number;
  readonly compressed: boolean;
  /** Payload bytes on the wire. */
  length = 0;
  /** Plain bytes of a compressed message. */
  plain = 0;
  /** Complete frames. */
  frames = 0;
  /** Whether compressed bytes wait in the decompressor. */
  inflating = false;
  /** Whether the decompressor has the last of the compressed bytes. */
  whole = false;
  readonly #fragments: Buffer[] = [];
  /** For each frame, the index of its first fragment: inflating makes several. */
  readonly #starts: number[] = [];
  /** The frame that comes in pieces: its memory, or the pieces of a large one. */
  #frame: Buffer | undefined;
  #pieces: Buffer[] | undefined;

  constructor(opcode: number, compressed: boolean) {
    this.opcode = opcode;
    this.compressed = compressed;
  }

  /** A frame with a payload of `length` bytes begins. */
  openFrame(length: number): void {
    this.length += length;
    const start = this.#fragments.length;
    if (this.compressed && this.#starts.at(-1) !== start) this.#starts.push(start);
  }

  add(payload: Buffer): void {
    if (payload.length > 0) this.#fragments.push(payload);
  }

  /** Gives memory to a frame that comes in pieces. */
  beginFrame(decoder: FrameDecoder): void {
    // Memory for a large frame grows with the bytes that come, not with the length in its header.
    if (decoder.length > LARGEST_AT_ONCE) {
      this.#pieces = [];
      return;
    }
    this.#frame = Buffer.allocUnsafeSlow(decoder.length);
    decoder.assembleInto(this.#frame, 0);
  }

  /** Whether pieces are added by {@link addPiece}: others arrive in the memory of the frame. */
  get keepsPieces(): boolean {
    return this.#pieces !== undefined;
  }

  addPiece(piece: Buffer): void {
    this.#pieces!.push(piece);
  }

  endFrame(decoder: FrameDecoder): void {
    decoder.deliverInPlace();
    this.add(this.#frame ?? Buffer.concat(this.#pieces!));
    this.#frame = this.#pieces = undefined;
  }

  /** The bytes of the message. */
  get bytes(): Buffer {
    return join(this.#fragments);
  }

  as(type: BinaryType): RawData {
    if (type !== 'fragments') return converted(this.bytes, type);
    return this.compressed ? this.#byFrame() : this.#fragments;
  }

  #byFrame(): Buffer[] {
    const starts = this.#starts;
    const frames = starts.map((start, i) => join(this.#fragments.slice(start, starts[i + 1])));
    return frames.filter((frame) => frame.length > 0);
  }
}

/** A binary message in one piece. */
export function converted(bytes: Buffer, type: BinaryType): RawData {
  if (type === 'nodebuffer') return bytes;
  if (type === 'arraybuffer') return arrayBufferOf(bytes);
  if (type === 'blob') return new Blob([bytes]);
  // Also for a type that `new Receiver()` does not know.
  return bytes.length === 0 ? [] : [bytes];
}

export function isValidText(bytes: Buffer): boolean {
  if (bytes.length > SHORT_TEXT) return isUtf8(bytes);
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return isUtf8(bytes);
  return true;
}
