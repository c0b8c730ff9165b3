import { type ObsClose, ObsConnection } from '../connection.ts';
import type { Fields } from '../encoding.ts';
import { ObsProtocolError, ObsRequestError } from '../errors.ts';
import type { EventsV4, RequestsV4, ResponsesV4 } from '../generated/protocol-v4.ts';
import { type CallOptions, checkCall, type ObsConn, type OpenOptions, waitOf } from '../options.ts';
import { UNKNOWN_STATUS } from '../wire.ts';

/** The name of a request. */
export type RequestTypeV4 = keyof RequestsV4;
/** The name of an event. */
export type EventTypeV4 = keyof EventsV4;

/** The arguments of {@link ObsV4.send} after the request's name. */
export type SendArguments<T extends RequestTypeV4> = [RequestsV4[T]] extends [undefined]
  ? [data?: undefined, options?: CallOptions]
  : Partial<RequestsV4[T]> extends RequestsV4[T]
    ? [data?: RequestsV4[T], options?: CallOptions]
    : [data: RequestsV4[T], options?: CallOptions];

/**
 * A connection to OBS before version 28 with the plugin obs-websocket 4, from `connectV4`.
 *
 * A promise of it that you ignore causes no unhandled rejection. {@link closed} says how the
 * connection ended.
 *
 * {@link connectV4} has an example.
 *
 * @see https://github.com/obsproject/obs-websocket/blob/4.9.1/docs/generated/protocol.md
 */
export class ObsV4 implements AsyncDisposable {
  readonly #connection: ObsConnection;

  /** @internal */
  constructor(conn: ObsConn, report: OpenOptions['report']) {
    this.#connection = new ObsConnection(conn, undefined, report, (fields) =>
      this.#receive(fields),
    );
  }

  /** How the connection ended. Resolves when it has closed; never rejects. */
  get closed(): Promise<ObsClose> {
    return this.#connection.closed;
  }

  /**
   * Sends a request and returns the fields of OBS's answer.
   *
   * @param type - The name of the request.
   * @param args - `data`, required when the request has required fields; and `options`: `timeout`
   *   (10,000 ms) and `signal` of the wait for the answer.
   * @throws (rejects) ObsRequestError when OBS refuses the request; ObsCloseError when the
   *   connection ends first; TimeoutError; the reason of the signal; BackpressureError; TypeError,
   *   RangeError for a wrong argument.
   */
  send<T extends RequestTypeV4>(type: T, ...args: SendArguments<T>): Promise<ResponsesV4[T]>;
  send(type: RequestTypeV4, data?: object, options?: CallOptions): Promise<unknown> {
    return this.#connection.request(
      this,
      'send',
      type,
      () => waitOf('send', options),
      (id) => {
        checkCall('send', type, data);
        return { ...data, 'request-type': type, 'message-id': id };
      },
      ({ status, error, 'message-id': _id, ...fields }) => {
        if (status === 'ok') return fields;
        throw new ObsRequestError(type, UNKNOWN_STATUS, error);
      },
    );
  }

  /**
   * Calls `listener` with the fields of each event of this name. An error of a listener goes to the
   * option `report`, and the other listeners are called.
   *
   * @returns Removes the listener.
   * @throws TypeError when `listener` is no function.
   */
  on<E extends EventTypeV4>(event: E, listener: (data: EventsV4[E]) => unknown): () => void {
    return this.#connection.listeners.on(event, listener as (data: unknown) => unknown);
  }

  /** Closes the connection with 1000. Pending requests reject with ObsCloseError. */
  close(): Promise<ObsClose> {
    return this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #receive(message: Fields): void {
    const { 'update-type': event, ...data } = message;
    if (typeof event === 'string') this.#connection.listeners.emit(event, data);
    else if ('message-id' in message) this.#connection.answered(message['message-id'], message);
    else throw new ObsProtocolError('a message with neither update-type nor message-id');
  }
}
