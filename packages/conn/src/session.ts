import {
  CloseCode,
  CloseMessage,
  formatCloseMessage,
  PongMessage,
  ProtocolError,
  parseCloseMessage,
  type WebSocketError,
} from '@ws/codec';
import {
  ANSWERING,
  CLOSING,
  type CloseInfo,
  Closing,
  type ConnState,
  ENDING,
  GONE,
  OPEN,
} from './closing.ts';
import { Controls } from './controls.ts';
import { Deadline, type Deadlines, untilOf } from './deadline.ts';
import type { Deflating } from './deflate/compression.ts';
import {
  CloseError,
  CloseSentError,
  ReadLimitError,
  TimeoutError,
  TransportError,
} from './errors.ts';
import type { Patient } from './heartbeat.ts';
import type { Host } from './host.ts';
import {
  BEGIN,
  CLOSE,
  END,
  type Intake,
  MESSAGE,
  NOTHING,
  PIECE,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from './intake.ts';
import type { Kit } from './kit.ts';
import type { Settings } from './options.ts';
import type { Outbox } from './outbox.ts';
import type { PendingRead } from './pending-read.ts';
import { checkClosePayload } from './prepared-message.ts';
import { Deferred, done, rejected } from './promises.ts';
import type { Reading, ReadingOwner } from './reading.ts';
import type { Reception } from './reception.ts';
import type { Transport, TransportSink } from './transport.ts';
import type { Turn } from './turns.ts';
import type { Writing, WritingOwner } from './writing.ts';

// What a session is doing.
const STARTING = 0;
const WAITING = 1;
/** Whoever parses now writes out what that leaves behind. */
const IN_TURN = 2;
const PARSING = 3;

/**
 * One connection behind its `Conn`: joins the transport, what comes in, what goes out, the readers and the closing
 * handshake.
 *
 * The way in. A chunk is parsed as far as somebody waits for messages; what nobody waits for stays in it, unparsed,
 * until all microtasks that are ready have run: by then the reader is back, or the rest is read ahead. So an echo loop
 * of `await`s costs no queue, and pings are answered though nobody reads.
 *
 * At rest. As long as nothing happens, all of a connection is what stands here, and its transport. The sides that read
 * and write are taken from the {@link Kit} when there is work, and left to others at the end of the turn.
 *
 * The end. What is known of it stands in `closing.ts`. Reading ends in its place: when all input is parsed, all messages
 * are read and no handler is at work; after our own close frame, which drops messages, at once. Never true: input over
 * with pooled memory held for it; a message delivered that came after a fault.
 */
export class Session implements TransportSink, ReadingOwner, WritingOwner, Patient, Turn {
  /** The `Conn`, for those who watch from outside. */
  readonly conn: object;
  readonly transport: Transport;
  readonly kit: Kit;
  /** Set where permessage-deflate is agreed on. */
  readonly deflating: Deflating | undefined;

  bytesIn = 0;
  framesIn = 0;
  messagesIn = 0;
  pingsIn = 0;
  bytesOut = 0;
  framesOut = 0;
  messagesOut = 0;
  pingsOut = 0;
  readLimit: number;
  reader: PendingRead | undefined;
  reception: Reception | undefined;

  /** Of the alarm that the session itself is: the heartbeat's while it is open, then it rings when the end takes long. */
  tick: number | undefined;
  heardAt: number;
  askedAt: number | undefined;

  #reading: Reading | undefined;
  #writing: Writing | undefined;
  #controls: Controls | undefined;
  #deadlines: Deadlines | undefined;
  #closing: Closing | undefined;
  /** Who waits to hear how it ended; made when somebody does. */
  #closed: Deferred<CloseInfo> | undefined;
  #doing: typeof STARTING | typeof WAITING | typeof IN_TURN | typeof PARSING = STARTING;
  #deferred = false;

  constructor(conn: object, transport: Transport, kit: Kit, deflating: Deflating | undefined) {
    this.conn = conn;
    this.transport = transport;
    this.kit = kit;
    this.deflating = deflating;
    this.readLimit = kit.settings.readLimit;
    this.heardAt = Math.ceil(kit.host.now());
    kit.heartbeat?.start(this);
    transport.start(this);
    // No frame is parsed before the code that gets this connection has run its first synchronous part.
    this.#defer();
  }

  get host(): Host {
    return this.kit.host;
  }

  get settings(): Settings {
    return this.kit.settings;
  }

  /** The reading side, taken for as long as there is work. */
  get reading(): Reading {
    if (this.#reading === undefined) {
      this.#reading = this.kit.takeReading();
      this.#reading.serve(this);
    }
    return this.#reading;
  }

  /** The writing side, taken for as long as there is work. */
  get writing(): Writing {
    if (this.#writing === undefined) {
      this.#writing = this.kit.takeWriting();
      this.#writing.serve(this);
    }
    return this.#writing;
  }

  get outbox(): Outbox {
    return this.writing.outbox;
  }

  /** Pings and the user's handlers, made when there are some. */
  get controls(): Controls {
    if (this.#controls === undefined) {
      this.#controls = new Controls(this, this.host, this.settings.maxPendingPings);
      const closing = this.#closing;
      if (closing?.inputOver) this.#controls.end(closing.ended?.reason);
    }
    return this.#controls;
  }

  /** Bytes accepted by writes and not yet handed to the operating system. */
  get bufferedAmount(): number {
    const writing = this.#writing;
    if (writing === undefined) return this.transport.bufferedAmount;
    return writing.outbox.bufferedAmount + writing.waiting;
  }

  /** The last round trip of a ping, in ms; NaN before the first. */
  get rtt(): number {
    return this.#controls === undefined ? NaN : this.#controls.rtt;
  }

  get state(): ConnState {
    return this.#closing === undefined ? 'open' : this.#closing.state;
  }

  /** Resolves when the transport is gone. */
  get closed(): Promise<CloseInfo> {
    if (this.#closed === undefined) {
      this.#closed = new Deferred<CloseInfo>();
      const info = this.#closing?.info;
      if (info !== undefined) this.#closed.resolve(info);
    }
    return this.#closed.promise;
  }

  // The transport's calls

  data(chunk: Uint8Array): void {
    this.bytesIn += chunk.length;
    if (this.kit.heartbeat !== undefined) this.heardAt = Math.ceil(this.host.now());
    const closing = this.#closing;
    if (closing !== undefined) {
      // Counted from when our close frame has left: until then the peer cannot know.
      if (closing.sent && !this.outbox.unsent && closing.drop(chunk.length)) {
        this.abort(new TransportError('the peer went on sending after our close frame'));
      }
      if (closing.inputOver) return;
    }
    this.reading.intake.push(chunk);
    this.wanted();
  }

  drain(): void {
    this.outbox.drained();
    this.rest();
  }

  end(): void {
    const closing = this.#ending();
    closing.eof = true;
    if (closing.sent) this.#pump(true);
    closing.ended ??= { reason: new CloseError(CloseCode.AbnormalClosure, 'unexpected EOF') };
    if (closing.phase >= CLOSING) {
      this.#stopInput();
      this.#endTransport();
    } else {
      if (closing.phase === OPEN) closing.phase = ENDING;
      this.#arm(this.settings.closeTimeout);
    }
    this.#defer();
  }

  close(error?: Error): void {
    const closing = this.#ending();
    if (closing.phase === GONE) return;
    closing.phase = GONE;
    this.kit.timers.clear(this);
    this.#disarmIdle();
    this.#deadlines?.read?.clear();
    this.#deadlines?.write?.clear();
    const broken =
      error === undefined ? undefined : new TransportError(words(error), { cause: error });
    const eof = new CloseError(CloseCode.AbnormalClosure, 'unexpected EOF');
    closing.ended ??= { reason: broken ?? eof };
    closing.lost ??= broken ?? closing.ended.reason;
    const flushed = !this.outbox.unsent;
    this.outbox.destroy(closing.sent ? new CloseSentError() : (closing.lost as WebSocketError));
    this.writing.end(this.outbox.error!);
    this.deflating?.deflation.destroy();
    if (this.deflating !== undefined) this.reading.intake.leave();
    const info = closing.over(flushed);
    this.#closed?.resolve(info);
    this.host.watch?.closed?.(this.conn, info);
    this.#defer();
  }

  // The readers', handlers' and writers' calls

  wanted(): void {
    if (this.#doing >= IN_TURN) return this.#pump(false);
    const { reading } = this;
    const before = this.#doing;
    if (before === WAITING) this.#doing = IN_TURN;
    this.#pump(false);
    this.#doing = before;
    if (reading.paused) this.#renewIdle();
    // Answers leave at once when all is read, else when the reader has had its chance.
    const endIsDue = this.#closing?.ended !== undefined && !reading.ended;
    if (reading.intake.pending || !reading.idle || endIsDue) return this.#defer();
    if (this.#writing?.outbox.pending) this.#writing.outbox.flush();
    this.rest();
  }

  rest(): void {
    if (this.#doing >= IN_TURN || this.#closing !== undefined) return;
    const reading = this.#reading;
    if (reading?.atRest) {
      this.#reading = undefined;
      reading.leaveOwner();
      this.kit.readings.give(reading);
    }
    const writing = this.#writing;
    if (writing?.atRest) {
      this.#writing = undefined;
      writing.leaveOwner();
      this.kit.writings.give(writing);
    }
  }

  handlerFailed(error: unknown): void {
    const closing = this.#closing;
    this.reading.drop();
    if (closing !== undefined && error === closing.ended?.reason) {
      // It waited for something that the end took away: a pong, a write. The end is not its fault.
      this.#defer();
    } else if (closing !== undefined && (closing.eof || closing.phase === GONE)) {
      // Nobody is left to be told 1011; as a rule the end is why the handler failed.
      this.#stopInput();
      this.reading.end(error);
      this.#defer();
    } else if (closing?.sent !== true) {
      this.fail(error, CloseCode.InternalServerErr, '');
    }
    // After our close frame the handshake goes on, and `receive` tells of the error.
  }

  control(type: number, payload: Uint8Array): Promise<void> {
    if (type !== CloseMessage) return this.outbox.control(type, payload, 0, payload.length);
    if (!this.outbox.open) return rejected(this.outbox.error);
    checkClosePayload(payload);
    this.sendClose(payload, this.settings.closeTimeout);
    return this.#ending().sent ? done : rejected(this.outbox.error);
  }

  writerBroken(reason: unknown): void {
    this.fail(reason, CloseCode.InternalServerErr, '');
  }

  flushLater(): void {
    if (this.#doing < IN_TURN) this.#defer();
  }

  /** The transport is paused, by us. */
  get paused(): boolean {
    return this.#reading?.paused === true;
  }

  get flushes(): boolean {
    return this.#deferred;
  }

  ping(): void {
    this.controls.beat();
  }

  dead(ms: number): void {
    this.abort(new TimeoutError(`no sign of life from the peer for ${Math.round(ms)} ms`));
  }

  // The user's calls

  /** Starts the closing handshake (RFC 6455, section 7.1.2), or joins the one that is under way. */
  sendClose(payload: Uint8Array, timeout: number): void {
    if (!this.outbox.open) return;
    if (this.#doing === STARTING) this.#doing = WAITING;
    this.writing.finish();
    const closing = this.#sendClose(payload);
    this.reading.drop();
    this.reading.intake.drop();
    // A peer whose stream has ended sends no close frame any more.
    if (closing.received !== undefined || closing.eof) this.#closeTransport();
    this.#arm(timeout);
    this.#balance();
    this.#defer();
  }

  setReadDeadline(at: Date | number | null): void {
    if (this.state === 'closed') return void untilOf(at);
    this.#deadlines ??= {};
    this.#deadlines.read ??= new Deadline(this.host, () => {
      this.reading.drop();
      this.reading.intake.drop();
      this.reading.end(new TimeoutError('read timeout'));
    });
    this.#deadlines.read.set(at);
  }

  setWriteDeadline(at: Date | number | null): void {
    if (this.state === 'closed') return void untilOf(at);
    this.#deadlines ??= {};
    this.#deadlines.write ??= new Deadline(this.host, () => {
      this.outbox.expire(new TimeoutError('write timeout'), this.writing.waiting);
    });
    // One that has struck has the side that writes stay.
    this.#writing?.outbox.expire(undefined, 0);
    this.#deadlines.write.set(at);
  }

  /** Sets the longest message from here on, in bytes; of one that is under way too. */
  setReadLimit(bytes: number): void {
    this.readLimit = bytes;
    if (this.#reading !== undefined) this.#reading.intake.readLimit = bytes;
  }

  /** Drops the connection and all that waits, without a close frame. */
  terminate(): void {
    this.reading.drop();
    this.#stopInput();
    const closing = this.#ending();
    closing.ended ??= { reason: new CloseError(CloseCode.AbnormalClosure) };
    // The transport says later that it is gone, and what it is given until then goes nowhere.
    this.outbox.refuse(closing.ended.reason as WebSocketError);
    this.transport.destroy();
  }

  /** Drops the connection, without a close frame. `error` is what reads, writes and `closed` tell. */
  abort(error: WebSocketError): void {
    const closing = this.#ending();
    closing.lost ??= error;
    closing.ended ??= { reason: error };
    this.outbox.refuse(error);
    this.transport.destroy();
  }

  /** The one path by which a connection fails (RFC 6455, section 7.1.7). */
  fail(error: unknown, code: number, reason: string): void {
    const closing = this.#ending();
    if (closing.failed !== undefined) return;
    this.#stopInput();
    // An end that is known already stands behind this fault.
    closing.ended = { reason: error };
    this.#defer();
    if (closing.phase === GONE) return;
    closing.failed = { error, code };
    if (!closing.sent) {
      this.outbox.cut(new CloseSentError());
      this.#sendClose(formatCloseMessage(code, reason));
    }
    closing.phase = CLOSING;
    this.outbox.end();
    this.#arm(this.settings.closeTimeout);
    this.#balance();
  }

  #sendClose(payload: Uint8Array): Closing {
    const closing = this.#ending();
    closing.phase = CLOSING;
    closing.sent = this.outbox.close(payload);
    this.writing.end(this.outbox.error!);
    return closing;
  }

  // The turn

  #defer(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.kit.turns.add(this);
  }

  onTurn(): void {
    this.#deferred = false;
    this.#doing = IN_TURN;
    this.#pump(true);
    this.#doing = WAITING;
    this.#writing?.outbox.flush();
    this.rest();
  }

  /** Parses on while somebody waits for messages; `ahead`: into the read-ahead as well, as far as it has room. */
  #pump(ahead: boolean): void {
    if (this.#doing === PARSING || this.#doing === STARTING) return this.#balance();
    const before = this.#doing;
    this.#doing = PARSING;
    const { reading } = this;
    const { intake } = reading;
    while (this.#closing?.inputOver !== true && this.#wantsInput(ahead)) {
      const event = intake.next();
      if (event === NOTHING) break;
      if (event === MESSAGE || event === END || event === SKIPPED) {
        this.host.watch?.messageIn?.(this.conn, intake.type, intake.length);
      }
      if (event === MESSAGE) reading.message();
      else if (event === BEGIN) reading.began();
      else if (event === PIECE) reading.piece();
      else if (event === END) reading.completed();
      else if (event === PING) this.#pinged(intake);
      else if (event === PONG) this.#controls?.pong(intake);
      else if (event === CLOSE) this.#closeReceived();
      else if (event !== SKIPPED && event !== STEP) this.#fault(intake.error);
    }
    this.#doing = before;
    reading.letGo();
    if (intake.tired) this.#makeWay();
    const ended = this.#closing?.ended;
    if (ended !== undefined) {
      if (!intake.pending) this.#stopInput();
      const { inputOver } = this.#ending();
      if (inputOver) this.#controls?.end(ended.reason);
      const inPlace = inputOver && reading.idle && (ahead || reading.waiting);
      if (inPlace || intake.dropping) this.#conclude();
    }
    this.#balance();
  }

  /** 5.5.2: answered with the same payload, as soon as is practical; when nothing may be sent any more, not at all. */
  #pinged(intake: Intake): void {
    if (this.#controls?.ping(intake) === true) return;
    void this.outbox.control(PongMessage, intake.bytes, intake.start, intake.end, true);
  }

  /** Enough was inflated for one turn: the other connections' turn. */
  #makeWay(): void {
    const { intake } = this.reading;
    if (intake.resting) return;
    intake.resting = true;
    this.host.yield(() => {
      intake.rest();
      this.wanted();
    });
  }

  #wantsInput(ahead: boolean): boolean {
    const { reading } = this;
    const { intake } = reading;
    if (reading.waiting || intake.dropping) return true;
    if (!ahead) return false;
    if (reading.hasRoom(intake.held)) return !intake.crowded;
    // What has come of a connection that is gone is little, and pooled memory may hang on it. What is compressed is
    // little no more once it is inflated: that memory is left behind in `close`.
    return this.#closing?.phase === GONE && this.deflating === undefined;
  }

  #fault(error: WebSocketError | undefined): void {
    if (error instanceof ProtocolError) {
      this.fail(error, error.closeCode, error.faults.join(', ').slice(0, 123));
    } else {
      this.fail(error, error instanceof ReadLimitError ? CloseCode.MessageTooBig : 1011, '');
    }
  }

  /** Nothing is parsed any more, and no memory is held for it. */
  #stopInput(): void {
    const closing = this.#ending();
    if (closing.inputOver) return;
    closing.inputOver = true;
    this.#reading?.intake.destroy();
  }

  /** Pauses the transport when nobody reads and enough is read ahead, and lets it flow again. */
  #balance(): void {
    const { reading } = this;
    const { held } = reading.intake;
    if (reading.paused) {
      if (this.#wantsFlow() || reading.isLow(held)) this.#resume();
    } else if (!reading.hasRoom(held) && !this.#wantsFlow()) this.#pause();
  }

  /** Whether bytes are wanted, however much is read ahead. */
  #wantsFlow(): boolean {
    const { reading } = this;
    const { intake } = reading;
    if (this.#closing?.inputOver || intake.dropping) return true;
    return this.#doing !== STARTING && reading.waiting && !intake.tired;
  }

  #pause(): void {
    this.#flow('pause');
    // Also for a reader whose message is being inflated, and who may give up: each step of it begins the time anew.
    if (this.reception === undefined) this.#armIdle();
  }

  #resume(): void {
    this.#disarmIdle();
    this.#flow('resume');
  }

  /** A transport that throws is the end of this connection, not of the turn. */
  #flow(what: 'pause' | 'resume'): void {
    this.reading.paused = what === 'pause';
    try {
      this.transport[what]();
    } catch (cause) {
      this.abort(new TransportError(`the transport could not ${what}`, { cause }));
    }
  }

  #armIdle(): void {
    const { idleReadTimeout } = this.settings;
    const ends = this.#closing !== undefined && this.#closing.phase !== OPEN;
    if (idleReadTimeout === Infinity || ends) return;
    const text = `nobody read for ${idleReadTimeout} ms; see idleReadTimeout`;
    this.#deadlines ??= {};
    this.#deadlines.idle ??= { tick: undefined, ring: () => this.abort(new TimeoutError(text)) };
    this.kit.timers.set(this.#deadlines.idle, idleReadTimeout);
  }

  /** Somebody reads: the time begins anew; a handler may take as long as it likes. */
  #renewIdle(): void {
    if (this.reception !== undefined) this.#disarmIdle();
    else if (this.#deadlines?.idle?.tick !== undefined) this.#armIdle();
  }

  #disarmIdle(): void {
    const idle = this.#deadlines?.idle;
    if (idle !== undefined) this.kit.timers.clear(idle);
  }

  // The end

  /** What is known of the end, which has something to be added. */
  #ending(): Closing {
    this.#closing ??= new Closing();
    return this.#closing;
  }

  #closeReceived(): void {
    const { bytes, start, end } = this.reading.intake;
    let payload;
    try {
      payload = parseCloseMessage(bytes.subarray(start, end));
    } catch (error) {
      this.#fault(error as ProtocolError);
      return;
    }
    const closing = this.#ending();
    closing.received = payload;
    this.#stopInput();
    // An end of the stream that is known already stands behind this frame.
    closing.ended = { reason: new CloseError(payload.code, payload.reason) };
    if (closing.sent) this.#closeTransport();
    else if (closing.phase === OPEN) closing.phase = ENDING;
    this.#arm(this.settings.closeTimeout);
  }

  /** All that came before the end is read, or dropped: reading ends, once the end is answered. */
  #conclude(): void {
    const closing = this.#ending();
    if (closing.phase === ENDING) this.#answer();
    if (closing.phase !== ANSWERING) this.reading.end(closing.ended!.reason);
  }

  /** Answers the peer's close frame, or the end of its stream. */
  #answer(): void {
    const closing = this.#ending();
    const { received } = closing;
    if (received === undefined) {
      closing.phase = CLOSING;
      this.writing.finish();
      this.outbox.refuse(closing.ended!.reason as WebSocketError);
      this.writing.end(this.outbox.error!);
      this.#endTransport();
      return;
    }
    closing.phase = ANSWERING;
    const handled = this.#controls?.close(received.code, received.reason);
    if (handled === undefined) this.#echo(received.code);
    else {
      handled.then(
        () => this.#echo(received.code),
        (error: unknown) => this.fail(error, CloseCode.InternalServerErr, ''),
      );
    }
  }

  #echo(code: number): void {
    // The handler has sent a close frame of its own, or something worse has happened meanwhile.
    if (this.#ending().phase !== ANSWERING) return;
    this.writing.finish();
    this.#sendClose(formatCloseMessage(code));
    this.#closeTransport();
    this.#defer();
  }

  /** 7.1.1: the server closes TCP first, the client waits for it. */
  #closeTransport(): void {
    if (this.#ending().eof) this.#endTransport();
    else if (this.kit.role === 'server') this.outbox.end();
    this.#arm(this.settings.closeTimeout);
  }

  /** The peer has ended its side: ours ends after what waits, and the transport is dropped. */
  #endTransport(): void {
    this.outbox.end();
    this.host.yield(() => {
      if (this.outbox.bufferedAmount === 0) this.transport.destroy();
    });
  }

  #arm(ms: number): void {
    if (this.#ending().phase !== GONE) this.kit.timers.set(this, ms);
  }

  ring(): void {
    const closing = this.#closing;
    if (closing === undefined || closing.phase === OPEN) {
      return this.kit.heartbeat?.ring(this, this.host.now());
    }
    // The end takes too long.
    if (closing.phase === ENDING) {
      // Messages before it are not read yet, but the peer has waited long enough for its answer.
      this.#answer();
      this.#arm(this.settings.closeTimeout);
      return;
    }
    if (closing.received === undefined) {
      closing.lost ??= new TimeoutError(
        'the peer did not finish the closing handshake in time; see closeTimeout',
      );
    }
    this.transport.destroy();
  }
}

function words(error: Error): string {
  const { code } = error as { code?: unknown };
  if (typeof code !== 'string' || error.message.includes(code)) return error.message;
  return `${error.message} (${code})`;
}
