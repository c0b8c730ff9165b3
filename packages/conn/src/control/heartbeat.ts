import { PingMessage } from '@ws/codec';
import { Progress } from '../connection/progress.ts';
import type { Reading } from '../connection/read-ahead.ts';
import { TimeoutError } from '../errors.ts';
import type { Heartbeat as HeartbeatOption } from '../options/conn-options.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import type { Pings } from './pings.ts';

/** Assumed speed of a peer that was not measured, in bytes per ms: 16 KiB/s. */
const ASSUMED_SPEED = 16.384;
/** {@link noteBytes} ignores connections that sent fewer bytes: a peer reads so few in a second. */
const NOTE_FROM = 16_384;

/** The longest timeout in ms of a ping of {@link askNow}. */
const ASKED_MS = 5_000;

/** State of a ping that waits for the end of a compressed message of several frames. */
const UNSENT = 'unsent';

/**
 * The reason why the timeout of a ping has not started, or is longer than the option. Undefined if the
 * peer has no older bytes to read, so that an idle connection needs no object.
 */
export type PingWait = typeof UNSENT | BytesAhead;

/** The bytes that the peer has to read before a ping. */
type BytesAhead = {
  /** `bytesOut` at the ping: all bytes up to this number come before the ping. */
  readonly ahead: number;
  /** How the peer takes them since the ping. */
  readonly progress: Progress;
  /** Time in ms added to the timeout. Set once the ping has left this process. */
  transit?: number;
};

/** What the heartbeat knows of a connection that it has pinged, or that sends much. */
export type Pinged = {
  /** When the heartbeat sent the ping that the peer has not answered; undefined without one. */
  pingedAt: number | undefined;
  pingWait: PingWait | undefined;
  /** Whether the unanswered ping has the shorter timeout of {@link askNow}. */
  isAsked: boolean;
  /**
   * `bytesOut` at the last two alarms that found no unanswered ping. The peer has sent bytes
   * since the first of the two.
   */
  bytesSent: { readonly previous: number; readonly last: number } | undefined;
  /** Present once the transport can send nothing more. */
  readonly lastReads: object | undefined;
};

/** The part of a connection that the heartbeat uses. */
type Pinging = Reading &
  TimerEntry & {
    readonly outbox: {
      readonly bytesFlushed: number;
      readonly queue: { readonly writer: { readonly isEncoding: boolean } | undefined } | undefined;
      control(type: number, payload: Uint8Array, ours: boolean): unknown;
    };
    readonly control: Pinged | undefined;
    lastByteAt: number;
    controlOrNew(): Pinged;
    pings(): Pings;
  };

// The heartbeat (RFC 6455, section 5.5.2) pings silent peers, and ends connections without an answer.
// Any byte of the peer is a sign of life. A chunk costs one store, to `Connection.lastByteAt`.
//
// A peer can answer a ping only after it has read our older bytes. While older bytes wait in this
// process, the timeout of the ping does not start. The connection then stays open as long as some
// bytes leave this process every `interval + timeout`, or the peer sends. A slow peer gets more
// time: as much as it needs to read all bytes that the operating systems may buffer. When the ping
// has left this process, the timeout starts, plus the time in which the peer reads those bytes.

/** Sets the first timer of `connection`. */
export function startHeartbeat(connection: Pinging): void {
  const { settings, shared } = connection;
  if (settings.heartbeat !== false) shared.timers.set(connection, settings.heartbeat.interval);
}

/** Called when the timer of `connection` fires, at `now` in ms. */
export function checkHeartbeat(connection: Pinging, now: number): void {
  const { settings, shared } = connection;
  // After `writesFailed`, no ping leaves, and another clock bounds the reads.
  if (settings.heartbeat === false || connection.control?.lastReads !== undefined) return;
  const { interval } = settings.heartbeat;
  // A paused socket reports neither bytes nor FIN nor RST. A ping still shows a reset.
  if (connection.paused) connection.lastByteAt = Math.ceil(now);
  const silence = now - connection.lastByteAt;
  const { control } = connection;
  const pingedAt = control?.pingedAt;
  if (pingedAt === undefined || connection.lastByteAt >= pingedAt) {
    if (control !== undefined) {
      control.pingedAt = control.pingWait = undefined;
      control.isAsked = false;
    }
    const isDue = silence >= interval || connection.paused;
    if (isDue) ping(connection, now);
    if (connection.control?.pingWait !== UNSENT) noteBytes(connection);
    if (!isDue) return shared.timers.set(connection, interval - silence);
  } else updateWait(connection, settings.heartbeat, now);
  const due = dueAt(connection, settings.heartbeat);
  if (now >= due) return expire(connection, settings.heartbeat, now);
  // Checks again after one interval even if `timeout` is longer: the pong may have arrived by then,
  // and the next silence starts at the pong.
  shared.timers.set(connection, connection.paused ? interval : Math.min(interval, due - now));
}

