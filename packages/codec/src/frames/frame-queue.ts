import { lengthOf, viewOf } from '../byte-facts.ts';
import { copyRange } from '../masking/copy.ts';
import { swap, xorWith } from '../masking/mask.ts';
import { existingSimd } from '../masking/simd.ts';
import { HEADROOM } from '../masking/simd-blocks.ts';
import { callRelease, LARGEST_SLAB, type Slab } from '../memory/slab.ts';
import { Arena, Batch } from './batch.ts';
import type { FrameCoding, FrameSlab } from './frame-slab.ts';
import { LONGEST_PIECE, pieceOf, writePiece } from './frame-writer.ts';
import { headerSize, writeHeader, writeMaskKey } from './header.ts';
import { MASK } from './rules.ts';

/** Largest payload in bytes that is written to the slab: there is room for its header. */
export const SLAB_PAYLOAD: number = LARGEST_SLAB - HEADROOM;

/**
 * The batch of a queue that has lost bytes of the stream. Each method that adds or takes frames looks
 * at the batch first, so a queue that is whole pays nothing for the check.
 */
const LOST = /* @__PURE__ */ new Batch(/* @__PURE__ */ new Arena(0), 0, 0);

/** Whether frames may be added to a segment. */
const GROWS = true;

/** Bytes that a transport gets as one chunk. */
export interface Segment {
  bytes: Uint8Array;
  readonly start: number;
  end: number;
  /** Whether a frame begins at `start`. A referenced payload continues the frame before it. */
  readonly startsFrame: boolean;
  /** Called once when the bytes are no longer read. */
  readonly release: (() => void) | undefined;
  /** Whether frames may be added to its bytes. */
  readonly grows: boolean;
  next: Segment | undefined;
}

/**
 * The frames of one connection that its transport does not have yet, in their order:
 *
 * - The newest small frames are in the slab, which many queues may share.
 * - Earlier ones are segments: referenced payloads, large frames, and frames that had to leave the
 *   slab.
 * - Frames that other queues send too are a batch in memory that all of them read. A batch exists only
 *   while no other frame is unsent: each method that adds another frame copies the batch first.
 *
 * An empty queue holds no memory.
 */
export class FrameQueue {
  /** Bytes of all frames. */
  bytes = 0;
  /** The first segment. */
  first: Segment | undefined = undefined;
  /** The frames when they are shared. The slab has none of this queue then. */
  batch: Batch | undefined = undefined;
  /** The slab of the newest frames. */
  readonly slab: FrameSlab;
  // Plain fields, not `#`: see `FrameEncoder`.
  private readonly coding: FrameCoding;
  private last: Segment | undefined = undefined;

  constructor(slab: FrameSlab, coding: FrameCoding) {
    this.slab = slab;
    this.coding = coding;
  }

  /**
   * Returns the key of the next frame, 0 on a server. The application's function for keys may add
   * frames: it is called before the frame has a place.
   */
  nextKey(): number {
    const { coding } = this;
    return coding.masks ? coding.nextKey() : 0;
  }

  /**
   * Adds a frame with a copy of `bytes[start, end)`. Returns its size in bytes.
   *
   * @param b0 - The first byte: FIN, RSV bits and opcode.
   * @param release - Called when the frame is added: it may add the next one. The frame is removed when
   *   it throws.
   */
  addCopy(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number = this.coding.masks ? this.coding.nextKey() : 0,
    release?: () => void,
  ): number {
    if (this.batch !== undefined) this.#copyBatch(this.batch);
    const length = end - start;
    if (length > SLAB_PAYLOAD) {
      return this.#released(release, this.#addLargeCopy(b0, bytes, start, end, key));
    }
    const size = this.slab.reserve(this, this.coding, length).frame(b0, bytes, start, end, key);
    this.bytes += size;
    return release === undefined ? size : this.#released(release, size);
  }

  /** Adds a frame with a text. Returns its size in bytes. `release`: as of {@link addCopy}. */
  addText(b0: number, text: string, release?: () => void): number {
    if (this.batch !== undefined) this.#copyBatch(this.batch);
    const { coding } = this;
    const key = coding.masks ? coding.nextKey() : 0;
    if (3 * text.length > SLAB_PAYLOAD)
      return this.#released(release, this.#addLongText(b0, text, key));
    const { slab } = this;
    const out = slab.reserve(this, coding, 3 * text.length);
    const { pos } = out;
    // `shortText` calls no other code. `text` calls the platform's encoder, which may throw or send.
    // `slab.text` checks the user of the slab after that call, and gives up a slab without frames.
    if (!out.shortText(b0, text, key)) slab.text(this, b0, text, key);
    const size = out.pos - pos;
    this.bytes += size;
    return release === undefined ? size : this.#released(release, size);
  }

