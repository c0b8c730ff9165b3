import { randomInt } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  encodeFrame,
  FrameHeader,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  parseCloseMessage,
  unmask,
} from '@ws/codec';
import { TransportDuplex } from '@ws/node-io/internal';
import { GatheredBytes } from '@ws/node-server/internal';
import { Direction } from './direction.ts';
import type { FrameTunnel } from './frame-tunnel.ts';

/** Largest frame that waits until it is whole, unless `highWaterMark` allows more. In bytes. */
const HOLD_LIMIT = 64 * 1024;

/** The header under the scanner. No direction needs it after its call has returned. */
const header = new FrameHeader();

/**
 * A direction that knows the borders of frames. It passes the bytes untouched and in order. A frame of at
 * most 64 KiB or `highWaterMark` bytes waits until it is whole, so a dead source leaves no half
 * frame at the sink, unless it has stalled before. Control frames of the proxy go between two
 * frames.
 */
export class FrameDirection extends Direction {
  /** A close frame of the source has arrived. */
  closeReceived = false;
  /** The last frame to the sink was a close frame of the proxy. */
  closeSent = false;
  /** The payload of the proxy's ping to the source. */
  ping: Uint8Array | undefined = undefined;
  readonly #tunnel: FrameTunnel;
  readonly #masked: boolean;
  /** Payload bytes of the current message, as on the wire. */
  #messageLength = 0;
  /** Bytes to come of a frame whose start has passed; Infinity when no border is known any more. */
  #passing = 0;
  /** The start of a frame whose rest has not arrived. */
  #held: GatheredBytes | undefined = undefined;
  /** Size of the held frame; 0 while its header is cut off. */
  #heldSize = 0;
  /** {@link bytes} at the last tick. */
  #seen = 0;
  #passesStarts = false;
  /** A close frame of the proxy that waits for the end of a frame. */
  #pending: Uint8Array | undefined = undefined;

  /** @param masked - Whether the sink is a server: frames to it are masked. */
  constructor(source: Duplex, sink: Duplex, tunnel: FrameTunnel, masked: boolean) {
    super(source, sink, tunnel);
    this.#tunnel = tunnel;
    this.#masked = masked;
  }

