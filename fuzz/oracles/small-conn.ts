import {
  CHECKED_ONLY,
  CLOSE,
  DELIVERED,
  FAILED,
  formatCloseMessage,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  MessageDecoder,
  NEED_MORE,
  OWNED,
  type OwnedBytes,
  type PayloadUse,
  PING,
  PONG,
  type ProtocolError,
  parseCloseMessage,
  type Role,
  SKIPPED,
  STEP,
} from '@ws/codec';
import {
  CLOSE_SENT,
  CLOSED,
  DESTROYED,
  END,
  failureBy,
  Machine,
  type MachineEvent,
} from '@ws/codec/internal';
import type { ReaderEvent, Use } from './reader-table.ts';
import {
  after,
  asks,
  drops,
  handles,
  hasMessage,
  mayAnswer,
  type Reader,
  stall,
} from './reader-table.ts';
import { Settling } from './settling.ts';
import { Pending, Pieces, SmallReader } from './small-reader.ts';

/** As in the product: bytes charged for each queued message. */
const MESSAGE_COST = 320;
/** As in the product: frames, and messages of the read-ahead, of one turn. */
const PER_TURN = 1000;
/** As in the product: the least time in ms that a reader gets for progress. */
const SHORTEST_STALL = 10;

export interface SmallTransport {
  start(conn: SmallConn): void;
  frame(b0: number, payload: Uint8Array): void;
  pause(): void;
  resume(): void;
  end(): void;
  destroy(): void;
}

interface SmallPlatform {
  now(): number;
  setTimer(ms: number, callback: () => void): () => void;
  defer(callback: () => void): void;
  yield(callback: () => void): void;
}

export interface SmallOptions {
  readonly role: Role;
  readonly platform: SmallPlatform;
  readonly readAhead: number;
  readonly closeTimeout: number;
}

export type SmallMessage = { readonly type: number; readonly data: OwnedBytes };
type Handler = (message: SmallMessage) => unknown;
type ReadEnd = { readonly reason: Error; readonly normally: boolean };

/** Why reading ends: the code of the peer's close frame, 1006 without one, or a word. */
class End extends Error {}

const isNormal = (code: string): boolean => ['1000', '1001', '1005'].includes(code);

class Pull {
  readonly settling: Settling<unknown> = new Settling();
  readonly streams: boolean;
  readonly iterator: object | undefined;
  taken: unknown;

  constructor(streams: boolean, iterator: object | undefined) {
    this.streams = streams;
    this.iterator = iterator;
  }

  end({ reason, normally }: ReadEnd): void {
    if (normally && this.iterator !== undefined) this.settling.resolve(undefined);
    else this.settling.reject(reason);
  }
}

class Call {
  readonly settling: Settling<unknown> = new Settling();
  readonly handler: Handler | undefined;
  thrown: unknown;

  constructor(handler: Handler | undefined) {
    this.handler = handler;
  }
}

/**
 * A connection without speed. It asks the second copy of the table for everything about its reader. It
 * has no extension, heartbeat or handlers of control frames.
 */
