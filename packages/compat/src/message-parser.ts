import { getDefaultHighWaterMark } from 'node:stream';
import {
  CloseMessage,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  type FrameDecoder,
  NEED_MORE,
  PingMessage,
  type Role,
} from '@ws/codec';
import { isControl } from '@ws/codec/internal';
import type { Platform } from '@ws/conn';
import type { InflateWaiter } from '@ws/conn/internal';
import { bufferOver, copyOf, EMPTY, emptyBuffer } from './bytes.ts';
import { readClose } from './control-payload.ts';
import { acquireDecoder, RSV1, releaseDecoder } from './decoder-pool.ts';
import { errorOfDecoder, type FaultError, invalidText, tooManyParts } from './errors.ts';
import { INFLATED, inflateInto, POSTPONED } from './inflate-message.ts';
import {
  type ActiveExtensions,
  NO_EXTENSIONS,
  type ParserEvents,
  type ParserOptions,
} from './parser-events.ts';
import { EXTENSION, engines, limitOf, type PerMessageDeflate } from './permessage-deflate.ts';
import { platform } from './platform.ts';
import {
  type BinaryType,
  converted,
  isValidText,
  type RawData,
  ReceivedMessage,
} from './received-message.ts';

// States of a parser.
const READY = 0;
/** The decoder's events are handled. */
const RUNNING = 1;
/** An event, or the inflation of a message, comes in a later turn. Input waits. */
const WAITING = 2;
/** The input is over: a close frame or a fault came. */
const DONE = 3;

const TEXT = 1;
/** Bytes of waiting input. ws parses in a Writable, whose default this is. */
const HIGH_WATER_MARK = /* @__PURE__ */ getDefaultHighWaterMark(false);

/** Turns the bytes of a socket into messages and control frames. */
export class MessageParser<T> implements InflateWaiter {
  // For the queue of connections that wait for their turn to inflate.
  previousWaiter: InflateWaiter | undefined = undefined;
  nextWaiter: InflateWaiter | undefined = undefined;
  waiting = false;
  readonly platform: Platform = platform;

  binaryType: BinaryType;
  /** Most plain bytes of a message; 0 for no limit. Programs look at it, as with ws. */
  readonly _maxPayload: number;
  /** The negotiated extensions. Programs look at them, as with ws. */
  readonly _extensions: ActiveExtensions;
  /** Whether {@link ParserEvents.finish} was called. */
  finished = false;

  readonly #target: T;
  readonly #events: ParserEvents<T>;
  readonly #role: Role;
  readonly #deflate: PerMessageDeflate | undefined;
  readonly #synchronous: boolean;
  readonly #skipsUtf8: boolean;
  readonly #maxFragments: number;
  readonly #maxChunks: number;

  #state = READY;
  #ending = false;
  #decoder: FrameDecoder | undefined;
  /** The input of the decoder. */
  #chunk: Buffer = EMPTY;
  /** Chunks that wait. */
  #queue: Buffer[] | undefined;
  /** Bytes of the chunks since the last time when none waited. */
  #unread = 0;
  /** Chunks that came since the last complete frame. */
  #chunks = 0;
  /** The message under way. */
  #message: ReceivedMessage | undefined;

  constructor(target: T, events: ParserEvents<T>, options: ParserOptions) {
    this.#target = target;
    this.#events = events;
    this.#role = options.isServer ? 'server' : 'client';
    this._extensions = options.extensions ?? NO_EXTENSIONS;
    this.#deflate = this._extensions[EXTENSION];
    const { allowSynchronousEvents = true } = options;
    this.#synchronous = allowSynchronousEvents;
    this.#skipsUtf8 = options.skipUTF8Validation ?? false;
    this._maxPayload = limitOf(options.maxPayload);
    this.#maxFragments = limitOf(options.maxFragments);
    this.#maxChunks = limitOf(options.maxBufferedChunks);
    this.binaryType = options.binaryType ?? 'nodebuffer';
  }

  /** Whether input waits: {@link ParserEvents.drain} follows. */
  get busy(): boolean {
    return this.#state === WAITING;
  }

  /** Whether so much input waits that the socket should not be read. */
  get full(): boolean {
    return this.busy && this.#unread >= HIGH_WATER_MARK;
  }

