import type { Role, WebSocketError } from '@ws/codec';
import { detachedChunk } from '@ws/codec/internal';
import type { InflateWaiter } from '../deflate/inflate-budget.ts';
import type { Lease } from '../memory/lease.ts';
import type { Settings } from '../options.ts';
import { RSV1 } from '../platform/deflate-engine.ts';
import type { Platform } from '../platform/platform.ts';
import type { DecodeContext, InflateParts } from './decode-context.ts';
import {
  DELIVERED,
  type DecodedEvent,
  END,
  END_PENDING,
  FAULT,
  IGNORED,
  MESSAGE,
  NO_MESSAGE,
  NOTHING,
  type PayloadUse,
  PIECE,
  SKIPPED,
  STEP,
  UNWANTED,
  WHOLE,
} from './decoded-event.ts';
import { MessageDecoder } from './message-decoder.ts';
import { invalidDeflate } from './message-faults.ts';

/** Charged for each step on top of its plain bytes. */
const STEP_COST = 64;
/** Plain bytes expected for each byte on the wire: sizes the first buffer of a message. */
const EXPECTED_RATIO = 8;
const LARGEST_STEP = 65_536;
/**
 * Bytes that a compressed message may have on the wire above twice its limit: some peers flush
 * often.
 */
const WIRE_SLACK = 65_536;

/** The compression of a decoder without a connection. */
const NO_INFLATE_PARTS: InflateParts = {
  get decompressor(): never {
    throw new Error('the decoder has no connection');
  },
  get inflateBudget(): never {
    throw new Error('the decoder has no connection');
  },
  get inflateBuffers(): never {
    throw new Error('the decoder has no connection');
  },
};

/**
 * A {@link MessageDecoder} for connections with compression. It inflates the payload of compressed
 * messages step by step (RFC 7692, section 6.2). Above the thread's {@link InflateBudget} it waits.
 */
export class InflatingDecoder extends MessageDecoder implements InflateWaiter {
  previousWaiter: InflateWaiter | undefined;
  nextWaiter: InflateWaiter | undefined;
  readonly platform: Platform;
  #parts: InflateParts = NO_INFLATE_PARTS;

  constructor(role: Role, settings: Settings, platform: Platform) {
    super(role, settings, platform, RSV1);
    this.platform = platform;
  }

  override attach(context: DecodeContext, payloadUse: PayloadUse, streaming: boolean): void {
    this.#parts = context.deflate ?? NO_INFLATE_PARTS;
    super.attach(context, payloadUse, streaming);
  }

  override detach(): void {
    this.#parts.decompressor.leaveInflaters(this);
    super.detach();
    this.#parts = NO_INFLATE_PARTS;
  }

  override get inflatersBusy(): boolean {
    return this.inflating && this.#parts.decompressor.inflatersBusy;
  }

  override get assembled(): number {
    return super.assembled + this.#parts.decompressor.waitingBytes;
  }

  override awaitInflater(): void {
    this.#parts.decompressor.awaitInflater(this);
  }

  onInflateTurn(): void {
    this.context.onInflateTurn();
  }

  override setPayloadUse(use: PayloadUse): void {
    if (use === IGNORED) this.#dropMessage();
    super.setPayloadUse(use);
  }

