import { Settling } from './settling.ts';
import { atOurClose, type NewCall, type Writer, wayOf } from './writer-table.ts';

// The way out of a connection without speed: messages become frames, and frames wait for the transport. It
// asks the second copy of the table for the order.

/** As in the product: the bounds of a turn. */
const TURN_FRAMES = 1000;
const TURN_BYTES = 1_048_576;
/** As in the product: an encoded byte is as much work as this many written bytes. */
const ENCODE_COST = 8;
/** As in the product: frames of this many bytes leave before the turn ends. */
const LARGEST_SLAB = 65_536;
/** As in the product: bytes charged for each waiting write. */
const WRITE_COST = 1024;

export interface SmallFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly isEncoded: boolean;
  readonly text: string;
}

export interface SmallWire {
  /** Returns whether the transport takes more. */
  write(frames: readonly SmallFrame[]): boolean;
  /** Called in a later turn. */
  yield(callback: () => void): void;
  destroy(): void;
}

export interface SmallWriterOptions {
  readonly masks: boolean;
  /** An extension encodes the messages that do not opt out. */
  readonly encodes: boolean;
  readonly highWaterMark: number;
  readonly maxBufferedAmount: number;
  readonly writeBufferSize: number;
}

class Refused extends Error {}
class Aborted extends Error {}

type Waiting = {
  readonly kind: NewCall;
  readonly size: number;
  readonly supersedes: boolean;
  readonly begin: () => void;
  readonly reject: (reason: unknown) => void;
};

/** Whether a write has no reason to wait. */
const DONE: Promise<void> = Promise.resolve();

function refused<T>(): Promise<T> {
  const promise = Promise.reject<T>(new Refused());
  promise.catch(() => {});
  return promise;
}

/** The frames that the transport does not have, and the budget of a turn. */
class SmallFrames {
  readonly queued: SmallFrame[] = [];
  blocked = false;
  /** The pong of the connection, which waits for the transport. */
  pong: string | undefined;
  controls: { readonly opcode: number; readonly text: string }[] = [];
  /** A control frame is among the queued frames: a later one does not overtake it. */
  #isOrdered = false;
  #isFlushDue = false;
  #turnFrames = 0;
  #turnBytes = 0;
  #drain: Settling<void> | undefined;
  #nextTurn: Settling<void> | undefined;
  readonly #wire: SmallWire;
  readonly #options: SmallWriterOptions;

  constructor(wire: SmallWire, options: SmallWriterOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  get bytes(): number {
    return this.queued.reduce((sum, frame) => sum + this.#sizeOf(frame), 0);
  }

  #sizeOf({ text: { length } }: SmallFrame): number {
    return (length < 126 ? 2 : 4) + (this.#options.masks ? 4 : 0) + length;
  }

  get turnFull(): boolean {
    return this.#turnFrames >= TURN_FRAMES || this.#turnBytes >= TURN_BYTES;
  }

  /** Sends a frame of a message. */
  add(frame: SmallFrame, encodedFrom = 0): Promise<void> {
    this.queued.push(frame);
    this.#turnFrames++;
    this.#turnBytes += this.#sizeOf(frame) + encodedFrom * ENCODE_COST;
    this.#flushLater();
    if (this.blocked && this.#awaitsDrain) {
      this.#drain ??= new Settling();
      return this.#drain.promise;
    }
    return this.turnFull ? this.#untilNextTurn() : DONE;
  }

  #flushLater(): void {
    if (this.bytes >= LARGEST_SLAB) this.pump();
    else if (!this.blocked) this.#isFlushDue = true;
  }

  get #awaitsDrain(): boolean {
    return this.bytes >= this.#options.highWaterMark;
  }

