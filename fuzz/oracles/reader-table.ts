// A second copy of the table of a connection's reader, for the walks. It is never imported by the product: a
// change of the rules is made in both by hand.

export type Reader = 'NONE' | 'AWAY' | 'COMING' | 'WAITS' | 'FREE' | 'CALLED' | 'BUSY' | 'DISCARDS';

const EVENTS = [
  'read',
  'given',
  'cancel',
  'receive',
  'discard',
  'call',
  'promise',
  'settled',
  'over',
  'will read',
  'done',
] as const;

export type ReaderEvent = (typeof EVENTS)[number];

/** The state after each event of {@link EVENTS}. A dash is a cell that cannot come. */
const ROWS: Readonly<Record<Reader, string>> = {
  // read  given cancel receive discard call promise settled over will-read done
  NONE: 'WAITS - - FREE DISCARDS - - - - COMING NONE',
  AWAY: 'WAITS - - FREE DISCARDS - - - - AWAY NONE',
  COMING: 'WAITS - - FREE DISCARDS - - - - COMING NONE',
  WAITS: 'WAITS AWAY COMING - - - - - - WAITS WAITS',
  FREE: '- - - - - CALLED - - AWAY FREE FREE',
  CALLED: '- - - - - - BUSY FREE - CALLED CALLED',
  BUSY: '- - - - - - - FREE - BUSY BUSY',
  DISCARDS: '- - - - - - - - AWAY DISCARDS DISCARDS',
};

/** @throws Error for a cell that cannot come. */
export function after(reader: Reader, event: ReaderEvent): Reader {
  const cell = ROWS[reader].split(' ')[EVENTS.indexOf(event)]!;
  if (cell === '-') throw new Error(`impossible: ${reader} × ${event}`);
  return cell as Reader;
}

/** Asks for the next message. */
export function asks(reader: Reader): boolean {
  return reader === 'WAITS' || reader === 'FREE' || reader === 'DISCARDS';
}

/** Has a message, and may write before the turn ends. */
export function hasMessage(reader: Reader): boolean {
  return reader === 'AWAY' || reader === 'CALLED' || reader === 'BUSY';
}

/** Whether the handler of `receive` has a message. */
export function handles(reader: Reader): boolean {
  return reader === 'CALLED' || reader === 'BUSY';
}

/** The pull rule: whether our answer to the peer's close frame, or to its end, may be sent. */
export function mayAnswer(reader: Reader, nothingUnread: boolean, turnEnds: boolean): boolean {
  if (asks(reader)) return nothingUnread;
  if (!turnEnds) return false;
  return reader === 'NONE' || (reader === 'COMING' && nothingUnread);
}

/** Ms without progress, after our close, until later messages are dropped. */
export function stall(reader: Reader, longest: number): number {
  return reader === 'NONE' ? 0 : longest;
}

/** What happens to the messages of the input. */
export type Use = 'KEPT' | 'CHECKED' | 'LOST' | 'UNWANTED';

export function drops(use: Use): boolean {
  return use === 'LOST' || use === 'UNWANTED';
}
