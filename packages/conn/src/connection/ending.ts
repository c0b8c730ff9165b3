import { CloseCode, type ProtocolError, type WebSocketError } from '@ws/codec';
import { type Failure, failureBy, states } from '@ws/codec/internal';
import { CloseError, CloseSentError, errorOf, TimeoutError, transportFailed } from '../errors.ts';
import type { CloseInfo, ConnState } from '../platform/observer.ts';
import { connErrorOf } from '../read/over-read-limit.ts';
import { TurnCallback, type TurnTask } from '../scheduler/task-queue.ts';
import { onRejection } from '../validate.ts';
import { unwritten, WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import {
  brokenBy,
  codeAfterError,
  peerCloseError,
  timeoutOption,
  unexpectedEof,
} from './end-errors.ts';
import { balance, progress, readAheadHasRoom } from './flow-control.ts';
import { SlowPeer } from './slow-peer.ts';

/** Names a handler in reports. */
type HandlerName = 'receive' | 'ping handler' | 'pong handler' | 'close handler';

/**
 * The end of a connection: what the states of the codec do not know. That is time, the application's
 * handler of close frames, and who destroys the transport. The first event of an end creates it, so an
 * idle connection has none.
 *
 * Three clocks bound an end:
 * - a reader has half of `closeTimeout` for the messages before the peer's close frame, or its end;
 *   then our answer follows. After our own close frame, a reader without progress for that long loses
 *   the messages for which the read-ahead has no room;
 * - the peer has `closeTimeout` for its part, once our last frame is queued;
 * - a slow peer gets more, while it takes the accepted messages.
 *
 * The pull rule: whoever asks for the next message has handled the last one. So our answer is due when
 * all messages are read, and a read waits or none was ever begun.
 */
export class Ending implements TurnTask {
  awaitsTurn = false;
  /** Why reading will end: set by the first close frame, end of the stream, or fault. */
  readEnd: { readonly reason: unknown } | undefined;
  /** Why we destroyed the transport, or why it closed. Reported unless the close is clean. */
  error: unknown;
  /** The value of `closed`, once the transport has closed. */
  info: CloseInfo | undefined;
  /** Bytes of input that were dropped after our close frame. */
  dropped = 0;
  /** Moves the deadline while a slow peer takes the accepted messages. */
  slowPeer: SlowPeer | undefined;
  readonly #connection: Connection;
  #closeFrameEnd: WriteEnd | undefined;
  /** The fault of the peer, as the application gets it. */
  #fault: WebSocketError | undefined;
  /** The close handler runs. */
  #answering = false;
  /** `destroy` of the transport was called. */
  #destroyed = false;
  /** When our answer follows although a message may be unhandled, in ms of the platform's clock. */
  #answerBy = Infinity;
  #answerIsArmed = false;
  /** When the transport is destroyed. Later events may only shorten it. */
  #deadline = Infinity;
  /** The timeout that the deadline ends, and its option, for the error. */
  #timeoutText = '';
  /** Longest time in ms without progress of a reader after our close frame. */
  #longestStall = Infinity;
  /** When a reader without progress loses messages, or a peer that never ends its side is left. */
  #stallDeadline = Infinity;
  /** The reader's progress when the stall began. */
  #progressAtStall = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  // What is known

  /** Whether `destroy` of the transport was called. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  get closed(): boolean {
    return this.#connection.machine.state === states.CLOSED;
  }

  /** Whether the connection has begun to end. */
  get begun(): boolean {
    const { state, peerEnded } = this.#connection.machine;
    return state !== states.OPEN || peerEnded;
  }

  get state(): ConnState {
    const { state, open } = this.#connection.machine;
    if (state === states.CLOSED) return 'closed';
    return open && !this.#answering ? 'open' : 'closing';
  }

  /** Why writes end with our close frame: also before it is sent, for the writers that it rejects. */
  get closeFrameEnd(): WriteEnd {
    this.#closeFrameEnd ??= WriteEnd.ofCloseFrame();
    return this.#closeFrameEnd;
  }

  /** Whether `error` is the one with which writes reject after our close frame. */
  isCloseSent(error: unknown): boolean {
    return error instanceof CloseSentError && error === this.#closeFrameEnd?.error;
  }

  /**
   * Whether `error` is the end of this connection, as its reads, writes and pings report it. After
   * our close frame, writes reject with a CloseSentError; every error is then without effect.
   */
  isKnownEnd(error: unknown): boolean {
    if (error === undefined) return false;
    return this.readEnd?.reason === error || this.error === error;
  }

  /**
   * Whether `error` says only that a write came after our close frame, or after the end of the
   * peer's stream. Messages before that may still be unread.
   */
  isLateAnswer(error: unknown): boolean {
    const { failed, sent, peerEnded } = this.#connection.machine;
    if (failed !== undefined || error === undefined) return false;
    if (sent && this.isCloseSent(error)) return true;
    return (sent || peerEnded) && error === this.readEnd?.reason;
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
    const connection = this.#connection;
    const { machine, outbox, inbound } = connection;
    if (machine.state >= states.DESTROYED) return;
    const isFirst = machine.open;
    if (isFirst) {
      outbox.sendAccepted();
      // A transport may report its close within `write`.
      if (!this.#sendClose(() => machine.close(payload))) return;
      this.#answering = false;
      if (timeout === undefined && !discard) this.slowPeer = SlowPeer.of(connection);
      // A handler that closes often awaits the close, and takes no message until then.
      const ms = timeout ?? this.#closeTimeout();
      this.#longestStall = inbound.receiveCall?.inCall === true ? 0 : ms / 2;
    } else if (timeout !== undefined || discard) this.slowPeer = undefined;
    if (timeout !== undefined) this.#setAlarm(timeout, timeoutOption(timeout));
    if (discard) this.#dropMessages();
    else if (!isFirst) return;
    this.#act();
    balance(connection);
    connection.scheduleEndOfTurn();
  }

  /** Lets the machine send our close frame, if it may. Returns whether it was queued. */
  #sendClose(send: () => void): boolean {
    const { machine, outbox } = this.#connection;
    if (!machine.open) return false;
    try {
      send();
    } catch (cause) {
      this.abort(unwritten(cause));
      return false;
    }
    if (machine.sent) outbox.closeFrameSent(this.closeFrameEnd);
    return true;
  }

  // The end of the peer

  /** The peer's close frame was parsed, after all messages before it. */
  peerClosed(): void {
    const { inbound, machine, rare } = this.#connection;
    const { received, sent } = machine;
    this.readEnd = { reason: peerCloseError(received!, sent, inbound.withinMessage, rare?.loss) };
    inbound.stop();
    this.#waitForReader();
    this.#act();
  }

  /** The peer has ended its side of the transport (FIN). Its close frame may be in the unread input. */
  peerFin(): void {
    if (this.closed) return;
    const { machine, inbound } = this.#connection;
    machine.end();
    this.readEnd ??= { reason: unexpectedEof() };
    this.#waitForReader();
    if (!machine.open) inbound.run('last');
    this.#act();
    this.#connection.scheduleEndOfTurn();
  }

  /** All input before the peer's end is parsed. */
  peerEnded(): void {
    this.#connection.inbound.stop();
    this.#act();
  }

  /**
   * The messages that came before have at most half of `closeTimeout` to be handled. They often are by
   * the end of the loop, and then no alarm is set.
   */
  #waitForReader(): void {
    if (this.#answerBy !== Infinity) return;
    const { platform, settings } = this.#connection;
    this.#answerBy = platform.now() + settings.closeTimeout / 2;
  }

  /**
   * The loop of the input has stopped.
   *
   * @param ahead - The input is parsed as far as the read-ahead has room.
   */
  parsed(ahead: boolean): void {
    const connection = this.#connection;
    const { inbound, machine, rare } = connection;
    const { readEnd } = this;
    if (readEnd !== undefined) {
      // Before a read of a message that is cut gets its error: it has asked for more.
      const isHandled = inbound.isHandled(ahead);
      if (inbound.stopped) {
        rare?.controlFrames?.rejectPings(readEnd.reason);
        inbound.pulls?.finishMessage(readEnd);
      }
      if (inbound.dropping || (inbound.stopped && isHandled)) this.#allRead();
      else if (ahead && this.closed && !inbound.mayRead) this.#dropUnparsed();
    }
    if (machine.open) this.#armAnswer();
    else if (ahead && machine.state === states.CLOSE_SENT && this.#readAheadFull()) {
      this.#watchReader();
    }
  }

  #armAnswer(): void {
    if (this.#answerIsArmed || this.#answerBy === Infinity) return;
    this.#answerIsArmed = true;
    this.#setAlarm(Math.max(0, this.#answerBy - this.#now()));
  }

  /** The transport is closed, and no code reads: drops what the read-ahead has no room for. */
  #dropUnparsed(): void {
    if (!readAheadHasRoom(this.#connection)) this.#dropExcess();
  }

  /** All input before the end is read, or dropped. */
  #allRead(): void {
    this.#answer();
    if (!this.#answering) this.#connection.inbound.finish(this.readEnd!.reason);
  }

  /** Answers the peer's close frame, or the end of its stream, if no other frame of ours did. */
  #answer(): void {
    const { machine, rare } = this.#connection;
    if (!machine.answerIsDue || this.#answering) return;
    const { received } = machine;
    if (received === undefined) return this.#sendAnswer();
    this.#answering = true;
    const { code, reason } = received;
    const handled = rare?.controlFrames?.callCloseHandler(code, reason);
    if (handled === undefined) return this.#handlerDone();
    this.#answerIsArmed = true;
    // The peer has waited since its close frame: a late close handler has half of the rest.
    this.#setAlarm(Math.max(this.#answerBy - this.#now(), this.#closeTimeout() / 4));
    const done = (): void => {
      this.#handlerDone();
      this.#connection.scheduleEndOfTurn();
    };
    handled.then(done, (error: unknown) => {
      this.handlerFailed(error, 'close handler');
      // If the error is no failure, the peer still gets its answer.
      done();
    });
  }

  /**
   * The close handler is done, or takes too long. Unless it has sent a close frame, ours repeats the
   * code of the peer's (section 5.5.1).
   */
  #handlerDone(): void {
    if (!this.#answering) return;
    this.#answering = false;
    this.#sendAnswer();
  }

  #sendAnswer(): void {
    const { machine, outbox, shared } = this.#connection;
    outbox.sendAccepted();
    if (!this.#sendClose(() => machine.answer())) return;
    if (!machine.sent) {
      // The alarm of the heartbeat must not ring in this state.
      shared.timers.clear(this.#connection);
      outbox.stopAccepting(this.readEnd!.reason as WebSocketError);
      outbox.rejectWaiting();
    }
    this.#act();
  }

  // After our last frame

  /** Does what the state asks for. */
  #act(): void {
    const connection = this.#connection;
    const { machine, outbox, shared } = connection;
    if (machine.open) return;
    if (machine.ends) outbox.sender.end();
    if (machine.over) return shared.laterTurn.add(this);
    if (machine.state >= states.DESTROYED) return;
    if (this.#deadline === Infinity) this.#setAlarm(this.#closeTimeout());
    if (machine.received !== undefined) this.#watchEnd();
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

  /**
   * A later turn than the one in which both sides have ended: what was accepted is sent, or takes
   * long. The transport of a socket has often destroyed itself by then.
   */
  onTurn(): void {
    if (this.closed) return;
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
    const { inbound } = this.#connection;
    const time = inbound.mayRead ? this.#longestStall : 0;
    if (time === 0) return this.#dropExcess();
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

  /** The peer broke a rule: the close frame of the machine follows. */
  failing(error: ProtocolError): Failure {
    this.#fault = connErrorOf(error, this.#connection.machine.input!.readLimit);
    this.#cut();
    return { ...failureBy(error), error: this.#fault };
  }

  /** Nothing but our close frame follows what the transport has. */
  #cut(): void {
    const { machine, outbox } = this.#connection;
    if (!machine.open) return;
    outbox.sender.cut(this.closeFrameEnd.error);
  }

  /** The peer broke a rule, and our close frame is queued. */
  peerFailed(): void {
    this.#failed(this.#fault);
  }

  /**
   * Fails the connection with `code`, because a part of it or a handler failed (section 7.1.7).
   */
  fail(error: unknown, code: number, reason: string): void {
    const { machine, inbound } = this.#connection;
    if (machine.failed !== undefined) return;
    inbound.stop();
    if (machine.state < states.DESTROYED) {
      this.#cut();
      this.#fail(error, code, reason);
    }
    this.#failed(error);
  }

  #fail(error: unknown, code: number, reason: string): void {
    const { machine } = this.#connection;
    try {
      machine.fail(error, code, reason);
    } catch (cause) {
      this.abort(unwritten(cause));
    }
  }

  #failed(error: unknown): void {
    const connection = this.#connection;
    const { inbound, machine, outbox } = connection;
    // It replaces a known reason for the end: the parser reached the fault earlier in the stream.
    inbound.stop();
    // A destroyed transport has ended for another reason.
    if (machine.state !== states.DESTROYED) this.readEnd = { reason: error };
    connection.scheduleEndOfTurn();
    if (machine.state >= states.DESTROYED) return;
    if (machine.sent) outbox.closeFrameSent(this.closeFrameEnd);
    this.#answering = false;
    this.slowPeer = undefined;
    this.#setAlarm(this.#closeTimeout());
    this.#act();
    balance(connection);
  }

  /**
   * A handler failed: the connection fails with 1011, or 1013 after a BackpressureError. This is the
   * rule for all four kinds of handler. The error changes nothing when it is the end of this
   * connection, or says only that a write came after our close frame. `receive` rejects with any other
   * error, and `report` gets it.
   */
  handlerFailed(error: unknown, where: HandlerName): void {
    const connection = this.#connection;
    const { machine, inbound } = connection;
    const isEnd = this.isKnownEnd(error);
    const { sent } = machine;
    const isLate = sent && this.isCloseSent(error);
    if (!isEnd && !isLate) connection.report(error, where);
    // `report` may have closed or terminated the connection.
    const ended = machine.state >= states.DESTROYED || isEnd;
    if (where === 'receive') {
      this.#dropMessages();
      if (ended) {
        if (!isEnd) {
          inbound.stop();
          inbound.finish(error);
        }
        return connection.scheduleEndOfTurn();
      }
    }
    if (ended || isLate) return;
    if (machine.open) this.fail(error, codeAfterError(error), '');
    // Not when `report` has closed.
    else if (sent) this.#fail(error, codeAfterError(error), '');
  }

  /** `terminate`: the transport is destroyed without a close frame. */
  terminate(): void {
    this.#dropMessages();
    this.#connection.inbound.stop();
    this.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure) };
    // The transport reports its close later. Frames written until then would be lost, so later
    // writes reject from now on.
    this.#abortTransport(this.readEnd.reason as WebSocketError);
  }

  /** The transport is destroyed because of `error`. */
  abort(error: WebSocketError): void {
    this.error ??= error;
    this.readEnd ??= { reason: error };
    this.#abortTransport(error);
  }

  /** Rejects writes with `error`, and destroys the transport. */
  #abortTransport(error: WebSocketError): void {
    this.#connection.outbox.fail(error);
    this.#destroyTransport();
  }

  #destroyTransport(): void {
    this.#connection.machine.destroy();
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

  /** Sets the alarm, and the deadline once our last frame is queued, to `ms`, unless it is earlier. */
  #setAlarm(ms: number, option = 'closeTimeout'): void {
    const { machine } = this.#connection;
    const at = this.#now() + ms;
    if (machine.state === states.CLOSED || at >= this.#deadline) return;
    if (!machine.open) {
      this.#deadline = at;
      this.#timeoutText = `${ms} ms (option ${option})`;
      if (this.#stallDeadline < at) return;
      this.#stallDeadline = Infinity;
    }
    this.#startTimer(ms);
  }

  /** The time of the alarm is over. */
  alarm(): void {
    const { machine } = this.#connection;
    if (!machine.open) return this.#closingAlarm();
    this.#connection.scheduleEndOfTurn();
    if (this.#answering) return this.#handlerDone();
    // The peer gets its answer although a message may be unhandled, or its close frame unparsed.
    machine.lookAhead();
    this.#answer();
  }

  #closingAlarm(): void {
    if (this.#stallDeadline === Infinity) return this.#giveUp();
    this.#stallDeadline = Infinity;
    this.#startTimer(Math.max(0, this.#deadline - this.#now()));
    if (this.#connection.machine.received !== undefined) return this.#endWithoutPeer();
    if (!this.#readAheadFull()) return;
    if (progress(this.#connection) === this.#progressAtStall) this.#dropExcess();
    else this.#watchReader();
  }

  #giveUp(): void {
    // An alarm of an earlier state, in a connection that is destroyed.
    if (this.#deadline === Infinity) return;
    const isDestroyed = this.#connection.machine.state >= states.DESTROYED;
    const left = isDestroyed ? 0 : (this.slowPeer?.extend(this.#closeTimeout()) ?? 0);
    this.#deadline = this.#now() + left;
    if (left > 0) return this.#startTimer(left);
    const text = `the peer did not finish the closing handshake within ${this.#timeoutText}`;
    this.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure, '', text) };
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
    if (this.closed) return;
    const connection = this.#connection;
    const { machine, inbound, outbox } = connection;
    machine.gone();
    const broken = brokenBy(error);
    this.readEnd ??= { reason: broken ?? unexpectedEof() };
    this.error ??= broken ?? this.readEnd.reason;
    const flushed = outbox.frames.bytes === 0;
    connection.cleanUp(machine.sent ? undefined : (this.error as WebSocketError));
    if (machine.received === undefined) inbound.run('last');
    // The rest is parsed as its reader takes it.
    machine.lookAhead();
    this.info = this.#infoOf(flushed);
    connection.settle(this.info);
  }

  /** @param flushed - The transport took our close frame before. */
  #infoOf(flushed: boolean): CloseInfo {
    const { received, failed, sent } = this.#connection.machine;
    const wasClean = received !== undefined && sent && flushed && failed === undefined;
    const error = errorOf(failed === undefined ? this.error : failed.error);
    return {
      code: received?.code ?? failed?.code ?? CloseCode.AbnormalClosure,
      reason: received?.reason ?? '',
      wasClean,
      ...(wasClean || error === undefined ? {} : { error }),
    };
  }
}