  /**
   * Adds an unmasked frame with the payload `bytes[start, end)` itself. The bytes must not change
   * until `release` is called. Returns the size of the frame in bytes.
   */
  addReference(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    release: (() => void) | undefined,
  ): number {
    if (this.batch !== undefined) this.#copyBatch(this.batch);
    const out = this.slab.reserve(this, this.coding, HEADROOM);
    const header = out.header(b0, end - start, 0) - out.pos;
    out.pos += header;
    this.bytes += header;
    this.#append(bytes, start, end, false, release);
    return header + end - start;
  }

  /**
   * Adds a frame with the payload `memory[0, length)` and room for a header before it. Returns the
   * size of the frame in bytes.
   *
   * @param release - Called when the bytes are no longer read.
   * @param key - The key with which the payload is masked; undefined for none.
   */
  addPinned(
    b0: number,
    memory: Uint8Array,
    length: number,
    release: () => void,
    key?: number,
  ): number {
    if (this.batch !== undefined) this.#copyBatch(this.batch);
    const frame = frameAround(memory, b0, length, key);
    this.#append(frame, 0, frame.length, true, release);
    return frame.length;
  }

  /** Adds an encoded frame without a copy. No code may change its bytes. Returns its size in bytes. */
  addEncoded(frame: Uint8Array): number {
    if (this.batch !== undefined) this.#copyBatch(this.batch);
    this.#append(frame, 0, frame.length, true, undefined);
    return frame.length;
  }

