import { type Slab, SlabPool, type SlabSource } from '@ws/codec';
import { FrameWriter, LARGEST_SLAB, poolsAreDebugged } from '@ws/codec/internal';
import { copyInto } from '../memory/copy.ts';

/** First byte of a frame: the last of its message (RFC 6455, section 5.2). */
export const FIN = 0x80;

/** How the frames of a connection are encoded. */
export interface FrameCoding {
  /** Returns the next masking key; undefined on a server, which masks nothing. */
  readonly nextKey: (() => number) | undefined;
  readonly writeUtf8: (into: Uint8Array, at: number, text: string) => number;
}

/** A connection that writes frames to a {@link FrameSlab}. */
export interface SlabUser {
  /** Takes its frames out of the slab: by {@link FrameSlab.lend}, or as a copy. */
  spill(): void;
}

/** Leased memory, and the number of its pieces that transports still read. */
interface Memory {
  readonly slab: Slab;
  lent: number;
}

/** Most free bytes of the slabs that a thread keeps. A slab is free when all transports are fast. */
const MAX_FREE_BYTES = 8 * LARGEST_SLAB;

/**
 * The slab to which connections write their frames before a transport gets them. All connections of
 * a thread share one, and those with a `writeBufferPool` another one. The frames in it belong to one
 * connection, its user: a write of another connection moves them out first.
 *
 * The user lends its frames to a transport, and the slab is empty again when the transport releases
 * them. A transport that does not release them at once keeps these bytes: later frames follow them.
 * A full slab is replaced.
 */
export class FrameSlab {
  readonly #source: SlabSource;
  /** Least size in bytes of a new slab. */
  readonly #size: number;
  /** Whether an empty slab stays leased. */
  readonly #keeps: boolean;
  /** The user's frames are `out.bytes[start, out.pos)`. Transports still read the bytes before. */
  readonly out: FrameWriter = new FrameWriter(undefined, writeNothing);
  start = 0;
  #memory: Memory | undefined;
  #user: SlabUser | undefined;

  constructor(source: SlabSource, size: number, keeps: boolean) {
    this.#source = source;
    this.#size = size;
    this.#keeps = keeps;
  }

  /**
   * Returns the writer of the slab, with room for a frame of `length` bytes of payload. Call {@link
   * dropUnused} when no frame is written then.
   *
   * @throws the error of the buffer pool.
   */
  reserve(user: SlabUser, coding: FrameCoding, length: number): FrameWriter {
    const out = this.out;
    if (this.#user !== user) this.#changeUser(user, coding);
    const room = out.headerSize(length) + length;
    if (out.limit - out.pos < room) this.#makeRoom(user, coding, room);
    return out;
  }

  #changeUser(user: SlabUser, { nextKey, writeUtf8 }: FrameCoding): void {
    this.#user?.spill();
    this.#user = user;
    this.out.nextKey = nextKey;
    this.out.writeUtf8 = writeUtf8;
  }

  /** Whether the slab has frames of `user`. */
  hasFramesOf(user: SlabUser): boolean {
    return this.#user === user && this.out.pos > this.start;
  }

  /** The user's frames leave for a transport. Returns the function that releases their bytes. */
  lend(): () => void {
    const memory = this.#memory!;
    memory.lent++;
    this.start = this.out.pos;
    this.#endUse();
    let isLent = true;
    return () => {
      // A second call must not release the bytes of another connection.
      if (!isLent) return;
      isLent = false;
      if (--memory.lent > 0) return;
      if (memory === this.#memory) this.#clearUnused();
      else memory.slab.release();
    };
  }

  /** Drops the frames of `user`. */
  drop(user: SlabUser): void {
    if (this.#user !== user) return;
    this.out.pos = this.start;
    this.#endUse();
    this.#clearUnused();
  }

  /** Ends the use by `user` if it has no frames in the slab. */
  dropUnused(user: SlabUser): void {
    if (!this.hasFramesOf(user)) this.drop(user);
  }

  /** Keeps no reference to a connection. */
  #endUse(): void {
    this.#user = undefined;
    const out = this.out;
    out.nextKey = undefined;
    out.writeUtf8 = writeNothing;
    out.forgetPayload();
  }

  #clearUnused(): void {
    if (this.#user !== undefined || this.#memory === undefined || this.#memory.lent > 0) return;
    if (this.#keeps) {
      this.start = 0;
      this.out.pos = 0;
    } else this.#leave();
  }

  /** Moves the user's frames to a slab with more room, or lets the user take them out. */
  #makeRoom(user: SlabUser, coding: FrameCoding, room: number): void {
    const out = this.out;
    if (out.pos - this.start + room > LARGEST_SLAB) {
      user.spill();
      this.#changeUser(user, coding);
      if (out.limit - out.pos >= room) return;
    }
    const { bytes, pos } = out;
    const used = pos - this.start;
    const most = Math.min(2 * used, LARGEST_SLAB);
    const slab = this.#source.take(Math.max(used + room, most, this.#size), true);
    copyInto(slab.bytes, 0, bytes, this.start, pos);
    if (this.#memory !== undefined) this.#leave();
    this.#memory = { slab, lent: 0 };
    out.use(slab);
    out.pos = used;
  }

  /** Leaves the slab to the transports that still read it. */
  #leave(): void {
    const { slab, lent } = this.#memory!;
    this.#memory = undefined;
    this.start = 0;
    this.out.leave();
    if (lent === 0) slab.release();
  }
}

function writeNothing(): number {
  return 0;
}

let shared: FrameSlab | undefined;

/**
 * The slab of the thread. It is in the SIMD memory where that exists, like the messages that a
 * server sends back.
 */
export function threadSlab(): FrameSlab {
  shared ??= new FrameSlab(
    new SlabPool({ maxFreeBytes: MAX_FREE_BYTES }),
    LARGEST_SLAB,
    // The pool checks its memory at each lease.
    !poolsAreDebugged(),
  );
  return shared;
}
