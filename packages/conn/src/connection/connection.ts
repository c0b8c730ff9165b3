import {
  CloseCode,
  CloseMessage,
  type Extension,
  type MessageCounters,
  type MessageDecoder,
  PongMessage,
  WebSocketError,
} from '@ws/codec';
import { fromCaller, isMistake } from '@ws/codec/internal';
import { ControlFrames } from '../control/control-frames.ts';
import type { PingWait } from '../control/heartbeat.ts';
import { type BackpressureError, transportFailed } from '../errors.ts';
import type { Settings } from '../options/conn-options.ts';
import type { CloseInfo, ConnState, Observer } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import { isNormalEnd } from '../read/pending-read.ts';
import { type ReportedConn, reportError } from '../report/report.ts';
import type { TurnTask } from '../scheduler/task-queue.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { checkExpires, untilOf } from '../time/deadline.ts';
import { Deferred, RESOLVED, rejected, resolvedLater } from '../time/promises.ts';
import { type LateRejection, rejectedLater } from '../time/refusal.ts';
import type { Transport, TransportSink } from '../transport.ts';
import { onRejection } from '../validate.ts';
import { DetachedBytes } from '../writing/pending-bytes.ts';
import { checkClosePayload } from '../writing/prepared-message.ts';
import { Closing, type HandlerName } from './closing.ts';
import { Input } from './input.ts';
import { RareParts } from './rare-parts.ts';
import { Reader } from './reader.ts';
import type { SendQueue } from './send-queue.ts';
import type { ConnShared } from './shared.ts';
import { Writer } from './writer.ts';

/**
 * One connection, inside its `Conn`: joins the transport, the input with its reader, the writer, control
 * frames and the close.
 */
export class Connection implements TransportSink, TurnTask, TimerEntry, MessageCounters {
  /** The `Conn`, for the observer and for reports. */
  readonly conn: ReportedConn;
  readonly transport: Transport;
  readonly shared: ConnShared;
  /** The agreed extension, or all of them as one. */
  readonly extension: Extension | undefined;
  readonly input: Input;
  readonly reader: Reader;
  readonly writer: Writer;

  bytesIn = 0;
  framesIn = 0;
  messagesIn = 0;
  pingsIn = 0;
  bytesOut = 0;
  framesOut = 0;
  messagesOut = 0;
  pingsOut = 0;
  readLimit: number;
  /** Whether we have paused the transport. */
  paused = false;

  /**
   * Slot of the connection's alarm in the timers. The alarm drives the heartbeat while the
   * connection is open, and bounds the closing handshake later.
   */
  slot: number | undefined;
  heardAt: number;
  pingedAt: number | undefined;
  pingWait: PingWait | undefined;

  /** Absent until the first event that may end the connection. */
  #closing: Closing | undefined;
  /** Absent until the first use of one of them. */
  rare: RareParts | undefined;
  /** Whether {@link onTurn} is due at the end of the turn. */
  awaitsTurn = false;

  constructor(
    conn: ReportedConn,
    transport: Transport,
    shared: ConnShared,
    extension: Extension | undefined,
  ) {
    this.conn = conn;
    this.transport = transport;
    this.shared = shared;
    this.extension = extension;
    if (extension !== undefined) this.#resumeBy(extension);
    this.readLimit = shared.settings.readLimit;
    this.input = new Input(this);
    this.reader = new Reader(this, this.input);
    this.writer = new Writer(this);
    this.heardAt = Math.ceil(shared.platform.now());
    const started: unknown = transport.start(this);
    this.watchTransport('start', started);
    // After `start`, which may throw: no timer may keep a connection that was never created.
    if (this.#closing === undefined) shared.heartbeat?.start(this);
    // The code that receives this connection first runs its synchronous part. No frame is parsed
    // before that.
    this.scheduleEndOfTurn();
  }

  get platform(): Platform {
    return this.shared.platform;
  }

  get settings(): Settings {
    return this.shared.settings;
  }

  // A method of its own: a closure in the constructor would cost each connection an object.
  #resumeBy(extension: Extension): void {
    extension.resume = () => this.input.continue();
  }

