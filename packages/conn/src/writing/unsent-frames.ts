import { FrameHeader, sharedMessageBuffers, unmask } from '@ws/codec';
import { HEADROOM, headerSize, LARGEST_SLAB, pieceOf } from '@ws/codec/internal';
import { Fifo } from '../fifo.ts';
import { copyInto, copyOf } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import { FIN, type FrameCoding, type FrameSlab, type SlabUser } from './frame-slab.ts';
import type { Batch } from './shared-frames.ts';

/** Largest payload in bytes that is written to the slab: there is room for its header. */
const SLAB_PAYLOAD = LARGEST_SLAB - HEADROOM;
/** UTF-16 units of a long text that are encoded at once. */
const PIECE = 4_096;

/** Bytes that a transport gets as one chunk. */
export interface Segment {
  bytes: Uint8Array;
  readonly start: number;
  end: number;
  /** Whether a frame begins at `start`. A referenced payload continues the frame before it. */
  readonly startsFrame: boolean;
  /** Called once when the bytes are no longer read. */
  readonly release: (() => void) | undefined;
}

/**
 * From this many bytes on, frames may wait in the slab, or in a slow transport as a view of it. Fewer
 * are copied: bounds count bytes, and the rest of the slab would be memory beyond them.
 */
export const LEND_FROM: number = (LARGEST_SLAB / 8) * 7;

/**
 * The accepted frames of one connection that the transport does not have yet.
 *
 * - The newest small frames are in the slab of the thread.
 * - Segments are before them: referenced payloads, large frames, and frames that had to leave the
 *   slab for another connection. These are copied and follow each other in one segment, so that one
 *   turn is one write.
 * - Frames that other connections send too are encoded once, as a batch in shared memory. A batch
 *   exists only while no other frame is unsent: the next frame of this connection follows a copy.
 */
export class UnsentFrames implements SlabUser {
  /** Bytes of all frames. Only this class changes it. */
  bytes = 0;
  /** Absent until the first segment. Only this class changes it. */
  segments: Fifo<Segment> | undefined;
  /**
   * The frames when they are shared. The slab has none of this connection then. Only this class
   * changes it.
   */
  batch: Batch | undefined;
  readonly #slab: FrameSlab;
  readonly #coding: FrameCoding;
  /** The last segment, if it is a copy that may grow. */
  #tail: Segment | undefined;

  constructor(slab: FrameSlab, coding: FrameCoding) {
    this.#slab = slab;
    this.#coding = coding;
  }

  /** Adds a frame with a copy of `bytes[start, end)`. Returns its size in bytes. */
  addCopy(b0: number, bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (this.batch !== undefined) this.#unshare(this.batch);
    if (length > SLAB_PAYLOAD) {
      const memory = sharedMessageBuffers().take(length);
      copyInto(memory, 0, bytes, start, end);
      return this.#addLarge(b0, memory, length);
    }
    try {
      const size = this.#slab.reserve(this, this.#coding, length).frame(b0, bytes, start, end);
      this.bytes += size;
      return size;
    } catch (error) {
      this.#slab.dropUnused(this);
      throw error;
    }
  }

  /** Adds the frame of a whole text message. Returns its size in bytes. */
  addText(opcode: DataType, text: string): number {
    if (this.batch !== undefined) this.#unshare(this.batch);
    const most = 3 * text.length;
    if (most > SLAB_PAYLOAD) return this.#addLongText(opcode, text);
    try {
      const out = this.#slab.reserve(this, this.#coding, most);
      const { pos } = out;
      out.text(FIN | opcode, text);
      const size = out.pos - pos;
      this.bytes += size;
      return size;
    } catch (error) {
      this.#slab.dropUnused(this);
      throw error;
    }
  }

