import {
  CloseCode,
  formatCloseMessage,
  ProtocolError,
  parseCloseMessage,
  type Role,
  type WebSocketError,
} from '@ws/codec';
import { type CloseInfo, Closing, type ConnState } from './closing.ts';
import { Controls } from './controls.ts';
import {
  CloseError,
  CloseSentError,
  ReadLimitError,
  TimeoutError,
  TransportError,
} from './errors.ts';
import { Heartbeat, type Patient } from './heartbeat.ts';
import type { Host } from './host.ts';
import { CLOSE, Intake, MESSAGE, NOTHING, PING, PONG } from './intake.ts';
import type { Settings } from './options.ts';
import { Outbox } from './outbox.ts';
import { type Deferred, deferred } from './promises.ts';
import { Reading, type ReadingOwner } from './reading.ts';
import { type Alarm, timersOf } from './timers.ts';
import type { Transport, TransportSink } from './transport.ts';

/**
 * One connection behind its `Conn`: joins the transport, what comes in, what goes out, the readers and the closing
 * handshake.
 *
 * The way in. A chunk is parsed as far as somebody waits for messages; what nobody waits for stays in it, unparsed,
 * until all microtasks that are ready have run: by then the reader is back, or the rest is read ahead. So an echo loop
 * of `await`s costs no queue, and pings are answered though nobody reads.
 *
 * The end. Whatever ends the connection (the peer's close frame, the end of the stream, a fault) is noted in
 * `#endOfInput` and takes effect in its place, once every message before it is read; `closeTimeout` after its arrival
 * at the latest.
 */
export class Session implements TransportSink, ReadingOwner, Patient {
  readonly host: Host;
  readonly settings: Settings;
  readonly transport: Transport;
  readonly intake: Intake;
  readonly outbox: Outbox;
  readonly reading: Reading;
  readonly controls: Controls;
  readonly closed: Deferred<CloseInfo> = deferred<CloseInfo>();
  state: ConnState = 'open';
  bytesIn = 0;
  /** The transport is paused, by us. */
  paused = false;

  readonly #role: Role;
  readonly #closing = new Closing();
  readonly #heartbeat: Heartbeat | undefined;
  /** Rings when the closing handshake, or a pause without a reader, has lasted too long. */
  readonly #alarm: Alarm;
  #started = false;
  #pumping = false;
  #inTurn = false;
  #deferred = false;
  /** Nothing is parsed any more. */
  #inputOver = false;
  #endOfInput: unknown;
  #ending = false;
  /** The peer has ended its side of the transport. */
  #eof = false;
  /** Why we dropped the transport ourselves. */
  #lost: WebSocketError | undefined;

