import { FrameHeader, type SlabSource, sharedMessageBuffers, unmask } from '@ws/codec';
import { HEADROOM, headerSize, LARGEST_SLAB, type Lease, pieceOf } from '@ws/codec/internal';
import { Fifo } from '../fifo.ts';
import { copyInto } from '../memory/copy.ts';
import type { DataType } from '../message.ts';
import type { Settings } from '../options.ts';
import type { Platform } from '../platform/platform.ts';
import type { FrameCoding, FrameSlab, SlabUser } from './frame-slab.ts';
import type { Batch } from './shared-frames.ts';

/** First byte of a frame: the last of its message. */
const FIN = 0x80;
/** Largest payload in bytes that is written to the slab: there is room for its header. */
const SLAB_PAYLOAD = LARGEST_SLAB - HEADROOM;
/** UTF-16 units of a long text that are encoded at once. */
const PIECE = 4_096;

/** The objects that connections with the same role, platform and settings share for writing. */
export interface WriteShared extends FrameCoding {
  readonly platform: Platform;
  readonly settings: Settings;
  readonly slab: FrameSlab;
  /** Lends the write buffer of a MessageWriter. */
  readonly slabs: SlabSource;
}

/** The connection of unsent frames. */
export interface UnsentFramesOwner {
  readonly shared: WriteShared;
  /** Asks for a call of `flush` at the end of the turn. */
  flushAtEndOfTurn(): void;
}

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
 * From this many bytes on, frames may wait in the slab, or in a slow transport as a view of it: the
 * slab has at most twice their size. Fewer are copied.
 */
export const LEND_FROM: number = LARGEST_SLAB / 2;

/**
 * Base class of SendQueue: the accepted frames that the transport does not have yet.
 *
 * - The newest small frames are in the slab of the thread.
 * - Segments are before them: referenced payloads, large frames, and frames that had to leave the
 *   slab for another connection. These are copied and follow each other in one segment, so that one
 *   turn is one write.
 * - Frames that other connections send too are encoded once, as a batch in shared memory. A batch
 *   exists only while no other frame is unsent: the next frame of this connection follows a copy.
 */
export abstract class UnsentFrames implements SlabUser {
  protected readonly owner: UnsentFramesOwner;
  /** Bytes of all unsent frames. */
  protected unsentBytes = 0;
  protected segments: Fifo<Segment> | undefined;
  /** The last segment, if it is a copy that may grow. */
  #tail: Segment | undefined;
  /**
   * The unsent frames when they are shared. The slab has none of this connection then, and the
   * transport is not blocked.
   */
  protected batch: Batch | undefined;

  constructor(owner: UnsentFramesOwner) {
    this.owner = owner;
  }

  /** Encodes a frame with a copy of `bytes[start, end)`. Returns its size in bytes. */
  protected encode(b0: number, bytes: Uint8Array, start: number, end: number): number {
    const { shared } = this.owner;
    const length = end - start;
    if (this.batch !== undefined) this.#unshare(this.batch);
    if (length > SLAB_PAYLOAD) {
      const memory = sharedMessageBuffers().take(length);
      copyInto(memory, 0, bytes, start, end);
      return this.#addLarge(b0, memory, length);
    }
    const { slab } = shared;
    try {
      const size = slab.reserve(this, shared, length).frame(b0, bytes, start, end);
      this.unsentBytes += size;
      return size;
    } catch (error) {
      slab.dropUnused(this);
      throw error;
    }
  }

  /** Encodes a whole text message. Returns the size of the frame in bytes. */
  protected encodeText(opcode: DataType, text: string): number {
    const { shared } = this.owner;
    if (this.batch !== undefined) this.#unshare(this.batch);
    const most = 3 * text.length;
    if (most > SLAB_PAYLOAD) return this.#encodeLongText(opcode, text);
    const { slab } = shared;
    try {
      const out = slab.reserve(this, shared, most);
      const { pos } = out;
      out.text(FIN | opcode, text);
      const size = out.pos - pos;
      this.unsentBytes += size;
      return size;
    } catch (error) {
      slab.dropUnused(this);
      throw error;
    }
  }

  /**
   * Encodes an unmasked frame whose payload is `bytes[start, end)` itself. The bytes must not change
   * until `release` is called. Returns its size in bytes.
   */
  protected reference(
    b0: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    release: (() => void) | undefined,
  ): number {
    const { shared } = this.owner;
    if (this.batch !== undefined) this.#unshare(this.batch);
    const length = end - start;
    const out = shared.slab.reserve(this, shared, HEADROOM);
    out.header(b0, length);
    const header = out.headerSize(length);
    out.pos += header;
    this.unsentBytes += header + length;
    this.#add({ bytes, start, end, startsFrame: false, release });
    return header + length;
  }

