import { utf8Length } from '@ws/codec/internal';
import { type BackpressureError, untraced } from '../errors.ts';
import type { Settings } from '../options/conn-options.ts';
import type { ConnState } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import type { ReportedConn } from '../report/report-text.ts';
import type { CallPromise } from '../time/call-promise.ts';
import { Deadline, untilOf } from '../time/deadline.ts';
import { refused } from '../time/promises.ts';
import { limitError } from '../writing/buffer-limits.ts';
import type { WriteEnd } from '../writing/write-end.ts';

/** The part of a connection that its write terms use. */
export type WriteTermsOwner = {
  readonly conn: ReportedConn;
  readonly state: ConnState;
  readonly platform: Platform;
  readonly settings: Settings;
  readonly bufferedAmount: number;
  readonly outbox: {
    readonly open: boolean;
    writeEnd: WriteEnd | undefined;
    withinTotal(size: number): boolean;
  };
  abort(error: Error): void;
  guardTransport(callback: () => void): void;
  report(error: unknown, where: string): void;
};

/** The deadline of the writes of one connection, who observes their end, and the messages that were refused. */
export class WriteTerms {
  messagesRefused = 0;
  readonly #connection: WriteTermsOwner;
  #observer: ((conn: ReportedConn) => void) | undefined;
  #deadline: Deadline | undefined;
  /** Whether a refusal was reported. Only the first unawaited refusal is. */
  #isReported = false;
  /** The promise of the last refused message. See {@link refuseMessage}. */
  #refused: CallPromise<never> | undefined;

  constructor(connection: WriteTermsOwner) {
    this.#connection = connection;
  }

  /** Calls `observer`, in a microtask, when the connection accepts no more messages. */
  observe(observer: (conn: ReportedConn) => void): void {
    const { conn, outbox, platform } = this.#connection;
    const earlier = this.#observer;
    if (!outbox.open) platform.defer(() => observer(conn));
    else if (earlier === undefined) this.#observer = observer;
    else {
      this.#observer = (ended) => {
        earlier(ended);
        observer(ended);
      };
    }
  }

  /** Informs the observer of writes: no message is accepted any more. */
  ended(): void {
    const observer = this.#observer;
    const { platform, conn } = this.#connection;
    if (observer !== undefined) platform.defer(() => observer(conn));
  }

  setDeadline(at: Date | number | null): void {
    const connection = this.#connection;
    if (connection.state === 'closed') return void untilOf(at);
    const { outbox } = connection;
    // The outbox also stores an expired deadline. Clear it there too.
    if (outbox.open) outbox.writeEnd = undefined;
    this.#deadline ??= new Deadline(connection.platform, 'write', (error) => {
      if (!outbox.open) return;
      outbox.writeEnd = { error, expired: true };
      connection.guardTransport(() => {
        if (connection.bufferedAmount > 0) connection.abort(error);
      });
    });
    this.#deadline.set(at);
  }

  /**
   * Returns the rejected promise of a call that exceeds a bound. Reports the first refusal that no
   * code awaits: nothing else would show it.
   */
  refuse(error: BackpressureError, where: string): CallPromise<never> {
    const connection = this.#connection;
    return refused(error, connection, () => {
      if (this.#isReported) return;
      this.#isReported = true;
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
    if (this.#isReported) return;
    const connection = this.#connection;
    const error = this.#overBound(connection.bufferedAmount, size, undefined);
    if (error === undefined) return;
    this.#isReported = true;
    // Not within the loop of the broadcast: `report` may close connections.
    connection.platform.yield(() => connection.report(error, 'broadcast'));
  }

  stopTimer(): void {
    this.#deadline?.clear();
  }
}
