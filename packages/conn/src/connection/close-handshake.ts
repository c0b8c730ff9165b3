import { CloseCode, formatCloseMessage, type Role, type WebSocketError } from '@ws/codec';
import type { CloseInfo, ConnState } from '../close-info.ts';
import {
  CloseError,
  CloseSentError,
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
 * Most input in bytes that is read and dropped after our close frame. Closing a socket with unread
 * input sends a reset, and the peer may then lose our close frame.
 */
const MAX_DROPPED = 1_048_576;

/** Says whose message and whose limit a close frame with 1009 is about. */
const SENT_TOO_BIG = 'a message of this end is larger than the limit of the peer';

/** Names a handler in reports. */
type HandlerName = 'receive' | 'ping handler' | 'pong handler' | 'close handler';

/** The events of a close, each with the type of its details. */
export interface CloseEvents {
  /**
   * `close`, or a close frame by `writeControl`; `timeout` in ms bounds the handshake. Default:
   * {@link CloseActions.closeTimeout}.
   */
  ourClose: { readonly payload: Uint8Array; readonly timeout: number | undefined };
  /** The peer's close frame was parsed. */
  peerClose: { readonly code: number; readonly reason: string };
  /** The peer ended its side of the transport. */
  peerEof: undefined;
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
  /** Drops the queued messages and all later messages. */
  dropMessages(): void;
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
 * Reading ends when all input is parsed, all messages are read and no handler is at work. Our own
 * close frame drops messages, so reading then ends at once.
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
  #dropped = 0;

  constructor(actions: CloseActions) {
    this.actions = actions;
  }

  get state(): ConnState {
    if (this.phase === CLOSED) return 'closed';
    return this.phase < ANSWERING && !this.destroyed ? 'open' : 'closing';
  }

  /**
   * Whether `error` says only that a write came after the answer to the peer's close frame, or to
   * the end of its stream. Messages before that may still be unread.
   */
  isLateAnswer(error: unknown): boolean {
    if (this.failed !== undefined) return false;
    if (this.received !== undefined) return this.sent && error instanceof CloseSentError;
    return this.eof && this.phase !== OPEN && error === this.endReason?.reason;
  }

  handle<E extends keyof CloseEvents>(event: E, detail: CloseEvents[E]): void {
    TABLE[event][this.phase](this, detail);
  }

  /**
   * Counts input after our close frame. Counting starts when the frame is sent: before that the
   * peer cannot know of the close.
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
  alarm: [ignore, answerNow, echo, giveUp, ignore],
  transportClosed: [completeClose, completeClose, completeClose, completeClose, ignore],
};

function ignore(): void {}

function startHandshake(
  handshake: CloseHandshake,
  { payload, timeout }: CloseEvents['ourClose'],
): void {
  const { actions, phase } = handshake;
  if (!actions.acceptsClose) return;
  actions.sendAccepted();
  sendClose(handshake, payload);
  // A close handler that answers by itself drops no message before the peer's close frame.
  if (phase !== ANSWERING) actions.dropMessages();
  setAlarm(handshake, timeout ?? actions.closeTimeout, timeoutOption(timeout));
  // A peer cannot send a close frame after the end of its stream.
  if (handshake.received !== undefined || handshake.eof) closeTransport(handshake);
  actions.balance();
  actions.scheduleEndOfTurn();
}

/** A later `close` with its own timeout. */
function shorten(handshake: CloseHandshake, { timeout }: CloseEvents['ourClose']): void {
  if (timeout !== undefined) setAlarm(handshake, timeout, timeoutOption(timeout));
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
 * The messages before the peer's close frame, or before the end of its stream, have half of
 * `closeTimeout` to be handled: a peer with the same `closeTimeout` still gets the answer.
 */
function waitForReader(handshake: CloseHandshake): void {
  if (handshake.phase !== OPEN) return;
  handshake.phase = ENDING;
  setAlarm(handshake, handshake.actions.closeTimeout / 2);
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
  if (handshake.sent) actions.parseRest();
  handshake.endReason ??= { reason: unexpectedEof() };
  actions.stopInput();
  endTransport(handshake);
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

/**
 * Half of `closeTimeout` has passed, so the peer gets its answer although earlier messages are not
 * handled.
 */
function answerNow(handshake: CloseHandshake): void {
  answer(handshake);
  const { closeTimeout } = handshake.actions;
  // The peer has waited since its close frame: the close handler has half of the rest.
  setAlarm(handshake, handshake.phase === ANSWERING ? closeTimeout / 4 : closeTimeout);
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
  recordFault(handshake, { error });
  handshake.failed = { error, code };
  if (!handshake.sent) {
    actions.cutWrites();
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
  const { actions, phase, eof, sent, destroyed } = handshake;
  const isEnd = isKnownEnd(handshake, error);
  if (!isEnd && !(sent && error instanceof CloseSentError)) actions.report(error, where);
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
