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
import { Assembly, type Lease } from './assembly.ts';
import { ReadLimitError } from './errors.ts';
import { type Host, lentBy } from './host.ts';
import type { DataType } from './message.ts';
import type { Settings } from './options.ts';

/** Events of {@link Intake.next}. */
export const NOTHING = 0;
export const MESSAGE = 1;
export const PING = 2;
export const PONG = 3;
export const CLOSE = 4;
export const FAULT = 5;
export type IntakeEvent = 0 | 1 | 2 | 3 | 4 | 5;

/**
 * Frames to messages: chunks go in, whole messages and control frames come out, one with each `next()`. Fragments are
 * merged, text and limits are checked as the bytes arrive. Numbers and one reused place for the bytes: nothing is
 * created for a message that lies whole in its chunk.
 */
export class Intake {
  /** Of the message that `next()` announced. */
  type: DataType = BinaryMessage;
  /** Payload of the message or control frame: `bytes[start, end)`, unmasked, valid until the next `next()`. */
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  /** Set when the message lies in pooled memory: whoever takes the message releases it. */
  lease: Lease | undefined;
  /** What `FAULT` stands for. */
  error: WebSocketError | undefined;
  /** When true, payload of data messages is checked and then dropped. */
  dropping = false;

  frames = 0;
  messages = 0;
  pings = 0;

  readonly #decoder: FrameDecoder;
  readonly #chunks: Uint8Array[] = [];
  #waiting = 0;
  readonly #assembly = new Assembly();
  readonly #isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #maxEmptyFragments: number;
  #readLimit: number;
  #utf8 = UTF8_ACCEPT;
  /** Plain bytes of the message so far. */
  #length = 0;
  #empty = 0;
  #exhausted = true;

  constructor(role: Role, settings: Settings, host: Host) {
    this.#readLimit = settings.readLimit;
    this.#maxEmptyFragments = settings.maxEmptyFragments;
    this.#isUtf8 = lentBy(host).isUtf8;
    // Data frames are taken as their bytes come (holdLimit 0): bad text fails at its first bad byte, and borrowed
    // bytes never lie in the decoder's ring.
    this.#decoder = new FrameDecoder({
      role,
      holdLimit: 0,
      maxFramePayload: settings.readLimit,
    });
  }

  /** Bytes that have arrived and are held: chunks not parsed yet, and the message under way. */
  get held(): number {
    return this.#waiting + this.#assembly.length;
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
      this.#waiting += chunk.length;
      return;
    }
    this.#decoder.push(chunk);
    this.#exhausted = false;
  }

  next(): IntakeEvent {
    for (;;) {
      switch (this.#decoder.next()) {
        case FRAME: {
          const event = this.#frame();
          if (event !== NOTHING) return event;
          break;
        }
        case FRAME_BEGIN:
          if (!this.#begin()) return FAULT;
          break;
        case FRAME_DATA:
          if (!this.#data()) return FAULT;
          break;
        case FRAME_END: {
          const event = this.#finish(this.#decoder.fin);
          if (event !== NOTHING) return event;
          break;
        }
        case FAILED:
          return this.#fault(this.#decoderError());
        case NEED_MORE: {
          const chunk = this.#chunks.shift();
          if (chunk === undefined) {
            this.#exhausted = true;
            return NOTHING;
          }
          this.#waiting -= chunk.length;
          this.#decoder.push(chunk);
        }
      }
    }
  }

  /** From now on the payload of messages is dropped. */
  drop(): void {
    this.dropping = true;
    this.#assembly.drop();
    this.#decoder.deliverInPlace();
  }

  /** Gives back all memory; nothing is parsed any more. */
  destroy(): void {
    this.#chunks.length = 0;
    this.#waiting = 0;
    this.#exhausted = true;
    this.#assembly.drop();
    this.#decoder.reset();
  }

  #frame(): IntakeEvent {
    const decoder = this.#decoder;
    this.frames++;
    const { opcode } = decoder;
    if (opcode >= CloseMessage) {
      this.#show(decoder.buf, decoder.start, decoder.end);
      if (opcode === CloseMessage) return CLOSE;
      if (opcode !== PingMessage) return PONG;
      this.pings++;
      return PING;
    }
    if (decoder.fin && opcode !== ContinuationFrame) {
      this.type = opcode as DataType;
      if (opcode === TextMessage) {
        const { buf, start, end } = decoder;
        if (utf8Step(UTF8_ACCEPT, buf, start, end, this.#isUtf8) !== UTF8_ACCEPT) {
          return this.#fault(invalidText());
        }
      }
      this.messages++;
      this.lease = undefined;
      this.#show(decoder.buf, decoder.start, decoder.end);
      return MESSAGE;
    }
    if (!this.#open()) return FAULT;
    if (!this.#take(decoder.buf, decoder.start, decoder.end)) return FAULT;
    return this.#finish(decoder.fin);
  }

  #begin(): boolean {
    this.frames++;
    if (!this.#open()) return false;
    if (this.dropping) return true;
    this.#assembly.expect(this.#decoder.length);
    this.#assembly.offer(this.#decoder);
    return true;
  }

  #data(): boolean {
    const { buf, start, end } = this.#decoder;
    if (this.dropping) return this.#check(buf, start, end);
    this.#assembly.arrived(end - start);
    if (!this.#check(buf, start, end)) return false;
    this.#assembly.offer(this.#decoder);
    return true;
  }

  /** A data frame of a fragmented or streamed message starts. */
  #open(): boolean {
    const { opcode, length, fin } = this.#decoder;
    if (opcode !== ContinuationFrame) {
      this.type = opcode as DataType;
      this.#utf8 = UTF8_ACCEPT;
      this.#length = 0;
      this.#empty = 0;
    }
    if (length > 0 || fin) this.#empty = 0;
    else if (++this.#empty > this.#maxEmptyFragments) {
      this.error = new ProtocolError(CloseCode.PolicyViolation, [
        `more than ${this.#maxEmptyFragments} empty fragments in a row`,
      ]);
      return false;
    }
    this.#length += length;
    this.#decoder.maxFramePayload = this.#readLimit - this.#length;
    return true;
  }

  #take(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#check(bytes, start, end)) return false;
    if (!this.dropping) this.#assembly.append(bytes, start, end);
    return true;
  }

  #check(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.type !== TextMessage || start === end) return true;
    this.#utf8 = utf8Step(this.#utf8, bytes, start, end, this.#isUtf8);
    if (this.#utf8 !== UTF8_REJECT) return true;
    this.error = invalidText();
    return false;
  }

  #finish(fin: boolean): IntakeEvent {
    if (!fin) return NOTHING;
    this.#decoder.maxFramePayload = this.#readLimit;
    if (this.type === TextMessage && this.#utf8 !== UTF8_ACCEPT) return this.#fault(invalidText());
    this.messages++;
    this.lease = this.#assembly.complete();
    if (this.lease === undefined) this.#show(EMPTY, 0, 0);
    else this.#show(this.lease.bytes, 0, this.#length);
    return MESSAGE;
  }

  #show(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
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

const EMPTY = /* @__PURE__ */ new Uint8Array(0);