  /** Calls `release` after the last frame, of `size` bytes. Returns `size`. */
  #released(release: (() => void) | undefined, size: number): number {
    if (release === undefined) return size;
    const { slab, bytes, last } = this;
    const { flushes } = slab;
    const isInSlab = slab.hasFramesOf(this);
    try {
      callRelease(release);
    } catch (error) {
      // The frame stays when `release` has sent it, or has added frames after it.
      const isLast = this.bytes === bytes && this.last === last && slab.flushes === flushes;
      if (isLast && !isInSlab) this.#removeLast();
      else if (isLast) {
        this.bytes -= size;
        slab.out.pos -= size;
        if (!slab.hasFramesOf(this)) slab.removeFrames(this);
      }
      throw error;
    }
    return size;
  }

  #addLargeCopy(b0: number, bytes: Uint8Array, start: number, end: number, key: number): number {
    const memory = this.slab.takeLarge(end - start);
    try {
      copyRange(memory.bytes, bytes, start, end, 0);
    } catch (error) {
      memory.release();
      throw error;
    }
    return this.#addLarge(b0, memory, end - start, key);
  }

  /** Adds the frame of a text, encoded in memory that grows when the text is not ASCII. */
  #addLongText(b0: number, text: string, key: number): number {
    const { slab } = this;
    // Counting the bytes takes 35 times as long as writing them.
    let memory = slab.takeLarge(text.length + 2 * LONGEST_PIECE);
    let end = 0;
    try {
      for (let i = 0; i < text.length; ) {
        const piece = pieceOf(text, i, LONGEST_PIECE);
        if (memory.bytes.length - end < 3 * piece.length) {
          const larger = slab.takeLarge(end + 3 * (text.length - i));
          copyRange(larger.bytes, memory.bytes, 0, end, 0);
          memory.release();
          memory = larger;
        }
        end += writePiece(this.coding.writeUtf8, memory.bytes, end, piece);
        i += piece.length;
      }
    } catch (error) {
      memory.release();
      throw error;
    }
    return this.#addLarge(b0, memory, end, key);
  }

  /** Adds a frame with the payload `bytes[0, length)`, and masks it on a client. */
  #addLarge(b0: number, { bytes, release }: Slab, length: number, key: number): number {
    const { masks } = this.coding;
    // The SIMD memory is not created for it: a pool may not want that.
    if (masks) xorWith(existingSimd(), bytes, 0, length, swap(key));
    return this.addPinned(b0, bytes, length, release, masks ? key : undefined);
  }

  // Frames that other queues send too

  /** Makes `batch` the frames. It begins with the frames of the batch before, if there is one. */
  share(batch: Batch): void {
    this.batch = batch;
    this.bytes = batch.size;
  }

  /** Adds the frames of `batch` after the others, without a copy. */
  addShared({ arena, start, end }: Batch): void {
    if (this.batch !== undefined) this.#copyBatch(this.batch);
    this.#append(arena.bytes, start, end, true, undefined);
  }

  /** Removes the batch, which the transport gets. */
  takeBatch(): Batch {
    const batch = this.batch!;
    this.batch = undefined;
    this.bytes -= batch.size;
    return batch;
  }

  /**
   * Copies the batch into the slab, so that more frames can follow in the same write. A batch that
   * does not fit becomes a segment.
   *
   * @throws the error of the pool. The batch stays unchanged.
   */
  #copyBatch(batch: Batch): void {
    this.checkWhole();
    const { arena, start, end, size } = batch;
    if (size > SLAB_PAYLOAD) return this.#batchToSegment(batch);
    const out = this.slab.reserve(this, this.coding, size);
    out.fill(out.pos, arena.bytes, start, end, 0);
    out.pos += size;
    this.batch = undefined;
  }

  #batchToSegment({ arena, start, end }: Batch): void {
    this.#push(arena.bytes, start, end, true, undefined);
    this.batch = undefined;
  }

  // Segments

  /** Adds a segment after the frames in the slab, which stay there: both leave soon. */
  #append(
    bytes: Uint8Array,
    start: number,
    end: number,
    startsFrame: boolean,
    release: (() => void) | undefined,
  ): void {
    if (this.slab.hasFramesOf(this)) this.#slabToSegment();
    this.#push(bytes, start, end, startsFrame, release);
    this.bytes += end - start;
  }

  #slabToSegment(): void {
    const { start, out } = this.slab;
    const { bytes, pos } = out;
    this.#push(bytes, start, pos, true, this.slab.lend());
  }

  #push(
    bytes: Uint8Array,
    start: number,
    end: number,
    startsFrame: boolean,
    release: (() => void) | undefined,
    grows = false,
  ): void {
    const segment = { bytes, start, end, startsFrame, release, grows, next: undefined };
    if (this.last === undefined) this.first = segment;
    else this.last.next = segment;
    this.last = segment;
  }

  /**
   * The frames leave the slab, which another queue needs, or which is full. Copies follow each other in
   * one segment, so that one turn is one write.
   */
  spill(): void {
    const { slab } = this;
    if (slab.hasFramesOf(this)) {
      const { out, start } = slab;
      if (out.pos - start >= (this.coding.lendFrom ?? 0)) return this.#slabToSegment();
      this.#copyToTail(out.bytes, start, out.pos);
    }
    slab.removeFrames(this);
  }

  /** Copies frames to memory of this queue. It grows to twice their size, up to a slab. */
  #copyToTail(bytes: Uint8Array, start: number, end: number): void {
    const { last: tail } = this;
    const size = end - start;
    if (tail === undefined || !tail.grows || tail.end + size > LARGEST_SLAB) {
      return this.#push(copyOf(bytes, start, end), 0, size, true, noRelease, GROWS);
    }
    if (tail.bytes.length < tail.end + size) {
      const larger = new Uint8Array(Math.min(LARGEST_SLAB, 2 * (tail.end + size)));
      copyRange(larger, tail.bytes, 0, tail.end, 0);
      tail.bytes = larger;
    }
    copyRange(tail.bytes, bytes, start, end, tail.end);
    tail.end += size;
  }

  // The way to the transport

  /** Lets the frames in the slab follow the copied ones in the same segment. */
  slabToTail(): void {
    if (this.last?.grows === true) this.spill();
  }

  /** Lends the frames in the slab to the transport. Returns the function that releases them. */
  lendSlab(): () => void {
    this.bytes -= this.slab.out.pos - this.slab.start;
    return this.slab.lend();
  }

  /** Removes the frames from the slab and returns a copy of them. */
  copySlab(): Uint8Array {
    const { start, out } = this.slab;
    const copy = copyOf(out.bytes, start, out.pos);
    this.bytes -= copy.length;
    this.slab.removeFrames(this);
    return copy;
  }

  /** Whether bytes of the stream were lost: see {@link lose}. */
  get lost(): boolean {
    return this.batch === LOST;
  }

  /** @throws Error after {@link lose}. */
  checkWhole(): void {
    if (this.lost) throw new Error('a chunk was lost: end the transport');
  }

  /**
   * The transport did not get bytes that were removed: whatever follows would be wrong. Drops all
   * frames, and accepts none until {@link discard}.
   */
  lose(): void {
    const dropped = this.#takeAll();
    // First: a release function may add frames.
    this.batch = LOST;
    try {
      releaseAll(dropped);
    } catch {
      // The caller reports the error that lost the bytes.
    }
  }

  /** Moves the frames out of pooled and of referenced memory. A missing payload loses them. */
  own(): void {
    if (this.bytes === 0) return;
    const all = new Uint8Array(this.bytes);
    let at = 0;
    for (let segment = this.take(); segment !== undefined; segment = this.take()) {
      try {
        all.set(viewOfSegment(segment), at);
        at += segment.end - segment.start;
        callRelease(segment.release ?? noRelease);
      } catch {
        // The transport is over, so nothing but the order of the bytes matters.
      }
    }
    if (at < all.length) this.lose();
    else this.#append(all, 0, at, true, undefined);
  }

  /** Removes the first segment, which the transport gets. */
  shift(): Segment {
    const segment = this.first!;
    this.first = segment.next;
    if (this.first === undefined) this.last = undefined;
    this.bytes -= segment.end - segment.start;
    return segment;
  }

  /** Removes the first bytes, which the transport gets; undefined when the queue is empty. */
  take(): Segment | undefined {
    if (this.first === undefined) {
      if (this.batch !== undefined) this.#batchToSegment(this.batch);
      else if (this.slab.hasFramesOf(this)) this.#slabToSegment();
      else return undefined;
    }
    return this.shift();
  }

  /** Drops all frames, except the rest of a frame of which the transport has the first part. */
  truncate(): void {
    const rest = this.first?.startsFrame === false ? this.shift() : undefined;
    this.discard();
    if (rest === undefined) return;
    this.#append(rest.bytes, rest.start, rest.end, false, rest.release);
  }

  /**
   * Drops all frames and releases their memory.
   *
   * @throws The first error of a release function, after all of them were called.
   */
  discard(): void {
    if (this.lost) this.batch = undefined;
    releaseAll(this.#takeAll());
  }

  #takeAll(): Segment[] {
    const all: Segment[] = [];
    for (let segment = this.take(); segment !== undefined; segment = this.take()) all.push(segment);
    return all;
  }

  /** Removes the last segment and releases its memory. */
  #removeLast(): void {
    const all = this.#takeAll();
    const removed = all.pop()!;
    for (const { bytes, start, end, startsFrame, release, grows } of all) {
      this.#push(bytes, start, end, startsFrame, release, grows);
      this.bytes += end - start;
    }
    callRelease(removed.release ?? noRelease);
  }
}

