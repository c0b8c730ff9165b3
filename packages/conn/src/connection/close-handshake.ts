import { CloseCode, formatCloseMessage, type Role, type WebSocketError } from '@ws/codec';
import type { CloseInfo, ConnState } from '../close-info.ts';
import {
  CloseError,
  causeText,
  errorOf,
  TimeoutError,
  TransportError,
  UNEXPECTED_EOF,
  untraced,
} from '../errors.ts';

// The phases of a close (RFC 6455, section 7). A connection only moves down this list.

/** Neither end has sent a close frame, and the transport still delivers. */
export const OPEN = 0;
/**
 * The peer sent its close frame or ended its stream. Some messages before that are still unread.
 */
const ENDING = 1;
/**
 * All messages before the peer's close frame are handled, or half of `closeTimeout` has passed: the
 * close handler runs.
 */
const ANSWERING = 2;
/**
 * Our close frame is accepted for sending, or none is due. The connection waits for the peer or for
 * the transport.
 */
const CLOSING = 3;
/** The transport is closed. Messages that were read ahead can still be read. */
export const CLOSED = 4;
export type Phase = 0 | 1 | 2 | 3 | 4;

/**
 * Most input in bytes that is dropped after our close frame. Closing a socket with unread
 * input sends a reset, and the peer may then lose our close frame.
 */
const MAX_DROPPED = 1_048_576;

/**
 * Time in ms after which the message of a single read counts as handled. A handler of `receive` that
 * has closed the connection gets as long for its next message.
 */
export const SINGLE_READ_TIME = 250;

/** Says whose message and whose limit a close frame with 1009 is about. */
const SENT_TOO_BIG = 'a message of this end is larger than the limit of the peer';

/** Names a handler in reports. */
type HandlerName = 'receive' | 'ping handler' | 'pong handler' | 'close handler';

/** The events of a close, each with the type of its details. */
export interface CloseEvents {
  /**
   * `close`, or a close frame by `writeControl`; `timeout` in ms bounds the handshake. Default:
   * {@link CloseActions.closeTimeout}. `discard`: messages before the peer's close frame are
   * dropped.
   */
  ourClose: {
    readonly payload: Uint8Array;
    readonly timeout: number | undefined;
    readonly discard: boolean;
  };
  /** The peer's close frame was parsed. */
  peerClose: { readonly code: number; readonly reason: string };
  /** The peer ended its side of the transport. */
  peerEof: undefined;
  /** The turn ends: the input that has arrived is parsed as far as the read-ahead has room. */
  inputParsed: undefined;
  /** All input before the end is read, or dropped. */
  inputRead: undefined;
  /** The close handler has finished. */
  handlerDone: undefined;
  /** The peer broke a rule, or a part of the connection failed: it fails with `code`. */
  fault: { readonly error: unknown; readonly code: number; readonly reason: string };
  /** A handler of the application failed: that of `receive`, or one of control frames. */
  handlerFailed: { readonly error: unknown; readonly where: HandlerName };
  /** `terminate`: the transport is destroyed without a close frame. */
  terminate: undefined;
  /** The transport is destroyed because of `error`. */
  abort: { readonly error: WebSocketError };
  /** The time of {@link CloseActions.setAlarm} is over. */
  alarm: undefined;
  /** The transport is closed, with its error if it had one. */
  transportClosed: { readonly error: Error | undefined };
}

