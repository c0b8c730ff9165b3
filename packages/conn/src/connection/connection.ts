import {
  CLOSE,
  CloseCode,
  CloseMessage,
  type ClosePayload,
  type Extension,
  FAILED,
  type MessageDecoder,
  PING,
  PONG,
  type ProtocolError,
  parseCloseMessage,
  WebSocketError,
} from '@ws/codec';
import {
  CLOSED,
  DESTROYED,
  END,
  type Failure,
  FrameQueue,
  fromCaller,
  isMistake,
  LARGEST_SLAB,
  lengthOf,
  Machine,
  type MachineOwner,
} from '@ws/codec/internal';
import { ControlHandlers } from '../control/control-handlers.ts';
import { checkHeartbeat, startHeartbeat } from '../control/heartbeat.ts';
import { Pings } from '../control/pings.ts';
import { causeText, TransportError, transportFailed } from '../errors.ts';
import type { Settings } from '../options/conn-options.ts';
import type { CloseInfo, ConnState, Observer } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import { reportError } from '../report/report.ts';
import type { ReportedConn } from '../report/report-text.ts';
import type { TurnTask } from '../scheduler/task-queue.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { Deferred, RESOLVED, rejected } from '../time/promises.ts';
import type { Transport, TransportSink } from '../transport.ts';
import { onRejection } from '../validate.ts';
import { PendingBytesMistake } from '../writing/pending-bytes.ts';
import { checkClosePayload } from '../writing/prepared-message.ts';
import { notWritten } from '../writing/write-end.ts';
import { Control } from './control.ts';
import { Ending } from './ending.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import { LastReads } from './read-ahead.ts';
import { KEPT } from './reader.ts';
import { type ConnShared, FRAMES_PER_TURN } from './shared.ts';

/**
 * Bound of the bytes of input that are dropped after our close frame. They are read at all because a
 * socket that closes with unread input sends a reset, and the peer may then lose our close frame.
 */
const MAX_DROPPED = 1_048_576;

/**
 * The inner object of a `Conn`. Connects the transport, the inbox, the outbox, control frames and the
 * end. The class has no `#` methods, which would cost each connection a word of memory.
 */
export class Connection implements TransportSink, TurnTask, TimerEntry, MachineOwner {
  /** The `Conn`, for the observer and for reports. */
  readonly conn: ReportedConn;
  readonly transport: Transport;
  readonly shared: ConnShared;
  readonly settings: Settings;
  readonly extension: Extension | undefined;
  /** The protocol: states, frames in both directions, and their counters. */
  readonly machine: Machine<FrameQueue>;
  readonly inbox: Inbox;
  readonly outbox: Outbox;

  bytesIn = 0;
  messagesOut = 0;

  /**
   * Slot of the connection's alarm in the timers. The alarm drives the heartbeat while the
   * connection is open, and bounds the closing handshake later.
   */
  slot: number | undefined;
  /** When the peer last sent bytes, in whole ms of the platform's clock. */
  lastByteAt: number;

  /** Absent until the first event that may end the connection. */
  ending: Ending | undefined;
  /** Parts that few connections need. Absent until the first use of a part. */
  control: Control | undefined;
  /** Whether {@link onTurn} is due at the end of the turn. */
  awaitsTurn = false;

  constructor(
    conn: ReportedConn,
    transport: Transport,
    shared: ConnShared,
    settings: Settings,
    extension: Extension | undefined,
  ) {
    this.conn = conn;
    this.transport = transport;
    this.shared = shared;
    this.settings = settings;
    this.extension = extension;
    const frames = new FrameQueue(shared.writeMemory(settings).slab, shared.coding);
    this.machine = new Machine(this, frames);
    this.inbox = new Inbox(this);
    this.outbox = new Outbox(this);
    if (extension !== undefined) resumeBy(extension, this.inbox);
    this.lastByteAt = Math.ceil(shared.platform.now());
  }

