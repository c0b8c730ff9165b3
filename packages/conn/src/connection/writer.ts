// What the messages of a connection wait for: a table, without I/O, clock, promise or queue. A message must
// not begin before the message before it has ended (RFC 6455, section 5.4). `WriteQueue.#on` is the only place
// that changes the state. A state is a bit, so a column is a mask.

// States

/** Nothing: a message becomes a frame at once. */
export const IDLE = 1;
/** A MessageWriter is open: its message has begun, or will. */
const OPEN = 2;
/**
 * Writes wait: the turn is full, or the transport takes nothing and the first has a signal, or the writes
 * before it are being sent.
 */
export const QUEUED = 4;
/** Our close frame is queued, or the transport has ended: no message is accepted any more. */
const CLOSED = 8;

export type Writer = 1 | 2 | 4 | 8;

// Events

/** A write has to wait. */
export const ADDED = 0;
/** A MessageWriter is opened. */
export const OPENED = 1;
/** The message of the open writer has ended. */
export const ENDED = 2;
/** No write waits any more. */
export const EMPTIED = 3;
/** No message is accepted any more. */
export const LAST = 4;

export type WriterEvent = 0 | 1 | 2 | 3 | 4;

/**
 * The state after an event: `AFTER[writer][event]`. Some cells cannot come, and change nothing: a writer is
 * opened only after the end of the one before, only the open writer ends, and after LAST no write is added.
 */
export const AFTER: Readonly<Record<Writer, readonly Writer[]>> = {
  //         ADDED   OPENED  ENDED   EMPTIED LAST
  [IDLE]: [QUEUED, OPEN, IDLE, IDLE, CLOSED],
  [OPEN]: [OPEN, OPEN, QUEUED, OPEN, CLOSED],
  [QUEUED]: [QUEUED, OPEN, QUEUED, IDLE, CLOSED],
  [CLOSED]: [CLOSED, CLOSED, CLOSED, CLOSED, CLOSED],
};

// Columns

/** A new message waits. */
export const WAITS: number = OPEN | QUEUED;