/** The actions that a {@link CloseHandshake} takes on its connection. */
export interface CloseActions {
  readonly role: Role;
  /** Time in ms that the peer has for its part of the handshake. */
  readonly closeTimeout: number;
  /** Whether a close frame can be sent: we have sent none, and writes are accepted. */
  readonly acceptsClose: boolean;
  /** Whether accepted frames still wait for the transport. */
  readonly unsent: boolean;
  /** Whether input has arrived that is not parsed. */
  readonly unparsed: boolean;
  /** Whether no input is parsed, because the read-ahead is full and no read waits. */
  readonly readAheadFull: boolean;
  /**
   * The time in ms that the reader gets for its next read: 0 when no code reads, Infinity when a
   * loop or a handler reads.
   */
  readonly readerPatience: number;
  /** Whether the code that closes was called by the handler of `receive`. */
  readonly inReceiveHandler: boolean;
  /** Whether every message that has arrived was given to a reader, and no handler is at work. */
  readonly allRead: boolean;
  /** A number that changes when a reader takes a message, or a part of one. */
  readonly readProgress: number;
  /** Sends all accepted messages. Messages that are not compressed yet are sent uncompressed. */
  sendAccepted(): void;
  /**
   * Sends a close frame and rejects writes after it. False when the frame could not be encoded, for
   * example because the buffer pool failed.
   */
  sendClose(payload: Uint8Array): boolean;
  /** Rejects all later writes, and those whose bytes a destroyed transport releases. */
  failWrites(error: WebSocketError): void;
  /** Rejects all later writes and the writes in the write queue. */
  endWrites(error: WebSocketError): void;
  /**
   * Rejects writes that the transport has not taken. The rest of a frame that was partly written is
   * still sent.
   */
  cutWrites(): void;
  /** Ends our side of the transport after all accepted frames. */
  endTransport(): void;
  /** Destroys the transport in a later turn, if all accepted bytes are sent by then. */
  destroyTransportWhenSent(): void;
  destroyTransport(): void;
  /** Parses the input that has arrived, as far as the read-ahead has room. */
  parseRest(): void;
  /** Ends parsing and releases the memory of the input. */
  stopInput(): void;
  /** Whether `error` is the one with which writes reject after our close frame. */
  isCloseSent(error: unknown): boolean;
  /** Drops the queued messages and all later messages. */
  dropMessages(): void;
  /** Drops the messages for which the read-ahead has no room. Queued messages can still be read. */
  dropExcess(): void;
  /** Ends reading: pending reads reject with `reason`. */
  endReading(reason: unknown): void;
  /** Calls the close handler. Returns undefined when the user set none. */
  callCloseHandler(code: number, reason: string): Promise<void> | undefined;
  /** The time of a monotonic clock in ms. */
  now(): number;
  /** Fires the event `alarm` in `ms`. */
  setAlarm(ms: number): void;
  /** Pauses or resumes the transport, depending on whether input is wanted. */
  balance(): void;
  /**
   * Schedules the connection's work at the end of the turn. It flushes frames, and ends reading
   * when that is due.
   */
  scheduleEndOfTurn(): void;
  /**
   * The transport is closed: stops timers, rejects writes and releases pooled memory. `error`: why
   * the transport has closed; undefined after our close frame.
   */
  release(error: WebSocketError | undefined): void;
  /** Passes an error of the application to the option `report`. */
  report(error: unknown, where: string): void;
  /** Reports that the connection has ended. */
  settle(info: CloseInfo): void;
}

/**
 * The state machine of a connection's close (RFC 6455, section 7). Only this class knows the phase
 * and the facts of the close, and decides what each event does. The first event creates it, so an
 * idle connection has none.
 *
 * Reading ends when all input is parsed, all messages are read and no handler is at work. After our
 * own close frame, messages are delivered until the peer's close frame. Where no code reads, those
 * for which the read-ahead has no room are dropped.
 */
