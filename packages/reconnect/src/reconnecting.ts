import {
  CloseError,
  CloseSentError,
  type ConnLike,
  ProtocolError,
  ReadLimitError,
  TransportError,
  WebSocketError,
} from '@ws/conn';
import { checked, internalsOf, kind } from '@ws/conn/internal';
import { ConnectionSeries } from './connection-series.ts';
import {
  type DialFunction,
  planReconnect,
  type ReconnectOptions,
  type ReconnectPlan,
} from './options.ts';

/**
 * Keeps a client connected: opens a connection with `dial`, and the next one after its end.
 *
 * With `handler`, the handler gets each connection. When the handler returns, the next dial waits
 * until that connection has closed. When the handler rejects with a WebSocketError of its
 * connection, the connection closes and the next dial follows. Any other error closes the
 * connection with 1011 and rejects the promise.
 *
 * Without `handler`, the result iterates over the connections. At the end of the loop's body the next
 * dial waits until the connection has closed. `break` leaves the connection open for your use.
 *
 * The first wait between dials is random from 0 to twice `minDelay`. Each later wait is twice as
 * long, up to `maxDelay`. Half of it is fixed, half is random. The waits restart after a connection
 * that stayed open for `maxDelay`. Everything ends without an error when a connection closes with
 * one of `stopCodes`, or when `signal` aborts. When `retry` returns false, everything ends with the
 * error of the dial.
 *
 * @param dial - Opens one connection. A result that is no {@link ConnLike} ends everything with a
 *   TypeError.
 * @throws TypeError or RangeError for a bad argument or option; with `handler`, the promise rejects.
 *
 * @example
 * ```ts no-run
 * import { dial } from '@ws/node-client';
 * import { reconnecting } from '@ws/reconnect';
 *
 * const open = ({ signal }: { signal: AbortSignal }) => dial('wss://example.org/feed', { signal });
 * await reconnecting(open, {}, async (conn) => {
 *   await conn.send('subscribe');
 *   for await (const message of conn) console.log(message.text());
 * });
 * ```
 */
export function reconnecting<C extends ConnLike>(
  dial: DialFunction<C>,
  options?: ReconnectOptions,
): AsyncIterable<C>;
export function reconnecting<C extends ConnLike>(
  dial: DialFunction<C>,
  options: ReconnectOptions | undefined,
  handler: (conn: C) => unknown,
): Promise<void>;
export function reconnecting<C extends ConnLike>(
  dial: DialFunction<C>,
  options: ReconnectOptions = {},
  handler?: (conn: C) => unknown,
): AsyncIterable<C> | Promise<void> {
  return start(() => checked(() => planReconnect(dial, options), reconnecting), handler);
}

/**
 * Both forms of `reconnecting`.
 *
 * @param plan - Checks the options. Its error rejects the promise of the form with a handler. The
 *   other form throws the error.
 */
export function start<C extends ConnLike>(
  plan: () => ReconnectPlan<C>,
  handler: ((conn: C) => unknown) | undefined,
): AsyncIterable<C> | Promise<void> {
  if (handler !== undefined) return handleAll(plan, handler);
  const checkedPlan = plan();
  return { [Symbol.asyncIterator]: () => connectionsOf(checkedPlan) };
}

/** The connections for a loop. The loop's body counts as the handler of each connection. */
function connectionsOf<C extends ConnLike>(plan: ReconnectPlan<C>): ConnectionSeries<C> {
  return new ConnectionSeries(plan, (conn) => internalsOf(conn).connHandlerStarted?.());
}

async function handleAll<C extends ConnLike>(
  plan: () => ReconnectPlan<C>,
  handler: (conn: C) => unknown,
): Promise<void> {
  if (typeof handler !== 'function') {
    throw new TypeError(`handler: expected a function, got ${kind(handler)}`);
  }
  const checkedPlan = plan();
  for await (const conn of connectionsOf(checkedPlan)) {
    try {
      await handler(conn);
    } catch (error) {
      const isOwn = isErrorOf(conn, error);
      await internalsOf(conn).closeAfterError(error);
      if (!isOwn && !isAbort(error, checkedPlan.signal)) throw error;
    }
  }
}

/** Codes of errors of a handshake. A connection exists only after its handshake. */
const HANDSHAKE_CODES: readonly string[] = ['WS_ERR_BAD_HANDSHAKE', 'WS_ERR_HANDSHAKE'];

/**
 * Whether `error` is a WebSocketError that `conn` may have caused. An error that reports
 * the end of a connection does not count while `conn` is open, nor if a handler of `receive` failed
 * `conn` with that error.
 *
 * @param failure - The error that has failed the connection, if any.
 */
export function isErrorOf(
  conn: ConnLike,
  error: unknown,
  failure: unknown = internalsOf(conn).failure,
): boolean {
  if (!(error instanceof WebSocketError) || HANDSHAKE_CODES.includes(error.code)) return false;
  // These two errors fail their connection.
  if (error instanceof ProtocolError || error instanceof ReadLimitError) {
    return conn.state !== 'open';
  }
  const isEnd =
    error instanceof CloseError ||
    error instanceof CloseSentError ||
    error instanceof TransportError;
  return !isEnd || (conn.state !== 'open' && failure !== error);
}

/** Whether a handler failed because of `signal`: with its reason, or with an AbortError of Node. */
function isAbort(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted !== true) return false;
  return error === signal.reason || (error as Partial<Error> | undefined)?.name === 'AbortError';
}