  /** Informs the observer, then starts the transport, which may close within its `start`. */
  start(): void {
    this.observe((observer) => observer.opened?.(this.conn));
    try {
      const started: unknown = this.transport.start(this);
      this.watchTransport('start', started);
    } catch (error) {
      // The `Conn` is never returned, but the observer has seen its `opened`.
      const failed = transportFailed('start', error);
      const code = CloseCode.AbnormalClosure;
      observeClose(this, { code, reason: '', wasClean: false, error: failed });
      throw error;
    }
    // Only now, because `start` may throw: a timer would keep alive a connection without a `Conn`.
    if (this.ending === undefined) startHeartbeat(this);
    // Parsing starts at the end of the turn, so that the code that gets this connection can first set
    // handlers.
    this.scheduleEndOfTurn();
  }

  get platform(): Platform {
    return this.shared.platform;
  }

  // Parts that are created on first use

  controlOrNew(): Control {
    this.control ??= new Control(this);
    return this.control;
  }

  endingOrNew(): Ending {
    this.ending ??= new Ending(this);
    return this.ending;
  }

  /** The application's handlers of control frames. */
  handlers(): ControlHandlers {
    const control = this.controlOrNew();
    control.handlers ??= handlersOf(this);
    return control.handlers;
  }

  pings(): Pings {
    const control = this.controlOrNew();
    control.pings ??= pingsOf(this);
    return control.pings;
  }

  closedPromise(): Promise<CloseInfo> {
    const control = this.controlOrNew();
    if (control.closed !== undefined) return control.closed.promise;
    control.closed = new Deferred<CloseInfo>();
    const info = this.ending?.info;
    if (info !== undefined) control.closed.resolve(info);
    return control.closed.promise;
  }

  // State

  get state(): ConnState {
    return this.ending === undefined ? 'open' : this.ending.state;
  }

  get transportClosed(): boolean {
    return this.machine.state === CLOSED;
  }

  /** Whether we have paused the transport. */
  get paused(): boolean {
    return this.inbox.readAhead?.paused === true;
  }

  /** Bytes of accepted writes that the operating system does not have yet. */
  get bufferedAmount(): number {
    return this.outbox.bufferedAmount + (this.outbox.queue?.bytes ?? 0);
  }

  /** Whether this connection has ended with `error`, or rejects reads or writes with `error`. */
  endedWith(error: unknown): boolean {
    const { ending, inbox } = this;
    if (ending?.reasons.isKnownEnd(error) === true || ending?.reasons.isCloseSent(error) === true)
      return true;
    return inbox.ended !== undefined && inbox.ended.reason === error;
  }

  // TransportSink: the calls of the transport

  data(chunk: Uint8Array, end?: number): void {
    try {
      // Not a default of the parameter, which would run outside of this `try`.
      const length = end ?? lengthOf(chunk);
      this.bytesIn += length;
      if (this.settings.heartbeat !== false)
        this.lastByteAt = Math.ceil(this.shared.platform.now());
      // After a sleep of the computer, the timer of an expired login fires too late.
      this.control?.checkExpiry();
      const { ending, inbox } = this;
      if (ending === undefined || mayParse(ending, this, length)) inbox.chunkArrived(chunk, length);
    } catch (error) {
      this.readingFailed(error);
    }
  }

  overwritten(error: Error): void {
    this.fail(error, CloseCode.InternalServerErr, '');
  }

  drain(): void {
    this.outbox.drained();
    this.outbox.queue?.drained();
    this.ending?.clocks.drained();
  }

  end(): void {
    this.endingOrNew().peerFin();
  }

  writesFailed(): void {
    if (!this.transportClosed) this.controlOrNew().lastReads ??= new LastReads(this);
  }

  close(error?: Error): void {
    if (this.inbox.runLast()) return this.platform.yield(() => this.close(error));
    if (error instanceof PendingBytesMistake) this.reportMistake(error, 'writeMessage');
    this.endingOrNew().transportClosed(error);
  }

  watchTransport(method: keyof Transport, result: unknown): void {
    if (result !== undefined) watchResult(this, method, result);
  }