/**
 * Pings at once, because the peer may be gone. The answer has {@link ASKED_MS}, if that is less than
 * the timeout. No effect without a heartbeat.
 */
export function askNow(connection: Pinging): void {
  const { platform, settings, shared } = connection;
  if (settings.heartbeat === false || connection.control?.lastReads !== undefined) return;
  const now = platform.now();
  connection.controlOrNew().isAsked = true;
  ping(connection, now);
  shared.timers.set(connection, Math.max(0, dueAt(connection, settings.heartbeat) - now));
}

/** Called when a compressed message of several frames has ended. Sends the ping that waits for it. */
export function sendDelayedPing(connection: Pinging, now: number): void {
  const control = connection.controlOrNew();
  if (control.pingWait !== UNSENT) return;
  if (connection.lastByteAt < control.pingedAt!) sendPing(connection, now);
  else control.pingWait = undefined;
}

function expire(connection: Pinging, { interval, timeout }: HeartbeatOption, now: number): void {
  const { paused, lastByteAt, control } = connection;
  const wait = control?.pingWait;
  // Nothing of a paused connection shows whether the peer sends.
  const isStalled = paused && typeof wait === 'object';
  const what = isStalled ? 'the peer has taken no bytes' : 'no data from the peer';
  const ms = Math.round(now - (isStalled ? wait.progress.grownAt : lastByteAt));
  const option = `option heartbeat: interval ${interval}, timeout ${timeout}`;
  connection.abort(new TimeoutError(`${what} for ${ms} ms (${option})`, { permanent: true }));
}

function ping(connection: Pinging, now: number): void {
  // A ping between the frames of a compressed message makes some peers lose data.
  if (connection.outbox.queue?.writer?.isEncoding !== true) return sendPing(connection, now);
  const control = connection.controlOrNew();
  control.pingedAt = now;
  control.pingWait = UNSENT;
}

function sendPing(connection: Pinging, now: number): void {
  const { machine, transport } = connection;
  const { bytesOut } = machine;
  const { outbox } = connection;
  const { bytesFlushed } = outbox;
  const control = connection.controlOrNew();
  control.pingedAt = now;
  control.pingWait = undefined;
  // If all bytes have left this process, the speed of the peer cannot be measured.
  const sentLately = bytesOut - (control.bytesSent?.previous ?? 0);
  const unread = Math.min(sentLately, transport.inTransit ?? 0);
  const transit = bytesFlushed < bytesOut ? undefined : Math.floor(unread / ASSUMED_SPEED);
  if (transit !== 0) {
    control.pingWait = {
      ahead: bytesOut,
      progress: new Progress(now, bytesFlushed, outbox.stalledSince(now)),
      ...(transit !== undefined && { transit }),
    };
  }
  // No caller awaits a ping of the heartbeat.
  void connection.outbox.control(PingMessage, connection.pings().heartbeatPayload(), true);
}

function updateWait(connection: Pinging, option: HeartbeatOption, now: number): void {
  const control = connection.controlOrNew();
  const { pingWait } = control;
  const { bytesFlushed } = connection.outbox;
  if (pingWait === UNSENT) {
    // A delayed ping waits for at most its timeout.
    if (now >= dueAt(connection, option)) sendPing(connection, now);
    return;
  }
  if (pingWait === undefined || pingWait.transit !== undefined) return;
  if (pingWait.progress.look(now, bytesFlushed) === 0 || bytesFlushed < pingWait.ahead) return;
  control.pingedAt = now;
  pingWait.transit = pingWait.progress.timeFor(connection.transport.inTransit ?? 0);
}

/** Returns the time when a pinged connection expires, or when its delayed ping is sent. */
function dueAt(connection: Pinging, option: HeartbeatOption): number {
  const { transport, paused } = connection;
  const { pingedAt, pingWait, isAsked } = connection.controlOrNew();
  const { interval } = option;
  const timeout = isAsked ? Math.min(option.timeout, ASKED_MS) : option.timeout;
  if (pingWait === undefined || pingWait === UNSENT) return pingedAt! + timeout;
  if (pingWait.transit !== undefined) return pingedAt! + pingWait.transit + timeout;
  const maxStall = Math.max(
    interval + timeout,
    pingWait.progress.timeFor(transport.inTransit ?? 0),
  );
  const stalledAt = pingWait.progress.grownAt + maxStall;
  // A peer that reads nothing may still send, for example pings. A paused connection does not see them.
  return paused ? stalledAt : Math.max(stalledAt, pingedAt! + timeout);
}

/** Stores the number of sent bytes. A later ping estimates from it what the peer still has to read. */
function noteBytes(connection: Pinging): void {
  const { bytesOut } = connection.machine;
  const sent = connection.control?.bytesSent;
  if (sent === undefined && bytesOut < NOTE_FROM) return;
  connection.controlOrNew().bytesSent = { previous: sent?.last ?? 0, last: bytesOut };
}
