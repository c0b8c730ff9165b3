import { CloseCode, formatCloseMessage, type WebSocketError } from '@ws/codec';
import { CloseError, TimeoutError, TransportError, transportFailed } from '../errors.ts';
import type { ConnState } from '../platform/observer.ts';
import { TurnCallback, type TurnTask } from '../scheduler/task-queue.ts';
import { onRejection } from '../validate.ts';
import type { Connection } from './connection.ts';
import { balance, readAheadHasRoom } from './flow-control.ts';
import { endsReading, isHandled, isRead, patience, progress, SINGLE_READ_TIME } from './handled.ts';
import {
  brokenBy,
  codeAfterError,
  Outcome,
  peerCloseError,
  timeoutOption,
  unexpectedEof,
} from './outcome.ts';
import { SlowPeer } from './slow-peer.ts';

// The phases of a close (RFC 6455, section 7). A connection only moves down, to the right or into CLOSED:
//
//     OPEN -------- peer's close frame or FIN -------> ENDING
//      |                                                 | its messages are handled, or too late
//      |                                                 +-- FIN --------------> CLOSING
//      |                                                 v
//      |                                             ANSWERING  the close handler runs
//      |                                                 | done, or too late: we echo the code
//      +-- our close frame, or a fault ------------------+ (section 5.5.1)
//      v                                                 v
//     CLOSING <------------------------------------------+
//      |   waits for the peer's close frame, then for the end of the transport (section 7.1.1)
//      v
//     CLOSED  from every phase, when the transport reports its close
//
// From any phase before CLOSING, our close frame or a fault leads to CLOSING. `terminate` and `abort`
// set `outcome.aborted`, and keep the phase.

/** Neither end has sent a close frame, and the transport still delivers. */
const OPEN = 0;
/** The peer sent its close frame or ended its stream. Some messages before that are unread. */
const ENDING = 1;
/** The close handler runs. */
const ANSWERING = 2;
/** Our close frame is accepted for sending, or none is due. */
const CLOSING = 3;
/** The transport is closed. Messages that were read ahead can still be read. */
const CLOSED = 4;

/** Names a handler in reports. */
type HandlerName = 'receive' | 'ping handler' | 'pong handler' | 'close handler';

/**
 * The close of a connection (RFC 6455, section 7): a method for each event. Only this class decides
 * how a connection ends. The first event creates it, so an idle connection has none.
 *
 * Reading ends when all input is parsed, all messages are read and no handler is at work. After our
 * own close frame, messages are delivered until the peer's close frame. Where no code reads, those
 * for which the read-ahead has no room are dropped.
 */