/** @throws The first error of a release function, after all of them were called. */
function releaseAll(segments: readonly Segment[]): void {
  let failure: { error: unknown } | undefined;
  for (const { release = noRelease } of segments) {
    try {
      callRelease(release);
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== undefined) throw failure.error;
}

/**
 * Returns a view of the bytes of a segment.
 *
 * @throws TypeError for a referenced payload without its bytes.
 */
export function viewOfSegment({ bytes, start, end }: Segment): Uint8Array {
  if (lengthOf(bytes) < end) {
    throw new TypeError('a payload was detached or has shrunk before it was written');
  }
  // Not `subarray`: of a Buffer it creates a Buffer.
  return viewOf(bytes, start, end);
}

function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  copyRange(copy, bytes, start, end, 0);
  return copy;
}

/**
 * Returns the frame with the payload `memory[0, length)`. Its header is in the {@link HEADROOM}
 * before `memory`.
 */
function frameAround(
  memory: Uint8Array,
  b0: number,
  length: number,
  key: number | undefined,
): Uint8Array {
  const size = headerSize(length) + (key === undefined ? 0 : 4);
  const frame = new Uint8Array(memory.buffer, memory.byteOffset - size, size + length);
  const at = writeHeader(frame, 0, b0, key === undefined ? 0 : MASK, length);
  if (key !== undefined) writeMaskKey(frame, at, key);
  return frame;
}

/** The release of memory that nothing uses again. */
export function noRelease(): void {}
