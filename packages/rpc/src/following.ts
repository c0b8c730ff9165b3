/**
 * A follower of a log: what was missed, then what is live, in order and each message once, or a gap.
 * One table for the member of a room, the channel of a node and the loop of a client. It has no I/O, clock
 * or promise: {@link Follower.step} takes an event, and returns the acts that the user of the follower does.
 *
 * @module
 */

/** The place of a message in a log. Positions of different epochs have no order. */
export interface Place {
  readonly epoch: string;
  readonly offset: number;
}

/** A message, as far as a follower looks at it. */
export interface Followed {
  /** Undefined in a room without history. */
  readonly position?: Place | undefined;
  /** Offset of the message before it, where it is not the offset minus 1. */
  readonly previous?: number | undefined;
  /** Whether the reader cannot take the message. The message then is a gap at its position. */
  readonly isLost?: boolean | undefined;
}

/** It is not known whether the log has more. */
export const BEYOND = 'beyond';

/** The result of a read of the log after the position of the follower. */
export interface LogPart<M> {
  readonly messages: readonly M[];
  /** The read has all messages up to here. Undefined without a log. */
  readonly position: Place | undefined;
  /** The last position of the log, or {@link BEYOND}. */
  readonly end: Place | typeof BEYOND | undefined;
  /** Whether no message is missing between the follower's position and {@link position}. */
  readonly isWhole: boolean;
  /** Whether another copy of the log may have more: a read that ends too early is repeated once. */
  readonly mayBeLate?: boolean;
}

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
/** Event: a message. */
export const MESSAGE = 23;
/** Event: the reader has taken all that was given. */
export const DRAINED = 24;

