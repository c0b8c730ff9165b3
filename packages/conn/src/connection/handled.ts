// Whether the application has handled what has arrived, or may still answer it. The answer to the
// peer's close frame waits for that.

import type { Connection } from './connection.ts';
import { readAheadHasRoom } from './flow-control.ts';
import type { Inbound } from './inbound.ts';

// The last read that the application has begun.

export const NO_READ = 0;
/** A single read: `readMessage`, `readJSON` or `nextReader`. */
const SINGLE_READ = 1;
/** `for await`, `receive` or `discardReads`: the same code reads the next message. */
const LOOP_READ = 2;
/** A single read, after which the application has read `closed`: it reads no more. */
const DONE = 3;

export type LastRead = typeof NO_READ | typeof SINGLE_READ | typeof LOOP_READ | typeof DONE;

/** Before any time of the platform's clock. */
export const NEVER = -1;

/**
 * Time in ms after which the message of a single read counts as handled. A handler of `receive` that
 * has closed the connection gets as long for its next message.
 */
export const SINGLE_READ_TIME = 250;

/** Whether every message is read and no handler is at work. */
export function isRead({ queue, receiveCall, pulls }: Inbound): boolean {
  if (queue?.empty === false || receiveCall?.busy === true) return false;
  return pulls?.pieces === undefined || pulls.pieces.empty;
}

/** Whether {@link isRead}, and the reader of the last message has had the time for its answer. */
export function isHandled(connection: Connection): boolean {
  const { inbound } = connection;
  if (!isRead(inbound)) return false;
  return inbound.pulls?.messageTaken !== true || patience(connection) <= 0;
}

/** Whether no read has begun, and no handler runs that may still begin one. */
function hasNoReader({ lastRead, connHandlerRuns }: Inbound): boolean {
  return lastRead === NO_READ && !connHandlerRuns;
}

/** Whether no code reads any more. */
function isAbsent(inbound: Inbound): boolean {
  return inbound.lastRead === DONE || hasNoReader(inbound);
}

/** Time in ms that the reader of the last message has for its answer. */
export function patience({ inbound, platform }: Connection): number {
  if (isAbsent(inbound)) return 0;
  if (inbound.lastRead === LOOP_READ || inbound.connHandlerRuns) return Infinity;
  const since = inbound.pulls?.idleSince ?? NEVER;
  const idle = since === NEVER ? 0 : platform.now() - since;
  return Math.max(0, SINGLE_READ_TIME - idle);
}

/**
 * The loop of the input has stopped, in a connection whose reading ends with `readEnd`.
 *
 * @param ahead - The input is parsed as far as the read-ahead has room.
 * @returns Whether all input before the end is read and handled, or dropped.
 */
export function endsReading(
  connection: Connection,
  readEnd: { readonly reason: unknown },
  ahead: boolean,
): boolean {
  const { inbound, rare } = connection;
  if (!inbound.pending) inbound.stop();
  if (inbound.stopped) {
    rare?.controlFrames?.rejectPings(readEnd.reason);
    inbound.pulls?.finishMessage(readEnd);
  }
  noteIdle(connection);
  if (inbound.dropping) return true;
  if (ahead && connection.transportClosed && hasNoReader(inbound)) dropUnparsed(connection);
  const isDone = isHandled(connection) || isAbsent(inbound);
  return inbound.stopped && isDone && (ahead || inbound.waits);
}

/** Drops the messages for which the read-ahead has no room. Queued messages can still be read. */
function dropUnparsed(connection: Connection): void {
  const { inbound } = connection;
  if (inbound.stopped || readAheadHasRoom(connection)) return;
  inbound.dropExcess();
  connection.scheduleEndOfTurn();
}

/** A number that changes when a reader takes a message, or a piece of one. */
export function progress({ inbound, messagesIn }: Connection): number {
  const { queue, pulls } = inbound;
  return messagesIn - (queue?.length ?? 0) - (pulls?.pieces?.cost ?? 0);
}

export function singleRead(inbound: Inbound): void {
  inbound.lastRead = SINGLE_READ;
  if (inbound.pulls !== undefined) inbound.pulls.idleSince = NEVER;
}

export function loopBegins(inbound: Inbound): void {
  inbound.lastRead = LOOP_READ;
}

/** The last message of a loop is handled as after a single read. */
export function loopLeft(inbound: Inbound): void {
  if (inbound.lastRead === LOOP_READ) singleRead(inbound);
}

/** Whether the last read is a single one, and its message is taken. */
function singleTaken({ lastRead, pulls }: Inbound): boolean {
  return lastRead === SINGLE_READ && pulls?.messageTaken === true;
}

/**
 * Nothing else happens. {@link SINGLE_READ_TIME} after the first call, the message of a single read
 * counts as handled.
 */
function noteIdle({ inbound, platform }: Connection): void {
  if (!singleTaken(inbound) || inbound.pulls!.idleSince !== NEVER) return;
  inbound.pulls!.idleSince = Math.ceil(platform.now());
}

/** A turn with work of the connection ends: the message of a single read may still get an answer. */
export function renewIdle(connection: Connection): void {
  const { pulls } = connection.inbound;
  if (pulls === undefined) return;
  pulls.idleSince = NEVER;
  noteIdle(connection);
}

/**
 * The application reads `closed`: it has handled the message of its last single read, and reads no
 * further. A close frame that has arrived is answered at the end of the turn.
 */
export function closedIsRead(connection: Connection): void {
  const { inbound } = connection;
  if (!singleTaken(inbound)) return;
  inbound.pulls!.messageTaken = false;
  inbound.lastRead = DONE;
  if (connection.closing !== undefined) connection.scheduleEndOfTurn();
}

/** The application's handler of this connection has settled: it has handled its last message. */
export function connHandlerSettled(connection: Connection): void {
  const { inbound } = connection;
  inbound.connHandlerRuns = false;
  if (inbound.pulls !== undefined) inbound.pulls.messageTaken = false;
  if (connection.closing !== undefined) connection.scheduleEndOfTurn();
}