  // Turns

  scheduleEndOfTurn(): void {
    // Even if `awaitsTurn` is set: a test that removes fake timers may have dropped the task.
    this.shared.endOfTurn.add(this);
  }

  onTurn(): void {
    const { inbox, outbox } = this;
    inbox.turnEnds();
    if (inbox.readAhead?.renewalDue === true) inbox.readAhead.renewTimeout();
    outbox.flush();
    if (this.machine.input ?? inbox.readAhead ?? inbox.pieces) inbox.releaseUnused();
  }

  // The calls of the machine

  lendDecoder(): MessageDecoder {
    const { inbox, extension, control, machine, settings, shared } = this;
    const decoder = shared.decoders.acquire() ?? shared.createDecoder();
    decoder.lendTo(machine, control?.reads?.limit ?? settings.readLimit, extension, inbox);
    if (inbox.use !== KEPT) decoder.setPayloadUse(inbox.payloadUse);
    decoder.stopAt = machine.framesIn + FRAMES_PER_TURN;
    return decoder;
  }

  takeDecoder(decoder: MessageDecoder): void {
    decoder.takeBack();
    this.shared.decoders.release(decoder);
  }

  readClose(payload: Uint8Array): ClosePayload {
    return parseCloseMessage(payload);
  }

  failureBy(error: Error): Failure {
    return this.endingOrNew().failureFor(error as ProtocolError);
  }

  // Events of the machine

  /** The machine has parsed a control frame, or has found a fault or the end of the peer. */
  controlOrEnd(event: typeof PING | typeof PONG | typeof CLOSE | typeof FAILED | typeof END): void {
    switch (event) {
      case PING:
        this.control?.handlers?.handlePing(this.machine.input!);
        if (this.machine.out.bytes >= LARGEST_SLAB) this.outbox.pump();
        break;
      case PONG:
        if (this.control !== undefined) pongArrived(this.control, this.machine.input!);
        break;
      case CLOSE:
        this.endingOrNew().peerClosed();
        break;
      case FAILED:
        this.endingOrNew().peerFailed();
        break;
      case END:
        this.endingOrNew().peerEnded();
        break;
    }
  }

  /** Handles an error of parsing. The transport must not get this error: the process would end. */
  readingFailed(cause: unknown): void {
    const ending = this.endingOrNew();
    // If the machine is destroyed but the transport is not, a pong or a close frame was not written.
    if (this.machine.state === DESTROYED && !ending.destroyed) {
      return this.abort(notWritten(cause));
    }
    const error = new TransportError(`reading failed: ${causeText(cause)}`, { cause });
    this.fail(error, CloseCode.InternalServerErr, '');
  }

  sendControl(type: number, payload: Uint8Array): Promise<void> {
    const { outbox } = this;
    if (type !== CloseMessage) return outbox.control(type, payload);
    if (!outbox.open) return rejected(outbox.writeEnd!.error);
    checkClosePayload(payload);
    this.endingOrNew().ourClose(payload, undefined, false);
    return this.machine.sent ? RESOLVED : rejected(outbox.writeEnd!.error);
  }

  // Reports

  report(error: unknown, where: string): void {
    const { settings, platform, conn } = this;
    reportError(settings.report, platform, error, { conn, where });
  }

  /**
   * Returns a promise that rejects with `error`, and reports the error. Does not report a
   * WebSocketError: it comes from the end of the connection, which `closed` reports.
   */
  rejected(error: unknown, where: string): Promise<never> {
    if (error instanceof WebSocketError) return rejected(error, this);
    if (isMistake(error)) fromCaller(error, this.conn, where);
    this.report(error, where);
    return rejected(error);
  }

  reportMistake(error: unknown, where: string): void {
    if (!(error instanceof WebSocketError)) this.report(error, where);
  }

  /** Calls the observer of the platform. An error of the observer is only reported. */
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

  // The end

  /** Destroys the transport without a close frame. Reads, writes and `closed` report `error`. */
  abort(error: WebSocketError): void {
    this.endingOrNew().abort(error);
  }

