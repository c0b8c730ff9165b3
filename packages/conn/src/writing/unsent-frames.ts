import {
  FrameQueue,
  LARGEST_SLAB,
  noRelease,
  type Segment,
  SLAB_PAYLOAD,
} from '@ws/codec/internal';
import { copyInto, copyOf } from '../memory/copy.ts';
import type { Batch } from './shared-frames.ts';

/**
 * From this many bytes on, frames may wait in the slab, or in a slow transport as a view of it. Fewer
 * are copied: bounds count bytes, and the rest of the slab would be memory beyond them.
 */
export const LEND_FROM: number = (LARGEST_SLAB / 8) * 7;

/** Whether frames may be added to a segment. */
const GROWS = true;

/**
 * The accepted frames of one connection that the transport does not have yet. They share a slab with
 * those of other connections.
 *
 * - Frames that leave the slab for another connection are copied. The copies follow each other in
 *   one segment, so that one turn is one write.
 * - Frames that other connections send too are encoded once, as a batch in shared memory. A batch
 *   exists only while no other frame is unsent: see {@link UnsentFrames.unshared}.
 *
 * Its own methods are not `#`: private methods cost each object a word.
 */
export class UnsentFrames extends FrameQueue {
  /** The frames when they are shared. The slab has none of this connection then. */
  batch: Batch | undefined = undefined;

  /**
   * Returns this queue for a frame of this connection alone: the shared frames before it are copied.
   *
   * @throws the error of the buffer pool.
   */
  unshared(): this {
    if (this.batch !== undefined) this.unshare(this.batch);
    return this;
  }

  /** Makes `batch` the unsent frames: it has the frames of the earlier batch, if there is one. */
  share(batch: Batch): void {
    this.batch = batch;
    this.bytes = batch.size;
  }

  /** Adds a shared frame after the others, without a copy. */
  addShared({ arena, start, end }: Batch): void {
    this.append(arena.bytes, start, end, true, undefined);
  }

  /** Removes the batch, which the transport gets. */
  takeBatch(): Batch {
    const batch = this.batch!;
    this.batch = undefined;
    this.bytes -= batch.size;
    return batch;
  }

  /**
   * Copies the shared frames into the slab, so that more frames can follow in the same write.
   *
   * @throws the error of the buffer pool. The batch stays unchanged.
   */
  protected unshare({ arena, start, end, size }: Batch): void {
    if (size > SLAB_PAYLOAD) {
      this.append(arena.bytes, start, end, true, undefined);
      this.bytes -= size;
    } else {
      const out = this.slab.reserve(this, this.coding, size);
      out.fill(out.pos, arena.bytes, start, end, 0);
      out.pos += size;
    }
    this.batch = undefined;
  }

  override spill(): void {
    const { slab, last } = this;
    const { out, start } = slab;
    const { bytes, pos: end } = out;
    if (slab.hasFramesOf(this)) {
      if (end - start >= LEND_FROM) return this.moveToSegment();
      this.keep(last, bytes, start, end);
    }
    slab.removeFrames(this);
  }

  /** Copies frames to memory of this connection. It grows to twice their size, up to a slab. */
  protected keep(tail: Segment | undefined, bytes: Uint8Array, start: number, end: number): void {
    const size = end - start;
    if (tail === undefined || !tail.grows || tail.end + size > LARGEST_SLAB) {
      return this.push(copyOf(bytes, start, end), 0, size, true, noRelease, GROWS);
    }
    if (tail.bytes.length < tail.end + size) {
      const larger = new Uint8Array(Math.min(LARGEST_SLAB, 2 * (tail.end + size)));
      copyInto(larger, 0, tail.bytes, 0, tail.end);
      tail.bytes = larger;
    }
    copyInto(tail.bytes, tail.end, bytes, start, end);
    tail.end += size;
  }

  /** Lets the frames in the slab follow the copied ones in the same segment. */
  joinTail(): void {
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

  /** Drops all frames, except the rest of a frame of which the transport has the first part. */
  truncate(): void {
    const rest = this.first?.startsFrame === false ? this.shift() : undefined;
    this.discard();
    if (rest === undefined) return;
    this.append(rest.bytes, rest.start, rest.end, false, rest.release);
  }

  override discard(): void {
    if (this.batch !== undefined) this.takeBatch();
    super.discard();
  }
}