  constructor(role: Role, transport: Transport, host: Host, settings: Settings) {
    this.#role = role;
    this.transport = transport;
    this.host = host;
    this.settings = settings;
    this.intake = new Intake(role, settings, host);
    this.outbox = new Outbox(role, transport, host, settings, this.#schedule);
    this.reading = new Reading(this, host, settings.readAhead);
    this.controls = new Controls(this, host, settings.maxPendingPings);
    this.#alarm = { tick: undefined, ring: () => this.#late() };
    if (settings.heartbeat !== false)
      this.#heartbeat = new Heartbeat(this, host, settings.heartbeat);
    transport.start(this);
    // No frame is parsed before the code that gets this connection has run its first synchronous part.
    this.#defer();
  }

  // The transport's calls

  data(chunk: Uint8Array): void {
    this.bytesIn += chunk.length;
    if (this.#heartbeat !== undefined) this.#heartbeat.heard = true;
    if (this.#closing.sent && this.#closing.drop(chunk.length)) this.transport.destroy();
    if (this.#inputOver) return;
    this.intake.push(chunk);
    if (!this.#started) return this.#balance();
    this.wanted();
  }

  drain(): void {
    this.outbox.drained();
  }

  end(): void {
    this.#eof = true;
    if (this.#closing.sent) this.#pump(true);
    this.#end(new CloseError(CloseCode.AbnormalClosure, 'unexpected EOF'));
    if (this.#closing.sent) {
      this.#inputOver = true;
      this.#endTransport();
    } else {
      this.#arm(this.settings.closeTimeout);
      this.#defer();
    }
  }

  close(error?: Error): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#heartbeat?.stop();
    timersOf(this.host).clear(this.#alarm);
    const lost =
      error === undefined ? undefined : new TransportError(words(error), { cause: error });
    const ended = lost ?? new CloseError(CloseCode.AbnormalClosure, 'unexpected EOF');
    this.#end(ended);
    const why = this.#lost ?? lost;
    this.outbox.destroy(this.#closing.sent ? new CloseSentError() : (why ?? ended));
    this.controls.end(this.#endOfInput);
    this.closed.resolve(this.#closing.info(why ?? ended));
    this.#defer();
  }

  // The readers' and handlers' calls

  wanted(): void {
    if (this.#inTurn) return this.#pump(false);
    this.#inTurn = true;
    this.#pump(false);
    this.#inTurn = false;
    // Answers leave at once when all is read, else when the reader has had its chance.
    if (this.intake.pending || !this.reading.idle) this.#defer();
    else if (this.outbox.pending) this.outbox.flush();
  }

  handlerFailed(error: unknown): void {
    this.reading.drop();
    if (this.#eof || this.state === 'closed') {
      // Nobody is left to be told 1011; as a rule the end is why the handler failed.
      this.reading.end(error);
      this.#defer();
      return;
    }
    this.fail(error, CloseCode.InternalServerErr, '');
  }

  ping(): void {
    this.controls.beat();
  }

  dead(ms: number): void {
    this.abort(new TimeoutError(`no sign of life from the peer for ${ms} ms`));
  }

  // The user's calls

  /** Starts the closing handshake (RFC 6455, section 7.1.2). */
  sendClose(payload: Uint8Array, timeout: number): void {
    if (this.state === 'closed' || this.outbox.error !== undefined) return;
    this.#sendClose(payload);
    this.reading.drop();
    this.intake.drop();
    this.#arm(timeout);
    if (this.#closing.received !== undefined) {
      this.#closing.answered = true;
      this.#closeTransport();
      this.reading.end(this.#endOfInput);
    }
    this.#balance();
    this.#defer();
  }

  /** Drops the connection and all that waits, without a close frame. */
  terminate(): void {
    this.reading.drop();
    this.intake.destroy();
    this.#inputOver = true;
    this.#end(new CloseError(CloseCode.AbnormalClosure));
    this.transport.destroy();
  }

  /** Drops the connection, without a close frame. `error` is what reads and `closed` tell. */
  abort(error: WebSocketError): void {
    if (this.state === 'closed') return;
    this.#lost ??= error;
    this.#end(error);
    this.transport.destroy();
  }

  /** The one path by which a connection fails (RFC 6455, section 7.1.7). */
  fail(error: unknown, code: number, reason: string): void {
    const closing = this.#closing;
    if (this.state === 'closed' || closing.failed) return;
    closing.failed = true;
    closing.failure = error;
    closing.failureCode = code;
    this.#inputOver = true;
    this.intake.destroy();
    this.outbox.cut(new CloseSentError());
    if (!closing.sent) this.#sendClose(formatCloseMessage(code, reason));
    this.outbox.end();
    this.#endOfInput = error;
    this.#ending = true;
    this.#arm(this.settings.closeTimeout);
    this.#balance();
    this.#defer();
  }

  #sendClose(payload: Uint8Array): void {
    this.#closing.sent = true;
    this.state = 'closing';
    this.#heartbeat?.stop();
    this.outbox.close(payload);
  }

  // The turn

  readonly #schedule = (): void => {
    if (!this.#inTurn) this.#defer();
  };

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

  #pump(ahead: boolean): void {
    if (this.#pumping || !this.#started) return;
    this.#pumping = true;
    const { intake, reading } = this;
    while (
      !this.#inputOver &&
      (reading.waiting || intake.dropping || (ahead && reading.hasRoom(intake.held)))
    ) {
      const event = intake.next();
      if (event === NOTHING) break;
      if (event === MESSAGE) {
        if (!intake.dropping) reading.message(intake);
      } else if (event === PING) this.controls.ping(intake);
      else if (event === PONG) this.controls.pong(intake);
      else if (event === CLOSE) this.#closeReceived();
      else this.#fault(intake.error);
    }
    this.#pumping = false;
    if (this.#ending && (this.#inputOver || !intake.pending)) this.controls.end(this.#endOfInput);
    // In its place among the messages; once our own close frame is out, at once.
    const inPlace = !intake.pending && reading.idle && (ahead || reading.waiting);
    const { sent, failed } = this.#closing;
    if (this.#ending && (inPlace || (sent && !failed))) this.#conclude();
    this.#balance();
  }

  #fault(error: WebSocketError | undefined): void {
    if (error instanceof ReadLimitError) {
      this.fail(error, CloseCode.MessageTooBig, '');
    } else if (error instanceof ProtocolError) {
      this.fail(error, error.closeCode, error.faults.join(', ').slice(0, 123));
    }
  }

  /** Pauses the transport when nobody reads and enough is read ahead, and lets it flow again. */
  #balance(): void {
    const { intake, reading } = this;
    const wanted = this.#inputOver || intake.dropping || (this.#started && reading.waiting);
    if (!this.paused && !wanted && !reading.hasRoom(intake.held)) {
      this.paused = true;
      this.transport.pause();
      if (reading.unread && this.state === 'open') this.#arm(this.settings.idleReadTimeout);
    } else if (this.paused && (wanted || reading.isLow(intake.held))) {
      this.paused = false;
      if (this.state === 'open' && !this.#ending) timersOf(this.host).clear(this.#alarm);
      this.transport.resume();
    }
  }

  // The end

  #closeReceived(): void {
    const { bytes, start, end } = this.intake;
    let payload;
    try {
      payload = parseCloseMessage(bytes.subarray(start, end));
    } catch (error) {
      this.#fault(error as ProtocolError);
      return;
    }
    this.#closing.received = payload;
    this.#inputOver = true;
    this.intake.destroy();
    // An end of the stream that is known already stands behind this frame.
    this.#ending = true;
    this.#endOfInput = new CloseError(payload.code, payload.reason);
    this.#arm(this.settings.closeTimeout);
  }

  /** No more input will come; the first reason counts. */
  #end(error: unknown): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#endOfInput = error;
  }

  /** All that came before the end is read: it takes effect. */
  #conclude(): void {
    const answer = this.#answer();
    if (answer === undefined) this.reading.end(this.#endOfInput);
    else void answer.then(() => this.reading.end(this.#endOfInput));
  }

  /** Answers the peer's close frame, or the end of its stream. The promise is there while a close handler is at work. */
  #answer(): Promise<void> | undefined {
    const closing = this.#closing;
    if (closing.answered || closing.failed || this.state === 'closed') return undefined;
    closing.answered = true;
    const { received } = closing;
    if (received === undefined) {
      if (this.state === 'open') this.state = 'closing';
      this.#heartbeat?.stop();
      this.outbox.refuse(this.#endOfInput as WebSocketError);
      this.#endTransport();
      return undefined;
    }
    if (closing.sent) {
      this.#closeTransport();
      return undefined;
    }
    this.state = 'closing';
    const handled = this.controls.close(received.code, received.reason);
    if (handled === undefined) {
      this.#echo(received.code);
      return undefined;
    }
    return handled.then(
      () => this.#echo(received.code),
      (error: unknown) => this.fail(error, CloseCode.InternalServerErr, ''),
    );
  }

  #echo(code: number): void {
    if (this.state === 'closed' || this.#closing.failed) return;
    if (!this.#closing.sent) this.#sendClose(formatCloseMessage(code));
    this.#closeTransport();
  }

  /** 7.1.1: the server closes TCP first, the client waits for it. */
  #closeTransport(): void {
    if (this.#eof) this.#endTransport();
    else if (this.#role === 'server') this.outbox.end();
    this.#arm(this.settings.closeTimeout);
    this.#defer();
  }

  /** The peer has ended its side: ours ends after what waits, and the transport is dropped. */
  #endTransport(): void {
    this.outbox.end();
    this.host.yield(() => {
      if (this.outbox.bufferedAmount === 0) this.transport.destroy();
    });
  }

  #arm(ms: number): void {
    if (this.state === 'closed') return;
    if (ms === Infinity) timersOf(this.host).clear(this.#alarm);
    else timersOf(this.host).set(this.#alarm, ms);
  }

  #late(): void {
    if (this.state === 'open' && !this.#ending) {
      this.abort(
        new TimeoutError(
          `nobody read for ${this.settings.idleReadTimeout} ms; see idleReadTimeout`,
        ),
      );
      return;
    }
    if (!this.#closing.answered && this.#ending && !this.#closing.failed && !this.#closing.sent) {
      // Messages before it are not read yet, but the peer has waited long enough for its answer.
      void this.#answer();
      this.#arm(this.settings.closeTimeout);
      return;
    }
    if (this.#closing.received === undefined && !this.#closing.failed) {
      this.#lost ??= new TimeoutError(
        'the peer did not finish the closing handshake in time; see closeTimeout',
      );
    }
    this.transport.destroy();
  }
}

function words(error: Error): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && !error.message.includes(code)
    ? `${error.message} (${code})`
    : error.message;
}
