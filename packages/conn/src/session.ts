import {
  CloseCode,
  CloseMessage,
  formatCloseMessage,
  ProtocolError,
  parseCloseMessage,
  type Role,
  sharedSlabPool,
  type WebSocketError,
} from '@ws/codec';
import { slabsOf } from './buffer-pool.ts';
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
import { Deadline, untilOf } from './deadline.ts';
import type { Deflating } from './deflate/compression.ts';
import {
  CloseError,
  CloseSentError,
  ReadLimitError,
  TimeoutError,
  TransportError,
} from './errors.ts';
import { Heartbeat, type Patient } from './heartbeat.ts';
import type { Host } from './host.ts';
import {
  BEGIN,
  CLOSE,
  END,
  Intake,
  MESSAGE,
  NOTHING,
  PIECE,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from './intake.ts';
import type { Settings } from './options.ts';
import { Outbox, type OutboxOwner } from './outbox.ts';
import { checkClosePayload } from './prepared-message.ts';
import { Deferred, done, rejected } from './promises.ts';
import { Reading, type ReadingOwner } from './reading.ts';
import { type Alarm, timersOf } from './timers.ts';
import type { Transport, TransportSink } from './transport.ts';
import { Writing, type WritingOwner } from './writing.ts';

/**
 * One connection behind its `Conn`: joins the transport, what comes in, what goes out, the readers and the closing
 * handshake.
 *
 * The way in. A chunk is parsed as far as somebody waits for messages; what nobody waits for stays in it, unparsed,
 * until all microtasks that are ready have run: by then the reader is back, or the rest is read ahead. So an echo loop
 * of `await`s costs no queue, and pings are answered though nobody reads.
 *
 * The end. The phases stand in `closing.ts`. Two facts are kept apart from them: `#ended`, why reading will end, known
 * as soon as the peer's close frame, its stream's end or a fault is seen; and `#inputOver`, that nothing is parsed any
 * more. Reading ends in its place: when all input is parsed, all messages are read and no handler is at work; after our
 * own close frame, which drops messages, at once. Never true: input over with pooled memory held for it; a message
 * delivered that came after a fault.
 */
export class Session
  implements TransportSink, ReadingOwner, OutboxOwner, WritingOwner, Patient, Alarm
{
  /** The `Conn`, for those who watch from outside. */
  readonly conn: object;
  readonly host: Host;
  readonly settings: Settings;
  readonly transport: Transport;
  readonly intake: Intake;
  readonly outbox: Outbox;
  readonly writing: Writing;
  readonly reading: Reading;
  readonly controls: Controls;
  /** Set where permessage-deflate is agreed on. */
  readonly deflating: Deflating | undefined;
  bytesIn = 0;
  /** The transport is paused, by us. */
  paused = false;
  /** Of the alarm that the session itself is: it rings when the end takes too long. */
  tick: number | undefined;

  readonly #role: Role;
  readonly #closing = new Closing();
  readonly #heartbeat: Heartbeat | undefined;
  /** Rings when the transport has been paused too long with nobody reading; made when it is first paused so. */
  #idleAlarm: Alarm | undefined;
  /** The code that got the Conn has run its first synchronous part. */
  #started = false;
  #pumping = false;
  /** Whoever parses now writes out what that leaves behind. */
  #inTurn = false;
  #deferred = false;
  #resting = false;
  #readDeadline: Deadline | undefined;
  #writeDeadline: Deadline | undefined;
  #ended: { readonly reason: unknown } | undefined;
  #inputOver = false;
  /** How it ended, and who waits to hear it; made when somebody does. */
  #info: CloseInfo | undefined;
  #closed: Deferred<CloseInfo> | undefined;
  /** The peer has ended its side of the transport. */
  #eof = false;

  constructor(
    conn: object,
    role: Role,
    transport: Transport,
    host: Host,
    settings: Settings,
    deflating: Deflating | undefined,
  ) {
    this.conn = conn;
    this.#role = role;
    this.transport = transport;
    this.host = host;
    this.settings = settings;
    this.deflating = deflating;
    this.intake = new Intake(role, settings, host, deflating?.inflation, deflating?.plains);
    const { writeBufferPool, writeBufferSize } = settings;
    const pool =
      writeBufferPool === undefined ? sharedSlabPool() : slabsOf(writeBufferPool, writeBufferSize);
    this.outbox = new Outbox(role, transport, host, settings, pool, this);
    this.writing = new Writing(
      this,
      this.outbox,
      host,
      pool,
      writeBufferSize,
      role === 'client',
      deflating?.deflation,
    );
    this.reading = new Reading(this, this.intake, host, settings.readAhead);
    this.controls = new Controls(this, host, settings.maxPendingPings);
    if (settings.heartbeat !== false)
      this.#heartbeat = new Heartbeat(this, host, settings.heartbeat);
    transport.start(this);
    // No frame is parsed before the code that gets this connection has run its first synchronous part.
    this.#defer();
  }

  get state(): ConnState {
    return this.#closing.state;
  }

  /** Resolves when the transport is gone. */
  get closed(): Promise<CloseInfo> {
    if (this.#closed === undefined) {
      this.#closed = new Deferred<CloseInfo>();
      if (this.#info !== undefined) this.#closed.resolve(this.#info);
    }
    return this.#closed.promise;
  }

  // The transport's calls

  data(chunk: Uint8Array): void {
    this.bytesIn += chunk.length;
    if (this.#heartbeat !== undefined) this.#heartbeat.heardAt = this.host.now();
    // Counted from when our close frame has left: until then the peer cannot know.
    if (this.#closing.sent && !this.outbox.unsent && this.#closing.drop(chunk.length)) {
      this.abort(new TransportError('the peer went on sending after our close frame'));
    }
    if (this.#inputOver) return;
    this.intake.push(chunk);
    this.wanted();
  }

  drain(): void {
    this.outbox.drained();
  }

  end(): void {
    const closing = this.#closing;
    this.#eof = true;
    if (closing.sent) this.#pump(true);
    this.#end(new CloseError(CloseCode.AbnormalClosure, 'unexpected EOF'));
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
    const closing = this.#closing;
    if (closing.phase === GONE) return;
    closing.phase = GONE;
    this.#heartbeat?.stop();
    timersOf(this.host).clear(this);
    this.#disarmIdle();
    this.#readDeadline?.clear();
    this.#writeDeadline?.clear();
    const broken =
      error === undefined ? undefined : new TransportError(words(error), { cause: error });
    const eof = new CloseError(CloseCode.AbnormalClosure, 'unexpected EOF');
    this.#end(broken ?? eof);
    closing.lost ??= broken ?? this.#ended?.reason;
    const flushed = !this.outbox.unsent;
    this.outbox.destroy(closing.sent ? new CloseSentError() : (closing.lost as WebSocketError));
    this.writing.end(this.outbox.error!);
    this.deflating?.deflation.destroy();
    if (this.deflating !== undefined) this.intake.leave();
    this.#info = closing.info(flushed);
    this.#closed?.resolve(this.#info);
    this.host.watch?.closed?.(this.conn, this.#info);
    this.#defer();
  }

  // The readers', handlers' and writers' calls

  wanted(): void {
    if (this.#inTurn) return this.#pump(false);
    this.#inTurn = true;
    this.#pump(false);
    this.#inTurn = false;
    if (this.paused && this.#idleAlarm?.tick !== undefined) this.#armIdle();
    // Answers leave at once when all is read, else when the reader has had its chance.
    const endIsDue = this.#ended !== undefined && !this.reading.ended;
    if (this.intake.pending || !this.reading.idle || endIsDue) this.#defer();
    else if (this.outbox.pending) this.outbox.flush();
  }

  handlerFailed(error: unknown): void {
    const { phase, sent } = this.#closing;
    this.reading.drop();
    if (error === this.#ended?.reason) {
      // It waited for something that the end took away: a pong, a write. The end is not its fault.
      this.#defer();
    } else if (this.#eof || phase === GONE) {
      // Nobody is left to be told 1011; as a rule the end is why the handler failed.
      this.#stopInput();
      this.reading.end(error);
      this.#defer();
    } else if (!sent) {
      this.fail(error, CloseCode.InternalServerErr, '');
    }
    // After our close frame the handshake goes on, and `receive` tells of the error.
  }

  control(type: number, payload: Uint8Array): Promise<void> {
    if (type !== CloseMessage) return this.outbox.control(type, payload, 0, payload.length);
    if (!this.outbox.open) return rejected(this.outbox.error);
    checkClosePayload(payload);
    this.sendClose(payload, this.settings.closeTimeout);
    return done;
  }

  writerBroken(reason: unknown): void {
    this.fail(reason, CloseCode.InternalServerErr, '');
  }

  flushLater(): void {
    if (!this.#inTurn) this.#defer();
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
    this.#started = true;
    this.writing.finish();
    this.#sendClose(payload);
    this.reading.drop();
    this.intake.drop();
    this.#arm(timeout);
    if (this.#closing.received !== undefined) this.#closeTransport();
    this.#balance();
    this.#defer();
  }

  setReadDeadline(at: Date | number | null): void {
    if (this.state === 'closed') return void untilOf(at);
    this.#readDeadline ??= new Deadline(this.host, () => {
      this.reading.drop();
      this.intake.drop();
      this.reading.end(new TimeoutError('read timeout'));
    });
    this.#readDeadline.set(at);
  }

  setWriteDeadline(at: Date | number | null): void {
    if (this.state === 'closed') return void untilOf(at);
    this.#writeDeadline ??= new Deadline(this.host, () => {
      this.outbox.expire(new TimeoutError('write timeout'), this.writing.waiting);
    });
    this.outbox.expire(undefined, 0);
    this.#writeDeadline.set(at);
  }

  /** Drops the connection and all that waits, without a close frame. */
  terminate(): void {
    this.reading.drop();
    this.#stopInput();
    this.#end(new CloseError(CloseCode.AbnormalClosure));
    this.transport.destroy();
  }

  /** Drops the connection, without a close frame. `error` is what reads, writes and `closed` tell. */
  abort(error: WebSocketError): void {
    this.#closing.lost ??= error;
    this.#end(error);
    this.transport.destroy();
  }

  /** The one path by which a connection fails (RFC 6455, section 7.1.7). */
  fail(error: unknown, code: number, reason: string): void {
    const closing = this.#closing;
    if (closing.failed !== undefined) return;
    this.#stopInput();
    // An end that is known already stands behind this fault.
    this.#ended = { reason: error };
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

  #sendClose(payload: Uint8Array): void {
    this.#closing.sent = true;
    this.#closing.phase = CLOSING;
    this.#heartbeat?.stop();
    this.outbox.close(payload);
    this.writing.end(this.outbox.error!);
  }

  // The turn

  #defer(): void {
    if (this.#deferred) return;
    this.#deferred = true;
    this.host.defer(this.#onDefer);
  }

  readonly #onDefer = (): void => {
    this.#deferred = false;
    this.#started = true;
    this.#inTurn = true;
    this.#pump(true);
    this.#inTurn = false;
    this.outbox.flush();
  };

  /** Parses on while somebody waits for messages; `ahead`: into the read-ahead as well, as far as it has room. */
  #pump(ahead: boolean): void {
    if (this.#pumping || !this.#started) return this.#balance();
    this.#pumping = true;
    const { intake, reading } = this;
    while (!this.#inputOver && this.#wantsInput(ahead)) {
      const event = intake.next();
      if (event === NOTHING) break;
      if (event === MESSAGE || event === END || event === SKIPPED) {
        this.host.watch?.messageIn?.(this.conn, intake.type, intake.length);
      }
      if (event === MESSAGE) reading.message();
      else if (event === BEGIN) reading.began();
      else if (event === PIECE) reading.piece();
      else if (event === END) reading.completed();
      else if (event === PING) this.controls.ping(intake);
      else if (event === PONG) this.controls.pong(intake);
      else if (event === CLOSE) this.#closeReceived();
      else if (event !== SKIPPED && event !== STEP) this.#fault(intake.error);
    }
    this.#pumping = false;
    if (intake.tired) this.#rest();
    if (this.#ended !== undefined) {
      if (!intake.pending) this.#stopInput();
      if (this.#inputOver) this.controls.end(this.#ended.reason);
      const inPlace = this.#inputOver && reading.idle && (ahead || reading.waiting);
      if (inPlace || intake.dropping) this.#conclude();
    }
    this.#balance();
  }

  /** Enough was inflated for one turn: the other connections' turn. */
  #rest(): void {
    if (this.#resting) return;
    this.#resting = true;
    this.host.yield(() => {
      this.#resting = false;
      this.intake.rest();
      this.wanted();
    });
  }

  #wantsInput(ahead: boolean): boolean {
    const { intake, reading } = this;
    if (reading.waiting || intake.dropping) return true;
    if (!ahead) return false;
    if (reading.hasRoom(intake.held)) return !intake.crowded;
    // What has come of a connection that is gone is little, and pooled memory may hang on it. What is compressed is
    // little no more once it is inflated: that memory is left behind in `close`.
    return this.#closing.phase === GONE && this.deflating === undefined;
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
    if (this.#inputOver) return;
    this.#inputOver = true;
    this.intake.destroy();
  }

  /** Pauses the transport when nobody reads and enough is read ahead, and lets it flow again. */
  #balance(): void {
    const { intake, reading } = this;
    const waiting = this.#started && reading.waiting && !intake.tired;
    const wanted = this.#inputOver || intake.dropping || waiting;
    if (!this.paused && !wanted && !reading.hasRoom(intake.held)) {
      this.paused = true;
      this.transport.pause();
      if (reading.unread) this.#armIdle();
    } else if (this.paused && (wanted || reading.isLow(intake.held))) {
      this.paused = false;
      this.#disarmIdle();
      this.transport.resume();
    }
  }

  #armIdle(): void {
    const { idleReadTimeout } = this.settings;
    if (idleReadTimeout === Infinity || this.#closing.phase !== OPEN) return;
    const text = `nobody read for ${idleReadTimeout} ms; see idleReadTimeout`;
    this.#idleAlarm ??= { tick: undefined, ring: () => this.abort(new TimeoutError(text)) };
    timersOf(this.host).set(this.#idleAlarm, idleReadTimeout);
  }

  #disarmIdle(): void {
    if (this.#idleAlarm !== undefined) timersOf(this.host).clear(this.#idleAlarm);
  }

  // The end

  #closeReceived(): void {
    const closing = this.#closing;
    const { bytes, start, end } = this.intake;
    let payload;
    try {
      payload = parseCloseMessage(bytes.subarray(start, end));
    } catch (error) {
      this.#fault(error as ProtocolError);
      return;
    }
    closing.received = payload;
    this.#stopInput();
    // An end of the stream that is known already stands behind this frame.
    this.#ended = { reason: new CloseError(payload.code, payload.reason) };
    if (closing.sent) this.#closeTransport();
    else if (closing.phase === OPEN) closing.phase = ENDING;
    this.#arm(this.settings.closeTimeout);
  }

  /** No more input will come; the first reason counts. */
  #end(reason: unknown): void {
    this.#ended ??= { reason };
  }

  /** All that came before the end is read, or dropped: reading ends, once the end is answered. */
  #conclude(): void {
    if (this.#closing.phase === ENDING) this.#answer();
    if (this.#closing.phase !== ANSWERING) this.reading.end(this.#ended!.reason);
  }

  /** Answers the peer's close frame, or the end of its stream. */
  #answer(): void {
    const closing = this.#closing;
    const { received } = closing;
    if (received === undefined) {
      closing.phase = CLOSING;
      this.#heartbeat?.stop();
      this.writing.finish();
      this.outbox.refuse(this.#ended!.reason as WebSocketError);
      this.writing.end(this.outbox.error!);
      this.#endTransport();
      return;
    }
    closing.phase = ANSWERING;
    const handled = this.controls.close(received.code, received.reason);
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
    if (this.#closing.phase !== ANSWERING) return;
    this.writing.finish();
    this.#sendClose(formatCloseMessage(code));
    this.#closeTransport();
    this.#defer();
  }

  /** 7.1.1: the server closes TCP first, the client waits for it. */
  #closeTransport(): void {
    if (this.#eof) this.#endTransport();
    else if (this.#role === 'server') this.outbox.end();
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
    if (this.#closing.phase !== GONE) timersOf(this.host).set(this, ms);
  }

  /** The end takes too long. */
  ring(): void {
    const closing = this.#closing;
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