export class SmallConn {
  readonly machine: Machine;
  readonly closed: Promise<{ code: number; wasClean: boolean }>;
  reader: Reader = 'NONE';
  use: Use = 'KEPT';
  pieces: Pieces | undefined;
  ended: ReadEnd | undefined;
  dropped = 0;
  readonly #options: SmallOptions;
  readonly #transport: SmallTransport;
  readonly #frames: [number, Uint8Array][] = [];
  #resolveClosed!: (info: { code: number; wasClean: boolean }) => void;
  #rate: SmallRate | undefined;
  #queue: SmallMessage[] = [];
  #queuedLeft = PER_TURN;
  #framesLeft = PER_TURN;
  #continues = false;
  #pull: Pull | undefined;
  #call: Call | undefined;
  /** The code that has created the connection, open loops and streams. */
  #readers = 1;
  #started = false;
  #parsing = false;
  #inPass = false;
  #awaitsTurn = false;
  #paused = false;
  #readEnd: { reason: Error } | undefined;
  #fault: Error | undefined;
  #begun = false;
  #error: Error | undefined;
  #lost = 0;
  #destroyed = false;
  #ourEnd: 'none' | 'due' | 'done' = 'none';
  #laterTurn = false;
  #answerBy = Infinity;
  #deadline = Infinity;
  #stallAt = Infinity;
  #longest = Infinity;
  #progressAt = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(transport: SmallTransport, options: SmallOptions) {
    this.#transport = transport;
    this.#options = options;
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve));
    this.machine = new Machine(
      {
        lendDecoder: () => this.#lend(),
        takeDecoder: (decoder) => decoder.takeBack(),
        readClose: (payload) => parseCloseMessage(payload),
        failureBy: (error) => {
          this.#fault = error;
          return { ...failureBy(error as ProtocolError), error };
        },
      },
      {
        addCopy: (b0, bytes, start, end) => {
          this.#frames.push([b0, bytes.slice(start, end)]);
          return end - start + 2;
        },
      },
    );
    transport.start(this);
    this.#endOfTurn();
  }

  get stats(): { messagesDropped: number } {
    return { messagesDropped: this.dropped };
  }

  #lend(): MessageDecoder {
    const { machine } = this;
    const decoder = new MessageDecoder({ role: this.#options.role, memory: OWNED });
    const memory = { allocate: (size: number): OwnedBytes => new Uint8Array(size) };
    decoder.lendTo(machine, 1 << 20, undefined, memory);
    if (this.#payloadUse !== DELIVERED) decoder.setPayloadUse(this.#payloadUse);
    this.#framesLeft = machine.framesIn + PER_TURN;
    return decoder;
  }

  get #payloadUse(): PayloadUse {
    if (drops(this.use)) return IGNORED;
    return this.use === 'CHECKED' && this.#rate === undefined ? CHECKED_ONLY : DELIVERED;
  }

  // The reader

  on(event: ReaderEvent): void {
    this.reader = after(this.reader, event);
  }

  /** Whether readers get nothing for now. */
  get held(): boolean {
    return this.#rate?.empty === true || (this.#queuedLeft === 0 && this.#queue.length > 0);
  }

  get #takes(): boolean {
    return !this.held && asks(this.reader);
  }

  get #drops(): boolean {
    return drops(this.use);
  }

  gotPiece(): void {
    if (this.reader === 'WAITS' && this.#pull === undefined) this.on('given');
  }

  #readerLeft(): void {
    if (--this.#readers > 0 || this.pieces !== undefined) return;
    this.on('done');
    if (this.#begun) this.#endOfTurn();
  }

  willRead(): void {
    this.on('will read');
  }

  handlerSettled(): void {
    this.#readerLeft();
  }

  // The read-ahead

  get #cost(): number {
    const queued = this.#queue.reduce((sum, { data }) => sum + data.length + MESSAGE_COST, 0);
    return queued + (this.pieces?.cost ?? 0) + (this.machine.input?.assembled ?? 0);
  }

  get #hasRoom(): boolean {
    return this.#cost <= this.#options.readAhead;
  }

  get #wantsInput(): boolean {
    if (this.machine.inputEnded || this.#drops) return true;
    return this.#started && !this.#parsing && !this.#continues && this.#takes;
  }

  get #isFull(): boolean {
    if (this.machine.inputEnded || this.#drops) return false;
    return this.#paused || (!this.#hasRoom && !this.#wantsInput);
  }

  get #progress(): number {
    return this.machine.messagesIn - this.#queue.length - (this.pieces?.cost ?? 0);
  }

  get #nothingUnread(): boolean {
    return this.#queue.length === 0 && this.pieces?.empty !== false;
  }

  #pauseOrResume(): void {
    if (this.machine.state === CLOSED) return;
    const { readAhead } = this.#options;
    const cost = this.#cost + (this.machine.input?.waiting ?? 0);
    if (this.#paused) {
      if (!this.#wantsInput && cost > readAhead / 2) return;
      this.#paused = false;
      this.#transport.resume();
    } else if (cost > readAhead && !this.#wantsInput) {
      this.#paused = true;
      this.#transport.pause();
    }
  }

  // The transport

  data(chunk: Uint8Array, end: number): void {
    const { machine } = this;
    if (machine.inputEnded || machine.state >= DESTROYED) return;
    machine.push(chunk, end);
    this.run('reader');
    if (machine.input !== undefined) machine.keep();
  }

  /** The peer has ended its side. */
  end(): void {
    if (this.machine.state === CLOSED) return;
    this.#begun = true;
    this.machine.end();
    this.#readEnd ??= { reason: new End('1006') };
    if (!this.machine.open) this.run('last');
    this.#endOurSide();
    this.#endOfTurn();
  }

  /** The transport has closed. */
  gone(): void {
    const { machine } = this;
    if (!this.#started && machine.input?.pending === true) {
      return this.#options.platform.yield(() => this.gone());
    }
    if (machine.state === CLOSED) return;
    this.#begun = true;
    machine.gone();
    this.#readEnd ??= { reason: new End('1006') };
    this.#error ??= this.#readEnd.reason;
    this.#setTimer();
    if (machine.received === undefined) this.run('last');
    machine.lookAhead();
    const { received, failed, sent } = machine;
    this.#rate?.stop();
    this.#resolveClosed({
      code: received?.code ?? failed?.code ?? 1006,
      wasClean: received !== undefined && sent && failed === undefined,
    });
    if (this.ended === undefined || machine.input !== undefined) this.#endOfTurn();
  }

  #endOfTurn(): void {
    if (this.#awaitsTurn) return;
    this.#awaitsTurn = true;
    this.#options.platform.defer(() => {
      this.#awaitsTurn = false;
      this.#started = true;
      this.#inPass = true;
      this.#runOnce(true);
      this.#inPass = false;
      this.#flush();
      this.#releaseUnused();
    });
  }

  #releaseUnused(): void {
    if (this.pieces?.isReadToEnd === true) this.pieces = undefined;
    if (!this.#parsing) this.#releaseParsed();
  }

  #releaseParsed(): void {
    const { input } = this.machine;
    if (input === undefined) return;
    input.releaseParsed();
    if (input.idle && !this.#continues) this.machine.giveBack();
  }

  #flush(): void {
    const sends = this.machine.state < CLOSED && !this.#destroyed;
    for (const frame of this.#frames.splice(0)) if (sends) this.#transport.frame(...frame);
    if (this.#ourEnd !== 'due' || this.#destroyed) return;
    this.#ourEnd = 'done';
    this.#transport.end();
  }

  // The loop

  run(upTo: 'reader' | 'read-ahead' | 'last'): void {
    if (upTo === 'last') return this.#runOnce(true);
    if (this.#inPass) return this.#runOnce(upTo === 'read-ahead');
    this.#inPass = this.#started;
    this.#runOnce(upTo === 'read-ahead');
    this.#inPass = false;
    const endIsDue = this.#readEnd !== undefined && this.ended === undefined;
    const isUnread = this.machine.input?.pending === true || !this.#nothingUnread;
    const writes = hasMessage(this.reader) && this.machine.open;
    if (endIsDue || writes || isUnread) this.#endOfTurn();
    else this.#flush();
    this.#releaseUnused();
  }

  #runOnce(ahead: boolean): void {
    if (!this.#started || this.#parsing) return this.#pauseOrResume();
    this.#parsing = true;
    this.#rate?.refill();
    const { machine } = this;
    if (machine.input !== undefined || (this.#begun && machine.endIsDue)) this.#loop(ahead);
    this.#parsing = false;
    if (this.#begun) this.#parsed(ahead);
    this.#pauseOrResume();
  }

  #loop(ahead: boolean): void {
    const { machine } = this;
    while (!machine.inputEnded) {
      const { input } = machine;
      if (input === undefined) {
        if (machine.next() === END) this.#peerEnded();
        return;
      }
      if (!this.#takes && !this.#drops && !(ahead && this.#hasRoom)) {
        // The peer's end needs no room in the read-ahead.
        this.#releaseParsed();
        if (machine.input !== undefined || !this.#begun) return;
        continue;
      }
      if (machine.framesIn >= this.#framesLeft && !this.#drops) return this.#continueLater();
      input.memory = OWNED;
      input.streaming = this.#pull?.streams === true && !this.held && !this.#drops;
      const event = machine.next();
      if (event === NEED_MORE) return;
      if (event !== STEP) this.#handle(event, input);
    }
  }

  #continueLater(): void {
    if (this.#continues) return;
    this.#continues = true;
    this.#options.platform.yield(() => {
      this.#continues = false;
      this.#framesLeft = this.machine.framesIn + PER_TURN;
      this.run(this.#takes ? 'reader' : 'read-ahead');
    });
  }

  #handle(event: MachineEvent, decoder: MessageDecoder): void {
    switch (event) {
      case MESSAGE:
        return this.#messageArrived(decoder);
      case MESSAGE_BEGIN:
        if (this.#pull?.streams === true) {
          const reader = this.#newReader();
          this.#addPiece(decoder, 1);
          this.#give(reader);
        } else if (decoder.becomeWhole()) this.#messageArrived(decoder);
        return;
      case MESSAGE_DATA:
        return this.#addPiece(decoder, 0);
      case SKIPPED:
        if (this.#drops) this.#countDropped(1);
        return;
      case CLOSE:
        return this.#closeReceived();
      case FAILED:
        return this.#failed(this.#fault!);
      case END:
        return this.#peerEnded();
      case NEED_MORE:
      case STEP:
      case PING:
      case PONG:
    }
  }

  #messageArrived(decoder: MessageDecoder): void {
    const isHeld = this.held && !this.#drops;
    if (this.use !== 'KEPT' && (this.#drops || this.reader === 'DISCARDS') && !isHeld) {
      if (this.#drops) this.#countDropped(1);
      else this.#rate?.take(1);
      return;
    }
    this.#message({ type: decoder.type, data: decoder.data() });
  }

  #message(message: SmallMessage): void {
    if (!this.#takes) return void this.#queue.push(message);
    this.#rate?.take(1);
    if (this.reader === 'FREE') return this.#callHandler(message);
    if (this.reader === 'DISCARDS') return;
    this.#give(this.#pull!.streams ? this.#readerOf(message) : message);
  }

  #addPiece(decoder: MessageDecoder, messages: 0 | 1): void {
    this.pieces?.push(decoder.bytes.slice(decoder.start, decoder.end));
    if (decoder.fin) this.pieces?.finish();
    if (this.pieces?.hasEnough === true) this.gotPiece();
    decoder.release();
    this.#rate?.take(messages);
  }

  #newReader(): SmallReader {
    this.pieces = new Pieces();
    return new SmallReader(this.pieces, this);
  }

  #readerOf({ data }: SmallMessage): SmallReader {
    const reader = this.#newReader();
    this.pieces!.push(data, true);
    this.pieces!.finish();
    return reader;
  }

  #shift(): SmallMessage | undefined {
    if (this.held) return undefined;
    const message = this.#queue.shift();
    if (message === undefined) return undefined;
    this.#rate?.refill();
    this.#rate?.take(1);
    if (--this.#queuedLeft === 0) {
      this.#options.platform.yield(() => {
        this.#queuedLeft = PER_TURN;
        this.#serve();
        this.run(this.#takes ? 'reader' : 'read-ahead');
      });
    }
    return message;
  }

  #give(result: unknown): void {
    const pull = this.#pull!;
    this.#pull = undefined;
    this.on('given');
    pull.taken = result;
    pull.settling.resolve(result);
  }

  #serve(): void {
    if (this.#pull === undefined) {
      if (this.reader !== 'DISCARDS') return this.#takeQueued();
      for (let more: unknown = true; more !== undefined; ) more = this.#shift();
      return;
    }
    const message = this.#shift();
    if (message !== undefined) {
      return this.#give(this.#pull.streams ? this.#readerOf(message) : message);
    }
    if (!this.#pull.streams || this.ended !== undefined || this.held) return;
    const begun = this.machine.input?.becomePieces();
    if (begun === undefined) return;
    const reader = this.#newReader();
    this.pieces!.push(begun, true);
    this.#rate?.take(1);
    this.#give(reader);
  }

  #takeQueued(): void {
    while (this.reader === 'FREE' && this.#call!.thrown === undefined) {
      const message = this.#shift();
      if (message === undefined) return;
      this.#callHandler(message);
      this.#settleCall();
    }
  }

  #callHandler(message: SmallMessage): void {
    this.on('call');
    let result: unknown;
    try {
      result = this.#call!.handler!(message);
    } catch (error) {
      this.on('settled');
      return this.#handlerFailed(error);
    }
    if (!(result instanceof Promise)) {
      this.on('settled');
      return this.#settleCall();
    }
    this.on('promise');
    result.then(
      () => {
        this.on('settled');
        this.#goOn();
      },
      (error: unknown) => {
        this.on('settled');
        if (this.#isLate(error)) this.#goOn();
        else this.#handlerFailed(error);
      },
    );
  }

  #goOn(): void {
    this.#takeQueued();
    this.run('reader');
    this.#settleCall();
  }

  /** Whether `error` only says that an answer came after the end. */
  #isLate(error: unknown): boolean {
    const { failed, sent, peerEnded } = this.machine;
    if (failed !== undefined || error === undefined) return false;
    if (sent && isCloseSent(error)) return true;
    return (sent || peerEnded) && error === this.#readEnd?.reason;
  }

  #settleCall(): void {
    const call = this.#call;
    if (this.ended === undefined || call === undefined || this.#queue.length > 0) return;
    if (handles(this.reader)) return;
    this.on('over');
    this.#call = undefined;
    const { reason, normally } = this.ended;
    const { thrown } = call;
    const hasFailed = thrown !== undefined && thrown !== reason && !isCloseSent(thrown);
    if (hasFailed || !normally) call.settling.reject(hasFailed ? thrown : reason);
    else call.settling.resolve(this.closed);
  }

  // Reads

  get #clashes(): boolean {
    return this.#call !== undefined || this.#pull !== undefined || this.pieces?.pending === true;
  }

  #read(streams: boolean, iterator?: object, signal?: AbortSignal): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#clashes) return Promise.reject(new Pending());
    this.#dropPieces();
    this.on('read');
    const pull = new Pull(streams, iterator);
    const { promise } = pull.settling;
    this.#pull = pull;
    this.#serve();
    if (this.ended !== undefined && !this.held && pull.taken === undefined) {
      this.#pull = undefined;
      this.on('cancel');
      pull.end(this.ended);
      return promise;
    }
    this.run('reader');
    if (this.#pull === pull) this.#pauseOrResume();
    signal?.addEventListener('abort', () => {
      if (this.#pull !== pull) return;
      this.#pull = undefined;
      this.on('cancel');
      pull.settling.reject(signal.reason);
    });
    return promise;
  }

  readMessage({ signal }: { signal?: AbortSignal } = {}): Promise<SmallMessage> {
    return this.#read(false, undefined, signal) as Promise<SmallMessage>;
  }

  nextReader({ signal }: { signal?: AbortSignal } = {}): Promise<SmallReader> {
    return this.#read(true, undefined, signal) as Promise<SmallReader>;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<SmallMessage, undefined> {
    let isOpen = false;
    const leave = (): void => {
      if (isOpen) this.#readerLeft();
      isOpen = false;
    };
    const loop: AsyncIterableIterator<SmallMessage, undefined> = {
      next: async () => {
        if (this.#clashes) leave();
        else if (!isOpen) {
          isOpen = true;
          this.#readers++;
        }
        const value = (await this.#read(false, loop)) as SmallMessage | undefined;
        return value === undefined ? { done: true, value } : { done: false, value };
      },
      return: () => {
        const pull = this.#pull;
        if (pull?.iterator === loop) {
          this.#pull = undefined;
          this.on('cancel');
          pull.settling.resolve(undefined);
        }
        leave();
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => loop,
    };
    return loop;
  }

  receive(handler: Handler): Promise<unknown> {
    return this.#startReceive(handler);
  }

  discardReads(): Promise<unknown> {
    return this.#startReceive(undefined);
  }

  #startReceive(handler: Handler | undefined): Promise<unknown> {
    const isRead = this.#nothingUnread && !handles(this.reader);
    if (this.ended?.normally === true && isRead) return this.closed;
    if (this.#clashes) return Promise.reject(new Pending());
    this.#dropPieces();
    const call = new Call(handler);
    this.#call = call;
    if (handler === undefined) {
      if (!this.#drops) this.#setUse('CHECKED');
      this.#dropUnread();
    }
    this.on(handler === undefined ? 'discard' : 'receive');
    if (handler !== undefined) this.#takeQueued();
    this.run('reader');
    this.#settleCall();
    return call.settling.promise;
  }

  #dropPieces(): void {
    const { pieces } = this;
    if (pieces === undefined) return;
    this.pieces = undefined;
    const { over } = pieces;
    pieces.drop();
    pieces.finish({ reason: new Pending() });
    if (!over) this.machine.input?.skip();
    this.gotPiece();
  }

  // Dropping

  #setUse(use: Use): void {
    this.use = use;
    const { messagesIn } = this.machine;
    this.machine.input?.setPayloadUse(this.#payloadUse);
    this.#countDropped(this.machine.messagesIn - messagesIn);
  }

  #countDropped(messages: number): void {
    this.dropped += messages;
    if (this.use === 'LOST') this.#lost += messages;
  }

  #dropUnread(): void {
    this.#queue = [];
    this.pieces?.drop();
    if (this.ended === undefined) return;
    this.pieces?.finish(this.ended);
    this.gotPiece();
  }

  #dropAll(): void {
    this.dropped += this.#queue.length;
    this.#dropUnread();
    this.#setUse('UNWANTED');
  }

  #dropLater(): void {
    if (!this.#drops) this.#setUse(this.reader === 'DISCARDS' ? 'UNWANTED' : 'LOST');
    this.#endOfTurn();
  }

  // The end

  send(text: string): Promise<void> {
    const { machine } = this;
    if (!machine.open) {
      const closeSent = machine.sent && !this.#destroyed;
      const error = closeSent ? new CloseSent() : (this.#error ?? this.#readEnd!.reason);
      return Promise.reject(error);
    }
    this.#frames.push([0x81, new TextEncoder().encode(text)]);
    if (!this.#inPass) this.#endOfTurn();
    return Promise.resolve();
  }

  #closeReceived(): void {
    const { input, received } = this.machine;
    const isWanted = !this.#drops || this.use === 'LOST';
    const isCut = input?.withinMessage === true && this.reader !== 'DISCARDS' && isWanted;
    this.#begun = true;
    this.#readEnd = { reason: new End(isCut ? 'cut' : String(received!.code)) };
    this.machine.drop();
    this.#endOurSide();
  }

  #peerEnded(): void {
    this.#begun = true;
    this.machine.drop();
    this.#endOurSide();
  }

  #parsed(ahead: boolean): void {
    const { machine } = this;
    const readEnd = this.#readEnd;
    if (readEnd !== undefined) {
      const isHandled = mayAnswer(this.reader, this.#nothingUnread, ahead);
      if (machine.inputEnded && this.pieces?.over === false) {
        this.pieces.finish(readEnd);
        this.gotPiece();
      }
      if (this.#drops || (machine.inputEnded && isHandled)) {
        this.#answer();
        this.#finish(this.#readEnd!.reason, true);
      } else if (ahead && machine.state === CLOSED && this.reader === 'NONE' && !this.#hasRoom) {
        this.#dropLater();
      }
    }
    if (machine.open && readEnd !== undefined) {
      if (this.#answerBy !== Infinity) return;
      this.#answerBy = this.#options.platform.now() + this.#options.closeTimeout / 2;
      this.#setTimer();
    } else if (ahead && machine.state === CLOSE_SENT && this.#isFull) {
      this.#watch(stall(this.reader, this.#longest));
    }
  }

  #watch(time: number): void {
    if (this.#stallAt !== Infinity) return;
    if (time === 0) return this.#dropLater();
    this.#progressAt = this.#progress;
    const now = this.#options.platform.now();
    const half = (this.#deadline - now) / 2;
    if (half < SHORTEST_STALL) return;
    const at = now + Math.min(time, half);
    if (at >= this.#deadline) return;
    this.#stallAt = at;
    this.#setTimer();
  }

  #answer(): void {
    if (!this.machine.answerIsDue) return;
    this.machine.answer();
    this.#answerBy = Infinity;
    this.#endOurSide();
  }

  /** @param isEnd - Whether `cause` is the end of this connection. */
  #finish(cause: Error, isEnd: boolean): void {
    if (this.ended !== undefined) return;
    this.#rate?.stop();
    const isPeerEnd = isEnd && this.machine.failed?.error !== cause;
    const isLossy = isPeerEnd && this.#lost > 0;
    const reason = isLossy ? new End(`${this.#lost} messages lost`) : cause;
    this.ended = { reason, normally: isPeerEnd && isNormal(reason.message) };
    const pull = this.#pull;
    this.#pull = undefined;
    if (pull !== undefined) {
      this.on('cancel');
      pull.end(this.ended);
    }
    this.pieces?.finish(this.ended);
    this.gotPiece();
    this.#settleCall();
  }

  #endOurSide(): void {
    const { machine } = this;
    if (machine.open) return;
    if (machine.ends(this.#options.role) && this.#ourEnd === 'none') {
      this.#ourEnd = 'due';
      this.#endOfTurn();
    }
    if (machine.over) {
      if (this.#laterTurn) return;
      this.#laterTurn = true;
      return this.#options.platform.yield(() => {
        this.#laterTurn = false;
        if (machine.state !== CLOSED) this.#destroy();
      });
    }
    if (machine.state >= DESTROYED || this.#deadline !== Infinity) return;
    this.#destroyWithin(this.#options.closeTimeout);
  }

  #destroyWithin(ms: number): void {
    this.#deadline = Math.min(this.#deadline, this.#options.platform.now() + ms);
    this.#setTimer();
  }

  #destroy(): void {
    this.machine.destroy();
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#frames.length = 0;
    this.#transport.destroy();
  }

  close(code = 1000, reason = '', { discard = false }: { discard?: boolean } = {}): unknown {
    const { machine } = this;
    if (machine.state >= DESTROYED) return this.closed;
    const isFirst = machine.open;
    this.#begun = true;
    if (isFirst) {
      machine.close(formatCloseMessage(code, reason));
      const { closeTimeout } = this.#options;
      this.#longest = this.reader === 'CALLED' ? 0 : closeTimeout / 2;
      this.#answerBy = Infinity;
      this.#destroyWithin(closeTimeout);
    }
    if (discard) {
      this.#started = true;
      this.#dropAll();
      this.#endOfTurn();
    } else if (!isFirst) return this.closed;
    this.#endOurSide();
    this.#pauseOrResume();
    this.#endOfTurn();
    return this.closed;
  }

  terminate(): void {
    this.#begun = true;
    this.#started = true;
    this.#dropAll();
    this.#endOfTurn();
    this.machine.drop();
    this.#readEnd ??= { reason: new End('1006') };
    this.#error ??= this.#readEnd.reason;
    this.#destroy();
  }

  #failed(error: Error): void {
    const { machine } = this;
    machine.drop();
    this.#begun = true;
    if (machine.state !== DESTROYED) this.#readEnd = { reason: error };
    this.#endOfTurn();
    if (machine.state >= DESTROYED) return;
    this.#destroyWithin(this.#options.closeTimeout);
    this.#endOurSide();
    this.#pauseOrResume();
  }

  #handlerFailed(thrown: unknown): void {
    const error = thrown as Error;
    const { machine } = this;
    if (this.#call !== undefined) this.#call.thrown = error;
    this.#begun = true;
    this.#dropAll();
    this.#endOfTurn();
    const isEnd = this.#readEnd?.reason === error || this.#error === error;
    if (machine.state >= DESTROYED && !isEnd) {
      machine.drop();
      this.#finish(error, false);
    } else if (!isEnd && !(machine.sent && isCloseSent(error))) {
      if (machine.open) {
        machine.drop();
        machine.fail(error, 1011, '');
        this.#failed(error);
      } else if (machine.sent) machine.failed ??= { error, code: 1011, reason: '' };
    }
    this.#settleCall();
  }

  // Time

  #setTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.machine.state === CLOSED) return;
    const answerBy = this.machine.open ? this.#answerBy : Infinity;
    const at = Math.min(answerBy, this.#stallAt, this.#deadline);
    if (at === Infinity) return;
    const { platform } = this.#options;
    const ms = Math.max(0, Math.ceil(at - platform.now()));
    this.#cancelTimer = platform.setTimer(ms, () => {
      this.#cancelTimer = undefined;
      this.#alarm();
    });
  }

  #alarm(): void {
    const now = this.#options.platform.now();
    const { machine } = this;
    if (machine.open) {
      if (now >= this.#answerBy) {
        this.#endOfTurn();
        machine.lookAhead();
        this.#answer();
      }
    } else if (this.#stallAt <= now) {
      this.#stallAt = Infinity;
      if (machine.received === undefined && this.#isFull) {
        if (this.#progress === this.#progressAt) this.#dropLater();
        else this.#watch(this.#longest);
      }
    } else if (this.#deadline <= now) {
      this.#deadline = Infinity;
      this.#readEnd ??= { reason: new End('1006') };
      this.#begun = true;
      this.#destroy();
    }
    this.#setTimer();
  }

  // The rate

  limit(perSecond: number, burst: number): void {
    if (this.ended !== undefined || this.machine.state === CLOSED) return;
    this.#rate?.stopTimer();
    this.#rate = new SmallRate(this.#options.platform, perSecond, burst, {
      released: () => {
        this.#serve();
        this.run(this.#takes ? 'reader' : 'read-ahead');
      },
      stopped: () => {
        const lost = this.#queue.length;
        this.#queue = [];
        this.dropped += lost;
        if (this.reader !== 'DISCARDS') this.#lost += lost;
        if (!this.#drops) this.#setUse(this.reader === 'DISCARDS' ? 'UNWANTED' : 'LOST');
      },
    });
  }
}

