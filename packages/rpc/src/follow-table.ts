/**
 * The table of a follower: states, events, acts and cells. They are numbers, because a page has them too.
 *
 * @module
 */

// The states: what a follower waits for, and what happens to a message meanwhile.

/** For a state of the room. Messages are held. */
export const ASKING = 0;
/** For a part of the log. Messages are held. */
export const READING = 1;
/** For its reader, which takes a part or a state. Messages are held. */
export const GIVING = 2;
/** For the next message. */
export const LIVE = 3;
/** For any message: what comes before it is unknown. */
export const OPEN = 4;
/** For any message after a state without a position. */
export const BLIND = 5;
/** For nothing. */
export const OVER = 6;
export type FollowerState = 0 | 1 | 2 | 3 | 4 | 5 | 6;

// The columns. Most are events too; `columnOf` tells MESSAGE, EXCESS, PART, DRAINED and GAP apart.

/** A message that is not after the position. */
export const KNOWN = 0;
/** The message after the position. */
export const NEXT = 1;
/** A message before which others are missing, or of another epoch. */
export const AHEAD = 2;
/** A message without a position. */
export const BARE = 3;
/** A message that the reader cannot take, in its place. */
export const LOST = 4;
/** Event: a message for which there is no room. */
export const EXCESS = 5;
/** Event: a {@link LogPart}. Column: one that follows. */
export const PART = 6;
/** A part that does not follow, or brings nothing although the log has more. */
export const CUT = 7;
/** A part that ends before the position: its copy of the log may be late. */
export const BEHIND = 8;
/** Event: the read has failed. */
export const FAILED = 9;
/** Event: a state of the room, with its position if known. */
export const STATE = 10;
/** Event: no state, and none later. */
export const REFUSED = 11;
/** Event: as REFUSED, for a reader that was live before it asked. */
export const KEPT = 12;
/** The reader has taken all, and nothing is missing before what is held. */
export const WHOLE = 13;
/** The reader has taken all, and messages are missing. */
export const LACKS = 14;
/** The reader has taken a state without a position. */
export const UNKNOWN = 15;
/** Event: messages may be missing after the last one. */
export const GAP = 16;
/** As GAP, without a position to read from. */
export const UNREADABLE = 17;
/** Event: the reader takes no more messages for now. */
export const FULL = 18;
/** Event: the reader has the first part, so that a gap before it cannot be reported any more. */
export const PROMISED = 19;
/** Event: the same reader begins again, with the position that it has. */
export const AGAIN = 20;
/** As AGAIN, with a state. */
export const ANEW = 21;
/** Event: the reader has left. */
export const LEAVE = 22;
/** As KEPT, when messages are missing in what is held. */
export const KEPT_LACKS = 23;
/** Event: a message. */
export const MESSAGE = 24;
/** Event: the reader has taken all that was given. */
export const DRAINED = 25;

/** The names of the states and columns, for reports. */
export const STATE_NAMES: readonly string[] = 'ASKING READING GIVING LIVE OPEN BLIND OVER'.split(
  ' ',
);
export const COLUMN_NAMES: readonly string[] =
  'KNOWN NEXT AHEAD BARE LOST EXCESS PART CUT BEHIND FAILED STATE REFUSED KEPT WHOLE LACKS UNKNOWN GAP UNREADABLE FULL PROMISED AGAIN ANEW LEAVE KEPT_LACKS'.split(
    ' ',
  );

// The acts. The follower does those up to DO_REJOIN itself. The others are for its user.

