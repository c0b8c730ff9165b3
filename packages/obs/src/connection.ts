import type { CloseInfo, Report } from '@ws/conn';
import {
  BackpressureError,
  CloseCode,
  handled,
  portablePlatform,
  rejectedLater,
  reportError,
  WebSocketError,
} from '@ws/conn/parts';
import { bounded } from './bounded.ts';
import { decode, type Encoding, encode, type Fields } from './encoding.ts';
import { ObsCloseError, ObsProtocolError } from './errors.ts';
import { Listeners } from './listeners.ts';
import type { ObsConn, Wait } from './options.ts';

/** Close codes that end an iteration without an error, as with a Conn. */
const CLEAN_CODES: readonly number[] = [
  CloseCode.NormalClosure,
  CloseCode.GoingAway,
  CloseCode.NoStatusReceived,
];

/** Settles a call that waits for its answer. */
interface PendingCall {
  readonly resolve: (answer: Fields) => void;
  readonly reject: (error: unknown) => void;
}

/** Sends the message of a call. Returns false when the call has ended: nothing is sent then. */
export type Send = () => boolean;

/** A logged-in connection to OBS: calls with their answers, and events. Both protocols use it. */
export class ObsConnection {
  readonly listeners: Listeners = new Listeners((error, event) =>
    this.#report(error, `listener of ${event}`),
  );
  readonly closed: Promise<CloseInfo>;
  readonly #conn: ObsConn;
  readonly #encoding: Encoding | undefined;
  readonly #reporter: Report | undefined;
  /**
   * By id. Not a Map: its tables, one after the other, keep all later ones alive until a full
   * collection, and a call took 1.3 times as long.
   */
  readonly #pending = Object.create(null) as Record<string, PendingCall>;
  #lastId = 0;
  #closeError: ObsCloseError | undefined;

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
    // In a later turn: the code after `await connect()` can add listeners before the first event.
    portablePlatform.yield(() => this.#read(receive));
  }

  #report(error: unknown, where: string): void {
    reportError(this.#reporter, portablePlatform, error, { where });
  }

  /**
   * Returns `finish` of the answer that `start` waits for. The promise is marked as handled when it
   * rejects. A wrong argument is reported.
   *
   * @param method - The method that the caller used, for the report.
   */
  run<T>(method: string, start: () => Promise<Fields>, finish: (answer: Fields) => T): Promise<T> {
    const attempt = async (): Promise<T> => {
      try {
        // The error of `finish` has the caller in its stack.
        return finish(await start());
      } catch (error) {
        if (error instanceof TypeError || error instanceof RangeError) this.#report(error, method);
        // After the error was created: V8 finds the caller of a promise with one reaction only.
        queueMicrotask(() => void handled(result));
        throw error;
      }
    };
    const result = attempt();
    return result;
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @param name - The request, for messages.
   * @param message - Returns the message for an id.
   * @param schedule - Calls `send`, at once or later.
   * @throws the error of the encoding. (rejects) ObsCloseError, TimeoutError, the reason of the
   *   signal, BackpressureError.
   */
  request(
    name: string,
    wait: Wait,
    message: (id: string) => unknown,
    schedule: (send: Send, id: string) => void = (send) => send(),
  ): Promise<Fields> {
    if (this.#closeError !== undefined) return rejectedLater(portablePlatform, this.#closeError);
    const id = String(++this.#lastId);
    const data = encode(message(id), this.#encoding);
    return bounded(
      wait,
      () => `${name}: no answer`,
      (resolve, reject) => {
        this.#pending[id] = { resolve, reject };
        schedule(() => this.#send(id, data), id);
      },
      () => delete this.#pending[id],
    );
  }

  #send(id: string, data: string | Uint8Array): boolean {
    if (!(id in this.#pending)) return false;
    this.#conn.send(data).catch((error: unknown) => {
      // All others mean the end of the connection: the call rejects when it has closed.
      if (error instanceof BackpressureError || !(error instanceof WebSocketError)) {
        this.#pending[id]?.reject(error);
      }
    });
    return true;
  }

  /**
   * Settles the call with this id. An answer that comes after its call has ended is ignored.
   *
   * @throws ObsProtocolError when no call had the id.
   */
  answered(id: unknown, answer: Fields): void {
    const call = this.#pending[id as string];
    if (call !== undefined) call.resolve(answer);
    else if (!(Number(id) > 0 && Number(id) <= this.#lastId)) {
      throw new ObsProtocolError(`an answer without a call: id ${JSON.stringify(id)}`);
    }
  }

  close(): Promise<CloseInfo> {
    void this.#conn.close();
    return this.closed;
  }

  #read(receive: (fields: Fields) => void): void {
    const reading = this.#conn.receive((message) => {
      try {
        receive(decode(message, this.#encoding));
      } catch (error) {
        this.#report(error, 'receive');
      }
    });
    // `closed` has the reason.
    void handled(reading);
  }

  #ended(info: CloseInfo): CloseInfo {
    const error = new ObsCloseError(info);
    this.#closeError = error;
    for (const call of Object.values(this.#pending)) call.reject(error);
    this.listeners.end(CLEAN_CODES.includes(info.code) ? undefined : error);
    return info;
  }
}
