import type { EventEmitter } from 'node:events';
import { getDefaultHighWaterMark } from 'node:stream';
import {
  BinaryMessage,
  CLOSE,
  type ClosePayload,
  FAILED,
  MESSAGE,
  MessageDecoder,
  NEED_MORE,
  OWNED,
  PING,
  PONG,
  PongMessage,
  parseCloseMessage,
  type Role,
  STEP,
  TextMessage,
} from '@ws/codec';
import { END, type Failure, Machine, type MachineOwner, Pool } from '@ws/codec/internal';
import { Fifo } from '@ws/conn/internal';
import { bufferOver, copyOf, EMPTY, emptyBuffer } from './bytes.ts';
import {
  CLOSE_CODE,
  type FaultError,
  faultOf,
  invalidText,
  outOfMemory,
  tooManyParts,
} from './errors.ts';
import { type ActiveExtensions, EXTENSION, limitOf, NO_EXTENSIONS } from './permessage-deflate.ts';
import { nextTick } from './platform.ts';
import { type BinaryType, converted, isValidText } from './received-message.ts';
import type { SharedOptions } from './shared-options.ts';

/** Options of {@link MessageParser}. A limit of 0 is none, and so is a missing one. */
export interface ParserOptions extends SharedOptions {
  binaryType?: BinaryType | undefined;
  extensions?: ActiveExtensions | undefined;
  isServer?: boolean | undefined;
}

/** What a parser calls besides 'message', 'ping' and 'pong'; `target` is its owner, which emits these. */
export interface ParserEvents<T> {
  /** The machine answers a ping with `payload`. */
  answerPing(target: T, payload: Buffer): void;
  /**
   * A close frame came, after which the parser drops all input.
   *
   * @param inflated - The compressed messages that came in the same turn.
   */
  conclude(target: T, code: number, reason: Buffer, inflated: number): void;
  /** The peer broke a rule. The parser drops all further input. */
  fault(target: T, error: FaultError): void;
  /** Input that waited was handled: the socket may be read again. */
  drain(target: T): void;
  /** The input has ended and all of it was handled. */
  finish(target: T): void;
}

/** Frames that answer the input. They leave together when it is handled. */
interface HeldFrames {
  hold(): void;
  release(): void;
}

// States of a parser.
const READY = 0;
/** The machine's events are handled. */
const RUNNING = 1;
/** An event, or the inflation of a message, comes in a later turn. Input waits. */
const WAITING = 2;

/** The bits of the opcode in the first byte of a frame (RFC 6455, section 5.2). */
const OPCODE = 0x0f;
/** Bytes of waiting input. ws parses in a Writable, whose default this is. */
const HIGH_WATER_MARK = /* @__PURE__ */ getDefaultHighWaterMark(false);
/** Most decoders of a role that are kept for connections that have input. */
const MAX_FREE = 64;

/** Free decoders. An idle connection holds none. */
const decoders = {
  server: new Pool<MessageDecoder>(MAX_FREE),
  client: new Pool<MessageDecoder>(MAX_FREE),
};

/** Turns the bytes of a socket into messages and control frames, by the machine of the codec. */
export class MessageParser<T extends EventEmitter> implements MachineOwner {
  binaryType: BinaryType;
  /** Most plain bytes of a message; 0 for no limit. Programs look at it, as with ws. */
  readonly _maxPayload: number;
  /** The negotiated extensions. Programs look at them, as with ws. */
  readonly _extensions: ActiveExtensions;
  /** The reason of the peer's close frame. */
  reason: Buffer = EMPTY;
  /** The payload of our close frame, which answers a call, the peer's close frame or a fault. */
  closePayload: Buffer = EMPTY;
  /** Whether {@link ParserEvents.finish} was called. */
  finished = false;

  /** Private, because programs write connections as JSON, which must not have circles. */
  readonly #machine: Machine;
  readonly #target: T;
  readonly #events: ParserEvents<T>;
  readonly #frames: HeldFrames | undefined;
  readonly #role: Role;
  readonly #synchronous: boolean;
  readonly #skipsUtf8: boolean;
  readonly #maxFragments: number;
  readonly #maxChunks: number;
  #resume: (() => void) | undefined;

  #state = READY;
  /** Whether the machine answers the ping that is emitted next. */
  #answers = false;
  #ending = false;
  /** Chunks that wait. */
  #queue: Fifo<Buffer> | undefined;
  /** Bytes of the chunks since the last time when none waited. */
  #unread = 0;
  /** Chunks that came since the last complete frame. */
  #chunks = 0;
  /** Complete frames of the message under way. */
  #fragments = 0;
  /** Compressed messages of this turn. */
  #inflated = 0;
  /** The ends of the frames in a binary message that has several. The last one may be missing. */
  #frameEnds: number[] | undefined;