  /**
   * Adds an unmasked frame whose payload is `bytes[start, end)` itself. The bytes must not change
   * until `release` is called. Returns its size in bytes.
   */
  addReference(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    release: (() => void) | undefined,
  ): number {
    if (this.batch !== undefined) this.#unshare(this.batch);
    const length = end - start;
    const out = this.#slab.reserve(this, this.#coding, HEADROOM);
    out.header(b0, length);
    const header = out.headerSize(length);
    out.pos += header;
    this.bytes += header + length;
    this.#add({ bytes, start, end, startsFrame: false, release });
    return header + length;
  }

  /**
   * Adds an unmasked frame whose payload is `memory[0, length)`, which the message buffers have lent.
   * The header is in front of it. Returns the size of the frame in bytes.
   *
   * @param release - A second call has no effect.
   */
  addPinned(b0: number, memory: Uint8Array, length: number, release: () => void): number {
    if (this.batch !== undefined) this.#unshare(this.batch);
    return this.#addFrame(frameAround(memory, b0, length, undefined), release);
  }

  /** Makes `batch` the unsent frames: it has the frames of the earlier batch, if there is one. */
  share(batch: Batch): void {
    this.batch = batch;
    this.bytes = batch.size;
  }

  /** Adds a shared frame after the others, without a copy. */
  addShared({ arena, start, end }: Batch): void {
    if (this.batch !== undefined) this.#unshare(this.batch);
    this.bytes += end - start;
    this.#add({ bytes: arena.bytes, start, end, startsFrame: true, release: undefined });
  }

