// A second copy of the order of messages on the way out, for the walks. It is never imported by the product: a
// change of the rules is made in both by hand.

/** What the messages of a connection wait for. */
export type Writer =
  /** Nothing. */
  | 'IDLE'
  /** A MessageWriter is open: its message has begun, or will. */
  | 'OPEN'
  /** Writes wait: the turn is full, or the transport takes nothing and the first has a signal. */
  | 'QUEUED'
  /** Our close frame is queued. */
  | 'CLOSED';

export type NewCall = 'message' | 'signal' | 'writer';

/** What a new call does. A message with a signal waits for a blocked transport: a frame cannot be aborted. */
type Way = 'now' | 'now unless blocked' | 'waits' | 'is refused';

const ROWS: Readonly<Record<Writer, Readonly<Record<NewCall, Way>>>> = {
  IDLE: { message: 'now', signal: 'now unless blocked', writer: 'now' },
  OPEN: { message: 'waits', signal: 'waits', writer: 'waits' },
  QUEUED: { message: 'waits', signal: 'waits', writer: 'waits' },
  CLOSED: { message: 'is refused', signal: 'is refused', writer: 'is refused' },
};

export function wayOf(
  writer: Writer,
  call: NewCall,
  blocked: boolean,
): 'now' | 'waits' | 'is refused' {
  const way = ROWS[writer][call];
  if (way !== 'now unless blocked') return way;
  return blocked ? 'waits' : 'now';
}

/** What our close frame does with the calls that wait: it follows them, unless a writer is open. */
export function atOurClose(writer: Writer): 'sends them' | 'refuses them' {
  return writer === 'OPEN' ? 'refuses them' : 'sends them';
}
