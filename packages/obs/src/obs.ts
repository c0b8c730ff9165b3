import { BackpressureError, portablePlatform, type Report, TimeoutError } from '@ws/conn';
import { whole } from '@ws/conn/internal';
import {
  type BatchOptions,
  type BatchRequest,
  type BatchResult,
  batchOf,
  refusalOf,
  resultsOf,
} from './batch.ts';
import { type ObsClose, ObsConnection } from './connection.ts';
import { type Encoding, type Fields, fieldsOf, typed } from './encoding.ts';
import { ObsProtocolError } from './errors.ts';
import type { Events, Requests, Responses } from './generated/protocol.ts';
import {
  EVENT,
  IDENTIFIED,
  REIDENTIFY,
  REQUEST,
  REQUEST_BATCH,
  REQUEST_BATCH_RESPONSE,
  REQUEST_RESPONSE,
} from './generated/wire.ts';
import { type CallOptions, checkCall, expect, type ObsConn, waitOf } from './options.ts';

/** The name of a request. */
export type RequestType = keyof Requests;
/** The name of an event. */
export type EventType = keyof Events;

/** The arguments of {@link Obs.call} after the request's name. */
export type CallArguments<T extends RequestType> = [Requests[T]] extends [undefined]
  ? [data?: undefined, options?: CallOptions]
  : Partial<Requests[T]> extends Requests[T]
    ? [data?: Requests[T], options?: CallOptions]
    : [data: Requests[T], options?: CallOptions];

/** An event of {@link Obs.events}. */
export type ObsEvent<E extends EventType = EventType> = {
  [Each in E]: { readonly type: Each; readonly data: Events[Each] };
}[E];

/** The versions of OBS. */
export interface ObsInfo {
  readonly obsWebSocketVersion: string;
  /** Absent in OBS 29. */
  readonly obsStudioVersion?: string;
  /** The version that this connection uses. */
  readonly rpcVersion: number;
}

/** Options of {@link Obs.reidentify}. */
export interface ReidentifyOptions extends CallOptions {
  /** Bits of `EventSubscription`. Default: all events except those of high volume. */
  readonly eventSubscriptions?: number | undefined;
}

/**
 * A Reidentify without an answer holds all later calls. The connection ends this many ms after its
 * timeout: a server that has lost one answer does not send it later.
 */
const OVERDUE = 30_000;
/** The longest delay of a timer, in ms. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Calls that wait for the answer to a Reidentify. */
const MAX_HELD = 1_000;

/**
 * A connection to OBS, from `connect`.
 *
 * A promise of an Obs that you ignore causes no unhandled rejection. {@link closed} says how the
 * connection ended.
 *
 * @see https://github.com/obsproject/obs-websocket/blob/master/docs/generated/protocol.md
 *
 * @example
 * ```ts no-run
 * import { connect } from '@ws/obs';
 *
 * await using obs = await connect('ws://obs.example.org:4455', { password: 'secret' });
 * obs.on('CurrentProgramSceneChanged', ({ sceneName }) => console.log(sceneName));
 * const { outputActive } = await obs.call('GetStreamStatus');
 * if (!outputActive) await obs.call('StartStream');
 * ```
 */
export class Obs implements AsyncDisposable {
  /** The versions that OBS and this connection use. */
  readonly info: ObsInfo;
  readonly #connection: ObsConnection;
  /**
   * Calls that wait for the answer to a Reidentify, in their order, also those whose own wait has
   * ended. Undefined while OBS owes none: a Reidentify whose wait has ended still holds them.
   */
  #held: (() => unknown)[] | undefined;
  /** The id of the last Reidentify: its answer has none. */
  #reidentifyId: string | undefined;
  /** Cancels the end of the connection when that answer is overdue. */
  #cancelOverdue = (): void => {};

  /** @internal */
  constructor(
    conn: ObsConn,
    info: ObsInfo,
    encoding: Encoding | undefined,
    report: Report | undefined,
  ) {
    this.info = info;
    this.#connection = new ObsConnection(conn, encoding, report, (fields) => this.#receive(fields));
    void this.closed.then(() => this.#cancelOverdue());
  }

  /** How the connection ended. Resolves when it has closed; never rejects. */
  get closed(): Promise<ObsClose> {
    return this.#connection.closed;
  }

  /**
   * Sends a request and returns the data of OBS's answer. A call during a {@link reidentify} waits
   * for it.
   *
   * @param type - The name of the request.
   * @param args - `data`, required when the request has required fields; and `options`: `timeout`
   *   (10,000 ms) and `signal` of the wait for the answer.
   * @throws (rejects) {@link ObsRequestError} when OBS refuses the request; {@link ObsCloseError}
   *   when the connection ends first; TimeoutError; the reason of the signal; BackpressureError;
   *   TypeError, RangeError for a wrong argument.
   */
  call<T extends RequestType>(type: T, ...args: CallArguments<T>): Promise<Responses[T]>;
  call(type: RequestType, data?: object, options?: CallOptions): Promise<unknown> {
    return this.#connection.request(
      this,
      'call',
      type,
      () => waitOf('call', options),
      (requestId) => {
        checkCall('call', type, data);
        return { op: REQUEST, d: { requestType: type, requestId, requestData: data } };
      },
      (answer) => {
        const refusal = refusalOf(type, answer);
        if (refusal !== undefined) throw refusal;
        return answer['responseData'];
      },
      this.#schedule,
    );
  }