  /** Adds the frame of a text, encoded in memory that grows when the text is not ASCII. */
  #addLongText(opcode: DataType, text: string): number {
    const { writeUtf8 } = this.#coding;
    const buffers = sharedMessageBuffers();
    // Counting the bytes takes 35 times as long as writing them.
    let memory = buffers.take(text.length + 2 * PIECE);
    let end = 0;
    try {
      for (let i = 0; i < text.length; ) {
        const piece = pieceOf(text, i, PIECE);
        if (memory.length - end < 3 * piece.length) {
          const larger = buffers.take(end + 3 * (text.length - i));
          copyInto(larger, 0, memory, 0, end);
          buffers.give(memory);
          memory = larger;
        }
        end += writeUtf8(memory, end, piece);
        i += piece.length;
      }
    } catch (error) {
      buffers.give(memory);
      throw error;
    }
    return this.#addLarge(FIN | opcode, memory, end);
  }

  /**
   * Adds a frame whose payload is `memory[0, length)`, which the message buffers have lent. Masks it
   * if this end masks.
   */
  #addLarge(b0: number, memory: Uint8Array, length: number): number {
    const buffers = sharedMessageBuffers();
    const { nextKey } = this.#coding;
    let frame: Uint8Array;
    try {
      const key = nextKey?.();
      frame = frameAround(memory, b0, length, key);
      if (key !== undefined) unmask(memory, 0, length, key);
    } catch (error) {
      buffers.give(memory);
      throw error;
    }
    let isLent = true;
    return this.#addFrame(frame, () => {
      // The same memory may belong to another write at a second release.
      if (isLent) buffers.give(memory);
      isLent = false;
    });
  }

  #addFrame(frame: Uint8Array, release: () => void): number {
    const end = frame.length;
    this.bytes += end;
    this.#add({ bytes: frame, start: 0, end, startsFrame: true, release });
    return end;
  }

  /** Adds a segment after the frames in the slab, which stay there: both leave soon. */
  #add(segment: Segment): void {
    if (this.#slab.hasFramesOf(this)) this.#lend();
    this.#push(segment);
  }

  #push(segment: Segment): void {
    this.segments ??= new Fifo();
    this.segments.add(segment);
    this.#tail = undefined;
  }

  spill(): void {
    const slab = this.#slab;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    if (slab.hasFramesOf(this)) {
      if (end - start >= LEND_FROM) return this.#lend();
      this.#keep(bytes, start, end);
    }
    slab.drop(this);
  }

  #lend(): void {
    const slab = this.#slab;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    this.#push({ bytes, start, end, startsFrame: true, release: slab.lend() });
  }

  /** Copies frames to memory of this connection. It grows to twice their size, up to a slab. */
  #keep(bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    let tail = this.#tail;
    if (tail === undefined || tail.end + size > LARGEST_SLAB) {
      const memory = new Uint8Array(size);
      tail = { bytes: memory, start: 0, end: 0, startsFrame: true, release: keepMemory };
      this.#push(tail);
      this.#tail = tail;
    } else if (tail.bytes.length < tail.end + size) {
      const larger = new Uint8Array(Math.min(LARGEST_SLAB, 2 * (tail.end + size)));
      copyInto(larger, 0, tail.bytes, 0, tail.end);
      tail.bytes = larger;
    }
    copyInto(tail.bytes, tail.end, bytes, start, end);
    tail.end += size;
  }

  /** Lets the frames in the slab follow the copied ones in the same segment. */
  joinTail(): void {
    if (this.#tail !== undefined) this.spill();
  }

  /** Removes the batch, which the transport gets. */
  takeBatch(): Batch {
    const batch = this.batch!;
    this.batch = undefined;
    this.bytes -= batch.size;
    return batch;
  }

  /** Lends the frames in the slab to the transport. Returns the function that releases them. */
  lendSlab(): () => void {
    this.bytes -= this.#slab.out.pos - this.#slab.start;
    return this.#slab.lend();
  }

  /** Removes the frames from the slab and returns a copy of them. */
  copySlab(): Uint8Array {
    const slab = this.#slab;
    const copy = copyOf(slab.out.bytes, slab.start, slab.out.pos);
    this.bytes -= copy.length;
    slab.drop(this);
    return copy;
  }

  /** Removes the first segment, which the transport gets. */
  shift(): Segment {
    const segment = this.segments!.shift()!;
    if (segment === this.#tail) this.#tail = undefined;
    this.bytes -= segment.end - segment.start;
    return segment;
  }

  /** Drops all frames, except the rest of a frame of which the transport has the first part. */
  truncate(): void {
    const first = this.segments?.peek();
    const rest = first?.startsFrame === false ? this.shift() : undefined;
    this.discard();
    if (rest === undefined) return;
    this.bytes = rest.end - rest.start;
    this.segments!.add(rest);
  }

  /** Drops all frames and releases their memory. */
  discard(): void {
    this.#slab.drop(this);
    this.batch = undefined;
    while (this.segments !== undefined && this.segments.length > 0) this.shift().release?.();
    this.bytes = 0;
  }

  /**
   * Copies the shared frames into the slab, so that more frames can follow in the same write.
   *
   * @throws the error of the buffer pool. The batch stays unchanged.
   */
  #unshare(batch: Batch): void {
    const { arena, start, end, size } = batch;
    if (size > SLAB_PAYLOAD)
      this.#add({ bytes: arena.bytes, start, end, startsFrame: true, release: undefined });
    else {
      const out = this.#slab.reserve(this, this.#coding, size);
      out.fill(out.pos, arena.bytes, start, end, 0);
      out.pos += size;
    }
    this.batch = undefined;
  }
}

const header = /* @__PURE__ */ new FrameHeader();

/**
 * Returns the frame with the payload `memory[0, length)`. Its header is in the {@link HEADROOM}
 * before `memory`, which the message buffers have lent.
 */
function frameAround(
  memory: Uint8Array,
  b0: number,
  length: number,
  key: number | undefined,
): Uint8Array {
  header.fin = (b0 & FIN) !== 0;
  header.rsv = b0 & 0x70;
  header.opcode = b0 & 0x0f;
  header.length = length;
  header.masked = key !== undefined;
  header.maskKey = key ?? 0;
  const size = headerSize(length) + (key === undefined ? 0 : 4);
  const frame = new Uint8Array(memory.buffer, memory.byteOffset - size, size + length);
  header.write(frame);
  return frame;
}

/** The release of memory that nothing uses again. */
export function keepMemory(): void {}
