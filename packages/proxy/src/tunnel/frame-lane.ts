import { randomInt } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  CloseCode,
  CloseMessage,
  encodeFrame,
  formatCloseMessage,
  PingMessage,
  parseCloseMessage,
} from '@ws/codec';
import { controlPayload, FrameScanner } from './frame-scanner.ts';
import { HeldBytes } from './held-bytes.ts';
import { Lane, type LaneOwner } from './lane.ts';

/** Largest frame that waits until it is whole. A larger one passes as it comes. */
const HOLD_LIMIT = 64 * 1024;

/** What a tunnel does with the frames of a lane. */
export interface FrameLaneOwner extends LaneOwner {
  /** A close frame passes, or the proxy sends one. */
  closes(code: number, reason: string): void;
  /** The source has sent a close frame. */
  closeReceived(lane: FrameLane): void;
  /** The source has sent more than `maxMessageSize` in one message. */
  tooBig(lane: FrameLane): void;
}

/**
 * A lane that knows the borders of frames. It passes the bytes untouched and in order. A frame of at
 * most 64 KiB waits until it is whole, so a source that dies leaves half of none at the sink.
 * Control frames of the proxy go between two frames.
 */
export class FrameLane extends Lane {
  /** A close frame of the source has arrived. */
  closeReceived = false;
  /** The last frame to the sink was a close frame of the proxy: nothing may follow it. */
  closeSent = false;
  declare reverse: FrameLane;
  readonly #owner: FrameLaneOwner;
  readonly #scanner = new FrameScanner();
  readonly #masked: boolean;
  readonly #maxMessageSize: number;
  /** Bytes to come of a frame whose start has passed. */
  #passing = 0;
  #held: HeldBytes | undefined;
  /** Size of the held frame; 0 while its header is cut off. */
  #heldSize = 0;
  /** A close frame of the proxy that waits for the end of a frame. */
  #pending: Uint8Array | undefined;
  /** The payload of the proxy's ping to the source. */
  #ping: Uint8Array | undefined;

  /** @param masked - Whether the sink is a server: frames to it are masked. */
  constructor(
    source: Duplex,
    sink: Duplex,
    owner: FrameLaneOwner,
    highWaterMark: number,
    masked: boolean,
    maxMessageSize: number,
  ) {
    super(source, sink, owner, highWaterMark);
    this.#owner = owner;
    this.#masked = masked;
    this.#maxMessageSize = maxMessageSize;
  }

  override get frames(): number {
    return this.#scanner.frames;
  }

  override get messages(): number {
    return this.#scanner.messages;
  }

  /** Whether a frame of the proxy may be written now. */
  get atBorder(): boolean {
    return this.#passing === 0;
  }

  override receive(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    let at = 0;
    if (this.#passing > 0) {
      at = this.#pass(chunk);
      if (at === chunk.length) return;
    } else if (this.#held !== undefined && this.#held.length > 0) {
      at = this.#complete(this.#held, chunk);
    }
    if (at < chunk.length) this.#walk(chunk, at);
  }

  /** Drops the start of a frame whose rest will never come. */
  dropHeld(): void {
    this.#held = undefined;
    this.#heldSize = 0;
  }

  /**
   * Sends the sink a close frame of the proxy, between two frames. Nothing follows it.
   *
   * @returns false when the sink waits for the rest of a frame: the close frame follows that.
   */
  sendClose(code: number): boolean {
    if (this.closeSent) return true;
    const payload = formatCloseMessage(code);
    const frame = this.#frame(CloseMessage, payload);
    this.#owner.closes(code, '');
    if (!this.atBorder) {
      this.#pending = frame;
      return false;
    }
    this.#writeClose(frame);
    return true;
  }

  /** Sends the sink a ping of the proxy; its pong is not passed on. False while a frame passes. */
  sendPing(payload: Uint8Array): boolean {
    if (!this.atBorder || this.closeSent) return false;
    super.forward(this.#frame(PingMessage, payload));
    return true;
  }

  /** The source will answer a ping with this payload. */
  expectPong(payload: Uint8Array): void {
    this.#ping = payload;
  }

  #frame(opcode: number, payload: Uint8Array): Uint8Array {
    return this.#masked
      ? encodeFrame(opcode, payload, { maskKey: randomInt(2 ** 32) })
      : encodeFrame(opcode, payload);
  }