/** Holds the message. */
export const DO_HOLD = 0;
/** Notes that the message exists, and holds those with the lowest positions. */
export const DO_NOTE = 1;
/** Notes that messages may be missing after all that is known. */
export const DO_DOUBT = 2;
/** Handles what is held, as if it came now. */
export const DO_RELEASE = 3;
/** Drops what was held of another epoch before the read. */
export const DO_FORGET = 4;
/** Any message may follow. */
export const DO_OPEN = 5;
/** Moves the position over a lost message. */
export const DO_SKIP = 6;
/** Notes what the reader knows. */
export const DO_PROMISE = 7;
/** Continues from the position of the reader, with what is held. */
export const DO_REJOIN = 8;
/** Gives messages, at once. Value: the messages. */
export const DO_GIVE = 9;
/** Gives a part, at the pace of the reader: then DRAINED. Value: the messages. */
export const DO_PART = 10;
/** Gives a state, at the pace of the reader: then DRAINED. Value: that of the event. */
export const DO_STATE = 11;
/** Reads the log after the position: then PART or FAILED. */
export const DO_READ = 12;
/** As DO_READ, after a second. */
export const DO_READ_LATER = 13;
/** Asks for a state: then STATE, REFUSED or KEPT. */
export const DO_ASK = 14;
/** Reports that messages may be missing here. Value: the position before. */
export const DO_GAP = 15;
/** Reports that nothing is missing any more. Value: whether there was no gap. */
export const DO_LIVE = 16;
/** Reports that messages may be missing after the state. */
export const DO_BLIND = 17;
/** The join fails, and the reader stays as it was. Value: the error. */
export const DO_KEEP = 18;
/** Ends the reader: it must begin again with its position. */
export const DO_LOSE = 19;
/** Refuses the reader. Value: the error, if there is one. */
export const DO_REFUSE = 20;
/** The reader has left. */
export const DO_LEAVE = 21;
/** A step that cannot be. Value: the state, the column and the reason. The follower is OVER. */
export const DO_BREAK = 22;

/** What a cell does: the next state, if it changes, and the acts. */
export interface Action {
  readonly to: FollowerState | undefined;
  readonly acts: readonly number[];
  /** Messages are lost: {@link FollowerRules.loss} decides. The cell is for a user that reports it. */
  readonly isLoss: boolean;
}

/** A string is the reason why a cell cannot be. */
export type Cell = Action | string;

// What follows a loss.

/** It is reported, and the follower continues. */
export const ON = 0;
/** A state replaces what the reader has. */
export const ASK = 1;
/** The reader must begin again. */
export const LOSE = 2;

// What the reader knows, so whether a loss can still be reported before its messages.

/** Nothing yet. */
export const BEFORE = 0;
/** The first part, so that no gap before it can be reported. */
export const BETWEEN = 1;
/** That nothing is missing. */
export const ANSWERED = 2;

/** How users of the table differ. */
export interface FollowerRules {
  /** Whether a first visit begins with a state. A loss within a part then needs another state. */
  readonly asks: boolean;
  /** Whether the user takes lost messages, and reports them in their places. */
  readonly passes: boolean;
  /** Whether the next message is held too while a part is read. */
  readonly holdsNext: boolean;
  /** Largest number of states in a row. */
  readonly tries: number;
  /** What follows a loss, by what the reader knows: {@link BEFORE}, {@link BETWEEN}, {@link ANSWERED}. */
  readonly loss: readonly [number, number, number];
}

const cell = (isLoss: boolean, to: FollowerState | undefined, acts: readonly number[]): Action => ({
  to,
  acts,
  isLoss,
});
/** A cell that is no loss. */
export const go = (to: FollowerState | undefined, ...acts: number[]): Action =>
  cell(false, to, acts);
const loss = (to: FollowerState | undefined, ...acts: number[]): Action => cell(true, to, acts);
const NO_READ = 'no read is in progress';
const NOT_GIVEN = 'the reader has nothing to take';
const NOT_HELD = 'nothing is held, so there is room';
const NOT_ASKED = 'no state was requested';
const NO_PLACE = 'no position is known';
const HAS_PLACE = 'a gap has a place while a part is read';

/** The cells of one state, by column. A column without a cell changes nothing. */
type Row = Record<number, Cell>;

