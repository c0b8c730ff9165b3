import { formatCloseMessage } from '@ws/codec';
import { type FrameQueue, type Machine, utf8Length } from '@ws/codec/internal';
import type { ControlHandlers } from '../control/control-handlers.ts';
import type { Pinged, PingWait } from '../control/heartbeat.ts';
import type { Pings } from '../control/pings.ts';
import { type BackpressureError, TimeoutError, untraced } from '../errors.ts';
import type { CloseInfo, ConnState } from '../platform/observer.ts';
import type { ReportedConn } from '../report/report-text.ts';
import type { CallPromise } from '../time/call-promise.ts';
import { checkExpires, Deadline, untilOf } from '../time/deadline.ts';
import { Expiry } from '../time/expiry.ts';
import { type Deferred, refused } from '../time/promises.ts';
import { limitError } from '../writing/buffer-limits.ts';
import type { WriteEnd } from '../writing/write-end.ts';
import { lossError } from './end-errors.ts';
import type { LastReads, Reading } from './read-ahead.ts';

/** The close code for a login that is missing or has expired. Applications use the same code. */
const LOGIN_EXPIRED = 4401;

/** The part of a connection that its rare parts use. */
type Rare = Reading & {
  readonly conn: ReportedConn;
  readonly machine: Machine<FrameQueue>;
  readonly state: ConnState;
  readonly outbox: Reading['outbox'] & {
    readonly open: boolean;
    writeEnd: WriteEnd | undefined;
    withinTotal(size: number): boolean;
  };
  readonly inbox: Reading['inbox'] & {
    dropAll(): void;
    finishReading(cause: unknown, isEnd: boolean): void;
    run(upTo: 'reader'): void;
  };
  endingOrNew(): { ourClose(payload: Uint8Array, timeout: undefined, discard: boolean): void };
  report(error: unknown, where: string): void;
};

/**
 * Parts that few connections need. The object and each part are created on first use. An idle
 * connection usually has none.
 */
export class RareParts implements Pinged {
  /** The application's handlers of control frames. */
  handlers: ControlHandlers | undefined;
  /**
   * Resolves when the reader has written its last answers. A waiting reader gets the end of reading at
   * once. Our close frame follows this promise.
   */
  lastWrite: Promise<void> | undefined;
  pings: Pings | undefined;
  /** Present once the transport can send nothing more. */
  lastReads: LastReads | undefined;
  closed: Deferred<CloseInfo> | undefined;
  #writesObserver: ((conn: ReportedConn) => void) | undefined;
  /** The longest message in bytes, if it differs from the settings. */
  readLimit: number | undefined;
  /** Name of the function that made the stream which reads. Other reads reject. */
  readsOwner: string | undefined;
  pingedAt: number | undefined;
  pingWait: PingWait | undefined;
  isAsked = false;
  bytesSent: Pinged['bytesSent'];
  pingsOut = 0;
  messagesDropped = 0;
  /** Bytes of messages that their reader keeps for later, see `ConnInternals.countKept`. */
  keptBytes = 0;
  /** The part of {@link keptBytes} that its reader keeps also after the end of the connection. */
  lastingBytes = 0;
  /** Bytes of all messages that have left {@link keptBytes}. */
  freedBytes = 0;
  /** The dropped messages that the application may have wanted. */
  messagesLost = 0;
  messagesRefused = 0;
  readonly #connection: Rare;
  #readDeadline: Deadline | undefined;
  #writeDeadline: Deadline | undefined;
  #expiry: Expiry | undefined;
  /** Whether a refusal was reported. Only the first unawaited refusal is. */
  #refusalReported = false;
  /** The promise of the last refused message. See {@link refuseMessage}. */
  #refused: CallPromise<never> | undefined;

  constructor(connection: Rare) {
    this.#connection = connection;
  }