class CloseSent extends Error {
  readonly isCloseSent = true;
}

function isCloseSent(error: unknown): boolean {
  return error instanceof CloseSent;
}

/** A bucket of messages, without bytes. */
class SmallRate {
  /** Whether readers wait for a token. */
  empty = false;
  readonly #platform: SmallPlatform;
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #owner: { released: () => void; stopped: () => void };
  #tokens: number;
  #at: number;
  #isStopped = false;
  #cancel: (() => void) | undefined;

  constructor(
    platform: SmallPlatform,
    perSecond: number,
    burst: number,
    owner: { released: () => void; stopped: () => void },
  ) {
    this.#platform = platform;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#owner = owner;
    this.#tokens = burst;
    this.#at = platform.now();
  }

  refill(): void {
    const now = this.#platform.now();
    const gained = ((now - this.#at) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#at = now;
  }

  take(messages: number): void {
    if (this.#isStopped) return;
    this.#tokens -= messages;
    if (this.#tokens >= 1) return;
    this.refill();
    if (this.#hasToken()) return;
    this.empty = true;
    this.#schedule();
  }

  #hasToken(): boolean {
    return this.#tokens >= 1 - 1e-6;
  }

  #schedule(): void {
    this.#cancel?.();
    const ms = Math.max(1, Math.ceil(((1 - this.#tokens) * 1000) / this.#perSecond));
    this.#cancel = this.#platform.setTimer(ms, () => {
      this.refill();
      if (!this.#hasToken()) return this.#schedule();
      this.empty = false;
      this.#owner.released();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
    if (!this.empty) return;
    this.empty = false;
    this.#owner.stopped();
  }

  stopTimer(): void {
    this.#cancel?.();
  }
}
