import { copyRange } from '../masking/copy.ts';
import { HEADROOM } from '../masking/simd-blocks.ts';
import type { LentSlab, SlabUser } from '../memory/lent-slab.ts';
import { MessageBuffers, sharedMessageBuffers } from '../memory/message-buffers.ts';
import { LARGEST_SLAB, once, type Slab, type SlabSource, takeSlab } from '../memory/slab.ts';
import { leaseSlab } from '../memory/slab-pool.ts';
import type { FrameQueue } from './frame-queue.ts';
import { FrameWriter, type WriteUtf8, writeNothing } from './frame-writer.ts';

const MISUSED = 'writeUtf8 and pools must not send, flush or drop frames';

/** How the frames of a queue are encoded. */
export type FrameCoding = {
  /** Whether frames are masked: a client masks, a server does not (RFC 6455, section 5.3). */
  readonly masks: boolean;
  /** Returns the next masking key, big-endian. */
  readonly nextKey: () => number;
  readonly writeUtf8: WriteUtf8;
  /**
   * Frames of at least this many bytes leave the slab as a view of it. Fewer are copied, so that they
   * do not keep a whole slab alive. Default: none is copied.
   */
  readonly lendFrom?: number;
};

/**
 * The slab to which queues write their frames before a transport gets them: of one queue, or of
 * all connections of a thread. The frames in it belong to one queue, its user: a write of another
 * queue moves them out first.
 *
 * The user lends its frames to a transport, and the slab is empty again when the transport releases
 * them. A transport that does not release them at once keeps these bytes: later frames follow them.
 * A full slab is replaced.
 */
export class FrameSlab implements SlabUser {
  /** The user's frames are `out.bytes[start, out.pos)`. Transports still read the bytes before. */
  readonly out: FrameWriter = new FrameWriter();
  start = 0;
  /** Rises when the frames of the user are flushed. */
  flushes = 0;
  readonly #source: SlabSource;
  readonly #size: number;
  readonly #keeps: boolean;
  readonly #largeFrom: SlabSource | MessageBuffers | undefined;
  /** Leased memory. */
  #memory: LentSlab | undefined = undefined;
  // Plain, not `#`: see `FrameEncoder`.
  private user: FrameQueue | undefined = undefined;
  /**
   * A new slab has room for this many bytes: a turn is often as large as the turn before. Without
   * this a turn of 16 messages of 1 KiB moves its bytes twice, a tenth of its cost.
   */
  #expected = 0;

  /**
   * @param source - Lends the slab.
   * @param size - Least size in bytes of the slab.
   * @param keeps - Whether an empty slab stays leased.
   * @param largeFrom - Lends the memory of frames that do not fit a slab. Default: the thread's
   *   message buffers.
   */
  constructor(
    source: SlabSource,
    size: number,
    keeps: boolean,
    largeFrom?: SlabSource | MessageBuffers,
  ) {
    this.#source = source;
    this.#size = size;
    this.#keeps = keeps;
    this.#largeFrom = largeFrom;
  }

  /**
   * Returns the writer of the slab, with room for a frame of `length` bytes of payload.
   *
   * @throws the error of the source. Error within a function that {@link FrameWriter.locked} names.
   */
  reserve(user: FrameQueue, coding: FrameCoding, length: number): FrameWriter {
    const { out } = this;
    // The first frame of a turn: no other code runs.
    if (this.user === undefined && !out.locked) this.#claim(user, coding);
    // With the largest header, which most frames do not have: `#prepare` counts the real one.
    if (!this.hasRoom(user, HEADROOM + length)) this.#prepare(user, coding, length);
    return out;
  }

  /** Whether `user` may write `size` bytes now. */
  hasRoom(user: FrameQueue, size: number): boolean {
    const { out } = this;
    return this.user === user && out.limit - out.pos >= size && !out.locked;
  }

  /** Writes a frame with `text`, for which `user` has reserved room. */
  text(user: FrameQueue, b0: number, text: string, key: number): void {
    try {
      this.out.text(b0, text, key);
      // The frame would be sent as one of the next user.
      if (this.user !== user) throw new Error(MISUSED);
    } catch (error) {
      this.#abandon();
      throw error;
    }
  }

  /**
   * Returns memory for the payload of a frame that does not fit a slab. The {@link HEADROOM} before
   * it is for the header.
   */
  takeLarge(length: number): Slab {
    const from = this.#largeFrom ?? sharedMessageBuffers();
    return from instanceof MessageBuffers
      ? takeMessageBuffer(from, length)
      : takeWithHeadroom(from, length);
  }