  /** Handles the next bytes, which belong to the parser from now on. */
  receive(chunk: Buffer): void {
    if (this.#state === DONE || this.#ending) return;
    this.#unread += chunk.length;
    if (this.#state === READY) this.#run(chunk);
    else (this.#queue ??= []).push(chunk);
  }

  /** The input has ended. {@link ParserEvents.finish} follows when all of it was handled. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#state === READY || this.#state === DONE) this.#finishLater();
  }

  /** Drops all input and releases the memory. */
  destroy(): void {
    if (this.#state !== DONE) this.#stop();
  }

  onInflateTurn(): void {
    if (this.#state === WAITING) this.#run();
  }

  #finishLater(): void {
    process.nextTick(() => {
      this.finished = true;
      this.#events.finish(this.#target);
    });
  }

  /** Handles what the decoder has, then `chunk` and the chunks that wait. */
  #run(chunk?: Buffer): void {
    const waited = this.#state === WAITING;
    this.#state = RUNNING;
    this.#events.begin(this.#target);
    let threw = true;
    try {
      this.#handle(chunk);
      threw = false;
    } finally {
      // A listener threw. The frames after it are handled in a later turn.
      if (threw && this.#state === RUNNING) this.#later();
      this.#events.end(this.#target);
    }
    if (this.#state === WAITING) return;
    if (waited) this.#events.drain(this.#target);
    if (this.#ending) this.#finishLater();
  }

  #handle(chunk: Buffer | undefined): void {
    if (chunk !== undefined) this.#push(chunk);
    while (this.#state === RUNNING) {
      if (this.#message?.inflating) this.#inflate(this.#message);
      else if (this.#decoder === undefined || !this.#advance(this.#decoder)) {
        const next = this.#queue?.shift();
        if (next !== undefined) {
          this.#push(next);
        } else {
          this.#state = READY;
          this.#unread = 0;
        }
      }
    }
  }

  /** Calls `emit` in a later turn, and continues after it. Input waits. */
  #later(emit?: () => void): void {
    this.#state = WAITING;
    setImmediate(() => {
      try {
        emit?.();
      } finally {
        this.onInflateTurn();
      }
    });
  }

  #push(chunk: Buffer): void {
    if (this.#maxChunks > 0 && this.#chunks >= this.#maxChunks) {
      return this.#fail(tooManyParts('buffered chunks'));
    }
    this.#chunks++;
    this.#chunk = chunk;
    this.#decoder ??= acquireDecoder(this.#role, this.#deflate !== undefined);
    this.#bound(this.#decoder);
    this.#decoder.push(chunk);
  }

  /** Sets the largest payload of the next frame. */
  #bound(decoder: FrameDecoder): void {
    const limit = this._maxPayload;
    decoder.maxFramePayload = limit === 0 ? Infinity : limit - (this.#message?.length ?? 0);
  }

  /** Handles events of the decoder. Returns false when the decoder needs more bytes. */
  #advance(decoder: FrameDecoder): boolean {
    for (;;) {
      switch (decoder.next()) {
        case FRAME:
          this.#chunks = 1;
          if (isControl(decoder.opcode)) this.#control(decoder);
          else this.#data(decoder);
          break;
        case FRAME_BEGIN:
          this.#beginFrame(decoder);
          break;
        case FRAME_DATA:
          this.#addPiece(decoder, this.#message!);
          break;
        case FRAME_END:
          this.#chunks = 1;
          this.#endFrame(decoder, this.#message!);
          break;
        case FAILED:
          this.#fail(errorOfDecoder(decoder, this.#role, this.#deflate !== undefined));
          return true;
        case NEED_MORE:
          this.#rest(decoder);
          return false;
      }
      if (this.#state !== RUNNING || this.#message?.inflating) return true;
    }
  }

  /** Between two frames, the decoder returns to the pool. */
  #rest(decoder: FrameDecoder): void {
    this.#chunk = EMPTY;
    if (!decoder.atFrameBoundary) return;
    this.#chunks = 0;
    if (this.#message === undefined) this.#release();
  }

  #release(): void {
    const decoder = this.#decoder;
    if (decoder === undefined) return;
    this.#decoder = undefined;
    releaseDecoder(decoder, this.#role, this.#deflate !== undefined);
  }

  // Data frames

  #data(decoder: FrameDecoder): void {
    const { opcode, fin, rsv } = decoder;
    if (fin && opcode !== 0 && rsv === 0) {
      const payload = this.#payload(decoder);
      if (opcode === TEXT) return this.#deliverText(payload);
      return this.#emitMessage(converted(payload, this.binaryType), true);
    }
    const message = this.#open(decoder);
    if (!this.#countFrame(message)) return;
    if (message.compressed) {
      const { buf, start, end } = decoder;
      this.#feed(message, buf, start, end, fin);
    } else {
      message.add(this.#payload(decoder));
      if (fin) this.#complete(message);
    }
  }

  /** A data frame begins, and with it a message unless one is under way. */
  #open(decoder: FrameDecoder): ReceivedMessage {
    const { opcode, rsv, length } = decoder;
    if (opcode !== 0) {
      this.#message = new ReceivedMessage(opcode, (rsv & RSV1) !== 0);
      if (this.#message.compressed) this.#deflate!.decompressor.beginMessage();
    }
    const message = this.#message!;
    message.openFrame(length);
    this.#bound(decoder);
    return message;
  }

  /** Returns false after a fault. */
  #countFrame(message: ReceivedMessage): boolean {
    const isAllowed = this.#maxFragments === 0 || ++message.frames <= this.#maxFragments;
    if (!isAllowed) this.#fail(tooManyParts('message fragments'));
    return isAllowed;
  }

  #beginFrame(decoder: FrameDecoder): void {
    const message = this.#open(decoder);
    if (!message.compressed) message.beginFrame(decoder);
  }

  #addPiece(decoder: FrameDecoder, message: ReceivedMessage): void {
    const { buf, start, end } = decoder;
    if (message.compressed) this.#feed(message, buf, start, end, false);
    else if (message.keepsPieces) message.addPiece(this.#payload(decoder));
  }

  #endFrame(decoder: FrameDecoder, message: ReceivedMessage): void {
    if (!this.#countFrame(message)) return;
    if (message.compressed) return this.#feed(message, EMPTY, 0, 0, decoder.fin);
    message.endFrame(decoder);
    if (decoder.fin) this.#complete(message);
  }

  /** The payload: a view of the chunk, or a copy of a payload that came in several chunks. */
  #payload({ buf, start, end }: FrameDecoder): Buffer {
    if (start === end) return emptyBuffer();
    return buf === this.#chunk ? bufferOver(buf, start, end) : copyOf(buf, start, end);
  }

  #complete(message: ReceivedMessage): void {
    this.#message = undefined;
    this.#bound(this.#decoder!);
    if (message.opcode === TEXT) this.#deliverText(message.bytes);
    else this.#emitMessage(message.as(this.binaryType), true);
  }

  #deliverText(bytes: Buffer): void {
    if (!this.#skipsUtf8 && !isValidText(bytes)) return this.#fail(invalidText());
    this.#emitMessage(bytes, false);
  }

  #emitMessage(data: RawData, isBinary: boolean): void {
    if (this.#synchronous) this.#events.message(this.#target, data, isBinary);
    else this.#later(() => this.#events.message(this.#target, data, isBinary));
  }

  // Compressed messages

  #feed(
    message: ReceivedMessage,
    bytes: Uint8Array,
    start: number,
    end: number,
    last: boolean,
  ): void {
    this.#deflate!.decompressor.feed(bytes, start, end, last);
    message.inflating = true;
    message.whole = last;
  }