  #dropMessage(): void {
    const { decompressor, inflateBudget } = this.#parts;
    if (this.inflating && decompressor.last) {
      // All of the message has arrived, so no later frame completes it.
      this.delivery = NO_MESSAGE;
      this.context.messagesIn++;
      this.bound();
    }
    this.inflating = false;
    inflateBudget.leave(this);
    decompressor.destroy();
  }

  override leavePools(): void {
    super.leavePools();
    this.#parts.decompressor.leaveInflaters(this);
    this.#parts.decompressor.leavePools();
  }

  override destroy(): void {
    super.destroy();
    this.#parts.inflateBudget.leave(this);
    this.#parts.decompressor.leaveInflaters(this);
    this.#parts.decompressor.destroy();
  }

  /**
   * The bound is set before the header of the next frame is parsed. That frame may be compressed,
   * so the bound allows for it.
   */
  protected override bound(): void {
    const used = this.delivery === NO_MESSAGE ? 0 : this.wireLength;
    this.frames.maxFramePayload = this.limit * 2 + WIRE_SLACK - used;
  }

  protected override beginCompressed(): void {
    if (this.payloadUse !== IGNORED) this.#parts.decompressor.beginMessage();
  }

  protected override feed(
    bytes: Uint8Array,
    start: number,
    end: number,
    last: boolean,
  ): DecodedEvent {
    // No reader gets messages after our close frame, so inflating them would be wasted work.
    if (this.payloadUse === IGNORED) return last ? this.#endDropped() : NOTHING;
    this.#parts.decompressor.feed(bytes, start, end, last);
    this.inflating = true;
    return this.inflatersBusy ? STEP : NOTHING;
  }

  #endDropped(): DecodedEvent {
    this.complete();
    this.showNothing();
    this.lease = undefined;
    return MESSAGE;
  }

  protected override inflate(): DecodedEvent {
    const { decompressor, inflateBudget, inflateBuffers } = this.#parts;
    if (!inflateBudget.request(this)) return NOTHING;
    if (decompressor.inputDetached) throw detachedChunk();
    // The limit may have been lowered since the message began.
    if (!this.checkLength()) return FAULT;
    const limit = this.limit - this.length;
    const first = this.length === 0 && this.delivery === WHOLE;
    const lease = inflateBuffers.acquire(first ? decompressor.left * EXPECTED_RATIO : LARGEST_STEP);
    const { bytes } = lease;
    let size: number;
    try {
      // One byte above the limit is enough to detect an excess.
      size = decompressor.step(bytes, Math.min(bytes.length, limit + 1), limit);
    } catch (error) {
      // No engine could be created, for lack of memory.
      lease.release();
      return this.fault(error as WebSocketError);
    }
    this.inflating = decompressor.more;
    inflateBudget.charge(Math.max(size, 0) + STEP_COST + decompressor.cost, this.platform);
    if (size < 0) this.error = invalidDeflate();
    else this.length += size;
    if (size < 0 || !this.checkLength() || !this.checkText(bytes, 0, size)) {
      lease.release();
      return FAULT;
    }
    const event = this.#inflated(lease, size, decompressor.last && !decompressor.more);
    return event === NOTHING && this.inflating ? STEP : event;
  }

  /** Delivers `size` plain bytes, inflated into `lease`; `whole`: the message is complete. */
  #inflated(lease: Lease, size: number, whole: boolean): DecodedEvent {
    const { delivery } = this;
    if (whole) {
      this.#parts.decompressor.endMessage();
      this.#parts.inflateBudget.messageComplete(this);
      if (!this.complete()) {
        lease.release();
        return FAULT;
      }
    }
    if (delivery === WHOLE) return this.#inflatedWhole(lease, size, whole);
    if (delivery === UNWANTED || size === 0) {
      lease.release();
      if (!whole) return NOTHING;
      return delivery === UNWANTED ? SKIPPED : END;
    }
    this.lease = lease;
    this.show(lease.bytes, 0, size);
    if (whole) this.pendingEvents = END_PENDING;
    return PIECE;
  }

  #inflatedWhole(lease: Lease, size: number, whole: boolean): DecodedEvent {
    if (whole && this.fragments.length === 0) {
      this.lease = lease;
      this.show(lease.bytes, 0, size);
      return MESSAGE;
    }
    try {
      if (this.payloadUse === DELIVERED) this.fragments.append(lease.bytes, 0, size);
    } finally {
      lease.release();
    }
    return whole ? this.deliverAssembled() : NOTHING;
  }
}