  /** Makes `user` the user of the slab, and room for a frame. */
  #prepare(user: FrameQueue, coding: FrameCoding, length: number): void {
    const { out } = this;
    if (out.locked) throw new Error(MISUSED);
    out.locked = true;
    try {
      if (this.user !== user) this.#changeUser(user, coding);
      const room = out.headerSize(length) + length;
      if (out.limit - out.pos < room) this.#makeRoom(user, coding, room);
      // The pool may have flushed or dropped the frames.
      if (this.user !== user) this.#changeUser(user, coding);
    } catch (error) {
      this.#abandon();
      throw error;
    } finally {
      out.locked = false;
    }
  }

  #changeUser(user: FrameQueue, coding: FrameCoding): void {
    this.user?.spill();
    this.#claim(user, coding);
  }

  #claim(user: FrameQueue, { masks, writeUtf8 }: FrameCoding): void {
    this.user = user;
    this.out.masks = masks;
    this.out.writeUtf8 = writeUtf8;
  }

  /** A write has failed: keeps no memory for it, and no frame without a user. */
  #abandon(): void {
    if (this.user !== undefined && this.out.pos > this.start) return;
    this.out.pos = this.start;
    this.#endUse();
    this.#clearUnused();
  }

  /** Whether the slab has frames of `user`. */
  hasFramesOf(user: FrameQueue): boolean {
    return this.user === user && this.out.pos > this.start;
  }

  /** The user's frames as a chunk. A slab with frames of the same size as before has its view. */
  chunk(): Uint8Array {
    const { start, out } = this;
    const { bytes, pos } = out;
    const memory = this.#memory!;
    // The second condition is true after a detachment, and the constructor throws.
    if (start === 0 && memory.chunk.length === pos) return memory.chunk;
    const chunk = new Uint8Array(bytes.buffer, bytes.byteOffset + start, pos - start);
    if (start === 0) memory.chunk = chunk;
    return chunk;
  }

  /** The user's frames leave for a transport. Returns the function that releases their bytes. */
  lend(): () => void {
    const memory = this.#memory!;
    const { pos } = this.out;
    // Decays by half: connections with small and with large turns share a slab.
    this.#expected = Math.max(pos - this.start, this.#expected >> 1);
    this.start = pos;
    this.#endUse();
    return memory.lendPiece();
  }

  /** See {@link SlabUser}. */
  piecesReleased(memory: LentSlab): void {
    if (memory === this.#memory) this.#clearUnused();
    else memory.giveBack();
  }

  /** Removes the frames of `user`, which has copied them or does not send them. */
  removeFrames(user: FrameQueue): void {
    if (this.user !== user) return;
    this.out.pos = this.start;
    this.#endUse();
    this.#clearUnused();
  }

  /** Keeps no reference to a connection. */
  #endUse(): void {
    this.flushes++;
    this.user = undefined;
    const { out } = this;
    out.writeUtf8 = writeNothing;
    out.forgetPayload();
  }

  #clearUnused(): void {
    const memory = this.#memory;
    if (this.user !== undefined || memory === undefined || memory.pieces > 0) return;
    this.start = 0;
    this.out.pos = 0;
    if (this.#keeps) return;
    this.#memory = undefined;
    this.out.leave();
    memory.giveBack();
  }

  /** Moves the user's frames to a slab with more room, or lets the user take them out. */
  #makeRoom(user: FrameQueue, coding: FrameCoding, room: number): void {
    const { out } = this;
    if (out.pos - this.start + room > LARGEST_SLAB) {
      this.#changeUser(user, coding);
      if (out.limit - out.pos >= room) return;
    }
    const unsent = out.pos - this.start;
    const least = unsent === 0 ? this.#expected : Math.min(2 * unsent, LARGEST_SLAB);
    const need = Math.max(unsent + room, least, this.#size);
    const slab = leaseSlab(this.#source, need, out.masks);
    const old = this.#memory;
    // After the call of the source, which may have dropped frames.
    const { bytes, pos } = out;
    const { start } = this;
    if (pos > start) copyRange(slab.bytes, bytes, start, pos, 0);
    this.#memory = slab;
    slab.user = this;
    this.start = 0;
    out.use(slab);
    out.pos = pos - start;
    // A slab that transports still read is released by the last of them.
    if (old?.pieces === 0) old.giveBack();
  }
}

function takeMessageBuffer(buffers: MessageBuffers, length: number): Slab {
  const bytes = buffers.take(length);
  return { bytes, release: once(() => buffers.give(bytes), 'chunk') };
}

function takeWithHeadroom(source: SlabSource, length: number): Slab {
  const { bytes, release } = takeSlab(source, HEADROOM + length, true);
  return {
    bytes: new Uint8Array(bytes.buffer, bytes.byteOffset + HEADROOM, bytes.length - HEADROOM),
    release,
  };
}
