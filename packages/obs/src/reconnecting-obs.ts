import type { Conn } from '@ws/conn';
import { checked, isConnLike, markHandled } from '@ws/conn/internal';
import { type ReconnectOptions, reconnecting } from '@ws/reconnect';
import { type ConnectOptions, DEFAULT_URL, planConnect } from './connect.ts';
import { ObsCloseError, ObsProtocolError } from './errors.ts';
import { MESSAGE_DECODE_ERROR, SESSION_INVALIDATED } from './generated/wire.ts';
import type { Obs } from './obs.ts';
import { open } from './open.ts';
import { expect, expectType, type ObsConn } from './options.ts';

/**
 * Options of {@link reconnectingObs}: those of `connect` and of `reconnecting`. Here `dial` has to
 * return a whole `ConnLike`, for example a `Conn` or a `BrowserConn`.
 */
export interface ReconnectingObsOptions
  extends ConnectOptions,
    Pick<ReconnectOptions, 'minDelay' | 'maxDelay' | 'stopCodes' | 'retry' | 'signal'> {}

const OPTION_NAMES = ['minDelay', 'maxDelay', 'stopCodes', 'retry'];

/** 4011: the user of OBS has ended the session. Its protocol forbids to reconnect then. */
const STOP_CODES: readonly number[] = [1008, SESSION_INVALIDATED];

/**
 * Stays connected to OBS: connects when the loop asks for a connection, and again when that has
 * ended. Each connection is a new {@link Obs}: add its listeners in the loop's body. `break` leaves
 * the connection open.
 *
 * ```ts no-run
 * import { reconnectingObs } from '@ws/obs';
 *
 * for await (const obs of reconnectingObs('ws://obs.example.org:4455', { password: 'secret' })) {
 *   obs.on('CurrentProgramSceneChanged', ({ sceneName }) => console.log(sceneName));
 * }
 * ```
 *
 * The waits between connects grow from `minDelay` (1 s) to `maxDelay` (30 s), as for
 * `reconnecting` of `@ws/reconnect`. The loop ends when `signal` aborts, and when a
 * connection closes with one of `stopCodes`: 1008, and 4011 when the user of OBS ends the session.
 * It throws the error of a connect that another connect cannot mend, unless `retry` returns true:
 * ObsCloseError with a code from 4002 on, for example for a wrong password; ObsProtocolError; a
 * refused handshake with status 4xx, except 408, 425 and 429; TypeError, RangeError, SyntaxError.
 *
 * @param url - Default: `ws://127.0.0.1:4455`.
 * @throws TypeError, RangeError for a wrong argument.
 */
export function reconnectingObs(
  url: string | URL = DEFAULT_URL,
  options: ReconnectingObsOptions = {},
): AsyncIterable<Obs> {
  return checked(() => iterable(url, options), reconnectingObs);
}

function iterable(url: string | URL, options: ReconnectingObsOptions): AsyncIterable<Obs> {
  const plan = planConnect('reconnectingObs', url, options, ...OPTION_NAMES);
  const { minDelay, maxDelay, stopCodes = STOP_CODES, signal, retry } = options;
  if (retry !== undefined) expectType('retry', 'function', retry);
  const opened = new WeakMap<ObsConn, Obs>();
  const conns = reconnecting(
    ({ signal }) =>
      open({
        ...plan,
        wait: { ...plan.wait, signal },
        async login(conn) {
          // `reconnecting` would reject it, and leave the connection open.
          expect(isConnLike(conn), 'dial', 'a promise of a Conn or a BrowserConn', conn);
          opened.set(conn, await plan.login(conn));
          return conn as Conn;
        },
      }),
    {
      minDelay,
      maxDelay,
      stopCodes,
      signal,
      retry: (error, next) => retry?.(error, next) ?? !isPermanent(error),
    },
  );
  return {
    // No generator: its `return` would wait for the connect that it has to cancel.
    [Symbol.asyncIterator]() {
      const iterator = conns[Symbol.asyncIterator]();
      return {
        next: () =>
          markHandled(
            iterator
              .next()
              .then(({ done, value }) =>
                done ? { done, value: undefined } : { done: false, value: opened.get(value)! },
              ),
          ),
        async return() {
          await iterator.return!();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** Whether another connect fails in the same way. */
function isPermanent(error: unknown): boolean {
  if (error instanceof ObsCloseError) {
    return error.closeCode >= MESSAGE_DECODE_ERROR;
  }
  if (error instanceof ObsProtocolError) return true;
  if ([TypeError, RangeError, SyntaxError].some((each) => error instanceof each)) return true;
  // A BadHandshakeError.
  const { status } = (error ?? {}) as { status?: unknown };
  return (
    typeof status === 'number' && status >= 400 && status < 500 && ![408, 425, 429].includes(status)
  );
}