  override receive(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    let at = 0;
    if (this.#passing > 0) at = this.#pass(chunk);
    else if (this.#held !== undefined) at = this.#complete(this.#held, chunk);
    if (at < chunk.length) this.#walk(chunk, at);
  }

  /**
   * Called now and then. Passes the start of a frame on whose source has sent nothing since the last
   * call: the sink may judge it already, a part of a text or a header. A close frame waits for its code.
   */
  tick(): void {
    const held = this.#held;
    const isStalled = this.bytes === this.#seen && !this.source.isPaused();
    if (held !== undefined && this.#heldSize > 0 && isStalled) {
      this.dropHeld();
      this.#passesStarts = true;
      this.#walk(held.take(), 0);
      this.#passesStarts = false;
    }
    this.#seen = this.bytes;
  }

  /** Whether a close frame has passed to the sink: nothing of the proxy may follow it. */
  get isClosed(): boolean {
    return this.closeSent || this.closeReceived;
  }

  /** A close frame of the proxy waits for the end of a frame. */
  get isClosePending(): boolean {
    return this.#pending !== undefined;
  }

  /**
   * Milliseconds in which the source has to end after its closing handshake: a stream of HTTP/2, which
   * some peers never end. Undefined for a socket, before that handshake, and after the end.
   */
  get endTimeout(): number | undefined {
    const { source, reverse } = this;
    const isOver = this.sourceEnded || source.destroyed;
    if (isOver || !this.closeReceived || !(reverse as FrameDirection).isClosed) return undefined;
    return endTimeoutOf(source);
  }

  /**
   * After a close frame, a server of HTTP/2 ends its stream first: an earlier END_STREAM ends the whole
   * session of hypercorn.
   */
  override endSink(): void {
    const { sink, reverse } = this;
    const isOver = reverse!.sourceEnded || sink.destroyed;
    if (this.#masked && this.isClosed && !isOver && endTimeoutOf(sink) !== undefined) return;
    super.endSink();
  }

  override get beforeEnd(): number {
    return super.beforeEnd + (this.isClosePending ? this.#passing + this.sink.writableLength : 0);
  }

  /** Drops the start of a frame whose rest will never come. */
  dropHeld(): void {
    this.#held = undefined;
    this.#heldSize = 0;
  }

  /**
   * Sends the sink a close frame of the proxy, between two frames: after the rest of a frame that is
   * passing. Nothing follows it.
   */
  sendClose(code: number): void {
    if (this.isClosed || !this.sink.writable) return;
    const frame = this.#frame(CloseMessage, formatCloseMessage(code));
    this.#tunnel.closes(code, '');
    if (this.#passing > 0) this.#pending = frame;
    else this.#writeClose(frame);
  }

  /** Sends the sink a ping of the proxy; its pong is not passed on. False while a frame passes. */
  sendPing(payload: Uint8Array): boolean {
    if (this.#passing > 0 || this.isClosed) return false;
    this.forward(this.#frame(PingMessage, payload));
    return true;
  }

  #frame(opcode: number, payload: Uint8Array): Uint8Array {
    return encodeFrame(opcode, payload, this.#masked ? { maskKey: randomInt(2 ** 32) } : {});
  }

  #writeClose(frame: Uint8Array): void {
    this.forward(frame);
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
    if (this.#passing > 0 || this.#pending === undefined) return end;
    this.#writeClose(this.#pending);
    this.#pending = undefined;
    this.#tunnel.closePassed();
    return end;
  }

  /** Adds to the held frame. Returns the index in `chunk` after it. */
  #complete(held: GatheredBytes, chunk: Uint8Array): number {
    const missing = this.#heldSize === 0 ? chunk.length : this.#heldSize - held.length;
    const end = Math.min(missing, chunk.length);
    held.append(chunk.subarray(0, end));
    if (held.length >= this.#heldSize) {
      this.dropHeld();
      this.#walk(held.take(), 0);
    }
    return end;
  }

  /** Reads whole frames from `start` on and passes them in one write. */
  #walk(chunk: Uint8Array, start: number): void {
    const end = chunk.length;
    let from = start;
    let at = start;
    while (at < end) {
      const length = readHeader(chunk, at, end);
      if (length === 0) break;
      const size = length + header.length;
      const after = at + size;
      if (after > end && this.#holds(size)) {
        this.#heldSize = size;
        break;
      }
      if (this.#isTooBig()) {
        this.forward(chunk.subarray(from, at));
        this.#tunnel.tooBig(this);
        // The rest has no meaning for the sink.
        this.#passing = Infinity;
        return;
      }
      if (after <= end && this.#isOurs(chunk, at + length, after)) {
        this.forward(chunk.subarray(from, at));
        from = after;
      }
      at = after;
    }
    if (at > end) this.#passing = at - end;
    const passed = Math.min(at, end);
    if (passed > from) {
      this.forward(from === 0 && passed === end ? chunk : chunk.subarray(from, passed));
    }
    if (passed < end) {
      // A copy: the chunk may be much larger.
      this.#held = new GatheredBytes(Buffer.from(chunk.subarray(passed)));
    }
    if (this.closeReceived) this.#tunnel.closeReceived(this);
  }

  /** Whether the frame under the header waits until it is whole. */
  #holds(size: number): boolean {
    if (this.#passesStarts && header.opcode !== CloseMessage) return false;
    return size <= Math.max(HOLD_LIMIT, this.#tunnel.plan.client.highWaterMark);
  }

  /** Counts the frame under the header. Returns whether its message is too big. */
  #isTooBig(): boolean {
    this.frames++;
    if (header.opcode >= CloseMessage) return false;
    this.#messageLength = header.length + (header.opcode === 0 ? this.#messageLength : 0);
    if (this.#messageLength > this.#tunnel.plan.client.readLimit) return true;
    if (header.fin) this.messages++;
    return false;
  }

  /** Looks into a close frame or a pong. Returns whether it answers the proxy's own ping. */
  #isOurs(chunk: Uint8Array, start: number, end: number): boolean {
    const isPong = header.opcode === PongMessage && this.ping !== undefined;
    if (!isPong && header.opcode !== CloseMessage) return false;
    const payload = new Uint8Array(chunk.subarray(start, end));
    if (header.masked) unmask(payload, 0, payload.length, header.maskKey);
    if (!isPong) this.#readClose(payload);
    else if (Buffer.compare(payload, this.ping!) === 0) {
      this.ping = undefined;
      return true;
    }
    return false;
  }

  #readClose(payload: Uint8Array): void {
    this.closeReceived = true;
    try {
      const { code, reason } = parseCloseMessage(payload);
      this.#tunnel.closes(code, reason);
    } catch {
      // The sink judges the payload.
      this.#tunnel.closes(CloseCode.ProtocolError, '');
    }
  }
}

/** Milliseconds for the end of a stream of HTTP/2; undefined for a socket. */
function endTimeoutOf(stream: Duplex): number | undefined {
  return stream instanceof TransportDuplex ? stream.endTimeout : undefined;
}

/**
 * As `header.read`. A malformed length is read as an endless message: the peers see the fault, or
 * `readLimit` ends it, since some peers accept such a length.
 */
function readHeader(bytes: Uint8Array, at: number, end: number): number {
  try {
    return header.read(bytes, at, end);
  } catch {
    header.opcode = BinaryMessage;
    header.fin = false;
    header.length = Infinity;
    return 2;
  }
}
