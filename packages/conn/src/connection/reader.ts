// The one reader of a connection: a table, without I/O, clock, promise or queue. `Inbox.on` is the only
// place that changes the state. All other code asks a column: `reader & ASKS`. So each state is a bit.

// States

/** No code reads, and none has said that it will. */
export const NONE = 1;
/** Code has read, and asks for nothing now: it handles a message, or has left its loop. */
const AWAY = 2;
/** Code will read, or has stopped a read that waited. So it has handled all messages that it got. */
const COMING = 4;
/** A pull read asks for a message, or a MessageReader for bytes. */
export const WAITS = 8;
/** `receive` asks: its handler is free. */
export const FREE = 16;
/** The handler of `receive` was called, and has not returned. */
export const CALLED = 32;
/** The handler of `receive` has returned a promise that has not settled. */
export const BUSY = 64;
/** `discardReads` asks for every message. */
export const DISCARDS = 128;
/** An event came that cannot come: a bug of this library. The connection fails. */
export const BROKEN = 256;

export type Reader = 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 | 256;

// Events

/** A pull read begins, or a MessageReader asks for bytes. */
export const READ = 0;
/** The read gets what it asks for. */
export const GIVEN = 1;
/** The read ends without: aborted, its loop left, or reading has ended. */
export const CANCEL = 2;
export const RECEIVE = 3;
export const DISCARD = 4;
/** The handler of `receive` is called. */
export const CALL = 5;
/** The handler has returned a promise. */
export const PROMISE = 6;
/** The handler has returned no promise, or its promise has settled. */
export const SETTLED = 7;
/** `receive` or `discardReads` settles: reading has ended. */
export const OVER = 8;
/** Code will read: the handler of the connection starts, or a stream of messages is created. */
export const WILL_READ = 9;
/** The handler of the connection has settled, and no loop or stream is open. */
export const DONE = 10;
/** READ and GIVEN in one: the message was there. */
export const TAKEN = 11;

export type ReaderEvent = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11;

/** Cells that cannot come: a second read is refused before the table, or there is no such call. */
const X = BROKEN;

/** The state after an event: `AFTER[reader][event]`. */
export const AFTER: Readonly<Record<Reader, readonly Reader[]>> = {
  //           READ   GIVEN CANCEL RECEIVE DISCARD  CALL   PROMISE SETTLED OVER WILL_READ DONE   TAKEN
  [NONE]: [WAITS, X, X, FREE, DISCARDS, X, X, X, X, COMING, NONE, AWAY],
  [AWAY]: [WAITS, X, X, FREE, DISCARDS, X, X, X, X, AWAY, NONE, AWAY],
  [COMING]: [WAITS, X, X, FREE, DISCARDS, X, X, X, X, COMING, NONE, AWAY],
  [WAITS]: [WAITS, AWAY, COMING, X, X, X, X, X, X, WAITS, WAITS, X],
  [FREE]: [X, X, X, X, X, CALLED, X, X, AWAY, FREE, FREE, X],
  [CALLED]: [X, X, X, X, X, X, BUSY, FREE, X, CALLED, CALLED, X],
  [BUSY]: [X, X, X, X, X, X, X, FREE, X, BUSY, BUSY, X],
  [DISCARDS]: [X, X, X, X, X, X, X, X, AWAY, DISCARDS, DISCARDS, X],
  [BROKEN]: [X, X, X, X, X, X, X, X, X, X, X, X],
};

const STATES = /* @__PURE__ */ 'NONE AWAY COMING WAITS FREE CALLED BUSY DISCARDS BROKEN'.split(' ');
const EVENTS =
  /* @__PURE__ */ 'READ GIVEN CANCEL RECEIVE DISCARD CALL PROMISE SETTLED OVER WILL_READ DONE TAKEN'.split(
    ' ',
  );

/** The name of a cell, such as `BUSY × CALL`. */
export function cellName(reader: Reader, event: ReaderEvent): string {
  return `${STATES[Math.log2(reader)]} × ${EVENTS[event]}`;
}

// Columns

/** Asks for the next message, so it has handled the last one. */
export const ASKS: number = WAITS | FREE | DISCARDS;
/** Has a message, so it may write before the turn ends. */
export const HAS_MESSAGE: number = AWAY | CALLED | BUSY;
/** The handler of `receive` has a message. */
export const HANDLES: number = CALLED | BUSY;
/** No code handles a message. */
const NOBODY: number = NONE | BROKEN;

/**
 * The pull rule: whether the application has handled every message. This is so when it asks for the
 * next message, or does not read at all.
 *
 * @param turnEnds - Until the turn ends, code may begin to read.
 */
export function hasHandled(reader: Reader, nothingUnread: boolean, turnEnds: boolean): boolean {
  if (nothingUnread && (reader & ASKS) !== 0) return true;
  if (!turnEnds) return false;
  return (reader & NOBODY) !== 0 || (reader === COMING && nothingUnread);
}

// What happens to the messages of the input. It only moves down.

export const KEPT = 0;
/** `discardReads`: messages are checked and dropped. */
export const CHECKED = 1;
/** Messages are dropped, and the reader gets an error: reading never ends normally. */
export const LOST = 2;
/** Messages are dropped, because the application does not want them. */
export const UNWANTED = 3;

export type Use = 0 | 1 | 2 | 3;
