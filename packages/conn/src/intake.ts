import {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  ContinuationFrame,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  NEED_MORE,
  PingMessage,
  ProtocolError,
  type Role,
  TextMessage,
  UTF8_ACCEPT,
  UTF8_REJECT,
  utf8Step,
  type WebSocketError,
} from '@ws/codec';
import { Assembly } from './assembly.ts';
import { RSV1 } from './deflate/engine.ts';
import type { Inflation } from './deflate/inflation.ts';
import type { PlainBuffers } from './deflate/plain-buffers.ts';
import { ReadLimitError } from './errors.ts';
import { NOBODY } from './free-list.ts';
import { type Host, lentBy } from './host.ts';
import type { Lease } from './lease.ts';
import type { DataType } from './message.ts';
import type { Settings } from './options.ts';

/** Events of {@link Intake.next}. */
export const NOTHING = 0;
export const MESSAGE = 1;
export const PING = 2;
export const PONG = 3;
export const CLOSE = 4;
const FAULT = 5;
/** A message begins that is given in pieces, since `streaming` was set. */
export const BEGIN = 6;
/** A piece of it, in memory that nobody else writes to. */
export const PIECE = 7;
/** It is complete. */
export const END = 8;
/** A message is complete that was not wanted to its end. */
export const SKIPPED = 9;
/** A step of a compressed message is inflated, which is not complete: whoever asked may have enough for now. */
export const STEP = 10;
export type IntakeEvent = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

// What a frame that was announced by BEGIN or PIECE still owes.
const OWES_PIECE = 1;
const OWES_END = 2;

/** On the wire a compressed message may have twice its limit and this: for peers that flush often. */
const WIRE_SLACK = 65_536;
/** What is inflated in one turn of the event loop, in plain bytes: 0.3 ms for text, 1.3 for the worst that there is. */
const INFLATED_A_TURN = 262_144;
/** What a message costs, and each step of it, on top of its bytes. */
const INFLATE_COST = 64;
/** How much room an inflated message is given at first: for each byte on the wire, and at least. */
const EXPECTED_RATIO = 8;
const LARGEST_STEP = 65_536;

/** What an intake counts, and is told, with its connection. */
export interface Tally {
  framesIn: number;
  messagesIn: number;
  pingsIn: number;
  /** The longest message, in bytes. */
  readonly readLimit: number;
  /** Set where compressed messages are agreed on. */
  readonly deflating: { readonly inflation: Inflation; readonly plains: PlainBuffers } | undefined;
}

/** Charged for each chunk that waits, on top of its bytes: many small ones cost more than they hold. */
const CHUNK_COST = 256;

/**
 * Frames to messages: chunks go in, messages and control frames come out, one with each `next()`. Fragments are merged,
 * text and limits are checked as the bytes arrive. Numbers and one reused place for the bytes: nothing is created for a
 * message that lies whole in its chunk.
 *
 * A message is given whole, as MESSAGE, or in pieces, as BEGIN, PIECE and END, for those who read it as a stream: what
 * `streaming` says when it begins decides. Pieces lie in their chunk, which is the connection's own.
 *
 * One that is {@link atRest} holds nothing of its connection, and may serve another.
 */
export class Intake {
  /** Of the message that `next()` announced. */
  type: DataType = BinaryMessage;
  /** Payload of the message or control frame: `bytes[start, end)`, unmasked, valid until the next `next()`. */
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  /** Set when the message, or the piece, lies in pooled memory: whoever takes it releases it. */
  lease: Lease | undefined;
  /** What `FAULT` stands for. */
  error: WebSocketError | undefined;
  /** When true, payload of data messages is checked and then dropped. */
  dropping = false;
  /** When true, the next message to begin is given in pieces. Set by whoever knows who waits for it. */
  streaming = false;
  /** Enough was inflated for this turn of the event loop: nothing more comes until it is set back. */
  tired = false;
  /** That turn is awaited. */
  resting = false;

  #tally: Tally = NOBODY;
  readonly #decoder: FrameDecoder;
  readonly #chunks: Uint8Array[] = [];
  #waiting = 0;
  readonly #assembly = new Assembly();
  readonly #isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #maxEmptyFragments: number;
  #readLimit = Infinity;
  #utf8 = UTF8_ACCEPT;
  /** Plain bytes of the message so far. */
  #length = 0;
  #empty = 0;
  #exhausted = true;
  /** A message has begun and is not complete. */
  #open = false;
  #inPieces = false;
  /** What is left of the message in pieces is not wanted. */
  #skipping = false;
  #owed = 0;
  /** Whether the payload of whole messages is put together. */
  #keeps = true;