  /** Calls `observer`, in a microtask, when the connection accepts no more messages. */
  observeWrites(observer: (conn: ReportedConn) => void): void {
    const { conn, outbox, platform } = this.#connection;
    const earlier = this.#writesObserver;
    if (!outbox.open) platform.defer(() => observer(conn));
    else if (earlier === undefined) this.#writesObserver = observer;
    else {
      this.#writesObserver = (ended) => {
        earlier(ended);
        observer(ended);
      };
    }
  }

  /** Informs the observer of writes: no message is accepted any more. */
  noteWriteEnd(): void {
    const observer = this.#writesObserver;
    const { platform, conn } = this.#connection;
    if (observer !== undefined) platform.defer(() => observer(conn));
  }

  /** Sets the longest message in bytes. The limit also applies to a message that has partly arrived. */
  setReadLimit(bytes: number): void {
    const decoder = this.#connection.machine.input;
    this.readLimit = bytes;
    if (decoder !== undefined) decoder.readLimit = bytes;
  }

  countDropped(messages: number, lost: boolean): void {
    this.messagesDropped += messages;
    if (lost) this.messagesLost += messages;
  }

  /** The error of a reader that has lost messages. Such a reader never ends normally. */
  get loss(): TimeoutError | undefined {
    const lost = this.messagesLost;
    return lost === 0 ? undefined : untraced(() => lossError(lost));
  }

  setReadDeadline(at: Date | number | null): void {
    const connection = this.#connection;
    if (connection.state === 'closed') return void untilOf(at);
    this.#readDeadline ??= new Deadline(connection.platform, (suffix) => {
      connection.inbox.dropAll();
      connection.inbox.finishReading(deadlineError('read', suffix), false);
      // The input after the dropped messages may contain control frames.
      connection.inbox.run('reader');
    });
    this.#readDeadline.set(at);
  }

  setWriteDeadline(at: Date | number | null): void {
    const connection = this.#connection;
    if (connection.state === 'closed') return void untilOf(at);
    const { outbox } = connection;
    // The outbox also stores an expired deadline. Clear it there too.
    if (outbox.open) outbox.writeEnd = undefined;
    this.#writeDeadline ??= new Deadline(connection.platform, (suffix) => {
      if (!outbox.open) return;
      const error = deadlineError('write', suffix);
      outbox.writeEnd = { error, expired: true };
      connection.guardTransport(() => {
        if (connection.bufferedAmount > 0) connection.abort(error);
      });
    });
    this.#writeDeadline.set(at);
  }

  /** Sets when the peer's login expires. The connection then closes, and drops later messages. */
  setExpiry(at: Date | number | null): void {
    const connection = this.#connection;
    checkExpires(at);
    if (connection.state === 'closed') return;
    this.#expiry ??= this.#createExpiry(connection);
    this.#expiry.set(at);
  }

  /**
   * Ends the connection if the login has expired. Called before each chunk, each end of turn and each
   * message of the read-ahead.
   */
  checkExpiry(): void {
    this.#expiry?.check();
  }

  #createExpiry(connection: Rare): Expiry {
    const { platform } = connection;
    const { heartbeat } = connection.settings;
    const expired = (): void => {
      const payload = formatCloseMessage(LOGIN_EXPIRED, 'login expired');
      connection.endingOrNew().ourClose(payload, undefined, true);
    };
    return new Expiry(platform, expired, heartbeat === false ? undefined : heartbeat.interval);
  }

  stopTimers(): void {
    this.lastReads?.stop();
    this.#readDeadline?.clear();
    this.#writeDeadline?.clear();
    this.#expiry?.clear();
  }

  /**
   * Returns the rejected promise of a call that exceeds a bound. Reports the first refusal that no
   * code awaits: nothing else would show it.
   */
  refuse(error: BackpressureError, where: string): CallPromise<never> {
    const connection = this.#connection;
    return refused(error, connection, () => {
      if (this.#refusalReported) return;
      this.#refusalReported = true;
      connection.report(error, where);
    });
  }

  /**
   * Refuses a message of `size` bytes, or UTF-16 units of `text`, and counts it. Undefined when the
   * message exceeds no bound: the caller has only estimated the size of a text.
   *
   * A loop that awaits no write may be refused a million times in a turn. All refusals of a turn
   * share the promise of the first one: the stack of an error takes 20 times as long as the rest of
   * a refusal.
   */
  refuseMessage(
    buffered: number,
    size: number,
    text: string | undefined,
  ): CallPromise<never> | undefined {
    const shared = this.#refused?.isRejected === false ? this.#refused : undefined;
    const overBound = (): BackpressureError | undefined => this.#overBound(buffered, size, text);
    const error = shared === undefined ? overBound() : untraced(overBound);
    if (error === undefined) return undefined;
    this.messagesRefused++;
    this.#refused = shared ?? this.refuse(error, 'writeMessage');
    return this.#refused;
  }

  #overBound(
    buffered: number,
    size: number,
    text: string | undefined,
  ): BackpressureError | undefined {
    const { settings, platform, outbox } = this.#connection;
    const error = limitError(settings, buffered, size, text);
    if (error !== undefined) return error;
    const bytes = text === undefined ? size : utf8Length(text);
    return outbox.withinTotal(bytes) ? undefined : platform.writeBudget?.refusal(bytes);
  }

  /** Called when a broadcast skips this connection, whose buffer has no room for `size` bytes. */
  skipBroadcast(size: number): void {
    this.messagesRefused++;
    if (this.#refusalReported) return;
    const connection = this.#connection;
    const error = this.#overBound(connection.bufferedAmount, size, undefined);
    if (error === undefined) return;
    this.#refusalReported = true;
    // Not within the loop of the broadcast: `report` may close connections.
    connection.platform.yield(() => connection.report(error, 'broadcast'));
  }
}

/** @param suffix - The end of the message, from {@link Deadline}. */
function deadlineError(call: 'read' | 'write', suffix: string): TimeoutError {
  const setter = call === 'read' ? 'setReadDeadline' : 'setWriteDeadline';
  return new TimeoutError(`${call} timeout${suffix} (${setter})`, { permanent: true });
}
