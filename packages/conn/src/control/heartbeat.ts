import { PingMessage } from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import { TimeoutError } from '../errors.ts';
import type { Heartbeat as HeartbeatOption } from '../options/conn-options.ts';

/** The slowest peer without a measured speed, in bytes per ms: 16 KiB/s. */
const SLOWEST = 16.384;
/** Connections that have sent fewer bytes remember nothing: their peers read them in a second. */
const NOTED_FROM = 16_384;

/** The ping is not sent yet. A compressed message of several frames is open. */
const UNSENT = 'unsent';

/**
 * Why the timeout of a ping has not started, or is longer. Created only for a ping that waits, or
 * that follows other bytes, so that an idle connection has none.
 */
export type PingWait = typeof UNSENT | BytesAhead;

/** The bytes that the peer reads before a ping. */
type BytesAhead = {
  /** Bytes that were accepted before the ping. */
  readonly ahead: number;
  /** {@link bytesFlushed} when it last grew, and the time of that. */
  flushed: number;
  progressAt: number;
  /** The same two when the wait began. Together they give the speed of the peer. */
  readonly firstFlushed: number;
  readonly since: number;
  /** Set once the ping has left this process: the {@link transitTime} that the timeout adds. */
  transit?: number;
};

/** Time in ms that the peer needs for `inTransit` bytes at its speed so far; 0 without progress. */
function transitTime(
  { flushed, progressAt, firstFlushed, since }: BytesAhead,
  inTransit: number,
): number {
  const bytes = flushed - firstFlushed;
  return bytes === 0 ? 0 : Math.ceil(((progressAt - since) * inTransit) / bytes);
}

// The heartbeat (RFC 6455, section 5.5.2) pings silent peers and reports peers that do not answer.
// Any byte of the peer is a sign of life. A chunk costs one store, to `Connection.heardAt`.
//
// A peer can answer a ping only after it has read our older bytes. While such bytes wait in this
// process, the timeout of the ping has not started. The connection then lives as long as some of
// them leave within `interval + timeout`, or within the time in which the peer has read as many
// bytes as the operating systems may have, and as long as the peer itself sends. Bytes that left
// after the last sign of life may still be in the operating systems: the timeout grows by the time
// to read them.

/** Sets the first alarm of `connection`. */
export function startHeartbeat(connection: Connection): void {
  const { settings, shared } = connection;
  if (settings.heartbeat !== false) shared.timers.set(connection, settings.heartbeat.interval);
}

/** The alarm of `connection` has fired, at `now` in ms. */
export function checkHeartbeat(connection: Connection, now: number): void {
  const { settings, shared } = connection;
  if (settings.heartbeat === false) return;
  const { interval } = settings.heartbeat;
  // A paused socket reports neither bytes nor FIN nor RST. A ping still shows a reset.
  if (connection.paused) connection.heardAt = Math.ceil(now);
  const silence = now - connection.heardAt;
  const { rare } = connection;
  const pingedAt = rare?.pingedAt;
  if (pingedAt === undefined || connection.heardAt >= pingedAt) {
    if (rare !== undefined) rare.pingedAt = rare.pingWait = undefined;
    const isDue = silence >= interval || connection.paused;
    if (isDue) ping(connection, now);
    if (connection.rare?.pingWait !== UNSENT) noteBytes(connection);
    if (!isDue) return shared.timers.set(connection, interval - silence);
  } else updateWait(connection, settings.heartbeat, now);
  const due = dueAt(connection, settings.heartbeat);
  if (now >= due) return expire(connection, settings.heartbeat, Math.round(silence));
  // Check again after one interval even if `timeout` is longer, so that silence after the pong
  // counts from there.
  shared.timers.set(connection, connection.paused ? interval : Math.min(interval, due - now));
}

