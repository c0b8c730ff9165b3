import {
  BackpressureError,
  type BorrowedMessage,
  CloseError,
  type CloseInfo,
  isCloseError,
  portablePlatform,
  type Report,
  WebSocketError,
} from '@ws/conn';
import { checked, RESOLVED, rejected, reportError } from '@ws/conn/internal';
import { decode, type Encoding, encode, type Fields } from './encoding.ts';
import { ObsCloseError, ObsProtocolError } from './errors.ts';
import { Listeners } from './listeners.ts';
import type { ObsConn, Wait } from './options.ts';
import { Waits } from './waits.ts';

/**
 * Sends the message of a request: see the promise of `Conn.send`. Sends nothing and returns
 * undefined when the wait for its answer has ended.
 */
export type Send = () => Promise<void> | undefined;

/** The time in ms between two reports of malformed messages. */
const REPORT_INTERVAL = 1_000;

// RFC 6455, section 7.4.1. A bundle would keep the object CloseCode.
const ABNORMAL_CLOSURE = 1006;
/** Close codes of a normal end: of `close`, of an OBS that exits, and of a frame without a code. */
const NORMAL_CODES = [1000, 1001, 1005] as const;

/** How a connection to OBS ended: as of a Conn. `code` may be a `WebSocketCloseCode`. */
export type ObsClose = CloseInfo;

/** A logged-in connection to OBS: requests with their answers, and events. */
export class ObsConnection {
  readonly closed: Promise<CloseInfo>;
  readonly #conn: ObsConn;
  readonly #encoding: Encoding | undefined;
  readonly #reporter: Report | undefined;
  readonly #waits = new Waits();
  #lastId = 0;
  #closeError: ObsCloseError | undefined;
  /** Why this end has ended the connection. */
  #failure: Error | undefined;
  /** Malformed messages since the last report of one; undefined when none was in the last second. */
  #unreported: number | undefined;
  readonly #report = (error: unknown, where: string): void =>
    reportError(this.#reporter, portablePlatform, error, { where });
  readonly listeners: Listeners = new Listeners(this.#report);

  /** @param receive - Gets each message. It may throw an ObsProtocolError. */
  constructor(
    conn: ObsConn,
    encoding: Encoding | undefined,
    report: Report | undefined,
    receive: (fields: Fields) => void,
  ) {
    this.#conn = conn;
    this.#encoding = encoding;
    this.#reporter = report;
    this.closed = conn.closed.then((info) => this.#ended(info));
    const received = (message: BorrowedMessage): void => {
      try {
        receive(decode(message, encoding));
      } catch (error) {
        this.#malformed(error);
      }
    };
    // In a later turn: the code after `await connect()` can add listeners before the first event.
    portablePlatform.yield(() => {
      // A peer may keep TCP open after its close frame: calls do not wait for that. Without a close
      // frame, 1006, the transport has ended already, and `closed` has the cause.
      conn.receive(received).catch((error: unknown) => {
        if (error instanceof CloseError && error.closeCode !== ABNORMAL_CLOSURE) {
          this.#lost({ code: error.closeCode, reason: error.reason });
        }
      });
    });
  }

  /** Reports a malformed message, at most one a second: a peer could fill the log. */
  #malformed(error: unknown): void {
    if (this.#unreported !== undefined) {
      this.#unreported++;
      return;
    }
    this.#report(error, 'receive');
    this.#unreported = 0;
    portablePlatform.setTimer(REPORT_INTERVAL, () => {
      const count = this.#unreported;
      this.#unreported = undefined;
      if (count) this.#malformed(new ObsProtocolError(`${count} more malformed messages`));
    });
  }

  /**
   * Sends a request and returns the result of its answer. The promise is marked as handled when it
   * rejects. Wrong arguments and errors of the encoding are reported.
   *
   * @param client - The object of the application.
   * @param method - Its method that was called.
   * @param name - The request, for messages.
   * @param wait - Returns the bounds, or throws for a wrong option.
   * @param message - Returns the message for an id, or throws for a wrong argument.
   * @param finish - Returns the result, or throws the error, of an answer.
   * @param schedule - Calls `send`, at once or later.
   * @throws (rejects) the errors of `wait`, `message`, `finish` and the encoding; ObsCloseError,
   *   TimeoutError, the reason of the signal, BackpressureError.
   */
  request<T>(
    client: object,
    method: string,
    name: string,
    wait: () => Wait,
    message: (id: string) => unknown,
    finish: (answer: Fields) => T,
    schedule: (send: Send, id: string) => void,
  ): Promise<T> {
    const id = String(++this.#lastId);
    let isSent = false;
    const missing = (): string =>
      isSent ? `${name}: no answer` : `${name}: not sent, no answer of OBS to a reidentify`;
    try {
      const bounds = checked(wait, client, method);
      const data = encode(
        checked(() => message(id), client, method),
        this.#encoding,
      );
      if (this.#closeError !== undefined) return rejected(this.#closeError);
      const result = this.#waits.add(id, bounds, missing, finish);
      schedule(() => {
        isSent = true;
        return this.#send(id, data);
      }, id);
      return result;
    } catch (error) {
      // When `schedule` throws, the wait has begun.
      this.#waits.reject(id, error);
      if (error instanceof WebSocketError) return rejected(error, this);
      this.#report(error, method);
      return rejected(error);
    }
  }

  #send(id: string, data: string | Uint8Array): Promise<void> | undefined {
    if (!this.#waits.has(id)) return undefined;
    const sent = this.#conn.send(data);
    // While there is room, every write of a Conn returns this promise.
    if (sent !== RESOLVED) {
      sent.catch((error: unknown) => {
        // All others mean the end of the connection: the call rejects when it has closed.
        if (error instanceof BackpressureError || !(error instanceof WebSocketError)) {
          this.#waits.reject(id, error);
        }
      });
    }
    return sent;
  }

  /**
   * Settles the request with this id. An answer that comes after its wait has ended is ignored.
   *
   * @throws ObsProtocolError when no request had the id.
   */
  answered(id: unknown, answer: Fields): void {
    // Ids are counters.
    if (typeof id !== 'string' || !(+id > 0 && +id <= this.#lastId)) {
      throw new ObsProtocolError(`an answer without a call: id ${JSON.stringify(id)}`);
    }
    this.#waits.settle(id, answer);
  }

  close(): Promise<CloseInfo> {
    void this.#conn.close();
    this.listeners.end(undefined);
    return this.closed;
  }

  /** Ends the connection at once, with `error` as the cause. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#conn.terminate();
  }

  #ended(end: CloseInfo): CloseInfo {
    const info = this.#failure === undefined ? end : { ...end, error: this.#failure };
    this.#lost(info);
    return info;
  }

  /** No more messages arrive. */
  #lost(info: Pick<CloseInfo, 'code' | 'reason' | 'error'>): void {
    if (this.#closeError !== undefined) return;
    const error = new ObsCloseError(info);
    this.#closeError = error;
    this.#waits.end(error);
    const isNormal = isCloseError(error, ...NORMAL_CODES);
    this.listeners.end(isNormal ? undefined : error);
  }
}