export class Closing implements TurnTask {
  readonly outcome: Outcome = new Outcome();
  awaitsTurn = false;
  readonly #connection: Connection;
  #phase: 0 | 1 | 2 | 3 | 4 = OPEN;
  /**
   * When the transport is destroyed, in ms of the platform's clock. The event that starts the phase
   * CLOSING sets it. Later events may only shorten it.
   */
  #deadline = Infinity;
  /** The timeout that the deadline ends, and its option, for the error. */
  #timeoutText = '';
  /** The latest time of our answer to the peer's close frame. */
  #answerBy = Infinity;
  /** Longest time in ms without progress of a reader after our close frame. */
  #longestStall = Infinity;
  /**
   * When a reader that made no progress since {@link #progressAtStall} loses the messages for which the
   * read-ahead has no room. The alarm is set to this time while it is finite.
   */
  #stallDeadline = Infinity;
  /** The reader's progress when the stall began. */
  #progressAtStall = 0;
  /** Moves the deadline while a slow peer takes the accepted messages. */
  slowPeer: SlowPeer | undefined;
  /** `destroy` of the transport was called, for a failure or after the last byte. */
  #destroyed = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get closed(): boolean {
    return this.#phase === CLOSED;
  }

  /** Whether the connection has begun to end. */
  get begun(): boolean {
    return this.#phase !== OPEN || this.outcome.aborted;
  }

  get state(): ConnState {
    if (this.#phase === CLOSED) return 'closed';
    return this.#phase < ANSWERING && !this.outcome.aborted ? 'open' : 'closing';
  }

  /**
   * Whether `error` is the end of this connection, as its reads, writes and pings report it. After
   * our close frame, writes reject with a CloseSentError; every error is then without effect.
   */
  isKnownEnd(error: unknown): boolean {
    if (error === undefined) return false;
    return this.outcome.readEnd?.reason === error || this.outcome.error === error;
  }

  /**
   * Whether `error` says only that a write came after our close frame, or after the end of the
   * peer's stream. Messages before that may still be unread.
   */
  isLateAnswer(error: unknown): boolean {
    const { failed, sent, eof, readEnd } = this.outcome;
    if (failed !== undefined || error === undefined) return false;
    if (sent && this.outcome.isCloseSent(error)) return true;
    if (!sent && !eof) return false;
    return this.#phase !== OPEN && error === readEnd?.reason;
  }

  // Our close frame

  /**
   * `close`, or a close frame by `writeControl` (section 7.1.2). A later call may only shorten the
   * handshake.
   *
   * @param timeout - Bounds the handshake, in ms. Default: `closeTimeout`.
   * @param discard - Messages before the peer's close frame are dropped.
   */
  ourClose(payload: Uint8Array, timeout: number | undefined, discard: boolean): void {
    if (this.#phase === CLOSED) return;
    if (this.#phase === CLOSING) {
      if (timeout !== undefined) this.#setAlarm(timeout, timeoutOption(timeout));
      if (timeout !== undefined || discard) this.slowPeer = undefined;
      if (!discard) return;
      this.#dropMessages();
    } else {
      const connection = this.#connection;
      const { outbox } = connection;
      if (outbox.open) outbox.sendAccepted();
      // A transport may report its close within `write`.
      if (!outbox.open) return;
      this.#addCloseFrame(payload);
      const ms = timeout ?? this.#closeTimeout();
      this.#setAlarm(ms, timeoutOption(timeout));
      if (timeout === undefined && !discard) this.slowPeer = SlowPeer.of(connection);
      // A handler that closes often awaits the close, and takes no message until then.
      const inHandler = connection.inbound.receiveCall?.inCall === true;
      this.#longestStall = inHandler ? Math.min(ms / 2, SINGLE_READ_TIME) : ms / 2;
      if (discard) this.#dropMessages();
      if (this.outcome.received !== undefined) this.#awaitTransportEnd();
      else if (this.outcome.eof) this.#endAfterInput();
    }
    balance(this.#connection);
    this.#connection.scheduleEndOfTurn();
  }

  #addCloseFrame(payload: Uint8Array): void {
    const { outbox } = this.#connection;
    this.#phase = CLOSING;
    this.outcome.sent = outbox.closeFrame(payload, this.outcome.closeFrameEnd);
    outbox.rejectWaiting();
  }

  /** Sends a close frame of `code`. Without memory for its payload, the transport is destroyed. */
  #sendCloseCode(code: number, reason: string): void {
    let payload: Uint8Array;
    try {
      payload = formatCloseMessage(code, reason);
    } catch (cause) {
      this.#phase = CLOSING;
      return this.abort(new TransportError('a close frame could not be written', { cause }));
    }
    this.#addCloseFrame(payload);
  }

  // The end of the peer

  /**
   * The peer's close frame was parsed. It comes before the end of the peer's stream, even when that
   * end is seen first. So its reason replaces the stream's end.
   */
  peerClose(code: number, reason: string): void {
    const { outcome } = this;
    const { inbound, rare } = this.#connection;
    // The answer to our own close frame repeats its code.
    outcome.received = { code, reason };
    // All messages before the close frame are parsed.
    outcome.readEnd = { reason: peerCloseError(outcome, inbound.withinMessage, rare?.loss) };
    inbound.stop();
    if (this.#phase === CLOSED) return;
    if (outcome.sent) this.#awaitTransportEnd();
    else this.#waitForReader();
  }

  /**
   * The peer has ended its side of the transport (FIN). Its close frame may be in the unread input.
   * A message under way fails with 1006, once the input is parsed.
   */
  peerFin(): void {
    if (this.#phase === CLOSED) return;
    const { outcome } = this;
    outcome.eof = true;
    outcome.readEnd ??= { reason: unexpectedEof() };
    if (this.#phase === CLOSING) {
      if (outcome.sent) this.#connection.inbound.run('last');
      this.#endAfterInput();
    } else this.#waitForReader();
    this.#connection.scheduleEndOfTurn();
  }

  /**
   * The loop of the input has stopped. Ends reading when that is due.
   *
   * @param ahead - The input is parsed as far as the read-ahead has room.
   */
  parsed(ahead: boolean): void {
    const { readEnd } = this.outcome;
    if (readEnd !== undefined && endsReading(this.#connection, readEnd, ahead)) this.#allRead();
    if (ahead) this.#allParsed();
  }

  #allParsed(): void {
    if (this.#phase === ENDING) return this.#waitForReader();
    if (this.#phase !== CLOSING || this.outcome.received !== undefined) return;
    if (this.outcome.sent && this.#readAheadFull()) this.#watchReader();
    // `#allRead` may have done so in this turn already: then this has no effect.
    if (this.outcome.eof) this.#endAfterInput();
  }

  /** All input before the end is read, or dropped. */
  #allRead(): void {
    if (this.#phase === ENDING) this.#answer();
    const { readEnd } = this.outcome;
    if (this.#phase === ANSWERING || readEnd === undefined) return;
    this.#connection.inbound.finish(readEnd.reason);
  }

  /**
   * The messages before the peer's close frame, or before the end of its stream, have at most half
   * of `closeTimeout` to be handled: a peer with the same `closeTimeout` still gets the answer. When
   * only the last message is unhandled, its reader has its {@link patience}.
   */
  #waitForReader(): void {
    const connection = this.#connection;
    const { inbound } = connection;
    if (this.#phase === OPEN) {
      this.#phase = ENDING;
      this.#answerBy = this.#now() + this.#closeTimeout() / 2;
    }
    if (this.#phase !== ENDING) return;
    // The end of the turn answers.
    if (isHandled(connection) && !inbound.pending) return;
    const left = Math.max(0, this.#answerBy - this.#now());
    // Without patience, the end of the turn answers.
    const time = isRead(inbound) ? patience(connection) : 0;
    this.#setAlarm(time > 0 ? Math.min(left, time) : left);
  }

  /**
   * Answers the peer's close frame, or the end of its stream. Returns whether the close handler runs.
   */
  #answer(): boolean {
    const { outcome } = this;
    const connection = this.#connection;
    if (outcome.aborted) {
      this.#phase = CLOSING;
      return false;
    }
    if (outcome.received === undefined) {
      const { outbox, shared } = connection;
      this.#phase = CLOSING;
      // The alarm of the heartbeat must not ring in this phase.
      shared.timers.clear(connection);
      outbox.sendAccepted();
      outbox.stopAccepting(outcome.readEnd!.reason as WebSocketError);
      outbox.rejectWaiting();
      this.#endTransport();
      return false;
    }
    this.#phase = ANSWERING;
    // The peer has waited since its close frame: a late close handler has half of the rest.
    this.#setAlarm(Math.max(this.#answerBy - this.#now(), this.#closeTimeout() / 4));
    const { code, reason } = outcome.received;
    const handled = connection.rare?.controlFrames?.callCloseHandler(code, reason);
    if (handled === undefined) {
      this.#handlerDone();
      return false;
    }
    handled.then(
      () => this.#handlerDone(),
      (error: unknown) => {
        this.handlerFailed(error, 'close handler');
        // If the error is no failure, the peer still gets its answer.
        this.#handlerDone();
      },
    );
    return true;
  }

  /**
   * The close handler is done, or takes too long. Unless it has sent a close frame, ours repeats the
   * code of the peer's (section 5.5.1).
   */
  #handlerDone(): void {
    if (this.#phase !== ANSWERING) return;
    const { outbox } = this.#connection;
    if (this.outcome.aborted) this.#phase = CLOSING;
    else {
      outbox.sendAccepted();
      // A transport may report its close within `write`.
      if (!outbox.open) return;
      this.#sendCloseCode(this.outcome.received!.code, '');
      this.#awaitTransportEnd();
    }
    this.#connection.scheduleEndOfTurn();
  }

  // After our close frame

  /** The server closes TCP first, the client waits for it (section 7.1.1). */
  #awaitTransportEnd(): void {
    const { outbox, shared } = this.#connection;
    if (this.outcome.eof) return this.#endTransport();
    if (shared.role === 'server') outbox.sender.end();
    if (this.#deadline === Infinity) this.#setAlarm(this.#closeTimeout());
    this.#watchEnd();
  }

  /** Bounds the wait for the peer's end, where peers may never end their side. */
  #watchEnd(): void {
    const { endTimeout } = this.#connection.transport;
    if (endTimeout === undefined) return;
    const at = this.#now() + endTimeout;
    if (at >= this.#deadline) return;
    this.#stallDeadline = at;
    this.#startTimer(endTimeout);
  }

  /** The peer has not ended its side in time. Once all bytes are sent, the transport is destroyed. */
  #endWithoutPeer(): void {
    const { outbox, transport } = this.#connection;
    if (transport.endTimeout === undefined) return;
    if (outbox.sender.bufferedAmount === 0) this.#destroyTransport();
    else this.#watchEnd();
  }

  /** The peer has ended its stream. Its close frame may be in the unparsed input. */
  #endAfterInput(): void {
    const { inbound } = this.#connection;
    if (inbound.pending && !inbound.stopped) return;
    inbound.stop();
    this.#endTransport();
  }

  /**
   * The peer has ended its side of the transport. Ours ends after all accepted frames, and the
   * transport is destroyed once they are sent.
   */
  #endTransport(): void {
    const { outbox, shared } = this.#connection;
    outbox.sender.end();
    if (this.#phase !== CLOSED) shared.laterTurn.add(this);
  }

  /**
   * A later turn than {@link #endTransport}: what was accepted is sent, or takes long. The
   * transport of a socket has often destroyed itself by then.
   */
  onTurn(): void {
    if (this.#phase === CLOSED) return;
    this.#connection.guardTransport(() => {
      if (this.#connection.outbox.sender.bufferedAmount === 0) this.#destroyTransport();
      else if (this.#deadline === Infinity) this.#setAlarm(this.#closeTimeout());
    });
  }

  /**
   * The peer's close frame may be behind a full read-ahead. Where no code reads, or a reader makes
   * no progress, the messages for which there is no room are dropped.
   */
  #watchReader(): void {
    if (this.#stallDeadline !== Infinity) return;
    const time = Math.min(patience(this.#connection), this.#longestStall);
    if (time <= 0) return this.#dropExcess();
    const at = this.#now() + time;
    if (at >= this.#deadline) return;
    this.#stallDeadline = at;
    this.#progressAtStall = progress(this.#connection);
    this.#startTimer(time);
  }

  /** Whether no input is parsed, because the read-ahead is full and no read waits. */
  #readAheadFull(): boolean {
    const { paused, inbound } = this.#connection;
    if (inbound.stopped || inbound.dropping) return false;
    return paused || (!readAheadHasRoom(this.#connection) && !inbound.wanted);
  }

  /** Drops the messages for which the read-ahead has no room. Queued messages can still be read. */
  #dropExcess(): void {
    this.#connection.inbound.dropExcess();
    this.#connection.scheduleEndOfTurn();
  }

  /** Drops the queued messages and all later ones. */
  #dropMessages(): void {
    const { inbound } = this.#connection;
    inbound.start();
    inbound.dropAll();
  }

  // Failures

  /**
   * The peer broke a rule, or a part of the connection failed: it fails with `code` (section 7.1.7).
   * All failures use this method.
   */
  fault(error: unknown, code: number, reason: string): void {
    const { outcome } = this;
    if (outcome.failed !== undefined) return;
    const connection = this.#connection;
    if (this.#phase !== CLOSED && outcome.aborted) {
      // The transport has ended for another reason, and no frame follows.
      connection.inbound.stop();
      return connection.scheduleEndOfTurn();
    }
    // It replaces a known reason for the end: the parser reached the fault earlier in the stream.
    connection.inbound.stop();
    outcome.readEnd = { reason: error };
    connection.scheduleEndOfTurn();
    if (this.#phase === CLOSED) return;
    outcome.failed = { error, code };
    if (!outcome.sent) {
      connection.outbox.sender.cut(outcome.closeFrameEnd.error);
      // A transport may fail or report its close within `write`.
      if (this.#over()) return;
      this.#sendCloseCode(code, reason);
    }
    this.#phase = CLOSING;
    this.slowPeer = undefined;
    connection.outbox.sender.end();
    this.#setAlarm(this.#closeTimeout());
    balance(connection);
  }

  #over(): boolean {
    return this.outcome.aborted || this.outcome.info !== undefined;
  }

  /**
   * A handler failed: the connection fails with 1011, or 1013 after a BackpressureError. This is the rule for all four kinds of
   * handler. The error changes nothing for the peer after our close frame, or when the error is the
   * end of this connection: that end made the handler fail. `receive` rejects with any other error,
   * and `report` gets it.
   */
  handlerFailed(error: unknown, where: HandlerName): void {
    const { outcome } = this;
    const connection = this.#connection;
    const isEnd = this.isKnownEnd(error);
    const isLate = outcome.sent && outcome.isCloseSent(error);
    if (!isEnd && !isLate) connection.report(error, where);
    // `report` may have closed or terminated the connection.
    const ended = this.#phase === CLOSED || outcome.aborted || isEnd;
    if (where === 'receive') {
      this.#dropMessages();
      if (ended || outcome.eof) {
        // No close code is sent any more.
        if (!isEnd) {
          connection.inbound.stop();
          connection.inbound.finish(error);
        }
        return connection.scheduleEndOfTurn();
      }
    }
    if (!ended && !outcome.sent) this.fault(error, codeAfterError(error), '');
  }

  /** `terminate`: the transport is destroyed without a close frame. */
  terminate(): void {
    const { outcome } = this;
    outcome.aborted = true;
    this.#dropMessages();
    this.#connection.inbound.stop();
    outcome.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure) };
    // The transport reports its close later. Frames written until then would be lost, so later
    // writes reject from now on.
    this.#destroy(outcome.readEnd.reason as WebSocketError);
  }

  /** The transport is destroyed because of `error`. */
  abort(error: WebSocketError): void {
    const { outcome } = this;
    outcome.aborted = true;
    outcome.error ??= error;
    outcome.readEnd ??= { reason: error };
    this.#destroy(error);
  }

  /** Rejects writes with `error`, and destroys the transport. */
  #destroy(error: WebSocketError): void {
    this.#connection.outbox.fail(error);
    this.#destroyTransport();
  }

  #destroyTransport(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    try {
      const destroyed: unknown = this.#connection.transport.destroy();
      onRejection(destroyed, (error) => this.#notDestroyed(error));
    } catch (error) {
      this.#notDestroyed(error);
    }
  }

  /** A transport that could not be destroyed may never report its close. The connection ends now. */
  #notDestroyed(cause: unknown): void {
    const connection = this.#connection;
    connection.report(cause, 'transport.destroy');
    const closed = new TurnCallback(() => connection.close(transportFailed('destroy', cause)));
    connection.shared.endOfTurn.add(closed);
  }

  // Time

  /** Bounds the current phase to `ms`, or to the deadline if that is earlier. */
  #setAlarm(ms: number, option = 'closeTimeout'): void {
    const at = this.#now() + ms;
    if (this.#phase === CLOSED || at >= this.#deadline) return;
    if (this.#phase === CLOSING) {
      this.#deadline = at;
      this.#timeoutText = `${ms} ms (option ${option})`;
      if (this.#stallDeadline < at) return;
      this.#stallDeadline = Infinity;
    }
    this.#startTimer(ms);
  }

  /** The time of the alarm is over. */
  alarm(): void {
    if (this.#phase === ENDING) {
      // The peer gets its answer although a message may be unhandled.
      if (!this.#answer()) this.#setAlarm(this.#closeTimeout());
    } else if (this.#phase === ANSWERING) this.#handlerDone();
    else if (this.#phase === CLOSING) this.#closingAlarm();
  }

  #closingAlarm(): void {
    if (this.#stallDeadline === Infinity) return this.#giveUp();
    this.#stallDeadline = Infinity;
    this.#startTimer(Math.max(0, this.#deadline - this.#now()));
    if (this.outcome.received !== undefined) return this.#endWithoutPeer();
    if (!this.#readAheadFull()) return;
    if (progress(this.#connection) === this.#progressAtStall) this.#dropExcess();
    else this.#watchReader();
  }

  #giveUp(): void {
    // An alarm of an earlier phase, in a connection that is destroyed.
    if (this.#deadline === Infinity) return;
    const left = this.outcome.aborted ? 0 : (this.slowPeer?.extend(this.#closeTimeout()) ?? 0);
    this.#deadline = this.#now() + left;
    if (left > 0) return this.#startTimer(left);
    const text = `the peer did not finish the closing handshake within ${this.#timeoutText}`;
    this.outcome.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure, '', text) };
    this.abort(new TimeoutError(text, { permanent: true }));
  }

  #startTimer(ms: number): void {
    this.#connection.shared.timers.set(this.#connection, ms);
  }

  #now(): number {
    return this.#connection.platform.now();
  }

  #closeTimeout(): number {
    return this.#connection.settings.closeTimeout;
  }

  // The end of the transport

  /** The transport is closed, with its error if it had one. */
  transportClosed(error: Error | undefined): void {
    if (this.#phase === CLOSED) return;
    const { outcome } = this;
    const connection = this.#connection;
    this.#phase = CLOSED;
    const broken = brokenBy(error);
    outcome.readEnd ??= { reason: broken ?? unexpectedEof() };
    outcome.error ??= broken ?? outcome.readEnd.reason;
    const flushed = connection.outbox.frames.bytes === 0;
    connection.cleanUp(outcome.sent ? undefined : (outcome.error as WebSocketError));
    if (outcome.received === undefined) connection.inbound.run('last');
    // The rest is parsed as its reader takes it.
    connection.settle(outcome.settle(flushed, connection.inbound.decoder));
  }
}