/** The compressed message of several frames has ended. A delayed ping is sent. */
export function sendDelayedPing(connection: Connection, now: number): void {
  const rare = connection.rareParts();
  if (rare.pingWait !== UNSENT) return;
  if (connection.heardAt < rare.pingedAt!) sendPing(connection, now);
  else rare.pingWait = undefined;
}

function expire(connection: Connection, { interval, timeout }: HeartbeatOption, ms: number): void {
  const option = `option heartbeat: interval ${interval}, timeout ${timeout}`;
  const text = `no data from the peer for ${ms} ms (${option})`;
  connection.abort(new TimeoutError(text, { permanent: true }));
}

function ping(connection: Connection, now: number): void {
  // A ping between the frames of a compressed message makes some peers lose data.
  if (connection.outbox.waitingWrites?.streamsEncoded !== true) return sendPing(connection, now);
  const rare = connection.rareParts();
  rare.pingedAt = now;
  rare.pingWait = UNSENT;
}

function sendPing(connection: Connection, now: number): void {
  const { machine, transport } = connection;
  const { bytesOut } = machine;
  const { sender } = connection.outbox;
  const { bytesFlushed } = sender;
  const rare = connection.rareParts();
  rare.pingedAt = now;
  rare.pingWait = undefined;
  // When all bytes have left this process, no progress shows the speed of the peer.
  const unheard = bytesOut - (rare.bytesSent?.previous ?? 0);
  const ahead = Math.min(unheard, transport.inTransit ?? 0);
  const transit = bytesFlushed < bytesOut ? undefined : Math.floor(ahead / SLOWEST);
  if (transit !== 0) {
    rare.pingWait = {
      ahead: bytesOut,
      flushed: bytesFlushed,
      progressAt: sender.stalledSince(now),
      firstFlushed: bytesFlushed,
      since: now,
      ...(transit !== undefined && { transit }),
    };
  }
  // No caller waits for it, and it does not count as a ping of the user.
  void connection.outbox.control(PingMessage, connection.pings().heartbeatPayload(), true);
}

function updateWait(connection: Connection, option: HeartbeatOption, now: number): void {
  const rare = connection.rareParts();
  const { pingWait } = rare;
  const { bytesFlushed } = connection.outbox.sender;
  if (pingWait === UNSENT) {
    // A delayed ping waits for at most its timeout.
    if (now >= dueAt(connection, option)) sendPing(connection, now);
    return;
  }
  if (pingWait === undefined || pingWait.transit !== undefined) return;
  if (bytesFlushed <= pingWait.flushed) return;
  pingWait.flushed = bytesFlushed;
  pingWait.progressAt = now;
  if (bytesFlushed < pingWait.ahead) return;
  rare.pingedAt = now;
  pingWait.transit = transitTime(pingWait, connection.transport.inTransit ?? 0);
}

/** When a connection that was pinged expires, or its delayed ping is sent. */
function dueAt(connection: Connection, { interval, timeout }: HeartbeatOption): number {
  const { transport, paused } = connection;
  const { pingedAt, pingWait } = connection.rareParts();
  if (pingWait === undefined || pingWait === UNSENT) return pingedAt! + timeout;
  if (pingWait.transit !== undefined) return pingedAt! + pingWait.transit + timeout;
  const patience = Math.max(interval + timeout, transitTime(pingWait, transport.inTransit ?? 0));
  const stalled = pingWait.progressAt + patience;
  // A peer that reads nothing may still send, for example its own pings. This end does not see
  // them while it is paused.
  return paused ? stalled : Math.max(stalled, pingedAt! + timeout);
}

/** Remembers the bytes that were sent, for a ping that may follow. */
function noteBytes(connection: Connection): void {
  const { machine, rare } = connection;
  const { bytesOut } = machine;
  const sent = rare?.bytesSent;
  if (sent !== undefined) {
    sent.previous = sent.last;
    sent.last = bytesOut;
  } else if (bytesOut >= NOTED_FROM) {
    connection.rareParts().bytesSent = { previous: 0, last: bytesOut };
  }
}