  constructor(target: T, events: ParserEvents<T>, options: ParserOptions, frames?: HeldFrames) {
    this.#target = target;
    this.#events = events;
    this.#frames = frames;
    this.#role = options.isServer ? 'server' : 'client';
    this.#machine = new Machine(this, this);
    this._extensions = options.extensions ?? NO_EXTENSIONS;
    const { allowSynchronousEvents = true } = options;
    this.#synchronous = allowSynchronousEvents;
    this.#skipsUtf8 = options.skipUTF8Validation ?? false;
    this._maxPayload = limitOf(options.maxPayload);
    this.#maxFragments = limitOf(options.maxFragments);
    this.#maxChunks = limitOf(options.maxBufferedChunks);
    this.binaryType = options.binaryType ?? 'nodebuffer';
  }

  /** Answers pings and faults, and says what the close frames allow. */
  get machine(): Machine {
    return this.#machine;
  }

  /** Whether a close frame or a fault of the peer has come. */
  get concluded(): boolean {
    const { received, failed } = this.#machine;
    return received !== undefined || failed !== undefined;
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
    if (this.#ending) return;
    this.#unread += chunk.length;
    if (this.#state === READY) this.#run(chunk);
    else (this.#queue ??= new Fifo()).add(chunk);
  }

  /** The input has ended. {@link ParserEvents.finish} follows when all of it was handled. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#state === READY) this.#run();
  }

  /** The application closes. As in ws, its payload replaces that of a fault which has not left. */
  close(payload: Buffer): void {
    this.#machine.close(payload);
    this.closePayload = payload;
  }

  /** The connection is closed: drops all input and releases the memory. */
  destroy(): void {
    this.#stop();
    this.#machine.gone();
  }

  /** The thread's budget for inflating has room again. */
  onInflateTurn(): void {
    if (this.#state === WAITING) this.#run();
  }

  /** No input is handled from now on. */
  #stop(): void {
    this.#ending = true;
    this.#state = READY;
    this.#queue = this.#frameEnds = undefined;
    this.#machine.drop();
  }

  /** Handles what the machine has, then `chunk` and the chunks that wait. */
  #run(chunk?: Buffer): void {
    const waited = this.#state === WAITING;
    this.#state = RUNNING;
    this.#inflated = 0;
    this.#frames?.hold();
    try {
      if (chunk !== undefined) this.#push(chunk);
      while (this.#state === RUNNING) this.#advance();
    } finally {
      // A listener threw. The frames after it are handled in a later turn.
      if (this.#state === RUNNING) this.#later();
      this.#frames?.release();
    }
    if (this.#state === WAITING) return;
    if (waited) this.#events.drain(this.#target);
    if (!this.#ending) return;
    nextTick(() => {
      this.finished = true;
      this.#events.finish(this.#target);
    });
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
    this.#machine.push(chunk, chunk.length);
  }

  #advance(): void {
    const machine = this.#machine;
    const inflates = machine.input?.transforming === true;
    switch (this.#next()) {
      case MESSAGE:
        if (inflates) this.#inflated++;
        if (inflates || this.#endFrame()) this.#message(machine.input!);
        break;
      case STEP:
        this.#step(machine.input!, inflates);
        break;
      case PING:
        this.#control('ping', machine.input!);
        break;
      case PONG:
        this.#control('pong', machine.input!);
        break;
      case CLOSE:
        this.#stop();
        this.#events.conclude(this.#target, machine.received!.code, this.reason, this.#inflated);
        break;
      case END:
        this.#state = READY;
        break;
      case FAILED:
        this.#failed();
        break;
      case NEED_MORE:
        this.#pushNext();
        break;
    }
  }

  #next(): number {
    const machine = this.#machine;
    try {
      return machine.next();
    } catch (error) {
      if (machine.input?.transforming !== true) throw error;
      return machine.fault(outOfMemory(error as Error));
    }
  }

  /** The machine has no event in the chunks so far. */
  #pushNext(): void {
    const { input } = this.#machine;
    if (input?.transforming === true) {
      // The thread's budget for inflating is spent: onInflateTurn() follows.
      this.#state = WAITING;
      return;
    }
    if (input === undefined || input.frame.atFrameBoundary) this.#chunks = 0;
    const next = this.#queue?.shift();
    if (next !== undefined) return this.#push(next);
    this.#unread = 0;
    if (this.#ending) this.#machine.end();
    else this.#state = READY;
  }

  /**
   * A part of a message was handled.
   *
   * @param inflated - Whether it was inflated.
   */
  #step(decoder: MessageDecoder, inflated: boolean): void {
    if (decoder.frame.missing > 0) return;
    // A compressed frame is complete before its last bytes are inflated.
    if (!inflated && !this.#endFrame()) return;
    if (decoder.transforming || decoder.type !== BinaryMessage) return;
    const ends = (this.#frameEnds ??= []);
    if (decoder.length > (ends.at(-1) ?? 0)) ends.push(decoder.length);
  }

  /** A data frame is complete. Returns false after a fault. */
  #endFrame(): boolean {
    this.#chunks = 1;
    const isAllowed = this.#maxFragments === 0 || ++this.#fragments <= this.#maxFragments;
    if (!isAllowed) this.#fail(tooManyParts('message fragments'));
    return isAllowed;
  }

  #message({ type, bytes, start, end }: MessageDecoder): void {
    const ends = this.#frameEnds;
    this.#fragments = 0;
    this.#frameEnds = undefined;
    const payload = start === end ? emptyBuffer() : bufferOver(bytes, start, end);
    const isBinary = type !== TextMessage;
    if (!isBinary && !this.#skipsUtf8 && !isValidText(payload)) return this.#fail(invalidText());
    const data = isBinary ? converted(payload, this.binaryType, ends) : payload;
    if (this.#synchronous) this.#target.emit('message', data, isBinary);
    else this.#later(() => this.#target.emit('message', data, isBinary));
  }

  #control(event: 'ping' | 'pong', { bytes, start, end }: MessageDecoder): void {
    this.#chunks = 1;
    const payload = start === end ? emptyBuffer() : copyOf(bytes, start, end);
    if (this.#synchronous) this.#emitControl(event, payload);
    else this.#later(() => this.#emitControl(event, payload));
  }

  #emitControl(event: 'ping' | 'pong', payload: Buffer): void {
    if (this.#answers) {
      this.#answers = false;
      this.#events.answerPing(this.#target, payload);
    }
    this.#target.emit(event, payload);
  }

  /** The peer broke a rule of the options. */
  #fail(error: FaultError): void {
    this.#machine.fault(error);
    this.#failed();
  }

  #failed(): void {
    this.#stop();
    this.#events.fault(this.#target, this.#machine.failed!.error as FaultError);
  }

  // What the machine asks for

  lendDecoder(): MessageDecoder {
    const decoder = decoders[this.#role].acquire() ?? createDecoder(this.#role);
    const extension = this._extensions[EXTENSION]?.extension;
    if (extension !== undefined) extension.resume = this.#resume ??= () => this.onInflateTurn();
    decoder.lendTo(this.#machine, this._maxPayload || Infinity, extension);
    return decoder;
  }

  takeDecoder(decoder: MessageDecoder): void {
    decoder.takeBack();
    decoders[this.#role].release(decoder);
  }

  readClose(payload: Uint8Array): ClosePayload {
    const { code } = parseCloseMessage(payload.subarray(0, 2));
    // A copy: the reason would keep the memory of its chunk.
    const reason = Buffer.allocUnsafeSlow(Math.max(payload.length - 2, 0));
    reason.set(payload.subarray(2));
    if (!this.#skipsUtf8 && !isValidText(reason)) throw invalidText();
    this.reason = reason;
    return { code, reason: '' };
  }

  failureBy(error: Error): Failure {
    const { input } = this.#machine;
    const fault = faultOf(error, input?.frame, this.#role, EXTENSION in this._extensions);
    return { error: fault, code: fault[CLOSE_CODE], reason: '' };
  }

  /** A pong leaves with the event of its ping, a close frame by {@link closePayload}. */
  addCopy(b0: number, bytes: Uint8Array, start: number, end: number): number {
    if ((b0 & OPCODE) === PongMessage) this.#answers = true;
    else this.closePayload = copyOf(bytes, start, end);
    return end - start;
  }
}

function createDecoder(role: Role): MessageDecoder {
  const decoder = new MessageDecoder({
    role,
    maxEmptyFragments: Infinity,
    // As ws, which bounds the frames of a compressed message too, and checks a text at its end.
    limitsWire: true,
    memory: OWNED,
    ownsChunks: true,
    checksText: false,
  });
  // Every frame of a message is counted.
  decoder.stopAt = 0;
  return decoder;
}
