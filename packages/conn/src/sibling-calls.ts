// What the other packages ask of a Conn besides its public methods.
import type { CloseInfo } from './close-info.ts';
import { type Conn, connectionOf } from './conn.ts';
import type { Platform } from './platform/platform.ts';
import type { PreparedResponse } from './read/auto-response.ts';
import { Gate } from './read/gate.ts';
import { Rate, type RatePlan } from './read/rate.ts';
import { ReceiveCall, type ReceiveObserver } from './read/receive-call.ts';

export function platformOf(conn: Conn): Platform {
  return connectionOf(conn).platform;
}

/** See `Writer.encodesElsewhere`. */
export function encodesElsewhere(conn: Conn, size: number): boolean {
  return connectionOf(conn).writer.encodesElsewhere(size);
}

/** See `Writer.awaitsWriter`. */
export function awaitsWriter(conn: Conn, size: number): boolean {
  return connectionOf(conn).writer.awaitsWriter(size);
}

/** See `Connection.observeWrites`. */
export function observeWrites(conn: Conn, observer: (conn: Conn) => void): void {
  connectionOf(conn).observeWrites(observer as (conn: unknown) => void);
}

/** Whether `conn` drops the messages that arrive. */
export function dropsInput(conn: Conn): boolean {
  return connectionOf(conn).input.dropping;
}

/** See `Writer.sendUnencoded`. */
export function sendUnencoded(conn: Conn, send: () => void): void {
  connectionOf(conn).writer.sendUnencoded(send);
}

/** See `Writer.untilWritable`. */
export function untilWritable(conn: Conn): Promise<void> | undefined {
  return connectionOf(conn).writer.untilWritable();
}

/** The application's handler of `conn` runs: a close frame waits for the messages before it. */
export function handlerStarted(conn: Conn): void {
  connectionOf(conn).reader.attention.handlerRuns = true;
}

/**
 * Calls `observer` with `conn` when `result`, the promise of `receive` or `discardReads`, settles.
 * Costs less than `then`.
 *
 * @returns false when `result` is another value. The observer is not called then.
 */
export function observeReceive(
  result: unknown,
  observer: ReceiveObserver<Conn>,
  conn: Conn,
): boolean {
  if (!ReceiveCall.is(result)) return false;
  result.observe(observer, conn);
  return true;
}

/**
 * The application's handler of `conn` has settled, so the last message that was read is handled.
 * Then the connection answers a close frame that arrived after it.
 */
export function handlerSettled(conn: Conn): void {
  connectionOf(conn).handlerSettled();
}

/**
 * As `Conn.close` with a timeout, without its promise and its checks: for a server that closes many
 * connections and keeps the process alive itself.
 *
 * @param payload - A valid payload of a close frame.
 */
export function closeWith(
  conn: Conn,
  payload: Uint8Array,
  timeout: number,
  discard: boolean,
): void {
  connectionOf(conn).startClose(payload, timeout, discard);
}

/** As `Conn.closed`, for the library's own use: it does not say that the last message is handled. */
export function closedOf(conn: Conn): Promise<CloseInfo> {
  return connectionOf(conn).closed;
}

/**
 * The promise of a `receive` or `discardReads` that is pending after the application's handler of
 * `conn` has settled, if there is one.
 */
export function unfinishedReceive(conn: Conn): Promise<unknown> | undefined {
  const { reader } = connectionOf(conn);
  return reader.attention.handlerRuns ? undefined : reader.receiveCall;
}

/** Whether a read or a write of `conn` rejects with `error`, because `conn` has ended with it. */
export function endedWith(conn: Conn, error: unknown): boolean {
  return connectionOf(conn).endedWith(error);
}

/** Answers a message of the peer without its reader. */
export function setAutoResponse(conn: Conn, autoResponse: PreparedResponse): void {
  gateOf(conn).autoResponse = autoResponse;
}

/** Bounds the rate of the peer's messages. A second call replaces the bound of the first. */
export function limitRate(conn: Conn, plan: RatePlan): void {
  const gate = gateOf(conn);
  gate.rate?.stopTimer();
  gate.rate = new Rate(connectionOf(conn), plan);
  if (connectionOf(conn).input.held) gate.rate.fire();
}

function gateOf(conn: Conn): Gate {
  const connection = connectionOf(conn);
  const { input } = connection;
  input.gate ??= new Gate(connection);
  return input.gate;
}
