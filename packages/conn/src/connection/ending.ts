import {
  CloseCode,
  type ClosePayload,
  type ProtocolError,
  parseCloseMessage,
  type WebSocketError,
} from '@ws/codec';
import { CLOSE_SENT, CLOSED, DESTROYED, type Failure, failureBy } from '@ws/codec/internal';
import { CloseError, isNormalEnd, TimeoutError, transportFailed } from '../errors.ts';
import type { CloseInfo, ConnState } from '../platform/observer.ts';
import { TurnCallback, type TurnTask } from '../scheduler/task-queue.ts';
import { onRejection } from '../validate.ts';
import { notWritten } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { EndClocks } from './end-clocks.ts';
import {
  codeAfterError,
  connErrorOf,
  peerCloseError,
  transportErrorOf,
  unexpectedEof,
} from './end-errors.ts';
import { EndReasons } from './end-reasons.ts';
import { pauseOrResume, readAheadHasRoom, readAheadIsFull, readProgress } from './read-ahead.ts';
import { CALLED, DISCARDS, hasHandled, NONE, UNWANTED } from './reader.ts';

/**
 * Ends a connection. The machine of the codec has the states of the protocol. This class adds time
 * limits ({@link EndClocks}), the application's close handler, and the destruction of the transport. The
 * first event that may end the connection creates the object, so an idle connection has none.
 *
 * The pull rule: code that asks for the next message has handled the last one. So we answer the
 * peer's close frame when all messages are read and a reader waits, or when no code reads at all.
 */