  /** Set where compressed messages are agreed on. */
  #inflation: Inflation | undefined;
  #plains: PlainBuffers | undefined;
  /** The message under way is compressed. */
  #compressed = false;
  /** It has input that is not inflated yet, in the chunk that the decoder is at. */
  #inflating = false;
  /** Its bytes on the wire. */
  #wire = 0;
  #inflated = 0;

  /** @param deflates - Whether those it serves have agreed on compressed messages. */
  constructor(role: Role, settings: Settings, host: Host, deflates: boolean) {
    this.#maxEmptyFragments = settings.maxEmptyFragments;
    this.#isUtf8 = lentBy(host).isUtf8;
    // Data frames are taken as their bytes come (holdLimit 0): bad text fails at its first bad byte, and borrowed
    // bytes never lie in the decoder's ring.
    this.#decoder = new FrameDecoder({
      role,
      holdLimit: 0,
      readBufferSize: settings.readBufferSize,
      allowedRsv: deflates ? RSV1 : 0,
    });
  }

  /** Works for the connection that `tally` stands for from here on. */
  serve(tally: Tally): void {
    this.#tally = tally;
    this.#inflation = tally.deflating?.inflation;
    this.#plains = tally.deflating?.plains;
    if (tally.readLimit !== this.#readLimit) this.readLimit = tally.readLimit;
  }

  /** Whether it stands between two messages, with nothing left to parse and nothing special asked of it. */
  get atRest(): boolean {
    return (
      !this.pending &&
      this.#decoder.atFrameBoundary &&
      !this.#open &&
      !this.#inflating &&
      this.#owed === 0 &&
      !this.tired &&
      !this.resting &&
      !this.dropping
    );
  }

  /** Leaves the connection. */
  leaveOwner(): void {
    this.#tally = NOBODY;
    this.#inflation = undefined;
    this.#plains = undefined;
    this.#keeps = true;
    this.#inflated = 0;
    this.lease = undefined;
  }

  /** Sets the longest message from here on, in bytes; of one that is under way too. */
  set readLimit(bytes: number) {
    this.#readLimit = bytes;
    this.#bound();
  }

  /** What the next frame may have: more than the limit where it may be compressed, which its header has yet to say. */
  #bound(): void {
    const limit = this.#readLimit;
    if (this.#inflation === undefined) {
      this.#decoder.maxFramePayload = limit - (this.#open ? this.#length : 0);
    } else {
      this.#decoder.maxFramePayload = limit * 2 + WIRE_SLACK - (this.#open ? this.#wire : 0);
    }
  }

  /** Plain bytes of the message that is complete, or so far of the one under way. */
  get length(): number {
    return this.#length;
  }

  /** Bytes that have arrived and are held: chunks not parsed yet, and the message under way. */
  get held(): number {
    return this.#waiting + this.#assembly.length + (this.#inflation?.waiting ?? 0);
  }

  /** Whether `next()` may find something without another chunk. */
  get pending(): boolean {
    return !this.#exhausted || this.#chunks.length > 0;
  }

  /** Takes a chunk over; it may be changed in place. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.pending) {
      this.#chunks.push(chunk);
      this.#waiting += chunk.length + CHUNK_COST;
      return;
    }
    this.#decoder.push(chunk);
    this.#exhausted = false;
  }

  next(): IntakeEvent {
    if (this.#owed !== 0) return this.#pay();
    if (!this.pending || this.tired) return NOTHING;
    for (;;) {
      let event: IntakeEvent = NOTHING;
      if (this.#inflating) {
        event = this.#inflate();
        if (event !== NOTHING || this.tired) return event;
      }
      switch (this.#decoder.next()) {
        case FRAME:
          event = this.#frame();
          break;
        case FRAME_BEGIN:
          event = this.#begin();
          break;
        case FRAME_DATA:
          event = this.#data();
          break;
        case FRAME_END:
          event = this.#finish(this.#decoder.fin);
          break;
        case FAILED:
          return this.#fault(this.#decoderError());
        case NEED_MORE: {
          const chunk = this.#chunks.shift();
          if (chunk === undefined) {
            this.#exhausted = true;
            // An idle connection holds no chunk.
            this.#show(EMPTY, 0, 0);
            return NOTHING;
          }
          this.#waiting -= chunk.length + CHUNK_COST;
          this.#decoder.push(chunk);
        }
      }
      if (event !== NOTHING) return event;
    }
  }

  /**
   * Goes on in pieces with a message that has begun to be put together. Its bytes so far are the first piece: the
   * caller releases the lease. Undefined when no message is under way, or none that can be had so.
   */
  turnIntoPieces(): { lease: Lease | undefined; length: number } | undefined {
    if (!this.#open || this.#inPieces || this.dropping) return undefined;
    this.#inPieces = true;
    this.#decoder.deliverInPlace();
    const { length } = this.#assembly;
    return { lease: this.#assembly.complete(), length };
  }

  /** What is left of the message in pieces is not wanted: no more PIECE and END of it. */
  skip(): void {
    if (this.#inPieces) this.#skipping = this.#open;
    this.#owed = 0;
  }

  /** From now on messages are announced without their payload: for those who read only to drop. */
  discard(): void {
    this.#keeps = false;
    this.#assembly.drop();
    this.#decoder.deliverInPlace();
  }

  /** The next turn of the event loop: {@link tired} no more. */
  rest(): void {
    this.tired = false;
    this.resting = false;
    this.#inflated = 0;
  }

  /** Whether the next step is to begin a compressed message, and there are as many under way as there may be. */
  get crowded(): boolean {
    return this.#inflating && this.#inflation!.crowded;
  }

  /** The connection is gone, and what has come may never be read: no pooled memory is held for it any more. */
  leave(): void {
    this.#assembly.leave();
    this.#inflation?.leave();
  }

  /** From now on the payload of messages is dropped. */
  drop(): void {
    this.dropping = true;
    if (this.#inflating && this.#inflation!.last) {
      // All of it has come, and nothing will tell.
      this.#open = false;
      this.#tally.messagesIn++;
      this.#bound();
    }
    this.#inflating = false;
    this.tired = false;
    this.#inflation?.destroy();
    this.#keeps = false;
    this.streaming = false;
    this.skip();
    this.#assembly.drop();
    this.#decoder.deliverInPlace();
  }

  /** Gives back all memory; nothing is parsed any more. */
  destroy(): void {
    this.#chunks.length = 0;
    this.#waiting = 0;
    this.#exhausted = true;
    this.#owed = 0;
    this.#open = false;
    this.#inPieces = false;
    this.#inflating = false;
    this.tired = false;
    this.#inflation?.destroy();
    this.#assembly.drop();
    this.#decoder.reset();
    this.#show(EMPTY, 0, 0);
  }

  #frame(): IntakeEvent {
    const decoder = this.#decoder;
    this.#tally.framesIn++;
    const { opcode } = decoder;
    if (opcode >= CloseMessage) {
      this.#show(decoder.buf, decoder.start, decoder.end);
      if (opcode === CloseMessage) return CLOSE;
      if (opcode !== PingMessage) return PONG;
      this.#tally.pingsIn++;
      return PING;
    }
    if (
      decoder.fin &&
      opcode !== ContinuationFrame &&
      !this.streaming &&
      decoder.rsv === 0 &&
      decoder.length <= this.#readLimit
    ) {
      this.type = opcode as DataType;
      if (opcode === TextMessage) {
        const { buf, start, end } = decoder;
        if (utf8Step(UTF8_ACCEPT, buf, start, end, this.#isUtf8) !== UTF8_ACCEPT) {
          return this.#fault(invalidText());
        }
      }
      this.#tally.messagesIn++;
      this.#length = decoder.length;
      this.lease = undefined;
      this.#show(decoder.buf, decoder.start, decoder.end);
      return MESSAGE;
    }
    return this.#fragment();
  }

  /** A whole frame of a message that has other frames, or is given in pieces. */
  #fragment(): IntakeEvent {
    const { opcode, buf, start, end, fin } = this.#decoder;
    if (!this.#start()) return FAULT;
    if (this.#compressed) {
      const event = this.#feed(buf, start, end, fin);
      // What is in it comes with the next events.
      return this.#inPieces && opcode !== ContinuationFrame ? BEGIN : event;
    }
    if (!this.#check(buf, start, end)) return FAULT;
    if (!this.#inPieces) {
      if (this.#keeps) this.#assembly.append(buf, start, end);
      return this.#finish(fin);
    }
    if (fin && !this.#complete()) return FAULT;
    if (this.#skipping) {
      if (!fin) return NOTHING;
      this.#skipping = false;
      return SKIPPED;
    }
    this.lease = undefined;
    this.#show(buf, start, end);
    this.#owed = (start === end ? 0 : OWES_PIECE) | (fin ? OWES_END : 0);
    if (opcode !== ContinuationFrame) return BEGIN;
    return this.#owed === 0 ? NOTHING : this.#pay();
  }

  #begin(): IntakeEvent {
    this.#tally.framesIn++;
    if (!this.#start()) return FAULT;
    if (this.#inPieces) {
      return this.#decoder.opcode === ContinuationFrame ? NOTHING : BEGIN;
    }
    if (!this.#keeps || this.#compressed) return NOTHING;
    this.#assembly.expect(this.#decoder.length);
    this.#assembly.offer(this.#decoder);
    return NOTHING;
  }

  #data(): IntakeEvent {
    const { buf, start, end } = this.#decoder;
    if (this.#compressed) return this.#feed(buf, start, end, false);
    // The limit may have been lowered since the frame began.
    if (!this.#checkLength()) return FAULT;
    const assembles = !this.#inPieces && this.#keeps;
    if (assembles) this.#assembly.arrived(end - start);
    if (!this.#check(buf, start, end)) return FAULT;
    if (assembles) this.#assembly.offer(this.#decoder);
    if (!this.#inPieces || this.#skipping) return NOTHING;
    this.lease = undefined;
    this.#show(buf, start, end);
    return PIECE;
  }

  /** A data frame of a fragmented or streamed message starts. */
  #start(): boolean {
    const { opcode, length, fin } = this.#decoder;
    if (opcode !== ContinuationFrame) {
      this.type = opcode as DataType;
      this.#open = true;
      this.#inPieces = this.streaming;
      this.#utf8 = UTF8_ACCEPT;
      this.#length = 0;
      this.#wire = 0;
      this.#empty = 0;
      this.#compressed = this.#decoder.rsv !== 0;
      if (this.#compressed && !this.dropping) this.#inflation!.begin();
    }
    if (length > 0 || fin) this.#empty = 0;
    else if (++this.#empty > this.#maxEmptyFragments) {
      this.error = new ProtocolError(CloseCode.PolicyViolation, [
        `more than ${this.#maxEmptyFragments} empty fragments in a row`,
      ]);
      return false;
    }
    this.#wire += length;
    if (!this.#compressed) this.#length += length;
    this.#bound();
    return this.#checkLength();
  }

  /** The decoder knows the limit only as far as nothing is compressed. */
  #checkLength(): boolean {
    if (this.#length <= this.#readLimit) return true;
    this.error = new ReadLimitError(this.#readLimit);
    return false;
  }

  #check(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.type !== TextMessage || start === end) return true;
    this.#utf8 = utf8Step(this.#utf8, bytes, start, end, this.#isUtf8);
    if (this.#utf8 !== UTF8_REJECT) return true;
    this.error = invalidText();
    return false;
  }

  /** The last byte of a message has come. */
  #complete(): boolean {
    this.#open = false;
    this.#bound();
    if (this.type === TextMessage && this.#utf8 !== UTF8_ACCEPT) {
      this.error = invalidText();
      return false;
    }
    this.#tally.messagesIn++;
    return true;
  }

  #finish(fin: boolean): IntakeEvent {
    if (!fin) return NOTHING;
    if (this.#compressed) return this.#feed(EMPTY, 0, 0, true);
    if (!this.#complete()) return FAULT;
    if (this.#inPieces) {
      const skipped = this.#skipping;
      this.#skipping = false;
      return skipped ? SKIPPED : END;
    }
    this.lease = this.#assembly.complete();
    if (this.lease === undefined) this.#show(EMPTY, 0, 0);
    else this.#show(this.lease.bytes, 0, this.#length);
    return MESSAGE;
  }

  #pay(): IntakeEvent {
    if ((this.#owed & OWES_PIECE) !== 0) {
      this.#owed &= ~OWES_PIECE;
      return PIECE;
    }
    this.#owed = 0;
    return END;
  }

  /** Payload of a compressed message has come; `last`: all of it. */
  #feed(bytes: Uint8Array, start: number, end: number, last: boolean): IntakeEvent {
    // Nobody gets what comes after our close frame: it is not worth inflating.
    if (this.dropping) return last ? this.#dropped() : NOTHING;
    this.#inflation!.feed(bytes, start, end, last);
    this.#inflating = true;
    return this.crowded ? STEP : NOTHING;
  }

  #dropped(): IntakeEvent {
    this.#utf8 = UTF8_ACCEPT;
    this.#skipping = false;
    this.#complete();
    this.#show(EMPTY, 0, 0);
    this.lease = undefined;
    return MESSAGE;
  }

  /** Inflates a step of what is there. */
  #inflate(): IntakeEvent {
    if (this.#inflated >= INFLATED_A_TURN) {
      this.tired = true;
      return NOTHING;
    }
    // The limit may have been lowered since the message began.
    if (!this.#checkLength()) return FAULT;
    const inflation = this.#inflation!;
    const limit = this.#readLimit - this.#length;
    const first = this.#length === 0 && !this.#inPieces;
    const lease = this.#plains!.take(first ? inflation.left * EXPECTED_RATIO : LARGEST_STEP);
    const { bytes } = lease;
    let size: number;
    try {
      // One byte past the limit tells that it is passed.
      size = inflation.step(bytes, Math.min(bytes.length, limit + 1), limit);
    } catch (error) {
      // No memory for an engine.
      lease.release();
      return this.#fault(error as WebSocketError);
    }
    this.#inflating = inflation.more;
    this.#inflated += Math.max(size, 0) + INFLATE_COST + inflation.cost;
    this.#length += Math.max(size, 0);
    if (size < 0) this.error = invalidDeflate();
    if (size < 0 || !this.#checkLength() || !this.#check(bytes, 0, size)) {
      lease.release();
      return FAULT;
    }
    const event = this.#took(lease, size, inflation.last && !inflation.more);
    return event === NOTHING && this.#inflating ? STEP : event;
  }

  /** `size` plain bytes were inflated into `lease`; `whole`: the message is complete with them. */
  #took(lease: Lease, size: number, whole: boolean): IntakeEvent {
    if (whole) {
      this.#inflation!.finish();
      if (!this.#complete()) {
        lease.release();
        return FAULT;
      }
    }
    if (this.#inPieces) {
      if (this.#skipping || size === 0) {
        lease.release();
        if (!whole) return NOTHING;
        const skipped = this.#skipping;
        this.#skipping = false;
        return skipped ? SKIPPED : END;
      }
      this.lease = lease;
      this.#show(lease.bytes, 0, size);
      if (whole) this.#owed = OWES_END;
      return PIECE;
    }
    if (whole && this.#assembly.length === 0) {
      this.lease = lease;
      this.#show(lease.bytes, 0, size);
      return MESSAGE;
    }
    if (this.#keeps) this.#assembly.append(lease.bytes, 0, size);
    lease.release();
    if (!whole) return NOTHING;
    this.lease = this.#assembly.complete();
    this.#show(this.lease?.bytes ?? EMPTY, 0, this.lease === undefined ? 0 : this.#length);
    return MESSAGE;
  }

  #show(bytes: Uint8Array, start: number, end: number): void {
    if (this.bytes !== bytes) this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  #fault(error: WebSocketError | undefined): IntakeEvent {
    this.error ??= error;
    return FAULT;
  }

  #decoderError(): WebSocketError | undefined {
    const { error } = this.#decoder;
    // 1009 from the decoder is the limit that stands in maxFramePayload, or a length beyond any limit.
    if (error?.closeCode === CloseCode.MessageTooBig && this.#readLimit !== Infinity) {
      return new ReadLimitError(this.#readLimit);
    }
    return error;
  }
}

function invalidText(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid UTF-8 in text message'],
    'WS_ERR_INVALID_UTF8',
  );
}

/** RFC 7692, section 7.2.2, leaves the code open: 1007, as for any payload that is not what it says it is. */
function invalidDeflate(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid DEFLATE data in compressed message'],
    'WS_ERR_INVALID_DEFLATE',
  );
}

const EMPTY = /* @__PURE__ */ new Uint8Array(0);