  #untilNextTurn(): Promise<void> {
    if (this.#nextTurn === undefined) {
      const turn = (this.#nextTurn = new Settling<void>());
      this.#wire.yield(() => {
        this.#nextTurn = undefined;
        this.resetBudget();
        turn.resolve();
      });
    }
    return this.#nextTurn.promise;
  }

  /** A ping or pong of the application. */
  control(opcode: number, text: string): Promise<void> {
    if (this.blocked) {
      if (opcode === 10) this.controls = this.controls.filter((frame) => frame.opcode !== 10);
      this.controls.push({ opcode, text });
      return DONE;
    }
    this.#own(opcode, text);
    this.#turnFrames++;
    return this.turnFull ? this.#untilNextTurn() : DONE;
  }

  /** A control frame that no caller waits for. */
  #own(opcode: number, text: string): void {
    this.queued.push({ opcode, fin: true, isEncoded: false, text });
    this.#isOrdered = true;
    this.#flushLater();
  }

  /** The pong of the connection. */
  answerPing(text: string): void {
    if (this.blocked) this.pong = text;
    else this.#own(10, text);
  }

  close(code: number): void {
    if (this.pong !== undefined) this.#own(10, this.pong);
    this.pong = undefined;
    this.#own(8, String(code));
    this.#isFlushDue = true;
  }

  // Turns

  resetBudget(): void {
    this.#turnFrames = 0;
    this.#turnBytes = 0;
  }

  #renewBudget(): void {
    const mayWait = this.#drain ?? this.#nextTurn;
    if (this.queued.length === 0 && !this.blocked && mayWait === undefined) this.resetBudget();
  }

  turnEnds(): void {
    if (!this.#isFlushDue) return;
    this.#isFlushDue = false;
    this.#flush();
  }

  #flush(): void {
    this.resetBudget();
    this.pump();
  }

  /** Bytes of the peer were parsed. */
  passEnded(): void {
    if (this.queued.length > 0 && !this.blocked) this.#flush();
    else this.#renewBudget();
  }

  drained(): void {
    this.blocked = false;
    this.pump();
    if (!this.blocked || !this.#awaitsDrain) this.#settleDrain((drain) => drain.resolve());
    this.#renewBudget();
  }

  #settleDrain(settle: (drain: Settling<void>) => void): void {
    const drain = this.#drain;
    this.#drain = undefined;
    if (drain !== undefined) settle(drain);
  }

  pump(): void {
    while (!this.blocked) {
      const overtakes = !this.#isOrdered || this.queued.length === 0;
      if (overtakes) this.#writeControls();
      if (this.blocked || this.queued.length === 0) break;
      this.#give(this.queued.splice(0));
      if (!overtakes) this.#writeControls();
    }
    if (this.queued.length === 0) this.#isOrdered = false;
  }

  #writeControls(): void {
    const { pong, controls } = this;
    this.pong = undefined;
    this.controls = [];
    const all = pong === undefined ? controls : [{ opcode: 10, text: pong }, ...controls];
    for (const { opcode, text } of all) {
      this.#give([{ opcode, fin: true, isEncoded: false, text }]);
    }
  }

  #give(frames: readonly SmallFrame[]): void {
    if (!this.#wire.write(frames)) this.blocked = true;
  }

  /** Drops the frames that the transport does not have. */
  discard(): void {
    this.pump();
    this.controls = [];
    this.pong = undefined;
    this.queued.length = 0;
    this.#settleDrain((drain) => drain.reject(new Refused()));
  }

  gone(): void {
    this.blocked = true;
    this.controls = [];
    this.queued.length = 0;
    this.#settleDrain((drain) => drain.reject(new Refused()));
  }
}

/** The calls that write, in the order of the table. */
export class SmallWriter {
  readonly #frames: SmallFrames;
  readonly #wire: SmallWire;
  readonly #options: SmallWriterOptions;
  #queue: Waiting[] = [];
  #open: SmallMessageWriter | undefined;
  /** Cost of writes that wait in their writer, and of messages with a signal. */
  #otherCost = 0;
  #otherBytes = 0;
  #advancing = false;
  #closing = false;
  /** `expired`: messages are refused, control frames are not. */
  #accepts: 'all' | 'control frames' | 'nothing' = 'all';

  constructor(wire: SmallWire, options: SmallWriterOptions) {
    this.#wire = wire;
    this.#options = options;
    this.#frames = new SmallFrames(wire, options);
  }

  get #state(): Writer {
    if (this.#accepts === 'nothing') return 'CLOSED';
    if (this.#open !== undefined) return 'OPEN';
    return this.#advancing || this.#queue.length > 0 ? 'QUEUED' : 'IDLE';
  }

  // Limits

  get #waitingBytes(): number {
    return this.#queue.reduce((sum, { size }) => sum + size, this.#otherBytes);
  }