export class CloseHandshake {
  phase: Phase = OPEN;
  /** Why reading will end. Set once a close frame, the end of the stream or a fault was seen. */
  endReason: { readonly reason: unknown } | undefined;
  /** The peer has ended its side of the transport. */
  eof = false;
  /** Our close frame was accepted for sending. */
  sent = false;
  /** The peer's close frame. */
  received: CloseEvents['peerClose'] | undefined;
  /** We failed the connection: the peer or a handler broke a rule. */
  failed: { readonly error: unknown; readonly code: number } | undefined;
  /** Why we destroyed the transport, or why it closed. Reported unless the close is clean. */
  abortError: unknown;
  /** How the connection ended. Undefined until then. */
  info: CloseInfo | undefined;
  /**
   * When the transport is destroyed, in ms of {@link CloseActions.now}. The event that starts the
   * phase CLOSING sets it. Later events may only shorten it.
   */
  deadline: number = Infinity;
  /** The timeout that {@link deadline} ends, and its option, for the error. */
  timeoutText = '';
  readonly actions: CloseActions;
  /** We have destroyed the transport, which reports its close later. */
  destroyed = false;
  /** The latest time of our answer to the peer's close frame, in ms of {@link CloseActions.now}. */
  answerBy: number = Infinity;
  /** Longest time in ms without progress of a reader after our close frame. */
  longestStall: number = Infinity;
  /**
   * When a reader that made no progress since {@link stalledAt} loses the messages for which the
   * read-ahead has no room. The alarm is set to this time while it is finite.
   */
  stallDeadline: number = Infinity;
  /** {@link CloseActions.readProgress} when the stall began. */
  stalledAt = 0;
  #dropped = 0;

  constructor(actions: CloseActions) {
    this.actions = actions;
  }

  get state(): ConnState {
    if (this.phase === CLOSED) return 'closed';
    return this.phase < ANSWERING && !this.destroyed ? 'open' : 'closing';
  }

  /**
   * Whether `error` says only that a write came after our close frame, or after the end of the
   * peer's stream. Messages before that may still be unread.
   */
  isLateAnswer(error: unknown): boolean {
    if (this.failed !== undefined || error === undefined) return false;
    if (this.sent && this.actions.isCloseSent(error)) return true;
    if (!this.sent && !this.eof) return false;
    return this.phase !== OPEN && error === this.endReason?.reason;
  }

  handle<E extends keyof CloseEvents>(event: E, detail: CloseEvents[E]): void {
    TABLE[event][this.phase](this, detail);
  }