  #writeClose(frame: Uint8Array): void {
    super.forward(frame);
    this.closeSent = true;
  }

  /** After a close frame of the proxy only the source's own close frame matters. */
  protected override forward(chunk: Uint8Array): void {
    if (!this.closeSent) super.forward(chunk);
  }

  /** Passes the rest of a large frame. Returns the index after it. */
  #pass(chunk: Uint8Array): number {
    const end = Math.min(this.#passing, chunk.length);
    this.#passing -= end;
    this.forward(end === chunk.length ? chunk : chunk.subarray(0, end));
    if (this.#passing === 0 && this.#pending !== undefined) this.#writeClose(this.#pending);
    return end;
  }

  /** Reads whole frames from `start` on and passes them in one write. */
  #walk(chunk: Uint8Array, start: number): void {
    const scanner = this.#scanner;
    const end = chunk.length;
    let from = start;
    let at = start;
    while (at < end) {
      if (!scanner.read(chunk, at, end)) {
        if (!scanner.lost) break;
        this.#passing = Infinity;
        at = end;
        break;
      }
      if (scanner.messageLength > this.#maxMessageSize && scanner.opcode < 8) {
        this.forward(chunk.subarray(from, at));
        this.#owner.tooBig(this);
        // The rest has no meaning for the sink.
        this.#passing = Infinity;
        return;
      }
      const after = at + scanner.size;
      if (after > end) {
        if (scanner.size > HOLD_LIMIT) {
          this.#passing = after - end;
          at = end;
        } else this.#heldSize = scanner.size;
        break;
      }
      if (scanner.isCloseOrPong && this.#isOurs(chunk.subarray(at, after))) {
        this.forward(chunk.subarray(from, at));
        from = after;
      }
      at = after;
    }
    if (at > from) this.forward(from === 0 && at === end ? chunk : chunk.subarray(from, at));
    if (at < end) this.#hold(chunk, at);
    if (this.closeReceived) this.#owner.closeReceived(this);
  }

  #hold(chunk: Uint8Array, at: number): void {
    this.#held ??= new HeldBytes();
    this.#held.append(chunk, at, chunk.length);
  }

  /** Adds to the held frame. Returns the index in `chunk` after that frame, or its end. */
  #complete(held: HeldBytes, chunk: Uint8Array): number {
    if (this.#heldSize === 0) {
      this.#walk(Buffer.concat([held.take(), chunk]), 0);
      return chunk.length;
    }
    const at = Math.min(this.#heldSize - held.length, chunk.length);
    held.append(chunk, 0, at);
    if (held.length < this.#heldSize) return at;
    this.#heldSize = 0;
    const frame = held.take();
    this.#held = undefined;
    const isOurs = this.#scanner.isCloseOrPong && this.#isOurs(frame);
    if (!isOurs) this.forward(frame);
    if (this.closeReceived) this.#owner.closeReceived(this);
    return at;
  }

  /** Looks into a close frame or a pong. Returns whether it answers the proxy's own ping. */
  #isOurs(frame: Uint8Array): boolean {
    const { opcode, payloadAt, size } = this.#scanner;
    const payload = controlPayload(frame, payloadAt, size);
    if (opcode === CloseMessage) {
      this.#readClose(payload);
      return false;
    }
    if (this.#ping === undefined || Buffer.compare(payload, this.#ping) !== 0) return false;
    this.#ping = undefined;
    return true;
  }

  #readClose(payload: Uint8Array): void {
    this.closeReceived = true;
    try {
      const { code, reason } = parseCloseMessage(payload);
      this.#owner.closes(code, reason);
    } catch {
      // The sink judges the payload.
      this.#owner.closes(CloseCode.ProtocolError, '');
    }
  }
}
