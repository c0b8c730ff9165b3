import { CloseCode, type ProtocolError, type WebSocketError } from '@ws/codec';
import { CLOSE_SENT, CLOSED, DESTROYED, type Failure, failureBy } from '@ws/codec/internal';
import { CloseError, CloseSentError, errorOf, TimeoutError, transportFailed } from '../errors.ts';
import type { CloseInfo, ConnState } from '../platform/observer.ts';
import { TurnCallback, type TurnTask } from '../scheduler/task-queue.ts';
import { onRejection } from '../validate.ts';
import { notWritten, WriteEnd } from '../writing/write-end.ts';
import type { Connection } from './connection.ts';
import { EndClocks } from './end-clocks.ts';
import {
  brokenBy,
  codeAfterError,
  connErrorOf,
  peerCloseError,
  unexpectedEof,
} from './end-errors.ts';
import {
  isCut,
  pauseOrResume,
  progress,
  readAheadHasRoom,
  readAheadIsFull,
  slowPeerOf,
} from './flow-control.ts';
import type { Inbox } from './inbox.ts';

/**
 * The end of a connection: what the states of the codec do not know. That is time ({@link EndClocks}), the application's
 * handler of close frames, and who destroys the transport. The first event of an end creates it, so an
 * idle connection has none.
 *
 * The pull rule: code that asks for the next message has handled the last one. So our answer is due
 * when all messages are read, and a read waits or none was ever begun.
 */
export class Ending implements TurnTask {
  awaitsTurn = false;
  /** Why reading will end: set by the first close frame, end of the stream, or fault. */
  readEnd: { readonly reason: unknown } | undefined;
  /** Why we destroyed the transport, or why it closed. Reported unless the close is clean. */
  error: unknown;
  /** The value of `closed`, once the transport has closed. */
  info: CloseInfo | undefined;
  /** Whether `destroy` of the transport was called. */
  destroyed = false;
  /** Bytes of input that were dropped after our close frame. */
  dropped = 0;
  readonly clocks: EndClocks;
  readonly #connection: Connection;
  #closeFrameEnd: WriteEnd | undefined;
  /** The fault of the peer, as the application gets it. */
  #fault: WebSocketError | undefined;
  /** The close handler runs. */
  #answering = false;
  /** The peer's close frame came after ours. */
  #isAnswered = false;
  /** The peer's time was over before the transport had sent everything. */
  #unsent = false;
  constructor(connection: Connection) {
    this.#connection = connection;
    this.clocks = new EndClocks(connection, connection.shared, connection.settings);
  }

  // State

  get state(): ConnState {
    const { state, open } = this.#connection.machine;
    if (state === CLOSED) return 'closed';
    return open && !this.#answering ? 'open' : 'closing';
  }

  /** Why writes end with our close frame: also before it is sent, for the writers that it rejects. */
  get closeFrameEnd(): WriteEnd {
    this.#closeFrameEnd ??= new WriteEnd();
    return this.#closeFrameEnd;
  }

  /** Whether `error` is the one with which writes reject after our close frame. */
  isCloseSent(error: unknown): boolean {
    return error instanceof CloseSentError && error === this.#closeFrameEnd?.error;
  }

  /**
   * Whether `error` is the end of this connection, as its reads, writes and pings report it. After
   * our close frame, writes reject with a CloseSentError. Every error is then without effect.
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
    const { machine, outbox } = connection;
    if (machine.state >= DESTROYED) return;
    const isFirst = machine.open;
    if (isFirst) {
      outbox.sendAccepted();
      // A transport may report its close within `write`.
      if (!this.#sendClose(() => machine.close(payload))) return;
      this.#answering = false;
      this.#closeSent(timeout);
    } else if (timeout !== undefined) this.clocks.shorten(timeout);
    if (discard) {
      this.clocks.slowPeer = undefined;
      this.#dropMessages();
    } else if (!isFirst) return;
    this.#act();
    pauseOrResume(connection);
    connection.scheduleEndOfTurn();
  }

  /** Our close frame is queued. The handshake has `timeout`, or `closeTimeout`, which a slow peer may exceed. */
  #closeSent(timeout: number | undefined): void {
    const { clocks } = this;
    const { inbox, settings } = this.#connection;
    if (timeout === undefined) {
      clocks.slowPeer = slowPeerOf(this.#connection);
      clocks.bound();
    } else clocks.shorten(timeout);
    // A handler that closes often awaits the close, and takes no message until then.
    const inHandler = inbox.receiveCall?.inCall === true;
    clocks.longestStall = inHandler ? 0 : (timeout ?? settings.closeTimeout) / 2;
  }