  /**
   * Counts input that is dropped after our close frame. Counting starts when the frame is sent:
   * before that the peer cannot know of the close.
   */
  countDropped(bytes: number): void {
    if (!this.sent || this.actions.unsent) return;
    this.#dropped += bytes;
    if (this.#dropped <= MAX_DROPPED) return;
    const text = `the peer sent more than ${MAX_DROPPED} bytes after our close frame`;
    this.handle('abort', { error: new TransportError(text) });
  }
}

type Transition<E extends keyof CloseEvents> = (
  handshake: CloseHandshake,
  detail: CloseEvents[E],
) => void;

/** The transitions: one row per event, one column per phase. */
const TABLE: {
  readonly [E in keyof CloseEvents]: readonly [
    open: Transition<E>,
    ending: Transition<E>,
    answering: Transition<E>,
    closing: Transition<E>,
    closed: Transition<E>,
  ];
} = {
  ourClose: [startHandshake, startHandshake, startHandshake, shorten, ignore],
  peerClose: [peerCloses, peerCloses, peerCloses, peerCloses, recordPeerClose],
  peerEof: [peerEnds, peerEnds, peerEnds, peerEndsWhileClosing, ignore],
  inputParsed: [ignore, waitForReader, ignore, continueReading, ignore],
  inputRead: [endReading, answerAndEndReading, ignore, endReading, endReading],
  handlerDone: [ignore, ignore, echo, ignore, ignore],
  fault: [fail, fail, fail, fail, recordFault],
  handlerFailed: [
    onHandlerFailed,
    onHandlerFailed,
    onHandlerFailed,
    onHandlerFailed,
    onHandlerFailed,
  ],
  terminate: [terminate, terminate, terminate, terminate, terminate],
  abort: [abort, abort, abort, abort, abort],
  alarm: [ignore, answerNow, echo, onClosingAlarm, ignore],
  transportClosed: [completeClose, completeClose, completeClose, completeClose, ignore],
};

function ignore(): void {}

function startHandshake(
  handshake: CloseHandshake,
  { payload, timeout, discard }: CloseEvents['ourClose'],
): void {
  const { actions } = handshake;
  if (actions.acceptsClose) actions.sendAccepted();
  // A transport may report its close within `write`.
  if (!actions.acceptsClose) return;
  sendClose(handshake, payload);
  const ms = timeout ?? actions.closeTimeout;
  setAlarm(handshake, ms, timeoutOption(timeout));
  // A handler that closes often awaits the close, and takes no message until then.
  handshake.longestStall = Math.min(ms / 2, actions.inReceiveHandler ? SINGLE_READ_TIME : ms);
  if (discard) actions.dropMessages();
  if (handshake.received !== undefined) closeTransport(handshake);
  else if (handshake.eof) endAfterInput(handshake);
  actions.balance();
  actions.scheduleEndOfTurn();
}

/** A later `close`. */
function shorten(handshake: CloseHandshake, { timeout, discard }: CloseEvents['ourClose']): void {
  const { actions } = handshake;
  if (timeout !== undefined) setAlarm(handshake, timeout, timeoutOption(timeout));
  if (!discard) return;
  actions.dropMessages();
  actions.balance();
  actions.scheduleEndOfTurn();
}

/** After our close frame: messages are delivered until the peer's close frame. */
function continueReading(handshake: CloseHandshake): void {
  if (handshake.received !== undefined) return;
  watchReader(handshake);
  if (handshake.eof) endAfterInput(handshake);
}

/** The peer has ended its stream. Its close frame may be in the unparsed input. */
function endAfterInput(handshake: CloseHandshake): void {
  const { actions } = handshake;
  if (actions.unparsed) return;
  actions.stopInput();
  endTransport(handshake);
}

/**
 * The peer's close frame may be behind a full read-ahead. Where no code reads, or a reader makes no
 * progress, the messages for which there is no room are dropped.
 */
function watchReader(handshake: CloseHandshake): void {
  const { actions } = handshake;
  if (!handshake.sent || !actions.readAheadFull || handshake.stallDeadline !== Infinity) return;
  const patience = Math.min(actions.readerPatience, handshake.longestStall);
  if (patience <= 0) return actions.dropExcess();
  const at = actions.now() + patience;
  if (at >= handshake.deadline) return;
  handshake.stallDeadline = at;
  handshake.stalledAt = actions.readProgress;
  actions.setAlarm(patience);
}

function onClosingAlarm(handshake: CloseHandshake): void {
  const { actions } = handshake;
  if (handshake.stallDeadline === Infinity) return giveUp(handshake);
  handshake.stallDeadline = Infinity;
  actions.setAlarm(Math.max(0, handshake.deadline - actions.now()));
  if (handshake.received !== undefined || !actions.readAheadFull) return;
  if (actions.readProgress === handshake.stalledAt) actions.dropExcess();
  else watchReader(handshake);
}

function sendClose(handshake: CloseHandshake, payload: Uint8Array): void {
  handshake.phase = CLOSING;
  handshake.sent = handshake.actions.sendClose(payload);
}

/** Sends a close frame of `code`. Without memory for its payload, the transport is destroyed. */
function sendCloseCode(handshake: CloseHandshake, code: number, reason: string): void {
  let payload: Uint8Array;
  try {
    payload = formatCloseMessage(code, reason);
  } catch (cause) {
    handshake.phase = CLOSING;
    return abort(handshake, {
      error: new TransportError('a close frame could not be written', { cause }),
    });
  }
  sendClose(handshake, payload);
}

function peerCloses(handshake: CloseHandshake, detail: CloseEvents['peerClose']): void {
  recordPeerClose(handshake, detail);
  if (handshake.sent) closeTransport(handshake);
  else waitForReader(handshake);
}

/**
 * The messages before the peer's close frame, or before the end of its stream, have at most half of
 * `closeTimeout` to be handled: a peer with the same `closeTimeout` still gets the answer. When only
 * the last message is unhandled, its reader has {@link CloseActions.readerPatience}.
 */
function waitForReader(handshake: CloseHandshake): void {
  const { actions } = handshake;
  if (handshake.phase === OPEN) {
    handshake.phase = ENDING;
    handshake.answerBy = actions.now() + actions.closeTimeout / 2;
  }
  if (handshake.phase !== ENDING) return;
  const left = Math.max(0, handshake.answerBy - actions.now());
  // Without patience, the end of the turn answers.
  const patience = actions.allRead ? actions.readerPatience : 0;
  actions.setAlarm(patience > 0 ? Math.min(left, patience) : left);
}

/**
 * The peer's close frame comes before the end of its stream, even when the end is seen first. So
 * its reason replaces that of the stream's end.
 */
function recordPeerClose(handshake: CloseHandshake, detail: CloseEvents['peerClose']): void {
  const { code, reason } = detail;
  // The answer to our own close frame repeats its code.
  const note = code === CloseCode.MessageTooBig && !handshake.sent ? SENT_TOO_BIG : '';
  handshake.received = detail;
  handshake.actions.stopInput();
  handshake.endReason = { reason: untraced(() => new CloseError(code, reason, note)) };
}

/**
 * The peer ended its stream, and no close frame was parsed so far. The unread input may still
 * contain one.
 */
function peerEnds(handshake: CloseHandshake): void {
  const { actions } = handshake;
  handshake.eof = true;
  handshake.endReason ??= { reason: unexpectedEof() };
  waitForReader(handshake);
  actions.scheduleEndOfTurn();
}

function peerEndsWhileClosing(handshake: CloseHandshake): void {
  const { actions } = handshake;
  handshake.eof = true;
  handshake.endReason ??= { reason: unexpectedEof() };
  if (handshake.sent) actions.parseRest();
  endAfterInput(handshake);
  actions.scheduleEndOfTurn();
}

function endReading({ endReason, actions }: CloseHandshake): void {
  if (endReason !== undefined) actions.endReading(endReason.reason);
}

function answerAndEndReading(handshake: CloseHandshake): void {
  answer(handshake);
  if (handshake.phase !== ANSWERING) endReading(handshake);
}

/** Answers the peer's close frame, or the end of its stream. */
function answer(handshake: CloseHandshake): void {
  const { received, actions, destroyed } = handshake;
  if (destroyed) {
    handshake.phase = CLOSING;
    return;
  }
  if (received === undefined) {
    handshake.phase = CLOSING;
    setAlarm(handshake, actions.closeTimeout);
    actions.sendAccepted();
    actions.endWrites(handshake.endReason!.reason as WebSocketError);
    endTransport(handshake);
    return;
  }
  handshake.phase = ANSWERING;
  // The peer has waited since its close frame: a late close handler has half of the rest.
  const left = handshake.answerBy - actions.now();
  actions.setAlarm(Math.max(left, actions.closeTimeout / 4));
  const handled = actions.callCloseHandler(received.code, received.reason);
  if (handled === undefined) {
    handshake.handle('handlerDone', undefined);
    return;
  }
  handled.then(
    () => handshake.handle('handlerDone', undefined),
    (error: unknown) => {
      handshake.handle('handlerFailed', { error, where: 'close handler' });
      // If the error is no failure, the peer still gets its answer.
      handshake.handle('handlerDone', undefined);
    },
  );
}

/** The reader's time has passed: the peer gets its answer although a message may be unhandled. */
function answerNow(handshake: CloseHandshake): void {
  answer(handshake);
  if (handshake.phase !== ANSWERING) setAlarm(handshake, handshake.actions.closeTimeout);
}

/**
 * Sends our close frame with the code of the peer's close frame (RFC 6455, section 5.5.1): the close
 * handler has sent none, or takes too long.
 */
function echo(handshake: CloseHandshake): void {
  const { actions } = handshake;
  if (handshake.destroyed) handshake.phase = CLOSING;
  else {
    actions.sendAccepted();
    // A transport may report its close within `write`.
    if (!actions.acceptsClose) return;
    sendCloseCode(handshake, handshake.received!.code, '');
    closeTransport(handshake);
  }
  actions.scheduleEndOfTurn();
}

/** RFC 6455, section 7.1.1: the server closes TCP first, the client waits for it. */
function closeTransport(handshake: CloseHandshake): void {
  const { actions } = handshake;
  if (handshake.eof) endTransport(handshake);
  else if (actions.role === 'server') actions.endTransport();
  if (handshake.deadline === Infinity) setAlarm(handshake, actions.closeTimeout);
}

/**
 * The peer has ended its side of the transport. Our side ends after all accepted frames, and the
 * transport is destroyed once they are sent.
 */
function endTransport({ actions }: CloseHandshake): void {
  actions.endTransport();
  actions.destroyTransportWhenSent();
}

/** Fails the connection (RFC 6455, section 7.1.7). All failures use this function. */
function fail(handshake: CloseHandshake, { error, code, reason }: CloseEvents['fault']): void {
  if (handshake.failed !== undefined) return;
  const { actions } = handshake;
  if (handshake.destroyed) {
    // The transport has ended for another reason, and no frame follows.
    actions.stopInput();
    return actions.scheduleEndOfTurn();
  }
  recordFault(handshake, { error });
  handshake.failed = { error, code };
  if (!handshake.sent) {
    actions.cutWrites();
    // A transport may fail or report its close within `write`.
    if (handshake.destroyed || handshake.info !== undefined) return;
    sendCloseCode(handshake, code, reason);
  }
  handshake.phase = CLOSING;
  actions.endTransport();
  setAlarm(handshake, actions.closeTimeout);
  actions.balance();
}

/**
 * A fault replaces any known reason for the end: the parser reached the fault earlier in the
 * stream.
 */
function recordFault(handshake: CloseHandshake, { error }: { readonly error: unknown }): void {
  if (handshake.failed !== undefined) return;
  handshake.actions.stopInput();
  handshake.endReason = { reason: error };
  handshake.actions.scheduleEndOfTurn();
}

/**
 * A handler failed: the connection fails with 1011. This is the rule for all four kinds of handler.
 * The error changes nothing for the peer after our close frame, or when the error is the end of
 * this connection: that end made the handler fail. `receive` rejects with any other error, and
 * `report` gets it.
 */
function onHandlerFailed(
  handshake: CloseHandshake,
  { error, where }: CloseEvents['handlerFailed'],
): void {
  const { actions } = handshake;
  const isEnd = isKnownEnd(handshake, error);
  const isLate = handshake.sent && actions.isCloseSent(error);
  if (!isEnd && !isLate) actions.report(error, where);
  // `report` may have closed or terminated the connection.
  const { phase, eof, sent, destroyed } = handshake;
  if (where === 'receive') {
    actions.dropMessages();
    if (phase === CLOSED || destroyed || eof || isEnd) return endReceive(handshake, error, isEnd);
  }
  if (phase === CLOSED || destroyed || sent || isEnd) return;
  handshake.handle('fault', { error, code: CloseCode.InternalServerErr, reason: '' });
}

/** The handler of `receive` failed at the end of the connection: no close code is sent any more. */
function endReceive({ actions }: CloseHandshake, error: unknown, isEnd: boolean): void {
  if (!isEnd) {
    actions.stopInput();
    actions.endReading(error);
  }
  actions.scheduleEndOfTurn();
}

/**
 * Whether `error` is the end of this connection, as its reads, writes and pings report it. After
 * our close frame, writes reject with a CloseSentError; every error is then without effect.
 */
export function isKnownEnd({ endReason, abortError }: CloseHandshake, error: unknown): boolean {
  if (error === undefined) return false;
  return endReason?.reason === error || abortError === error;
}

function terminate(handshake: CloseHandshake): void {
  const { actions } = handshake;
  handshake.destroyed = true;
  actions.dropMessages();
  actions.stopInput();
  handshake.endReason ??= { reason: new CloseError(CloseCode.AbnormalClosure) };
  // The transport reports its close later. Frames written until then would be lost, so later
  // writes reject from now on.
  actions.failWrites(handshake.endReason.reason as WebSocketError);
  actions.destroyTransport();
}

function abort(handshake: CloseHandshake, { error }: CloseEvents['abort']): void {
  const { actions } = handshake;
  handshake.destroyed = true;
  handshake.abortError ??= error;
  handshake.endReason ??= { reason: error };
  actions.failWrites(error);
  actions.destroyTransport();
}

function giveUp(handshake: CloseHandshake): void {
  handshake.destroyed = true;
  const text = `the peer did not finish the closing handshake within ${handshake.timeoutText}`;
  const error = new TimeoutError(text, { permanent: true });
  handshake.abortError ??= error;
  handshake.endReason ??= { reason: new CloseError(CloseCode.AbnormalClosure, '', text) };
  handshake.actions.failWrites(error);
  handshake.actions.destroyTransport();
}

function completeClose(handshake: CloseHandshake, { error }: CloseEvents['transportClosed']): void {
  const { actions } = handshake;
  handshake.phase = CLOSED;
  const broken = brokenBy(error);
  handshake.endReason ??= { reason: broken ?? unexpectedEof() };
  handshake.abortError ??= broken ?? handshake.endReason.reason;
  const flushed = !actions.unsent;
  actions.release(handshake.sent ? undefined : (handshake.abortError as WebSocketError));
  // The unread input may contain the peer's close frame.
  if (handshake.received === undefined) actions.parseRest();
  handshake.info = closeInfo(handshake, flushed);
  actions.settle(handshake.info);
}

/** How the connection ended. `flushed`: the transport took our close frame before it closed. */
function closeInfo(handshake: CloseHandshake, flushed: boolean): CloseInfo {
  const { received, failed, sent, abortError } = handshake;
  const wasClean = received !== undefined && sent && flushed && failed === undefined;
  const error = errorOf(failed === undefined ? abortError : failed.error);
  return {
    code: received?.code ?? failed?.code ?? CloseCode.AbnormalClosure,
    reason: received?.reason ?? '',
    wasClean,
    ...(wasClean || error === undefined ? {} : { error }),
  };
}

/** Bounds the current phase to `ms`, or to the deadline if that is earlier. */
function setAlarm(handshake: CloseHandshake, ms: number, option = 'closeTimeout'): void {
  const { actions, phase } = handshake;
  const at = actions.now() + ms;
  if (phase === CLOSED || at >= handshake.deadline) return;
  if (phase === CLOSING) {
    handshake.deadline = at;
    handshake.timeoutText = `${ms} ms (option ${option})`;
    if (handshake.stallDeadline < at) return;
    handshake.stallDeadline = Infinity;
  }
  actions.setAlarm(ms);
}

/** Names the option of the timeout: that of a call of `close`, or the default. */
function timeoutOption(timeout: number | undefined): string {
  return timeout === undefined ? 'closeTimeout' : 'timeout of close';
}

function unexpectedEof(): CloseError {
  return untraced(() => new CloseError(CloseCode.AbnormalClosure, UNEXPECTED_EOF));
}

function brokenBy(error: Error | undefined): TransportError | undefined {
  if (error === undefined || error instanceof TransportError) return error;
  return untraced(() => new TransportError(causeText(error), { cause: error }));
}