  get #cost(): number {
    return this.#waitingBytes + this.#queue.length * WRITE_COST + this.#otherCost;
  }

  /** Whether a message of `size` bytes has no room. `most`: its size before it is measured. */
  isRefused(size: number, most: number = size): boolean {
    if (this.isClosed()) return true;
    const { maxBufferedAmount, highWaterMark } = this.#options;
    const charged = (): number => this.#frames.bytes + this.#cost;
    if (this.#frames.blocked || charged() + most > maxBufferedAmount) this.#frames.pump();
    const isBelowMark = charged() < highWaterMark && highWaterMark <= maxBufferedAmount;
    return charged() > 0 && !isBelowMark && charged() + size > maxBufferedAmount;
  }

  /** Whether no message is accepted any more. After an expired deadline, the first one ends the connection. */
  isClosed(): boolean {
    if (this.#accepts === 'all') return false;
    if (this.#accepts === 'control frames') this.#destroy();
    return true;
  }

  countUntil(written: Promise<void>, bytes: number): void {
    const count = (sign: 1 | -1): void => {
      this.#otherBytes += sign * bytes;
      this.#otherCost += sign * WRITE_COST;
    };
    count(1);
    const free = (): void => count(-1);
    written.then(free, free);
  }

  // Calls

  send(text: string, options: { compress?: boolean; signal?: AbortSignal } = {}): Promise<void> {
    const { compress, signal } = options;
    if (this.isRefused(text.length, text.length * 3)) return refused();
    const kind = signal === undefined ? 'message' : 'signal';
    if (wayOf(this.#state, kind, this.#frames.blocked) === 'now') {
      return this.#message(text, compress);
    }
    const written = new Settling<void>();
    const waiting: Waiting = {
      kind,
      size: text.length,
      supersedes: false,
      begin: () => written.resolve(this.isClosed() ? refused() : this.#message(text, compress)),
      reject: (reason) => written.reject(reason),
    };
    this.#queue.push(waiting);
    if (signal !== undefined) {
      this.countUntil(written.promise, 0);
      signal.addEventListener('abort', () => this.#abort(waiting));
    }
    return written.promise;
  }

  #message(text: string, compress: boolean | undefined): Promise<void> {
    return this.frame(1, true, text, this.encodes(compress));
  }

  encodes(compress: boolean | undefined): boolean {
    return this.#options.encodes && compress !== false;
  }

  frame(opcode: number, fin: boolean, text: string, encodes: boolean): Promise<void> {
    const frame = { opcode, fin, isEncoded: encodes && opcode !== 0, text };
    return this.#frames.add(frame, encodes ? text.length : 0);
  }

  #abort(waiting: Waiting): void {
    if (!this.#queue.includes(waiting)) return;
    this.#queue = this.#queue.filter((other) => other !== waiting);
    waiting.reject(new Aborted());
    this.#advance();
  }

  nextWriter(options: { queue: boolean; compress?: boolean }): Promise<SmallMessageWriter> {
    if (this.isClosed()) return refused();
    const open = (): SmallMessageWriter => {
      const { writeBufferSize } = this.#options;
      const encodes = this.encodes(options.compress);
      return (this.#open = new SmallMessageWriter(this, writeBufferSize, encodes));
    };
    if (wayOf(this.#state, 'writer', this.#frames.blocked) === 'now') {
      return Promise.resolve(open());
    }
    if (this.isRefused(0)) return refused();
    const before = this.#open;
    const opened = new Settling<SmallMessageWriter>();
    this.#queue.push({
      kind: 'writer',
      size: 0,
      supersedes: !options.queue,
      begin: () => {
        const writer = open();
        // A later call without `queue` waits: this writer is finished as soon as it is open.
        if (this.#queue.some(({ supersedes }) => supersedes)) writer.supersede();
        opened.resolve(writer);
      },
      reject: (reason) => opened.reject(reason),
    });
    if (!options.queue) before?.supersede();
    return opened.promise;
  }

  writerDone(writer: SmallMessageWriter): void {
    if (this.#open !== writer) return;
    this.#open = undefined;
    this.#advance();
  }

  control(opcode: number, text: string): Promise<void> {
    return this.#accepts === 'nothing' ? refused() : this.#frames.control(opcode, text);
  }

  // The order

  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#open === undefined && this.#queue.length > 0 && !this.#firstMayAbort) {
      if (!this.#closing && this.#frames.turnFull) {
        this.#wire.yield(() => {
          this.#frames.resetBudget();
          this.#restart();
        });
        return;
      }
      this.#queue.shift()!.begin();
    }
    this.#advancing = false;
  }

  get #firstMayAbort(): boolean {
    return this.#queue[0]!.kind === 'signal' && this.#frames.blocked && !this.#closing;
  }

  #restart(): void {
    this.#advancing = false;
    this.#advance();
  }

  // Events

  peerPings(text: string): void {
    if (this.#accepts !== 'nothing') this.#frames.answerPing(text);
    this.#frames.passEnded();
  }

  turnEnds(): void {
    this.#frames.turnEnds();
  }

  drained(): void {
    this.#frames.drained();
    if (this.#queue.length > 0) this.#advance();
  }

  expire(): void {
    if (this.#accepts !== 'all') return;
    this.#accepts = 'control frames';
    if (this.#frames.bytes + this.#waitingBytes > 0) this.#destroy();
  }

  removeDeadline(): void {
    if (this.#accepts === 'control frames') this.#accepts = 'all';
  }

  close(code: number): void {
    if (this.#state === 'CLOSED') return;
    if (atOurClose(this.#state) === 'sends them') {
      this.#closing = true;
      this.#restart();
    }
    this.#lastFrame(code);
  }

  /** Fails the connection: what has not begun is dropped. */
  fail(code: number): void {
    if (this.#state === 'CLOSED') return;
    this.#frames.discard();
    this.#lastFrame(code);
    // Our side of the transport ends after this frame.
    this.#frames.pump();
  }

  #lastFrame(code: number): void {
    this.#accepts = 'nothing';
    this.#frames.close(code);
    this.#refuseAll();
  }

  #refuseAll(): void {
    const writer = this.#open;
    this.#open = undefined;
    writer?.fail();
    for (const waiting of this.#queue.splice(0)) waiting.reject(new Refused());
  }

  /** The peer has closed, or broken a rule. */
  passEnded(): void {
    this.#frames.pump();
    this.#frames.passEnded();
  }

  #destroy(): void {
    this.#accepts = 'nothing';
    this.#wire.destroy();
  }

  gone(): void {
    this.#accepts = 'nothing';
    this.#frames.gone();
    this.#refuseAll();
  }
}

/** Writes one message in fragments. */
export class SmallMessageWriter {
  readonly #owner: SmallWriter;
  readonly #size: number;
  readonly #encodes: boolean;
  #buffered = '';
  #opcode = 1;
  #isDone = false;
  /** Accepts no further call. */
  #hasEnded = false;
  #pending: Promise<void> | undefined;

  constructor(owner: SmallWriter, size: number, encodes: boolean) {
    this.#owner = owner;
    this.#size = size;
    this.#encodes = encodes;
  }

  write(text: string): Promise<void> {
    const waits = this.#pending !== undefined;
    if (this.#hasEnded || this.#owner.isClosed()) return refused();
    if (waits && this.#owner.isRefused(text.length)) {
      this.#giveUp();
      return refused();
    }
    const written = this.#after(() => this.#put(text));
    if (written === DONE) return DONE;
    if (waits) this.#owner.countUntil(written, text.length);
    return this.#giveUpOnFailure(written);
  }

  close(): Promise<void> {
    if (this.#hasEnded || this.#owner.isClosed()) return refused();
    this.#hasEnded = true;
    return this.#giveUpOnFailure(
      this.#after(() => {
        if (this.#owner.isClosed()) return refused();
        const sent = this.#fragment(true);
        this.#done();
        return sent;
      }),
    );
  }

  supersede(): void {
    if (!this.#hasEnded) void this.close();
  }

  abort(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#giveUp();
  }

  fail(): void {
    this.#hasEnded = true;
  }

  #after(step: () => Promise<void>): Promise<void> {
    const pending = this.#pending === undefined ? step() : this.#pending.then(step);
    if (pending === DONE) return DONE;
    this.#pending = pending;
    const idle = (): void => {
      if (this.#pending === pending) this.#pending = undefined;
    };
    pending.then(idle, idle);
    return pending;
  }

  /** A full buffer leaves when more text follows. */
  #put(text: string): Promise<void> {
    for (let i = 0; i < text.length; ) {
      if (this.#owner.isClosed()) return refused();
      if (this.#buffered.length === this.#size) {
        const sent = this.#fragment(false);
        if (sent !== DONE) return sent.then(() => this.#put(text.slice(i)));
      }
      const end = i + this.#size - this.#buffered.length;
      this.#buffered += text.slice(i, end);
      i = Math.min(end, text.length);
    }
    return DONE;
  }

  #fragment(fin: boolean): Promise<void> {
    const text = this.#buffered;
    this.#buffered = '';
    const opcode = this.#opcode;
    this.#opcode = 0;
    return this.#owner.frame(opcode, fin, text, this.#encodes);
  }

  #giveUpOnFailure(call: Promise<void>): Promise<void> {
    if (call !== DONE) call.then(undefined, () => this.#giveUp());
    return call;
  }

  #giveUp(): void {
    this.#hasEnded = true;
    if (this.#isDone) return;
    // No other message may follow an incomplete message.
    if (this.#opcode === 1) this.#done();
    else {
      this.#isDone = true;
      this.#owner.fail(1011);
    }
  }

  #done(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#owner.writerDone(this);
  }
}