  /** Lets the machine send our close frame, if it may. Returns whether it was queued. */
  #sendClose(send: () => void): boolean {
    const { machine, outbox } = this.#connection;
    if (!machine.open) return false;
    try {
      send();
    } catch (cause) {
      this.abort(notWritten(cause));
      return false;
    }
    if (machine.sent) outbox.closeFrameSent(this.closeFrameEnd);
    return true;
  }

  // The end of the peer

  /** The peer's close frame was parsed, after all messages before it. */
  peerClosed(): void {
    const { inbox, machine, rare } = this.#connection;
    const { received, sent } = machine;
    this.#isAnswered = sent;
    this.readEnd = { reason: peerCloseError(received!, sent, isCut(this.#connection), rare?.loss) };
    inbox.stop();
    this.#act();
  }

  /** The peer has ended its side of the transport (FIN). Its close frame may be in the unread input. */
  peerFin(): void {
    if (this.#connection.transportClosed) return;
    const { machine, inbox } = this.#connection;
    machine.end();
    this.readEnd ??= { reason: unexpectedEof() };
    if (!machine.open) inbox.run('last');
    this.#act();
    this.#connection.scheduleEndOfTurn();
  }

  /** All input before the peer's end is parsed. */
  peerEnded(): void {
    this.#connection.inbox.stop();
    this.#act();
  }

  /**
   * The loop of the input has stopped: answers the peer's end when all messages before it are handled,
   * and else sets the clock of their reader.
   *
   * @param ahead - The input is parsed as far as the read-ahead has room.
   */
  parsed(ahead: boolean): void {
    const connection = this.#connection;
    const { inbox, machine, rare } = connection;
    const { readEnd } = this;
    if (readEnd !== undefined) {
      // Before a read of a message that is cut gets its error, since that read asks for more.
      const isHandled = allHandled(connection, ahead);
      if (machine.inputEnded) {
        rare?.pings?.rejectAll(readEnd.reason);
        inbox.finishMessage(readEnd);
      }
      if (inbox.dropping || (machine.inputEnded && isHandled)) {
        this.#answer();
        if (!this.#answering) inbox.finish(this.readEnd!.reason, true);
      }
      // The transport is closed, and no code reads.
      else if (
        ahead &&
        this.#connection.transportClosed &&
        !mayRead(inbox) &&
        !readAheadHasRoom(connection)
      ) {
        this.#dropExcess();
      }
    }
    if (machine.open && readEnd !== undefined) this.clocks.readerIsAwaited();
    else if (ahead && machine.state === CLOSE_SENT && readAheadIsFull(connection)) {
      this.#watchReader(mayRead(inbox));
    }
  }

  /** Answers the peer's close frame, or the end of its stream, if no other frame of ours did. */
  #answer(): void {
    const { machine, rare } = this.#connection;
    if (!machine.answerIsDue || this.#answering) return;
    const { received } = machine;
    const handlers = rare?.handlers;
    if (received === undefined || handlers?.close === undefined) return this.#sendAnswer();
    // First: the handler may read, and may close.
    this.#answering = true;
    this.clocks.handlerIsAwaited();
    void handlers.handleClose(received).then(() => this.#handlerDone());
  }

  /**
   * The close handler is done, or takes too long. Unless it has sent a close frame, ours repeats the
   * code of the peer's (section 5.5.1).
   */
  #handlerDone(): void {
    this.#connection.scheduleEndOfTurn();
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

  /** Our last frame is queued: ends our side if the state says so, and bounds the wait for the peer. */
  #act(): void {
    const connection = this.#connection;
    const { machine, outbox, shared } = connection;
    const { endTimeout } = connection.transport;
    if (machine.open) return;
    if (machine.ends(shared.role)) outbox.sender.end();
    if (machine.over) return shared.laterTurn.add(this);
    if (machine.state >= DESTROYED) return;
    this.clocks.peerIsAwaited();
    // Peers of this transport may never end their side. A server that closed first may still read
    // what we sent: it has the rest of `closeTimeout`.
    const peerReads = shared.role === 'client' && !this.#isAnswered;
    if (machine.received !== undefined && endTimeout !== undefined && !peerReads)
      this.clocks.stallFor(endTimeout);
  }

  /**
   * A later turn than the one in which both sides have ended: what was accepted is sent, or takes
   * long. The transport of a socket has often destroyed itself by then.
   */
  onTurn(): void {
    if (this.#connection.transportClosed) return;
    this.#connection.guardTransport(() => {
      if (this.#connection.outbox.sender.bufferedAmount === 0) this.destroyTransport();
      else this.clocks.peerIsAwaited();
    });
  }

  /** Drops the messages for which the read-ahead has no room. Queued messages can still be read. */
  #dropExcess(): void {
    this.#connection.inbox.dropExcess();
    this.#connection.scheduleEndOfTurn();
  }

  /** Drops the queued messages and all later ones. */
  #dropMessages(): void {
    const { inbox } = this.#connection;
    inbox.start();
    inbox.dropAll();
    this.#connection.scheduleEndOfTurn();
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
   * Fails the connection with `code`, because a part of it or a handler failed (section 7.1.7). After our
   * close frame, the handshake continues without the messages of the peer.
   */
  fail(error: unknown, code: number, reason: string): void {
    const { machine, inbox } = this.#connection;
    if (machine.failed !== undefined) return;
    if (machine.state === CLOSE_SENT) {
      machine.failed = { error, code, reason };
      this.#dropMessages();
      inbox.finish(error, false);
      return this.#connection.scheduleEndOfTurn();
    }
    inbox.stop();
    if (machine.state < DESTROYED) {
      this.#cut();
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
    // It replaces a known reason for the end: the parser reached the fault earlier in the stream.
    inbox.stop();
    // A destroyed transport has ended for another reason.
    if (machine.state !== DESTROYED) this.readEnd = { reason: error };
    connection.scheduleEndOfTurn();
    if (machine.state >= DESTROYED) return;
    if (machine.sent) outbox.closeFrameSent(this.closeFrameEnd);
    this.#answering = false;
    this.clocks.slowPeer = undefined;
    this.clocks.bound();
    this.#act();
    pauseOrResume(connection);
  }

  /**
   * A handler failed: the connection fails with 1011, or 1013 after a BackpressureError. This is the
   * rule for all four kinds of handler. The error changes nothing when it is the end of this
   * connection, or says only that a write came after our close frame. `receive` rejects with any other
   * error, and `report` gets it.
   */
  handlerFailed(error: unknown, where: string): void {
    const connection = this.#connection;
    const { machine, inbox } = connection;
    const isEnd = this.isKnownEnd(error);
    const { sent } = machine;
    const isLate = sent && this.isCloseSent(error);
    if (!isEnd && !isLate) connection.report(error, where);
    // `report` may have closed or terminated the connection.
    const ended = machine.state >= DESTROYED || isEnd;
    if (where === 'receive') {
      this.#dropMessages();
      if (ended) {
        if (!isEnd) {
          inbox.stop();
          inbox.finish(error, this.#connection.endedWith(error));
        }
        return connection.scheduleEndOfTurn();
      }
    }
    if (ended || isLate) return;
    if (machine.open) this.fail(error, codeAfterError(error), '');
    // Not when `report` has closed.
    else if (sent) machine.failed ??= { error, code: codeAfterError(error), reason: '' };
  }

  /** `terminate`: the transport is destroyed without a close frame. */
  terminate(): void {
    this.#dropMessages();
    this.#connection.inbox.stop();
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

  /** A transport that could not be destroyed may never report its close. The connection ends now. */
  #notDestroyed(cause: unknown): void {
    const connection = this.#connection;
    connection.report(cause, 'transport.destroy');
    const closed = new TurnCallback(() => connection.close(transportFailed('destroy', cause)));
    connection.shared.endOfTurn.add(closed);
  }

  // Time

  /** The time of the alarm is over. */
  alarm(): void {
    const { clocks } = this;
    const { machine } = this.#connection;
    if (machine.open) return this.#answerIsLate();
    if (!clocks.stallIsSet) return this.#deadlineCame();
    clocks.stallIsOver();
    if (machine.received !== undefined) return this.#endWithoutPeer();
    if (!readAheadIsFull(this.#connection)) return;
    if (progress(this.#connection) === clocks.progressAtStall) this.#dropExcess();
    else this.#watchReader(true);
  }

  /**
   * The peer's close frame may be behind a full read-ahead.
   *
   * @param reads - Whether code may read on. If it does not, there is nothing to wait for.
   */
  #watchReader(reads: boolean): void {
    const { clocks } = this;
    if (clocks.stallIsSet) return;
    const time = reads ? clocks.longestStall : 0;
    if (time === 0) return this.#dropExcess();
    clocks.progressAtStall = progress(this.#connection);
    clocks.readerMayStall(time);
  }

  #endWithoutPeer(): void {
    const { outbox, transport } = this.#connection;
    if (transport.endTimeout === undefined) return;
    if (outbox.sender.bufferedAmount === 0) this.destroyTransport();
    else this.clocks.stallFor(transport.endTimeout);
  }

  #deadlineCame(): void {
    const { clocks } = this;
    if (!clocks.isBounded) return;
    const { machine, outbox, platform, transport } = this.#connection;
    const { bytesFlushed, bufferedAmount } = outbox.sender;
    const slowPeer = machine.state < DESTROYED ? clocks.slowPeer : undefined;
    const inTransit = transport.inTransit ?? 0;
    const left = slowPeer?.extend(platform.now(), bytesFlushed, bufferedAmount, inTransit) ?? 0;
    clocks.extend(left);
    if (left === 0) this.#giveUp();
  }

  /** The reader has had its time, and so has the close handler. */
  #answerIsLate(): void {
    if (this.#answering) return this.#handlerDone();
    this.#connection.scheduleEndOfTurn();
    // The peer gets its answer although a message may be unhandled, or its close frame unparsed.
    this.#connection.machine.lookAhead();
    this.#answer();
  }

  /** The peer has not done its part within its time. */
  #giveUp(): void {
    const text = `the peer did not finish the closing handshake within ${this.clocks.timeoutText}`;
    this.readEnd ??= { reason: new CloseError(CloseCode.AbnormalClosure, '', text) };
    this.#unsent = this.#connection.outbox.sender.bufferedAmount > 0;
    this.abort(new TimeoutError(text, { permanent: true }));
  }

  // The end of the transport

  transportClosed(error: Error | undefined): void {
    if (this.#connection.transportClosed) return;
    const connection = this.#connection;
    const { machine, inbox, outbox } = connection;
    machine.gone();
    const broken = brokenBy(error);
    this.readEnd ??= { reason: broken ?? unexpectedEof() };
    this.error ??= broken ?? this.readEnd.reason;
    const flushed = outbox.frames.bytes === 0;
    connection.cleanUp(machine.sent ? undefined : (this.error as WebSocketError));
    if (machine.received === undefined) inbox.run('last');
    // The rest is parsed as its reader takes it.
    machine.lookAhead();
    this.info = this.#infoOf(flushed);
    connection.settle(this.info);
  }

  /** @param flushed - The transport took our close frame before. */
  #infoOf(flushed: boolean): CloseInfo {
    const { received, failed, sent } = this.#connection.machine;
    const isSent = sent && flushed && !this.#unsent;
    const wasClean = received !== undefined && isSent && failed === undefined;
    const error = errorOf(failed === undefined ? this.error : failed.error);
    return {
      code: received?.code ?? failed?.code ?? CloseCode.AbnormalClosure,
      reason: received?.reason ?? '',
      wasClean,
      ...(wasClean || error === undefined ? {} : { error }),
    };
  }
}

/** Whether code has read and may read on, or the handler that runs may begin to read. */
function mayRead({ hasRead, connHandlerRuns }: Inbox): boolean {
  return hasRead || connHandlerRuns;
}

/**
 * The pull rule: the application has handled every message when it asks for the next one, does not
 * read, or has got none.
 *
 * @param ahead - The turn ends. Until then, code may begin to read.
 */
function allHandled({ inbox, machine }: Connection, ahead: boolean): boolean {
  const { queue, pieces } = inbox;
  if (inbox.asks && queue?.empty !== false && pieces?.empty !== false) return true;
  return ahead && (!mayRead(inbox) || machine.messagesIn === 0);
}
