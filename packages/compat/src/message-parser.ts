import { getDefaultHighWaterMark } from 'node:stream';
import {
  BinaryMessage,
  CLOSE,
  FAILED,
  MESSAGE,
  type MessageDecoder,
  NEED_MORE,
  PING,
  PONG,
  type Role,
  STEP,
  TextMessage,
} from '@ws/codec';
import { bufferOver, copyOf, emptyBuffer } from './bytes.ts';
import { readClose } from './control-payload.ts';
import { acquireDecoder, releaseDecoder } from './decoder-pool.ts';
import {
  errorOfDecoder,
  type FaultError,
  invalidText,
  outOfMemory,
  tooManyParts,
} from './errors.ts';
import {
  type ActiveExtensions,
  NO_EXTENSIONS,
  type ParserEvents,
  type ParserOptions,
} from './parser-events.ts';
import { EXTENSION, limitOf, type PerMessageDeflate } from './permessage-deflate.ts';
import { nextTick } from './platform.ts';
import { type BinaryType, converted, isValidText } from './received-message.ts';

// States of a parser.
const READY = 0;
/** The decoder's events are handled. */
const RUNNING = 1;
/** An event, or the inflation of a message, comes in a later turn. Input waits. */
const WAITING = 2;
/** The input is over: a close frame or a fault came. */
const DONE = 3;

/** Bytes of waiting input. ws parses in a Writable, whose default this is. */
const HIGH_WATER_MARK = /* @__PURE__ */ getDefaultHighWaterMark(false);

/** Turns the bytes of a socket into messages and control frames. */
export class MessageParser<T> {
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
  #resume: (() => void) | undefined;

  #state = READY;
  #ending = false;
  #decoder: MessageDecoder | undefined;
  /** Chunks that wait. */
  #queue: Buffer[] | undefined;
  /** Bytes of the chunks since the last time when none waited. */
  #unread = 0;
  /** Chunks that came since the last complete frame. */
  #chunks = 0;
  /** Complete frames of the message under way. */
  #frames = 0;
  /** The ends of the frames in a binary message that has several. The last one may be missing. */
  #frameEnds: number[] | undefined;

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

  /** The thread's budget for inflating has room again. */
  onInflateTurn(): void {
    if (this.#state === WAITING) this.#run();
  }

  #finishLater(): void {
    nextTick(() => {
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
      if (this.#decoder !== undefined && this.#advance(this.#decoder)) continue;
      const next = this.#queue?.shift();
      if (next !== undefined) {
        this.#push(next);
      } else {
        this.#state = READY;
        this.#unread = 0;
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
    this.#decoder ??= this.#acquire();
    this.#decoder.push(chunk);
  }

  #acquire(): MessageDecoder {
    const extension = this.#deflate?.extension;
    if (extension !== undefined) extension.resume = this.#resume ??= () => this.onInflateTurn();
    return acquireDecoder(this.#role, this._maxPayload || Infinity, extension);
  }

  /** Handles events of the decoder. Returns false when the decoder needs more bytes. */
  #advance(decoder: MessageDecoder): boolean {
    while (this.#state === RUNNING) {
      const { transforming } = decoder;
      switch (this.#next(decoder)) {
        case MESSAGE:
          if (transforming || this.#endFrame()) this.#message(decoder);
          break;
        case STEP:
          this.#step(decoder, transforming);
          break;
        case PING:
          this.#control(decoder, true);
          break;
        case PONG:
          this.#control(decoder, false);
          break;
        case CLOSE:
          this.#close(decoder);
          break;
        case FAILED:
          this.#fail(errorOfDecoder(decoder, this.#role, this.#deflate !== undefined));
          break;
        case NEED_MORE:
          if (!decoder.transforming) {
            this.#rest(decoder);
            return false;
          }
          // The thread's budget for inflating is spent: onInflateTurn() follows.
          this.#state = WAITING;
          break;
      }
    }
    return true;
  }

  #next(decoder: MessageDecoder): number {
    try {
      return decoder.next();
    } catch (error) {
      if (!decoder.transforming) throw error;
      this.#fail(outOfMemory(error as Error));
      return STEP;
    }
  }

  /** Between two messages, the decoder returns to the pool. */
  #rest(decoder: MessageDecoder): void {
    const { idle } = decoder;
    if (idle || decoder.frame.atFrameBoundary) this.#chunks = 0;
    if (idle) this.#release();
  }

  #release(): void {
    const decoder = this.#decoder;
    if (decoder === undefined) return;
    this.#decoder = undefined;
    releaseDecoder(decoder, this.#role);
  }

  /**
   * A part of a message was handled.
   *
   * @param inflated - Whether it was inflated.
   */
  #step(decoder: MessageDecoder, inflated: boolean): void {
    if (this.#state !== RUNNING || decoder.frame.missing > 0) return;
    // A compressed frame is complete before its last bytes are inflated.
    if (!inflated && !this.#endFrame()) return;
    if (!decoder.transforming && decoder.type === BinaryMessage) this.#noteEnd(decoder.length);
  }

  #noteEnd(length: number): void {
    const ends = (this.#frameEnds ??= []);
    if (length > (ends.at(-1) ?? 0)) ends.push(length);
  }

  /** A data frame is complete. Returns false after a fault. */
  #endFrame(): boolean {
    this.#chunks = 1;
    const isAllowed = this.#maxFragments === 0 || ++this.#frames <= this.#maxFragments;
    if (!isAllowed) this.#fail(tooManyParts('message fragments'));
    return isAllowed;
  }

  #message(decoder: MessageDecoder): void {
    const ends = this.#frameEnds;
    this.#frames = 0;
    this.#frameEnds = undefined;
    const { start, end } = decoder;
    const bytes = start === end ? emptyBuffer() : bufferOver(decoder.bytes, start, end);
    const isBinary = decoder.type !== TextMessage;
    if (!isBinary && !this.#skipsUtf8 && !isValidText(bytes)) return this.#fail(invalidText());
    const data = isBinary ? converted(bytes, this.binaryType, ends) : bytes;
    if (this.#synchronous) this.#events.message(this.#target, data, isBinary);
    else this.#later(() => this.#events.message(this.#target, data, isBinary));
  }

  // Control frames

  #control(decoder: MessageDecoder, isPing: boolean): void {
    const payload = this.#payload(decoder);
    if (this.#synchronous) this.#emitControl(isPing, payload);
    else this.#later(() => this.#emitControl(isPing, payload));
  }

  /** The payload of a control frame. */
  #payload({ bytes, start, end }: MessageDecoder): Buffer {
    this.#chunks = 1;
    return start === end ? emptyBuffer() : copyOf(bytes, start, end);
  }

  #emitControl(isPing: boolean, payload: Buffer): void {
    if (isPing) this.#events.ping(this.#target, payload);
    else this.#events.pong(this.#target, payload);
  }

  #close(decoder: MessageDecoder): void {
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
    this.#queue = this.#frameEnds = undefined;
    this.#decoder?.destroy();
    this.#release();
  }
}