  #inflate(message: ReceivedMessage): void {
    const result = inflateInto(message, this.#deflate!, this);
    if (result === POSTPONED) this.#state = WAITING;
    else if (result !== INFLATED) this.#fail(result);
    else message.inflating = false;
    if (result !== INFLATED || !message.whole) return;
    this.#deflate!.decompressor.endMessage();
    engines().inflateBudget.messageComplete(this);
    this.#complete(message);
  }

  // Control frames

  #control(decoder: FrameDecoder): void {
    if (decoder.opcode === CloseMessage) return this.#close(decoder);
    const payload = this.#payload(decoder);
    const isPing = decoder.opcode === PingMessage;
    if (this.#synchronous) this.#emitControl(isPing, payload);
    else this.#later(() => this.#emitControl(isPing, payload));
  }

  #emitControl(isPing: boolean, payload: Buffer): void {
    if (isPing) this.#events.ping(this.#target, payload);
    else this.#events.pong(this.#target, payload);
  }

  #close(decoder: FrameDecoder): void {
    const payload = this.#payload(decoder);
    const result = readClose(payload, !this.#skipsUtf8);
    if (result instanceof Error) return this.#fail(result);
    this.#stop();
    this.#events.conclude(this.#target, result.code, result.reason);
    this.end();
  }

  #fail(error: FaultError): void {
    this.#stop();
    this.#events.fault(this.#target, error);
  }

  /** No input is handled from now on. */
  #stop(): void {
    this.#state = DONE;
    this.#queue = this.#message = undefined;
    if (this.#deflate !== undefined) engines().inflateBudget.leave(this);
    this.#release();
  }
}