  /** See {@link Ending.handlerFailed}. */
  handlerFailed(error: unknown, where: string): void {
    this.endingOrNew().handlerFailed(error, where);
  }

  /** Fails the connection with a close frame of `code` (RFC 6455, section 7.1.7). */
  fail(error: unknown, code: number, reason: string): void {
    this.endingOrNew().fail(error, code, reason);
  }

  fire(): void {
    this.guardTransport(() => {
      if (this.machine.begun) this.endingOrNew().alarm();
      else checkHeartbeat(this, this.platform.now());
    });
  }

  /** Calls `callback`, which reads the transport's `bufferedAmount`. Its error ends the connection. */
  guardTransport(callback: () => void): void {
    try {
      callback();
    } catch (cause) {
      this.abort(transportFailed('report its bufferedAmount', cause));
    }
  }

  /**
   * Called when the transport is closed. Stops timers, rejects writes and releases pooled memory.
   *
   * @param error - Why the transport has closed; undefined after our close frame.
   */
  cleanUp(error: WebSocketError | undefined): void {
    const { inbox, outbox } = this;
    this.shared.timers.clear(this);
    this.control?.stopTimers();
    inbox.readAhead?.stop();
    outbox.rejectAll(error);
    this.platform.writeBudget?.count(this);
    try {
      inbox.receiveCall?.leavePools();
      this.extension?.detach?.();
      this.machine.input?.leavePools();
    } catch {
      // Without memory for a copy, drops the unread input.
      inbox.stopParsing();
    }
  }

  settle(info: CloseInfo): void {
    const { inbox, control } = this;
    inbox.stopRate();
    // Compressed input may still be unparsed. A pong in it comes too late.
    control?.pings?.rejectAll(this.ending?.reasons.readEnd?.reason);
    control?.closed?.resolve(info);
    if (this.platform.observer?.closed !== undefined) observeClose(this, info);
    const isReadToEnd = inbox.ended !== undefined && this.machine.input === undefined;
    if (!isReadToEnd) this.scheduleEndOfTurn();
  }
}

// Functions, not methods: a method with a closure costs each call an object.

function handlersOf(connection: Connection): ControlHandlers {
  return new ControlHandlers((error, name) => connection.handlerFailed(error, name));
}

function pingsOf(connection: Connection): Pings {
  const { platform, machine, ending } = connection;
  const pings = new Pings(platform, (error) =>
    connection.controlOrNew().writesOrNew().refuse(error, 'ping'),
  );
  if (machine.inputEnded) pings.rejectAll(ending?.reasons.readEnd?.reason);
  return pings;
}

/** A pong settles the pings that it answers, then its handler is called. */
function pongArrived({ pings, handlers }: Control, decoder: MessageDecoder): void {
  pings?.pong(decoder.bytes, decoder.start, decoder.end);
  handlers?.handlePong(decoder);
}

function resumeBy(extension: Extension, inbox: Inbox): void {
  extension.resume = () => inbox.continue();
}

function watchResult(connection: Connection, method: keyof Transport, result: unknown): void {
  onRejection(result, (cause) => connection.abort(transportFailed(method, cause)));
}

/**
 * Whether an ending connection parses `bytes` of new input. Counts dropped input, but only once the
 * transport has our close frame: before that, the peer cannot know of the close.
 */
function mayParse(ending: Ending, { inbox, machine, outbox }: Connection, bytes: number): boolean {
  const isDropped = machine.inputEnded || inbox.drops;
  if (isDropped && machine.sent && outbox.frames.bytes === 0) {
    ending.dropped += bytes;
    if (ending.dropped > MAX_DROPPED) {
      const text = `the peer sent more than ${MAX_DROPPED} bytes after our close frame`;
      ending.abort(new TransportError(text));
    }
  }
  return !machine.inputEnded && machine.state < DESTROYED;
}

function observeClose(connection: Connection, info: CloseInfo): void {
  connection.observe((observer) => observer.closed?.(connection.conn, info));
}