  /**
   * Encodes an unmasked frame whose payload is the start of leased memory, with the header in front.
   * Returns its size in bytes. Calls `released` before the memory may be used again.
   */
  protected encodePinned(b0: number, lease: Lease, length: number, released: () => void): number {
    if (this.batch !== undefined) this.#unshare(this.batch);
    const frame = frameAround(lease.bytes, b0, length, undefined);
    lease.pin();
    return this.#addFrame(frame, () => {
      released();
      lease.release();
    });
  }

  /** Adds a shared frame after the unsent ones, without a copy. */
  protected referenceShared({ arena, start, end }: Batch): void {
    this.unsentBytes += end - start;
    this.#add({ bytes: arena.bytes, start, end, startsFrame: true, release: undefined });
  }

  /** Encodes text in memory that grows when the text is not ASCII. */
  #encodeLongText(opcode: DataType, text: string): number {
    const { writeUtf8 } = this.owner.shared;
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
    const { nextKey } = this.owner.shared;
    let frame: Uint8Array;
    try {
      const key = nextKey?.();
      frame = frameAround(memory, b0, length, key);
      if (key !== undefined) unmask(memory, 0, length, key);
    } catch (error) {
      buffers.give(memory);
      throw error;
    }
    return this.#addFrame(frame, () => buffers.give(memory));
  }

  /** @param give - Called at the first release. */
  #addFrame(frame: Uint8Array, give: () => void): number {
    let isLent = true;
    const release = (): void => {
      if (isLent) give();
      isLent = false;
    };
    const end = frame.length;
    this.unsentBytes += end;
    this.#add({ bytes: frame, start: 0, end, startsFrame: true, release });
    return end;
  }

  /** Adds a segment after the frames in the slab, which stay there: both leave soon. */
  #add(segment: Segment): void {
    if (this.owner.shared.slab.hasFramesOf(this)) this.#lend();
    this.#push(segment);
  }

  #push(segment: Segment): void {
    this.segments ??= new Fifo();
    this.segments.add(segment);
    this.#tail = undefined;
  }

  spill(): void {
    const { slab } = this.owner.shared;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    if (slab.hasFramesOf(this)) {
      if (end - start >= LEND_FROM) return this.#lend();
      this.#keep(bytes, start, end);
    }
    slab.drop(this);
  }

  #lend(): void {
    const { slab } = this.owner.shared;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    this.#push({ bytes, start, end, startsFrame: true, release: slab.lend() });
  }

  /** Copies frames to memory of this connection, of at most twice their size. */
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
  protected joinTail(): void {
    if (this.#tail !== undefined) this.spill();
  }

  /** Removes the first segment, which the transport gets. */
  protected shift(): Segment {
    const segment = this.segments!.shift()!;
    if (segment === this.#tail) this.#tail = undefined;
    this.unsentBytes -= segment.end - segment.start;
    return segment;
  }

  /** Drops all frames, except the rest of a frame of which the transport has the first part. */
  protected truncate(): void {
    const first = this.segments?.peek();
    const rest = first?.startsFrame === false ? this.shift() : undefined;
    this.discard();
    if (rest === undefined) return;
    this.unsentBytes = rest.end - rest.start;
    this.segments!.add(rest);
  }

  /** Drops all frames and releases their memory. */
  protected discard(): void {
    this.owner.shared.slab.drop(this);
    this.batch = undefined;
    while (this.segments !== undefined && this.segments.length > 0) this.shift().release?.();
    this.unsentBytes = 0;
  }

  /**
   * Copies the shared frames into the slab, so that more frames can follow in the same write.
   *
   * @throws the error of the buffer pool. The batch stays unchanged.
   */
  #unshare(batch: Batch): void {
    const { shared } = this.owner;
    const { arena, start, end, size } = batch;
    if (size > SLAB_PAYLOAD)
      this.#add({ bytes: arena.bytes, start, end, startsFrame: true, release: undefined });
    else {
      const out = shared.slab.reserve(this, shared, size);
      out.fill(out.pos, arena.bytes, start, end, 0);
      out.pos += size;
    }
    this.batch = undefined;
    // The copied frames must be flushed even when the next frame cannot be encoded.
    this.owner.flushAtEndOfTurn();
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
