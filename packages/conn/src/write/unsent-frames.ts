import { type FrameEncoder, FrameHeader, type SlabSource } from '@ws/codec';
import type { Pool } from '@ws/codec/internal';
import type { DataType } from '../message.ts';
import type { Settings } from '../options.ts';
import type { Platform } from '../platform/platform.ts';
import type { Batch } from './shared-frames.ts';

const header = /* @__PURE__ */ new FrameHeader();

/** The objects that connections with the same role, platform and settings share for writing. */
export interface WriteShared {
  readonly platform: Platform;
  readonly settings: Settings;
  readonly encoders: Pool<FrameEncoder>;
  createEncoder(): FrameEncoder;
  /** Lends the write buffer of a MessageWriter. */
  readonly slabs: SlabSource;
  /**
   * Returns the next masking key; undefined on a server, which masks nothing (RFC 6455, section
   * 5.1).
   */
  readonly nextKey: (() => number) | undefined;
}

/** The connection of unsent frames. */
export interface UnsentFramesOwner {
  readonly shared: WriteShared;
  /** Asks for a call of `flush` at the end of the turn. */
  flushAtEndOfTurn(): void;
}

/**
 * Base class of SendQueue: the accepted frames that the transport does not have yet. An encoder
 * holds them, and is leased only while frames are unsent.
 *
 * Frames that other connections send too are encoded once, as a batch in shared memory. A batch
 * exists only while no other frame is unsent: the next frame of this connection first copies the
 * batch into a slab.
 */
export abstract class UnsentFrames {
  protected readonly owner: UnsentFramesOwner;
  protected encoder: FrameEncoder | undefined;
  /**
   * The unsent frames when they are shared. The encoder is empty and the transport not blocked
   * then.
   */
  protected batch: Batch | undefined;
  /** Whether the write loop runs. */
  protected writing = false;

  constructor(owner: UnsentFramesOwner) {
    this.owner = owner;
  }

  protected get unsentBytes(): number {
    if (this.batch !== undefined) return this.batch.size;
    return this.encoder === undefined ? 0 : this.encoder.pending;
  }

  /** Encodes one frame after the unsent ones; returns its size in bytes. */
  protected encode(
    opcode: number,
    fin: boolean,
    rsv: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    release?: () => void,
  ): number {
    const encoder = this.#acquireEncoder();
    try {
      return encoder.frame(opcode, fin, rsv, bytes, start, end, release);
    } catch (error) {
      this.#encodeFailed(encoder);
      throw error;
    }
  }

  /** Encodes a whole text message; returns its size in bytes. */
  protected encodeText(opcode: DataType, text: string): number {
    const encoder = this.#acquireEncoder();
    try {
      return encoder.text(opcode, true, 0, text);
    } catch (error) {
      this.#encodeFailed(encoder);
      throw error;
    }
  }

  /** Adds a shared frame after the unsent ones, without a copy. */
  protected reference({ arena, start, end }: Batch): void {
    this.#acquireEncoder().encoded(arena.bytes, start, end);
  }

  #encodeFailed(encoder: FrameEncoder): void {
    // Releases a slab that was taken for the frame.
    if (encoder.pending === 0) encoder.discard();
    this.releaseEncoder();
  }

  #acquireEncoder(): FrameEncoder {
    this.encoder ??= this.owner.shared.encoders.acquire() ?? this.owner.shared.createEncoder();
    if (this.batch !== undefined) this.#unshare(this.batch, this.encoder);
    return this.encoder;
  }

  /**
   * Releases an empty encoder. A running write loop still uses the encoder, and calls this method
   * when it ends.
   */
  protected releaseEncoder(): void {
    const encoder = this.encoder;
    if (encoder === undefined || this.writing || encoder.pending > 0) return;
    this.encoder = undefined;
    this.owner.shared.encoders.release(encoder);
  }

  /**
   * Copies the shared frames into the encoder, so that more frames can follow in the same write.
   *
   * @throws the error of the buffer pool. The batch stays unchanged.
   */
  #unshare(batch: Batch, encoder: FrameEncoder): void {
    const bytes = batch.view(this.owner.shared.platform);
    try {
      for (let at = 0; at < bytes.length; at += header.length) {
        at += header.read(bytes, at);
        const { opcode, rsv, length } = header;
        encoder.frame(opcode, true, rsv, bytes, at, at + length);
      }
    } catch (error) {
      encoder.discard();
      this.releaseEncoder();
      throw error;
    }
    this.batch = undefined;
    // The copied frames must be flushed even when the next frame cannot be encoded.
    this.owner.flushAtEndOfTurn();
  }
}