/** The names of the states and columns, for reports. */
export const STATE_NAMES: readonly string[] = 'ASKING READING GIVING LIVE OPEN BLIND OVER'.split(
  ' ',
);
export const COLUMN_NAMES: readonly string[] =
  'KNOWN NEXT AHEAD BARE LOST EXCESS PART CUT BEHIND FAILED STATE REFUSED KEPT WHOLE LACKS UNKNOWN GAP UNREADABLE FULL PROMISED AGAIN ANEW LEAVE'.split(
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
/** Drops what is held of another epoch. */
export const DO_FORGET = 4;
/** Any message may follow. */
export const DO_OPEN = 5;
/** Moves the position over a lost message. */
export const DO_SKIP = 6;
/** Notes what the reader knows. */
export const DO_PROMISE = 7;
/** Continues from the older of both positions. */
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
/** Reports that messages may be missing here. */
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

export type FollowerAct = readonly [act: number, value?: unknown];

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
const go = (to: FollowerState | undefined, ...acts: number[]): Action => cell(false, to, acts);
const loss = (to: FollowerState | undefined, ...acts: number[]): Action => cell(true, to, acts);
const STAY = go(undefined);
const NO_READ = 'no read is in progress';
const NOT_GIVEN = 'the reader has nothing to take';
const NOT_HELD = 'nothing is held, so there is room';
const NOT_ASKED = 'no state was requested';
const HAS_PLACE = 'a gap has a place while a part is read';

/** A row of cells, in the order of the columns. */
type Row = Cell[];

/**
 * The table. An empty cell changes nothing.
 *
 * The columns of each row: messages (KNOWN to EXCESS), reads (PART to FAILED), states (STATE to KEPT), the
 * reader (WHOLE to UNKNOWN), losses (GAP, UNREADABLE), FULL, PROMISED, and the reader's own acts.
 */
export const TABLE: readonly Row[] = [
  // ASKING
  [
    ...[STAY, go(undefined, DO_HOLD), go(undefined, DO_HOLD), go(undefined, DO_HOLD)],
    ...[go(undefined, DO_HOLD), go(undefined, DO_NOTE)],
    ...[go(GIVING, DO_PART), go(GIVING, DO_PART), NO_READ, NO_READ],
    ...[go(GIVING, DO_STATE), go(OVER, DO_REFUSE), go(OPEN, DO_KEEP, DO_RELEASE)],
    ...[NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, STAY, STAY, STAY, STAY],
    ...[go(READING, DO_REJOIN, DO_READ), go(ASKING, DO_REJOIN, DO_ASK), go(OVER, DO_LEAVE)],
  ],
  // READING
  [
    ...[STAY, go(undefined, DO_GIVE), go(undefined, DO_HOLD), go(undefined, DO_HOLD)],
    ...[loss(undefined, DO_GAP, DO_SKIP), go(undefined, DO_NOTE)],
    ...[go(GIVING, DO_PART), loss(GIVING, DO_PART), go(undefined, DO_READ_LATER)],
    loss(OPEN, DO_GAP, DO_FORGET, DO_RELEASE, DO_OPEN, DO_GAP, DO_LIVE),
    ...[go(GIVING, DO_STATE), go(OVER, DO_REFUSE), NOT_ASKED],
    ...[NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, go(undefined, DO_DOUBT), HAS_PLACE],
    ...[go(GIVING, DO_DOUBT), STAY],
    ...[go(READING, DO_REJOIN, DO_READ), go(ASKING, DO_REJOIN, DO_ASK), go(OVER, DO_LEAVE)],
  ],
  // GIVING
  [
    ...[STAY, go(undefined, DO_HOLD), go(undefined, DO_HOLD), go(undefined, DO_HOLD)],
    ...[go(undefined, DO_HOLD), go(undefined, DO_NOTE)],
    ...[STAY, go(undefined, DO_DOUBT), STAY, NO_READ],
    ...[go(GIVING, DO_STATE), go(OVER, DO_REFUSE), NOT_ASKED],
    ...[go(LIVE, DO_RELEASE, DO_LIVE), go(READING, DO_READ), go(BLIND, DO_RELEASE, DO_BLIND)],
    ...[go(undefined, DO_DOUBT), go(undefined, DO_DOUBT), STAY, go(undefined, DO_PROMISE)],
    ...[go(READING, DO_REJOIN, DO_READ), go(ASKING, DO_REJOIN, DO_ASK), go(OVER, DO_LEAVE)],
  ],
  // LIVE
  [
    ...[STAY, go(undefined, DO_GIVE), go(READING, DO_HOLD, DO_READ), go(undefined, DO_GIVE)],
    ...[loss(undefined, DO_GAP, DO_SKIP), NOT_HELD],
    ...[STAY, go(READING, DO_READ), STAY, NO_READ],
    ...[go(GIVING, DO_STATE), go(OVER, DO_REFUSE), NOT_ASKED],
    ...[NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, go(READING, DO_READ), loss(READING, DO_GAP, DO_READ)],
    ...[go(GIVING, DO_DOUBT), STAY],
    ...[go(READING, DO_REJOIN, DO_READ), go(ASKING, DO_REJOIN, DO_ASK), go(OVER, DO_LEAVE)],
  ],
  // OPEN
  [
    ...[STAY, go(LIVE, DO_GIVE), go(LIVE, DO_GIVE), go(undefined, DO_GIVE)],
    ...[loss(undefined, DO_GAP, DO_SKIP), NOT_HELD],
    ...[STAY, STAY, STAY, NO_READ],
    ...[go(GIVING, DO_STATE), go(OVER, DO_REFUSE), NOT_ASKED],
    ...[NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, go(READING, DO_READ), loss(READING, DO_GAP, DO_READ)],
    ...[go(GIVING, DO_DOUBT), STAY],
    ...[go(READING, DO_REJOIN, DO_READ), go(ASKING, DO_REJOIN, DO_ASK), go(OVER, DO_LEAVE)],
  ],
  // BLIND
  [
    ...[STAY, go(undefined, DO_GIVE), go(undefined, DO_GIVE), go(undefined, DO_GIVE)],
    ...[loss(undefined, DO_GAP, DO_SKIP), NOT_HELD],
    ...[STAY, STAY, STAY, NO_READ],
    ...[go(GIVING, DO_STATE), go(OVER, DO_REFUSE), NOT_ASKED],
    ...[NOT_GIVEN, NOT_GIVEN, NOT_GIVEN],
    ...[loss(READING, DO_GAP, DO_READ), loss(READING, DO_GAP, DO_READ)],
    ...[go(GIVING, DO_DOUBT), STAY],
    ...[go(READING, DO_REJOIN, DO_READ), go(ASKING, DO_REJOIN, DO_ASK), go(OVER, DO_LEAVE)],
  ],
  // OVER
  Array.from({ length: MESSAGE }, () => STAY),
];

/** A position of no log. A read from it begins with the oldest message. */
const ELSEWHERE: Place = { epoch: 'none', offset: 0 };
/** Stands for messages that are missing where no message has a position. */
const MISSING: Followed = { position: undefined, isLost: true };

/** Whether a position is not after another one. Positions of different epochs have no order. */
export function isUpTo(one: Place | undefined, two: Place | undefined): boolean {
  return (
    one !== undefined && two !== undefined && one.epoch === two.epoch && one.offset <= two.offset
  );
}

/** The position before a message. */
function before({ position, previous }: Followed): Place {
  const { epoch, offset } = position!;
  return { epoch, offset: previous ?? offset - 1 };
}

/** Whether messages may be missing between a position and a message. */
function isFar(message: Followed, last: Place | undefined): boolean {
  const { epoch, offset } = before(message);
  return last === undefined || epoch !== last.epoch || offset > last.offset;
}

/** By position. Messages without a position, and of other epochs, stay where they are. */
function inOrder<M extends Followed>(messages: readonly M[]): M[] {
  return [...messages].sort(({ position: a }, { position: b }) =>
    a !== undefined && b !== undefined && a.epoch === b.epoch ? a.offset - b.offset : 0,
  );
}

/** Follows a log for one reader. The state is changed here only. */
export class Follower<M extends Followed> {
  readonly #rules: FollowerRules;
  #state: FollowerState;
  /** The reader has, or was given, all messages up to here. Undefined if that is unknown. */
  last: Place | undefined;
  /** The newest position that is known to exist. */
  #seen: Place | typeof BEYOND | undefined;
  /** The messages that came before the reader may have them. */
  #held: M[] = [];
  /** Number of the held messages that came before the read. */
  #mark = 0;
  /** Number of the states in a row. */
  #tries = 0;
  #knows = BEFORE;
  /** Whether a gap was reported since the last DO_LIVE. */
  #isCut = false;
  /** Whether the last read has ended before the position. */
  #isBehind = false;

  /** @param last - Position of the last message that the reader has. */
  constructor(rules: FollowerRules, state: FollowerState, last: Place | undefined) {
    this.#rules = rules;
    this.#state = state;
    this.last = last;
  }

  get state(): FollowerState {
    return this.#state;
  }

  /** The messages that wait. The array is another one when it has lost or exchanged a message. */
  get held(): readonly M[] {
    return this.#held;
  }

  /** Whether the messages wait: for a state, a part or the reader. */
  get holds(): boolean {
    return this.#state <= GIVING;
  }

  /** Whether a gap was reported since the last DO_LIVE. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** What the reader knows: {@link BEFORE}, {@link BETWEEN} or {@link ANSWERED}. */
  get knows(): number {
    return this.#knows;
  }

  /** Number of the states in a row, with the one that is awaited. */
  get tries(): number {
    return this.#tries;
  }

  /** Whether a read that ends before the position was repeated already. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** The one function that changes a follower. Returns the acts for the user, in order. */
  step(event: number, value?: unknown, out: FollowerAct[] = []): FollowerAct[] {
    const column = this.columnOf(event, value);
    const found = TABLE[this.#state]![column]!;
    if (typeof found === 'string') {
      out.push([DO_BREAK, [this.#state, column, found]]);
      this.#state = OVER;
      this.#held = [];
    } else this.#apply(found, value, out);
    return out;
  }

  /** Begins in ASKING or READING, where the constructor has put the follower. */
  begin(): FollowerAct[] {
    const out: FollowerAct[] = [];
    this.#apply(go(undefined, this.#state === ASKING ? DO_ASK : DO_READ), undefined, out);
    return out;
  }

  columnOf(event: number, value: unknown): number {
    switch (event) {
      case MESSAGE:
        return this.#columnOfMessage(value as M);
      case EXCESS:
        return isUpTo((value as M).position, this.last) ? KNOWN : EXCESS;
      case PART:
        return this.#columnOfPart(value as LogPart<M>);
      case DRAINED:
        if (this.#rules.asks && this.last === undefined) return UNKNOWN;
        return this.#lacks() ? LACKS : WHOLE;
      case GAP:
        return this.last === undefined && this.#state !== READING ? UNREADABLE : GAP;
      case AGAIN:
        return this.#rules.asks && value === undefined ? ANEW : AGAIN;
      default:
        return event;
    }
  }

  #columnOfMessage(message: M): number {
    const isLost = message.isLost === true && !this.#rules.passes;
    if (message.position === undefined) return isLost ? LOST : BARE;
    if (isUpTo(message.position, this.last)) return KNOWN;
    const followsAny = this.#state === OPEN || this.#state === BLIND;
    if (isFar(message, this.last) && !(isLost && followsAny)) return AHEAD;
    if (isLost) return LOST;
    return this.#rules.holdsNext && this.#state === READING ? AHEAD : NEXT;
  }

  #columnOfPart(part: LogPart<M>): number {
    const { position, isWhole, mayBeLate } = part;
    if (mayBeLate === true && !this.#isBehind && this.#isBefore(position)) return BEHIND;
    if (!isWhole || this.#isStale(part)) return CUT;
    return this.#rules.asks && this.#newOf(part).some(({ isLost }) => isLost) ? CUT : PART;
  }

  /** Whether a position is before that of the follower. */
  #isBefore(position: Place | undefined): boolean {
    const { last } = this;
    return isUpTo(position, last) && position!.offset < last!.offset;
  }

  /**
   * Whether a part brings nothing, although messages after it came before the read. The next read would
   * not bring them either.
   */
  #isStale({ messages, position }: LogPart<M>): boolean {
    const { last } = this;
    if (this.#state !== READING || !isUpTo(position, last)) return false;
    if (messages.some((each) => !isUpTo(each.position, last))) return false;
    const earlier = this.#held.slice(0, this.#mark);
    return earlier.some((each) => each.position?.epoch === last!.epoch && isFar(each, last));
  }

  /** Whether messages are missing before the newest one that is known. */
  #lacks(): boolean {
    if (this.#seen === BEYOND) return true;
    let { last } = this;
    for (const message of inOrder(this.#held)) {
      const { position } = message;
      if (position === undefined || isUpTo(position, last)) continue;
      if (isFar(message, last)) return true;
      last = position;
    }
    return this.#seen !== undefined && !isUpTo(this.#seen, last);
  }

  #apply({ to, acts, isLoss }: Action, value: unknown, out: FollowerAct[]): void {
    const after = isLoss ? this.#rules.loss[this.#knows] : ON;
    if (after === LOSE) this.#apply(go(OVER, DO_LOSE), value, out);
    else if (after === ASK) {
      const next = this.#tries < this.#rules.tries ? go(ASKING, DO_ASK) : go(OVER, DO_REFUSE);
      this.#apply(next, undefined, out);
    } else {
      if (to !== undefined) this.#state = to;
      if (this.#state === OVER) this.#held = [];
      for (const act of acts) this.#act(act, value, out);
    }
  }

  #act(act: number, value: unknown, out: FollowerAct[]): void {
    switch (act) {
      case DO_HOLD:
        return this.#hold(value as M);
      case DO_NOTE:
        return this.#note(value as M);
      case DO_DOUBT:
        return this.#doubt();
      case DO_RELEASE:
        return this.#release(out);
      case DO_FORGET:
        this.#held = this.#held.filter(
          ({ position }) =>
            position === undefined || (this.last ?? position).epoch === position.epoch,
        );
        return;
      case DO_OPEN:
        if (this.#state === LIVE) this.#state = OPEN;
        return;
      case DO_SKIP:
        if (this.#state !== BLIND) this.last = (value as M).position ?? this.last;
        return;
      case DO_PROMISE:
        this.#knows = BETWEEN;
        return;
      case DO_REJOIN:
        return this.#rejoin(value as Place | undefined);
      case DO_GIVE:
        return this.#give([value as M], DO_GIVE, false, out);
      case DO_PART:
        return this.#part(value as LogPart<M>, out);
      case DO_STATE:
        return this.#show(value as { readonly position: Place | undefined }, out);
      case DO_READ:
        this.#mark = this.#held.length;
        this.#seen = undefined;
        break;
      case DO_READ_LATER:
        this.#isBehind = true;
        break;
      case DO_ASK:
        this.#tries++;
        break;
      case DO_GAP:
        return this.#gap(out);
      case DO_LIVE:
        // What was released may be a message that the reader cannot take.
        if (this.#state !== LIVE && this.#state !== OPEN) return;
        out.push([DO_LIVE, !this.#isCut]);
        return this.#answered();
      case DO_BLIND:
        if (this.#state !== BLIND) return;
        this.#answered();
        break;
      case DO_KEEP:
        this.#answered();
        break;
    }
    out.push([act, value]);
  }

  #answered(): void {
    this.#knows = ANSWERED;
    this.#tries = 0;
    this.#isCut = false;
  }

  #gap(out: FollowerAct[]): void {
    this.#isCut = true;
    out.push([DO_GAP]);
  }

  #hold(message: M): void {
    this.#held.push(message);
    const { position } = message;
    if (position === undefined || this.#seen === BEYOND) return;
    if (!isUpTo(position, this.#seen)) this.#seen = position;
  }

  /** The log has what is not held. So what is held is what comes first. */
  #note(message: M): void {
    const { position } = message;
    if (position === undefined) return this.#miss();
    let latest = -1;
    for (const [i, { position: at }] of this.#held.entries()) {
      const isLatest = latest < 0 || !isUpTo(at, this.#held[latest]!.position);
      if (at?.epoch === position.epoch && isLatest) latest = i;
    }
    const held = this.#held[latest];
    let dropped = message;
    if (held !== undefined && !isUpTo(held.position, position)) {
      dropped = held;
      this.#held = [...this.#held];
      this.#held[latest] = message;
    }
    if (this.#seen !== BEYOND) this.#seen = dropped.position;
  }

  /** Messages without a position are missing here. */
  #miss(): void {
    if (this.#held[this.#held.length - 1] !== MISSING) this.#held.push(MISSING as M);
  }

  #doubt(): void {
    if (this.last === undefined) this.#miss();
    else this.#seen = BEYOND;
  }

  #release(out: FollowerAct[]): void {
    const messages = inOrder(this.#held);
    this.#held = [];
    this.#seen = undefined;
    for (const message of messages) this.step(MESSAGE, message, out);
  }

  #rejoin(since: Place | undefined): void {
    if (since !== undefined && (this.last?.epoch !== since.epoch || isUpTo(since, this.last))) {
      this.last = since;
    }
    this.#knows = BEFORE;
    this.#tries = 0;
    this.#isCut = this.#isBehind = false;
  }

  #show(state: { readonly position: Place | undefined }, out: FollowerAct[]): void {
    const { position } = state;
    this.last = position;
    // A state may be older than the join. So the log is read once.
    this.#seen = position === undefined ? undefined : BEYOND;
    this.#isCut = false;
    this.#held = this.#held.filter((each) => !isUpTo(each.position, position));
    out.push([DO_STATE, state]);
  }

  /** The messages of a part, and those that are held up to its position, without those that are known. */
  #newOf({ messages, position }: LogPart<M>): M[] {
    const offsets = new Set(messages.map((each) => each.position?.offset));
    const more = this.#held.filter(
      (each) => isUpTo(each.position, position) && !offsets.has(each.position!.offset),
    );
    const all = [...messages, ...more].filter((each) => !isUpTo(each.position, this.last));
    return inOrder(all).filter(
      (each, i, list) => each.position!.offset !== list[i - 1]?.position!.offset,
    );
  }

  #part(part: LogPart<M>, out: FollowerAct[]): void {
    const { position, end, isWhole } = part;
    // A room without a log.
    if (position === undefined) return isWhole ? undefined : this.#gap(out);
    const isStale = this.#isStale(part);
    // What came before the read, of another epoch, is older.
    this.#held = this.#held.filter(
      ({ position: at }, i) => i >= this.#mark || at === undefined || at.epoch === position.epoch,
    );
    this.#mark = 0;
    this.#isBehind = false;
    // The position is of another log, whose numbers have no meaning here.
    if (!isWhole && this.#isBefore(position)) this.last = ELSEWHERE;
    const first = inOrder(this.#held).find(
      ({ position: at }) => at?.epoch === position.epoch && !isUpTo(at, this.last),
    );
    if (isStale) {
      this.#gap(out);
      this.last = before(first!);
    } else if (this.last === undefined && this.#isVisited(first, part)) {
      this.last = before(first!);
    } else {
      const gaps = out.length;
      this.#give(this.#newOf(part), DO_PART, !isWhole, out);
      if (!isWhole && !out.slice(gaps).some(([act]) => act === DO_GAP)) this.#gap(out);
      this.#held = this.#held.filter((each) => !isUpTo(each.position, position));
      if (!isWhole || !isUpTo(position, this.last)) this.last = position;
    }
    const seen = this.#seen;
    if (seen === BEYOND || end === undefined) return;
    if (end === BEYOND || seen === undefined || isUpTo(seen, end)) this.#seen = end;
  }

  /** A first visit begins before the first message that came live. */
  #isVisited(first: M | undefined, { messages, position }: LogPart<M>): boolean {
    if (first === undefined || !isUpTo(first.position, position)) return false;
    return messages.length === 0 || first.position!.offset < messages[0]!.position!.offset;
  }

  /** @param tells - Whether to report a gap where a message does not follow. */
  #give(messages: readonly M[], act: number, tells: boolean, out: FollowerAct[]): void {
    let given: M[] = [];
    const flush = (): void => {
      if (given.length > 0) out.push([act, given]);
      given = [];
    };
    for (const message of messages) {
      const isLost = message.isLost === true && !this.#rules.passes;
      if (isLost || (tells && isFar(message, this.last))) {
        flush();
        this.#gap(out);
      }
      if (!isLost) given.push(message);
      if (this.#state !== BLIND) this.last = message.position ?? this.last;
    }
    flush();
  }
}