export class Ending implements TurnTask {
  awaitsTurn = false;
  /** The value of `closed`, once the transport has closed. */
  info: CloseInfo | undefined;
  /** Whether `destroy` of the transport was called. */
  destroyed = false;
  /** Bytes of input that were dropped after our close frame. */
  dropped = 0;
  readonly clocks: EndClocks;
  readonly reasons: EndReasons;
  readonly #connection: Connection;
  /** The payload of our close frame, if the application has closed. */
  #ours: Uint8Array | undefined;
  /** The error that the application gets for a fault of the peer. */
  #fault: WebSocketError | undefined;
  /** Whether the application's close handler runs, or {@link Control.lastWrite} is awaited before it. */
  #closeHandlerRuns = false;
  /** Whether the peer's close frame came after ours. */
  #peerAnswered = false;
  /** Whether we gave up the peer before the transport had sent everything. */
  #gaveUpUnsent = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.reasons = new EndReasons(connection.machine);
    this.clocks = new EndClocks(connection, connection.shared, connection.settings);
  }

  // State

  get state(): ConnState {
    const { state, open } = this.#connection.machine;
    if (state === CLOSED) return 'closed';
    return open && !this.#closeHandlerRuns ? 'open' : 'closing';
  }

  /**
   * Whether the peer's close frame answers ours: it came later, with our code, and with no reason or with
   * ours (RFC 6455, section 5.5.1). Any other close frame is the peer's own, and says nothing about the
   * messages before ours.
   */
  get isAnswered(): boolean {
    const { received } = this.#connection.machine;
    if (received === undefined || this.#ours === undefined || !this.#peerAnswered) return false;
    const { code, reason } = parseCloseMessage(this.#ours);
    return received.code === code && (received.reason === '' || received.reason === reason);
  }

  // Our close frame

  /**
   * Closes the connection: `close`, or `writeControl` with a close frame (RFC 6455, section 7.1.2). A
   * second call can only shorten the handshake, or discard messages.
   *
   * @param timeout - Bounds the handshake, in ms. Default: `closeTimeout`.
   * @param discard - Whether to drop the messages before the peer's close frame.
   */
  ourClose(payload: Uint8Array, timeout: number | undefined, discard: boolean): void {
    const connection = this.#connection;
    const { machine, outbox } = connection;
    if (machine.state >= DESTROYED) return;
    const isFirst = machine.open;
    if (isFirst) {
      outbox.queue?.sendAccepted();
      // A transport may report its close within `write`.
      if (!this.#sendLastFrame(() => machine.close(payload))) return;
      this.#ours = payload;
      this.#closeHandlerRuns = false;
      this.#closeSent(timeout);
    } else if (timeout !== undefined) this.clocks.shorten(timeout);
    if (discard) {
      this.clocks.slowPeer = undefined;
      this.#dropAll();
    } else if (!isFirst) return;
    this.#endOurSide();
    pauseOrResume(connection);
    connection.scheduleEndOfTurn();
  }

  /** Our close frame is queued. The peer gets `timeout` ms; by default `closeTimeout`, or longer if slow. */
  #closeSent(timeout: number | undefined): void {
    const { clocks } = this;
    const { inbox, settings } = this.#connection;
    if (timeout === undefined) {
      this.#measurePeer();
      clocks.destroyWithin();
    } else clocks.shorten(timeout);
    // A handler of messages that calls `close` often awaits it, and takes no message until then.
    const inHandler = inbox.reader === CALLED;
    clocks.longestStall = inHandler ? 0 : (timeout ?? settings.closeTimeout) / 2;
  }

  /** Calls `send`, which queues our last frame. Returns false when our side has ended, or `send` failed. */
  #sendLastFrame(send: () => void): boolean {
    const { machine, outbox } = this.#connection;
    if (!machine.open) return false;
    try {
      send();
    } catch (cause) {
      this.abort(notWritten(cause));
      return false;
    }
    if (machine.sent) outbox.closeFrameSent(this.reasons.closeFrameEnd);
    return true;
  }

  // The end of the peer

  /** The peer's close frame was parsed, after all messages before it. */
  peerClosed(): void {
    const { inbox, machine, control } = this.#connection;
    const { received, sent } = machine;
    this.#peerAnswered = sent;
    const isWanted = inbox.reader !== DISCARDS && inbox.use !== UNWANTED;
    const isCut = isWanted && machine.input?.withinMessage === true;
    this.reasons.readEnd = {
      reason: peerCloseError(received!, sent, isCut, control?.reads?.loss),
    };
    inbox.stopParsing();
    this.#endOurSide();
  }

  /** The peer has ended its side of the transport (FIN). Its close frame may be in the unread input. */
  peerFin(): void {
    if (this.#connection.transportClosed) return;
    const { machine, inbox } = this.#connection;
    machine.end();
    this.reasons.readEnd ??= { reason: unexpectedEof() };
    if (!machine.open) inbox.run('last');
    this.#endOurSide();
    this.#connection.scheduleEndOfTurn();
  }

  /** All input before the peer's end is parsed. */
  peerEnded(): void {
    this.#connection.inbox.stopParsing();
    this.#endOurSide();
  }

  /**
   * Called when the loop of the inbox has stopped. Answers the peer's end once all messages before it
   * are handled. Until then, bounds the time of the reader.
   *
   * @param readsAhead - Whether the input was parsed as far as the read-ahead has room.
   */
  parsed(readsAhead: boolean): void {
    const connection = this.#connection;
    const { inbox, machine, control } = connection;
    const { readEnd } = this.reasons;
    if (readEnd !== undefined) {
      // Before `finishMessage`, which may end the waiting read that shows what is handled.
      const isHandled = hasHandled(inbox.reader, inbox.nothingUnread, readsAhead);
      if (machine.inputEnded) {
        control?.pings?.rejectAll(readEnd.reason);
        inbox.finishMessage(readEnd);
      }
      if (inbox.drops || (machine.inputEnded && isHandled)) {
        this.#answer();
        if (!this.#closeHandlerRuns) inbox.finishReading(this.reasons.readEnd!.reason, true);
      }
      // The transport is closed, no code reads, and a full read-ahead keeps input unparsed.
      else if (
        readsAhead &&
        this.#connection.transportClosed &&
        inbox.reader === NONE &&
        !readAheadHasRoom(connection)
      ) {
        this.#dropLaterMessages();
      }
    }
    if (machine.open && readEnd !== undefined) this.clocks.readerIsAwaited();
    else if (readsAhead && machine.state === CLOSE_SENT && readAheadIsFull(connection)) {
      this.#watchReader(inbox.reader !== NONE);
    }
  }

  /** Answers the peer's close frame, or the end of its stream, unless we have sent our close frame. */
  #answer(): void {
    const { inbox, machine, control } = this.#connection;
    if (!machine.answerIsDue || this.#closeHandlerRuns) return;
    const { received } = machine;
    const { reason } = this.reasons.readEnd!;
    const lastWrite =
      inbox.pull !== undefined && isNormalEnd(reason) ? control?.lastWrite : undefined;
    const isAwaited = lastWrite !== undefined || control?.handlers?.close !== undefined;
    if (received === undefined || !isAwaited) return this.#sendAnswer();
    // Set before the call: the handler may read, and may close.
    this.#closeHandlerRuns = true;
    this.clocks.handlerIsAwaited();
    if (lastWrite !== undefined) inbox.finishReading(reason, true);
    void this.#beforeAnswer(received, lastWrite).then(() => this.#closeHandlerDone());
  }

  async #beforeAnswer(received: ClosePayload, lastWrite: Promise<void> | undefined): Promise<void> {
    if (lastWrite !== undefined) await lastWrite;
    const handlers = this.#connection.control?.handlers;
    if (handlers?.close !== undefined) await handlers.handleClose(received);
  }

  /**
   * The close handler is done, or takes too long. Unless the handler has sent a close frame, our
   * answer repeats the peer's code (RFC 6455, section 5.5.1).
   */
  #closeHandlerDone(): void {
    this.#connection.scheduleEndOfTurn();
    if (!this.#closeHandlerRuns) return;
    this.#closeHandlerRuns = false;
    this.#sendAnswer();
  }

  #sendAnswer(): void {
    const { machine, outbox, shared } = this.#connection;
    outbox.queue?.sendAccepted();
    if (!this.#sendLastFrame(() => machine.answer())) return;
    if (!machine.sent) {
      // The peer ended its stream without a close frame, and gets none. No heartbeat may follow.
      shared.timers.clear(this.#connection);
      outbox.stopAccepting(this.reasons.readEnd!.reason as WebSocketError);
      outbox.rejectWaiting();
    }
    this.#measurePeer();
    this.#endOurSide();
  }

  /** Our last frame is queued. A peer is slow if the transport is at its high-water mark. */
  #measurePeer(): void {
    const { outbox } = this.#connection;
    this.#connection.guardTransport(() => {
      if (outbox.isSlow) this.clocks.measurePeer(outbox);
    });
  }

  // After our last frame

  /** After our last frame, ends our side if the machine says so, and bounds the wait for the peer. */
  #endOurSide(): void {
    const connection = this.#connection;
    const { machine, outbox, shared } = connection;
    const { endTimeout } = connection.transport;
    if (machine.open) return;
    if (machine.ends(shared.role)) outbox.end();
    if (machine.over) return shared.laterTurn.add(this);
    if (machine.state >= DESTROYED) return;
    this.clocks.peerIsAwaited();
    // A transport with an `endTimeout` has peers that may never end their side. But a server that
    // closed first may still read our frames: it has the rest of `closeTimeout`.
    const peerMayRead = shared.role === 'client' && !this.#peerAnswered;
    if (machine.received !== undefined && endTimeout !== undefined && !peerMayRead)
      this.clocks.limitWait(endTimeout);
  }

  /**
   * Called a turn after both sides have ended: a socket has often destroyed itself by then. Destroys
   * the transport if everything is sent.
   */
  onTurn(): void {
    if (this.#connection.transportClosed) return;
    this.#connection.guardTransport(() => {
      if (this.#connection.outbox.bufferedAmount === 0) this.destroyTransport();
      else this.clocks.peerIsAwaited();
    });
  }

  /** Drops the messages for which the read-ahead has no room. Queued messages can still be read. */
  #dropLaterMessages(): void {
    this.#connection.inbox.dropLater();
    this.#connection.scheduleEndOfTurn();
  }

  /** Drops the queued messages and all later messages. */
  #dropAll(): void {
    const { inbox } = this.#connection;
    inbox.start();
    inbox.dropAll();
    this.#connection.scheduleEndOfTurn();
  }

  // Failures

  /** The failure of a peer that broke a rule. The machine then queues our close frame. */
  failureFor(error: ProtocolError): Failure {
    this.#fault = connErrorOf(error, this.#connection.machine.input!.readLimit);
    this.#discardUnsent();
    return { ...failureBy(error), error: this.#fault };
  }

  /** Discards the frames that the transport has not taken. Only our close frame follows. */
  #discardUnsent(): void {
    const { machine, outbox } = this.#connection;
    if (!machine.open) return;
    outbox.discardUnsent(this.reasons.closeFrameEnd.error);
  }

  /** The peer broke a rule, and our close frame is queued. */
  peerFailed(): void {
    this.#failed(this.#fault);
  }

  /**
   * Fails the connection with `code` after an error in this library or in a handler (RFC 6455, section
   * 7.1.7). If our close frame was sent before, only drops the peer's messages: the handshake continues.
   */
  fail(error: unknown, code: number, reason: string): void {
    const { machine, inbox } = this.#connection;
    if (machine.failed !== undefined) return;
    if (machine.state === CLOSE_SENT) {
      machine.failed = { error, code, reason };
      this.#dropAll();
      inbox.finishReading(error, false);
      return this.#connection.scheduleEndOfTurn();
    }
    inbox.stopParsing();
    if (machine.state < DESTROYED) {
      this.#discardUnsent();
      try {
        machine.fail(error, code, reason);
      } catch (cause) {
        this.abort(notWritten(cause));
      }
    }
    this.#failed(error);
  }

  #failed(error: unknown): void {
    const connection = this.#connection;
    const { inbox, machine, outbox } = connection;
    inbox.stopParsing();
    // The fault comes earlier in the stream than a known end such as the peer's FIN, so `error` replaces
    // that reason. A destroyed transport keeps its own reason.
    if (machine.state !== DESTROYED) this.reasons.readEnd = { reason: error };
    connection.scheduleEndOfTurn();
    if (machine.state >= DESTROYED) return;
    if (machine.sent) outbox.closeFrameSent(this.reasons.closeFrameEnd);
    this.#closeHandlerRuns = false;
    this.clocks.slowPeer = undefined;
    this.clocks.destroyWithin();
    this.#endOurSide();
    pauseOrResume(connection);
  }

  /**
   * A handler of messages, pings, pongs or close frames failed with `error`. The connection then fails
   * with 1011, or with 1013 after a BackpressureError. `report` gets the error, and `receive` rejects
   * with it. Two errors are ignored: the end of this connection, and a write after our close frame.
   */
  handlerFailed(error: unknown, where: string): void {
    const connection = this.#connection;
    const { machine, inbox } = connection;
    const isEnd = this.reasons.isKnownEnd(error);
    const { sent } = machine;
    const isLate = sent && this.reasons.isCloseSent(error);
    if (!isEnd && !isLate) connection.report(error, where);
    // `report` may have closed or terminated the connection.
    const ended = machine.state >= DESTROYED || isEnd;
    if (where === 'receive') {
      this.#dropAll();
      if (ended) {
        if (!isEnd) {
          inbox.stopParsing();
          inbox.finishReading(error, this.#connection.endedWith(error));
        }
        return connection.scheduleEndOfTurn();
      }
    }
    if (ended || isLate) return;
    if (machine.open) this.fail(error, codeAfterError(error), '');
    // `sent` was read before the call of `report`: a close within `report` is no failure.
    else if (sent) machine.failed ??= { error, code: codeAfterError(error), reason: '' };
  }

  /** `terminate`: the transport is destroyed without a close frame. */
  terminate(): void {
    this.#dropAll();
    this.#connection.inbox.stopParsing();
    this.reasons.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure) };
    // The transport reports its close later. It would lose frames that are written until then, so
    // writes reject from now on.
    this.#abortTransport(this.reasons.readEnd.reason as WebSocketError);
  }

  /** The transport is destroyed because of `error`. */
  abort(error: WebSocketError): void {
    this.reasons.error ??= error;
    this.reasons.readEnd ??= { reason: error };
    this.#abortTransport(error);
  }

  /** Rejects writes with `error`, and destroys the transport. */
  #abortTransport(error: WebSocketError): void {
    this.#connection.outbox.fail(error);
    this.destroyTransport();
  }

  destroyTransport(): void {
    this.#connection.machine.destroy();
    if (this.destroyed) return;
    this.destroyed = true;
    try {
      const destroyed: unknown = this.#connection.transport.destroy();
      onRejection(destroyed, (error) => this.#notDestroyed(error));
    } catch (error) {
      this.#notDestroyed(error);
    }
  }

  /** `destroy` of the transport failed: it may never report its close, so the connection ends now. */
  #notDestroyed(cause: unknown): void {
    const connection = this.#connection;
    connection.report(cause, 'transport.destroy');
    const closed = new TurnCallback(() => connection.close(transportFailed('destroy', cause)));
    connection.shared.endOfTurn.add(closed);
  }

  // Time

  /** Called when the alarm of {@link EndClocks} fires. */
  alarm(): void {
    const { clocks } = this;
    const { machine } = this.#connection;
    // The alarm may be that of the heartbeat, which was due when the end began.
    if (clocks.isEarly(machine.open)) return;
    if (machine.open) return this.#answerIsLate();
    if (!clocks.waitIsLimited) return this.#deadlineCame();
    clocks.waitIsOver();
    if (machine.received !== undefined) return this.#endWithoutPeer();
    if (!readAheadIsFull(this.#connection)) return;
    if (readProgress(this.#connection) === clocks.progressAtStall) this.#dropLaterMessages();
    else this.#watchReader(true);
  }

  /**
   * While the read-ahead is full, the peer's close frame cannot be parsed. A reader that makes no
   * progress in time loses the messages after the read-ahead.
   *
   * @param reads - Whether code may still read. If not, later messages are dropped at once.
   */
  #watchReader(reads: boolean): void {
    const { clocks } = this;
    if (clocks.waitIsLimited) return;
    const time = reads ? clocks.longestStall : 0;
    if (time === 0) return this.#dropLaterMessages();
    clocks.progressAtStall = readProgress(this.#connection);
    clocks.limitReader(time);
  }

  /** The peer has sent its close frame, but has not ended its side in time. */
  #endWithoutPeer(): void {
    const { outbox, transport } = this.#connection;
    if (transport.endTimeout === undefined) return;
    if (outbox.bufferedAmount === 0) this.destroyTransport();
    else this.clocks.limitWait(transport.endTimeout);
  }

  #deadlineCame(): void {
    const { clocks } = this;
    if (!clocks.hasDeadline) return;
    const { machine, outbox, transport } = this.#connection;
    if (machine.state >= DESTROYED) clocks.slowPeer = undefined;
    if (!clocks.extend(outbox, transport.inTransit ?? 0)) this.#giveUp();
  }

  /** The reader, or the close handler, has used up its time. */
  #answerIsLate(): void {
    if (this.#closeHandlerRuns) return this.#closeHandlerDone();
    this.#connection.scheduleEndOfTurn();
    // Our answer is due now, even if a message is unhandled or the peer's close frame is unparsed.
    this.#connection.machine.lookAhead();
    this.#answer();
  }

  /** The peer has not done its part within its time. */
  #giveUp(): void {
    const text = `the peer did not finish the closing handshake within ${this.clocks.timeoutText}`;
    this.reasons.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure, '', text) };
    this.#gaveUpUnsent = this.#connection.outbox.bufferedAmount > 0;
    this.abort(new TimeoutError(text, { permanent: true }));
  }

  // The end of the transport

  transportClosed(error: Error | undefined): void {
    if (this.#connection.transportClosed) return;
    const connection = this.#connection;
    const { machine, inbox, outbox } = connection;
    machine.gone();
    const broken = transportErrorOf(error);
    this.reasons.readEnd ??= { reason: broken ?? unexpectedEof() };
    this.reasons.error ??= broken ?? this.reasons.readEnd.reason;
    const flushed = outbox.frames.bytes === 0 && !this.#transportIsFull();
    connection.cleanUp(machine.sent ? undefined : (this.reasons.error as WebSocketError));
    if (machine.received === undefined) inbox.run('last');
    // The inbox parses the rest of the input while the reader takes messages.
    machine.lookAhead();
    this.info = this.reasons.infoOf(flushed && !this.#gaveUpUnsent);
    connection.settle(this.info);
  }

  /** Whether the transport has closed with bytes that the operating system never got. */
  #transportIsFull(): boolean {
    try {
      return this.#connection.transport.bufferedAmount > 0;
    } catch {
      // A transport of the application. Its other errors are reported.
      return false;
    }
  }
}