  /**
   * Sends several requests as one message, which OBS carries out one after the other unless
   * `execution` is `'parallel'`.
   *
   * @returns The results in the order of the requests. A refused request has an `error`. With
   *   `haltOnFailure` the first refused request is the last result. With `'parallel'` OBS sends the
   *   results in the order in which it has finished, and yet names them after the requests in their
   *   order: read them only for whether all have succeeded.
   * @throws (rejects) as {@link call}, except for refused requests.
   */
  batch<const R extends readonly BatchRequest[]>(
    requests: R,
    options?: BatchOptions,
  ): Promise<BatchResult<R[number]['requestType']>[]> {
    return this.#connection.request(
      this,
      'batch',
      'batch',
      () => waitOf('batch', options, 'execution', 'haltOnFailure'),
      (requestId) => ({ op: REQUEST_BATCH, d: { requestId, ...batchOf(requests, options) } }),
      (answer) => resultsOf(answer) as BatchResult<R[number]['requestType']>[],
      this.#schedule,
    );
  }

  /**
   * Changes which events OBS sends. Resolves when the change is in force. Calls wait for OBS's answer
   * to it. Without an answer, the connection ends 30 s after the `timeout` of this call.
   *
   * @throws (rejects) as {@link call}.
   */
  reidentify(options: ReidentifyOptions = {}): Promise<void> {
    let timeout = 0;
    return this.#connection.request(
      this,
      'reidentify',
      'reidentify',
      () => {
        const wait = waitOf('reidentify', options, 'eventSubscriptions');
        ({ timeout } = wait);
        return wait;
      },
      () => {
        const { eventSubscriptions } = options;
        checkSubscriptions(eventSubscriptions);
        return { op: REIDENTIFY, d: { eventSubscriptions } };
      },
      () => {},
      (send, id) =>
        this.#schedule(() => {
          const sent = send();
          if (sent === undefined) return;
          this.#held = [];
          this.#reidentifyId = id;
          this.#expectAnswer(timeout + OVERDUE);
          // OBS does not answer what it did not get.
          sent.catch(() => this.#release());
        }),
    );
  }

  /** Sends a call, after the answer to a Reidentify. */
  readonly #schedule = (send: () => unknown): void => {
    if (this.#held === undefined) send();
    else if (this.#held.length < MAX_HELD) this.#held.push(send);
    else throw new BackpressureError(`${MAX_HELD} calls wait for OBS's answer to a reidentify`);
  };

  /** Ends the connection after `ms` milliseconds without the answer to a Reidentify. */
  #expectAnswer(ms: number): void {
    if (ms === Infinity) return;
    const text = `reidentify: no answer for ${ms} ms; the connection has ended`;
    this.#cancelOverdue = portablePlatform.setTimer(Math.min(ms, LONGEST_TIMER), () =>
      this.#connection.fail(new TimeoutError(text, { permanent: true })),
    );
  }

  #release(): void {
    this.#cancelOverdue();
    const held = this.#held;
    this.#held = undefined;
    held?.forEach(this.#schedule);
  }

  /**
   * Calls `listener` with the data of each event of this name. OBS sends only the events of
   * `eventSubscriptions`. An error of a listener goes to the option `report`, and the other
   * listeners are called.
   *
   * @returns Removes the listener.
   * @throws TypeError when `listener` is no function.
   */
  on<E extends EventType>(event: E, listener: (data: Events[E]) => unknown): () => void {
    return this.#connection.listeners.on(event, listener as (data: unknown) => unknown);
  }

  /**
   * Iterates over the events with these names, from the start of the loop on. The loop ends when
   * the connection closes with 1000, 1001 or 1005.
   *
   * @throws TypeError without a name. The iteration throws {@link ObsCloseError} for other codes,
   *   and BackpressureError when more than 1,000 events wait for its body.
   */
  events<E extends EventType>(...names: readonly [E, ...E[]]): AsyncIterable<ObsEvent<E>> {
    expect(names.length > 0, 'events', 'the names of events', undefined);
    const { listeners } = this.#connection;
    return {
      [Symbol.asyncIterator]: () => listeners.iterate(names) as AsyncIterator<ObsEvent<E>>,
    };
  }

  /**
   * Closes the connection with 1000. Listeners hear no later events, and loops over {@link events} end.
   * Calls without an answer reject with {@link ObsCloseError}.
   */
  close(): Promise<ObsClose> {
    return this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #receive({ op, d }: Fields): void {
    const data = fieldsOf(d);
    switch (op) {
      case EVENT:
        this.#connection.listeners.emit(
          typed('eventType', 'string', data['eventType']),
          data['eventData'],
        );
        break;
      case REQUEST_RESPONSE:
      case REQUEST_BATCH_RESPONSE:
        this.#connection.answered(data['requestId'], data);
        break;
      case IDENTIFIED:
        this.#connection.answered(this.#held && this.#reidentifyId, data);
        this.#release();
        break;
      default:
        throw new ObsProtocolError(`a message with the unknown op ${JSON.stringify(op)}`);
    }
  }
}

/** @throws TypeError, RangeError unless it is a mask. */
export function checkSubscriptions(mask = 0): void {
  whole('eventSubscriptions', mask, 0, 2 ** 32 - 1);
}