/** Messages while the reader must not have them yet. */
const HELD: Row = {
  [NEXT]: go(undefined, DO_HOLD),
  [AHEAD]: go(undefined, DO_HOLD),
  [BARE]: go(undefined, DO_HOLD),
  [LOST]: go(undefined, DO_HOLD),
  [EXCESS]: go(undefined, DO_NOTE),
};
/** Messages while the reader gets them at once. */
const GIVEN: Row = {
  [NEXT]: go(undefined, DO_GIVE),
  [BARE]: go(undefined, DO_GIVE),
  [LOST]: loss(undefined, DO_GAP, DO_SKIP),
  [EXCESS]: NOT_HELD,
};
/** What may come at any time. */
const ANY: Row = {
  [STATE]: go(GIVING, DO_STATE),
  [REFUSED]: go(OVER, DO_REFUSE),
  [AGAIN]: go(READING, DO_REJOIN, DO_READ),
  [ANEW]: go(ASKING, DO_REJOIN, DO_ASK),
  [LEAVE]: go(OVER, DO_LEAVE),
};
const NO_READER: Row = { [WHOLE]: NOT_GIVEN, [LACKS]: NOT_GIVEN, [UNKNOWN]: NOT_GIVEN };
/** What comes to a reader that gets messages at once. */
const LIVELY: Row = {
  ...GIVEN,
  ...ANY,
  ...NO_READER,
  [FAILED]: NO_READ,
  [KEPT]: NOT_ASKED,
  [KEPT_LACKS]: NOT_ASKED,
  [GAP]: go(READING, DO_READ),
  [UNREADABLE]: loss(READING, DO_GAP, DO_READ),
  [FULL]: go(GIVING, DO_DOUBT),
};

/** The table, by state and column. */
export const TABLE: readonly Row[] = [
  // ASKING
  {
    ...HELD,
    ...ANY,
    ...NO_READER,
    [PART]: go(GIVING, DO_PART),
    [CUT]: go(GIVING, DO_PART),
    [BEHIND]: NO_READ,
    [FAILED]: NO_READ,
    [KEPT]: go(OPEN, DO_KEEP, DO_RELEASE),
    [KEPT_LACKS]: go(READING, DO_KEEP, DO_READ),
    [GAP]: go(undefined, DO_DOUBT),
  },
  // READING
  {
    ...HELD,
    ...ANY,
    ...NO_READER,
    [NEXT]: go(undefined, DO_GIVE),
    [LOST]: loss(undefined, DO_GAP, DO_SKIP),
    [PART]: go(GIVING, DO_PART),
    [CUT]: loss(GIVING, DO_PART),
    [BEHIND]: go(undefined, DO_READ_LATER),
    [FAILED]: loss(OPEN, DO_GAP, DO_FORGET, DO_RELEASE, DO_OPEN, DO_GAP, DO_LIVE),
    [KEPT]: NOT_ASKED,
    [KEPT_LACKS]: NOT_ASKED,
    [GAP]: go(undefined, DO_DOUBT),
    [UNREADABLE]: HAS_PLACE,
    [FULL]: go(GIVING, DO_DOUBT),
  },
  // GIVING
  {
    ...HELD,
    ...ANY,
    [CUT]: go(undefined, DO_DOUBT),
    [FAILED]: NO_READ,
    [KEPT]: NOT_ASKED,
    [KEPT_LACKS]: NOT_ASKED,
    [WHOLE]: go(LIVE, DO_RELEASE, DO_LIVE),
    [LACKS]: go(READING, DO_READ),
    [UNKNOWN]: go(BLIND, DO_RELEASE, DO_BLIND),
    [GAP]: go(undefined, DO_DOUBT),
    [UNREADABLE]: go(undefined, DO_DOUBT),
    [PROMISED]: go(undefined, DO_PROMISE),
  },
  // LIVE
  { ...LIVELY, [AHEAD]: go(READING, DO_HOLD, DO_READ), [CUT]: go(READING, DO_READ) },
  // OPEN
  { ...LIVELY, [NEXT]: go(LIVE, DO_GIVE), [AHEAD]: go(LIVE, DO_GIVE) },
  // BLIND
  {
    ...LIVELY,
    [NEXT]: NO_PLACE,
    [AHEAD]: go(undefined, DO_GIVE),
    [BEHIND]: NO_PLACE,
    [GAP]: NO_PLACE,
  },
  // OVER
  {},
];