  #rareParts(): RareParts {
    this.rare ??= new RareParts(this);
    return this.rare;
  }

  /** Calls `observer`, in a microtask, when the connection accepts no more messages. */
  observeWrites(observer: (conn: ReportedConn) => void): void {
    this.#rareParts().writesObserver = observer;
    if (!this.sendQueue.open) this.writesEnded();
  }

  get sendQueue(): SendQueue {
    return this.writer.sendQueue;
  }

  /** Pings and the user's handlers of control frames. */
  get controlFrames(): ControlFrames {
    const rare = this.#rareParts();
    if (rare.controlFrames !== undefined) return rare.controlFrames;
    const frames = new ControlFrames(this);
    if (this.input.stopped) frames.end(this.#closing?.end.readEnd?.reason);
    rare.controlFrames = frames;
    return frames;
  }

  /** Bytes accepted by writes and not yet handed to the operating system. */
  get bufferedAmount(): number {
    return this.sendQueue.bufferedAmount + this.writer.waitingBytes;
  }

  /** @param lost - Whether a reader may still have wanted them: it then rejects at the end. */
  countDropped(messages: number, lost: boolean): void {
    if (messages > 0) this.#rareParts().countDropped(messages, lost);
  }

  get state(): ConnState {
    return this.#closing === undefined ? 'open' : this.#closing.state;
  }

  /** Resolves when the transport is closed. */
  get closed(): Promise<CloseInfo> {
    const rare = this.#rareParts();
    if (rare.closed !== undefined) return rare.closed.promise;
    rare.closed = new Deferred<CloseInfo>();
    const info = this.#closing?.end.info;
    if (info !== undefined) rare.closed.resolve(info);
    return rare.closed.promise;
  }

  /**
   * As {@link closed}. After the end, each call gets a promise that resolves in a later turn, so
   * that a loop of calls blocks no other work.
   */
  whenClosed(): Promise<CloseInfo> {
    const info = this.#closing?.end.info;
    return info === undefined ? this.closed : resolvedLater(this.platform, info);
  }

  // TransportSink: the calls of the transport

  data(chunk: Uint8Array, end?: number): void {
    try {
      // Not a default of the parameter, which is outside of this `try`.
      const length = end ?? chunk.length;
      this.bytesIn += length;
      if (this.shared.heartbeat !== undefined) this.heardAt = Math.ceil(this.shared.platform.now());
      if (this.#closing === undefined || this.#closing.takesInput(length)) {
        this.input.arrived(chunk, length);
      }
    } catch (error) {
      this.input.failed(error);
    }
  }

  overwritten(error: Error): void {
    this.fail(error, CloseCode.InternalServerErr, '');
  }

  drain(): void {
    this.sendQueue.drained();
    this.#closing?.slowPeer?.drained();
  }

  end(): void {
    this.#closingOrNew().peerFin();
  }

  close(error?: Error): void {
    // Before the first pass, the peer's close frame may be in the input.
    const early = this.input.starting && this.input.pending;
    if (early || (this.extension !== undefined && this.#decodesRest())) {
      return this.platform.yield(() => this.close(error));
    }
    if (error instanceof DetachedBytes) this.reportMistake(error, 'writeMessage');
    this.#closingOrNew().transportClosed(error);
  }

  /**
   * Parses the input of this turn while the extension may still use what connections share: the
   * peer's close frame may follow an encoded message. Returns whether the input still waits for its
   * turn to be decoded.
   */
  #decodesRest(): boolean {
    const { input } = this;
    if (this.awaitsTurn && input.pending) input.parseRest();
    return input.decodesLater;
  }

  /** No message is accepted any more. */
  writesEnded(): void {
    const observer = this.rare?.writesObserver;
    if (observer !== undefined) this.platform.defer(() => observer(this.conn));
  }

  watchTransport(method: keyof Transport, result: unknown): void {
    if (result !== undefined) this.#watchResult(method, result);
  }

  #watchResult(method: keyof Transport, result: unknown): void {
    onRejection(result, (cause) => this.abort(transportFailed(method, cause)));
  }

  // Turns

  /** A pass of the input has ended: sends what was written in it, unless the reader may write more. */
  passEnded(): void {
    const { input, reader } = this;
    if (this.paused) this.rare!.flowControl!.renewalDue = true;
    const endIsDue = this.#closing?.end.readEnd !== undefined && !reader.ended;
    if (input.pending || !reader.idle || reader.attention.messageTaken || endIsDue) {
      this.scheduleEndOfTurn();
    } else this.sendQueue.endOfPass();
    reader.forgetRead();
    if (input.decoder !== undefined) input.returnIfIdle();
  }

  /**
   * Whether the end of the turn is scheduled and nothing else is due after a read: no pass runs, the
   * transport is not paused, the connection does not end.
   */
  get onlyTurnEndDue(): boolean {
    const busy = this.input.inPass || this.paused || this.#closing !== undefined;
    return this.awaitsTurn && !busy;
  }

  scheduleEndOfTurn(): void {
    if (!this.awaitsTurn) this.shared.endOfTurn.add(this);
  }

  /** The end of the turn. */
  onTurn(): void {
    this.input.parseAhead();
    const flowControl = this.rare?.flowControl;
    if (flowControl?.renewalDue === true) flowControl.renewTimeout();
    this.sendQueue.flush();
    if (this.#closing === undefined) this.reader.attention.turnEnds(this.platform);
    this.reader.forgetRead();
    if (this.input.decoder !== undefined) this.input.returnIfIdle();
  }

  /** A frame was accepted. A pass flushes when it ends, other code at the end of the turn. */
  flushAtEndOfTurn(): void {
    if (!this.input.inPass) this.scheduleEndOfTurn();
  }

  /** Whether unsent frames are flushed later in this turn anyway. */
  get flushScheduled(): boolean {
    return this.awaitsTurn || this.input.inPass;
  }

  // The input's calls

  get transportClosed(): boolean {
    return this.#closing?.closed === true;
  }

  /** Time in ms that the reader of the last message has for its answer. */
  get readerPatience(): number {
    return this.reader.attention.patience(this.platform.now());
  }

  /** The application reads `closed`: it has handled the message of its last single read. */
  closedIsRead(): void {
    const read = this.reader.attention.closedIsRead();
    if (read && this.#closing !== undefined) this.scheduleEndOfTurn();
  }

  /**
   * The loop of the input has stopped. Ends reading when that is due.
   *
   * @param ahead - The loop also parsed into the read-ahead.
   */
  loopEnded(ahead: boolean): void {
    const closing = this.#closing;
    const readEnd = closing?.end.readEnd;
    if (readEnd !== undefined) this.#parsedAtEnd(closing!, readEnd, ahead);
    if (ahead) closing?.allParsed();
    // A transport may deliver more input while it resumes: those messages wait until the read is
    // pending.
    this.reader.directRead = '';
    this.balance();
  }

  #parsedAtEnd(closing: Closing, readEnd: { readonly reason: unknown }, ahead: boolean): void {
    const { input, reader } = this;
    const { attention } = reader;
    if (!input.pending) input.stop();
    const { stopped } = input;
    if (stopped) this.rare?.controlFrames?.end(readEnd.reason);
    if (stopped) reader.endMessage(readEnd);
    attention.noteIdle(this.platform);
    const allRead = stopped && (reader.handled || attention.absent) && (ahead || reader.waits);
    if (allRead || input.dropping) closing.allRead();
  }

  /**
   * Answers a ping with a pong of the same payload as soon as is practical (RFC 6455, section
   * 5.5.2).
   */
  pinged(decoder: MessageDecoder): void {
    if (this.rare?.controlFrames?.callPingHandler(decoder) === true) return;
    void this.sendQueue.control(PongMessage, decoder.bytes, decoder.start, decoder.end, true);
  }

  ponged(decoder: MessageDecoder): void {
    this.rare?.controlFrames?.handlePong(decoder);
  }

  handlerFailed(error: unknown, where: HandlerName): void {
    this.#closingOrNew().handlerFailed(error, where);
  }

  peerClosed(code: number, reason: string): void {
    this.#closingOrNew().peerClose(code, reason);
  }

  isLateAnswer(error: unknown): boolean {
    return this.#closing?.isLateAnswer(error) === true;
  }

  // Reports

  report(error: unknown, where: string): void {
    const { settings, platform, conn } = this;
    reportError(settings.report, platform, error, { conn, where });
  }

  /**
   * Returns a promise that rejects with `error`. Reports an error that has no other trace: a
   * WebSocketError is the connection's, and `closed` has its cause.
   */
  rejected(error: unknown, where: string): Promise<never> {
    if (error instanceof WebSocketError) return rejectedLater(this.platform, error);
    if (isMistake(error)) fromCaller(error, this.conn, where);
    this.report(error, where);
    return rejected(error);
  }

  /** A broadcast skips this connection, whose buffer has no room for `size` bytes. */
  skipBroadcast(size: number): void {
    this.#rareParts().skipBroadcast(size);
  }

  /** The bytes that wait in this connection have changed. */
  countWaiting(): void {
    this.platform.writeBudget?.count(this);
  }

  /** See {@link RareParts.refuseMessage}. */
  refuseMessage(buffered: number, size: number, text?: string): LateRejection | undefined {
    return this.#rareParts().refuseMessage(buffered, size, text);
  }

  /** See {@link RareParts.refuse}. */
  refuse(error: BackpressureError, where: string): LateRejection {
    return this.#rareParts().refuse(error, where);
  }

  /** Calls the observer of the platform. Its error has no effect on the connection. */
  observe(event: (observer: Observer) => unknown): void {
    const { observer } = this.platform;
    if (observer === undefined) return;
    const failed = (error: unknown): void => this.report(error, 'observer');
    try {
      onRejection(event(observer), failed);
    } catch (error) {
      failed(error);
    }
  }

  reportMistake(error: unknown, where: string): void {
    if (!(error instanceof WebSocketError)) this.report(error, where);
  }

  // Flow control

  get ending(): boolean {
    return this.#closing?.begun === true;
  }

  /** Pauses the transport when no read waits and the read-ahead is full, and resumes it later. */
  balance(): void {
    const { input, reader } = this;
    // A closed transport delivers nothing.
    if (this.#closing?.closed === true) return;
    if (this.paused) {
      if (input.wanted || reader.isLow) this.rare!.flowControl!.resume();
    } else if (reader.isFull && !input.wanted) this.#rareParts().pause();
  }

  // Control frames and the heartbeat

  control(type: number, payload: Uint8Array): Promise<void> {
    if (type !== CloseMessage) return this.sendQueue.control(type, payload, 0, payload.length);
    if (!this.sendQueue.open) return rejectedLater(this.platform, this.sendQueue.writeEnd!.error);
    checkClosePayload(payload);
    this.startClose(payload, undefined, false);
    return this.#closing?.end.sent === true
      ? RESOLVED
      : rejectedLater(this.platform, this.sendQueue.writeEnd!.error);
  }

  encodedStreamEnded(): void {
    if (this.pingWait !== undefined) this.shared.heartbeat?.release(this, this.platform.now());
  }

  fire(): void {
    this.guardTransport(() => {
      if (this.ending) this.#closing!.alarm();
      else this.shared.heartbeat?.fire(this, this.platform.now());
    });
  }

  guardTransport(use: () => void): void {
    try {
      use();
    } catch (cause) {
      this.abort(transportFailed('report its bufferedAmount', cause));
    }
  }

  // The user's calls

  setReadDeadline(at: Date | number | null): void {
    if (this.state === 'closed') return void untilOf(at);
    this.#rareParts().setReadDeadline(at);
  }

  setWriteDeadline(at: Date | number | null): void {
    if (this.state === 'closed') return void untilOf(at);
    // The send queue also stores an expired deadline. Clear it there too.
    this.sendQueue.clearExpired();
    this.#rareParts().setWriteDeadline(at);
  }

  setExpiry(at: Date | number | null): void {
    checkExpires(at);
    if (this.state !== 'closed') this.#rareParts().setExpiry(at);
  }

  get failure(): unknown {
    return this.#closing?.end.failed?.error;
  }

  /** Whether this connection has ended with `error`, or rejects reads or writes with it. */
  endedWith(error: unknown): boolean {
    if (this.#closing?.isKnownEnd(error) === true) return true;
    return this.sendQueue.isCloseSent(error) || this.reader.endedWith(error);
  }

  endsNormally(reason: unknown): boolean {
    // A handler may fail this connection with the normal end of another one.
    return isNormalEnd(reason) && this.endedWith(reason) && this.failure !== reason;
  }

  handlerSettled(): void {
    const { attention } = this.reader;
    attention.handlerRuns = false;
    attention.messageTaken = false;
    if (this.#closing !== undefined) this.scheduleEndOfTurn();
  }

  /** Sets the longest message in bytes. The limit also applies to the message under way. */
  setReadLimit(bytes: number): void {
    this.readLimit = bytes;
    this.input.readLimit = bytes;
  }

  /**
   * Starts the closing handshake (RFC 6455, section 7.1.2). After our close frame, `timeout` may
   * shorten the handshake. `discard`: messages before the peer's close frame are dropped.
   */
  startClose(payload: Uint8Array, timeout: number | undefined, discard: boolean): void {
    this.#closingOrNew().ourClose(payload, timeout, discard);
  }

  /** Destroys the transport without a close frame. Queued messages and unsent frames are lost. */
  terminate(): void {
    this.#closingOrNew().terminate();
  }

  /** Destroys the transport without a close frame. Reads, writes and `closed` report `error`. */
  abort(error: WebSocketError): void {
    this.#closingOrNew().abort(error);
  }

  /** Fails the connection with a close frame of `code` (RFC 6455, section 7.1.7). */
  fail(error: unknown, code: number, reason: string): void {
    this.#closingOrNew().fault(error, code, reason);
  }

  #closingOrNew(): Closing {
    this.#closing ??= new Closing(this);
    return this.#closing;
  }

  // The calls of Closing

  /**
   * The transport is closed: stops timers, rejects writes and releases pooled memory.
   *
   * @param error - Why the transport has closed; undefined after our close frame.
   */
  cleanUp(error: WebSocketError | undefined): void {
    const { extension, input, reader, writer } = this;
    this.#stopTimers();
    writer.sendQueue.destroy(error);
    writer.rejectWaiting();
    this.countWaiting();
    try {
      reader.receiveCall?.leavePools();
      if (extension !== undefined) input.leavePools();
    } catch {
      // There is no memory for a copy: the unread input is dropped.
      input.stop();
    }
  }

  #observeClose(info: CloseInfo): void {
    this.observe((observer) => observer.closed?.(this.conn, info));
  }

  #stopTimers(): void {
    this.shared.timers.clear(this);
    this.rare?.stopTimers();
  }

  settle(info: CloseInfo): void {
    this.input.gate?.rate?.stop();
    // Compressed input may stay unparsed: a pong in it comes too late.
    this.rare?.controlFrames?.end(this.#closing?.end.readEnd?.reason);
    this.rare?.closed?.resolve(info);
    if (this.platform.observer?.closed !== undefined) this.#observeClose(info);
    if (!this.reader.ended || this.input.decoder !== undefined) this.scheduleEndOfTurn();
  }
}
