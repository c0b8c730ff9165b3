/**
 * A follower of a log: what was missed, then what is live, in order and each message once, or a gap.
 * One table for the member of a room, the channel of a node and the loop of a client. It has no I/O, clock
 * or promise: {@link Follower.step} takes an event, and returns the acts that the user of the follower does.
 *
 * @module
 */

import type { Action, FollowerRules, FollowerState } from './follow-table.ts';
import * as is from './follow-table.ts';

export * from './follow-table.ts';

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

export type FollowerAct = readonly [act: number, value?: unknown];

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
export function before({ position, previous }: Followed): Place {
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
  // oxlint-disable-next-line unicorn/no-array-sort -- a copy: Safari 15 lacks toSorted
  return [...messages].sort(({ position: a }, { position: b }) =>
    a !== undefined && b !== undefined && a.epoch === b.epoch ? a.offset - b.offset : 0,
  );
}

/** Follows a log for one reader. The state is changed here only. */
export class Follower<M extends Followed> {
  readonly #rules: FollowerRules;
  #state: FollowerState;
  #last: Place | undefined;
  /**
   * {@link last} of the epoch before. Another node may still bring messages of that epoch: the reader has them,
   * or knows the gap.
   */
  #left: Place | undefined;
  /** The newest position that is known to exist. */
  #seen: Place | typeof BEYOND | undefined;
  /** The messages that came before the reader may have them. */
  #held: M[] = [];
  /** Number of the held messages that came before the read. */
  #mark = 0;
  /** Number of the states in a row. */
  #tries = 0;
  #knows = is.BEFORE;
  /** Whether a gap was reported since the last is.DO_LIVE. */
  #isCut = false;
  /** Whether the last read has ended before the position. */
  #isBehind = false;

  /** @param last - Position of the last message that the reader has. */
  constructor(rules: FollowerRules, state: FollowerState, last: Place | undefined) {
    this.#rules = rules;
    this.#state = state;
    this.#last = last;
    // A reader that is live needs no answer.
    if (state === is.LIVE) this.#knows = is.ANSWERED;
  }

  /** The reader has, or was given, all messages up to here. Undefined if that is unknown. */
  get last(): Place | undefined {
    return this.#last;
  }

  #moveTo(place: Place | undefined): void {
    if (this.#last !== undefined && place?.epoch !== this.#last.epoch) this.#left = this.#last;
    this.#last = place;
  }

  /** The reader has something else: what it had before means nothing. */
  #restart(place: Place | undefined): void {
    this.#last = place;
    this.#left = undefined;
  }

  /** Whether the reader has a message, or knows that it was lost. */
  #isKnown({ position }: Followed): boolean {
    return isUpTo(position, this.#last) || isUpTo(position, this.#left);
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
    return this.#state <= is.GIVING;
  }

  /** Whether a gap was reported since the last is.DO_LIVE. */
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
    const found = is.TABLE[this.#state]![column] ?? is.go(undefined);
    if (typeof found === 'string') {
      out.push([is.DO_BREAK, [this.#state, column, found]]);
      this.#state = is.OVER;
      this.#held = [];
    } else this.#apply(found, value, out);
    return out;
  }

  /** Begins in is.ASKING or is.READING, where the constructor has put the follower. */
  begin(): FollowerAct[] {
    const out: FollowerAct[] = [];
    this.#apply(
      is.go(undefined, this.#state === is.ASKING ? is.DO_ASK : is.DO_READ),
      undefined,
      out,
    );
    return out;
  }

  columnOf(event: number, value: unknown): number {
    switch (event) {
      case is.MESSAGE:
        return this.#columnOfMessage(value as M);
      case is.EXCESS:
        return this.#isKnown(value as M) ? is.KNOWN : is.EXCESS;
      case is.PART:
        return this.#columnOfPart(value as LogPart<M>);
      case is.DRAINED:
        if (this.#rules.asks && this.#last === undefined) return is.UNKNOWN;
        return this.#lacks() ? is.LACKS : is.WHOLE;
      case is.GAP:
        return this.#last === undefined && this.#state !== is.READING ? is.UNREADABLE : is.GAP;
      case is.KEPT:
        return this.#lacks(this.#begins) ? is.KEPT_LACKS : is.KEPT;
      case is.AGAIN:
        return this.#rules.asks && value === undefined ? is.ANEW : is.AGAIN;
      default:
        return event;
    }
  }

  #columnOfMessage(message: M): number {
    const isLost = message.isLost === true && !this.#rules.passes;
    if (message.position === undefined) return isLost ? is.LOST : is.BARE;
    if (this.#isKnown(message)) return is.KNOWN;
    const followsAny = this.#state === is.OPEN || this.#state === is.BLIND;
    if (isFar(message, this.#last) && !(isLost && followsAny)) return is.AHEAD;
    if (isLost) return is.LOST;
    return this.#rules.holdsNext && this.#state === is.READING ? is.AHEAD : is.NEXT;
  }

  #columnOfPart(part: LogPart<M>): number {
    const { position, isWhole, mayBeLate } = part;
    if (mayBeLate === true && !this.#isBehind && this.#isBefore(position)) return is.BEHIND;
    if (!isWhole || (this.#state === is.READING && this.#isStale(part))) return is.CUT;
    return this.#rules.asks && this.#newOf(part).some(({ isLost }) => isLost) ? is.CUT : is.PART;
  }

  /** Whether a position is before that of the follower. */
  #isBefore(position: Place | undefined): boolean {
    const last = this.#last;
    return isUpTo(position, last) && position!.offset < last!.offset;
  }

  /**
   * Whether a part brings nothing, although messages after it came before the read. The next read would
   * not bring them either.
   */
  #isStale({ messages, position }: LogPart<M>): boolean {
    const last = this.#last;
    if (!isUpTo(position, last)) return false;
    if (messages.some((each) => !isUpTo(each.position, last))) return false;
    const earlier = this.#held.slice(0, this.#mark);
    return earlier.some((each) => each.position?.epoch === last!.epoch && isFar(each, last));
  }

  /** The position before the first held message; without one, the position. */
  get #begins(): Place | undefined {
    const first = this.#held.find(({ position }) => position !== undefined);
    return first === undefined ? this.#last : before(first);
  }

  /** Whether messages are missing between a position and the newest message that is known. */
  #lacks(after = this.#last): boolean {
    if (this.#seen === BEYOND) return true;
    let last = after;
    for (const message of inOrder(this.#held)) {
      const { position } = message;
      if (position === undefined || isUpTo(position, last)) continue;
      if (isFar(message, last)) return true;
      last = position;
    }
    return this.#seen !== undefined && !isUpTo(this.#seen, last);
  }

  #apply({ to, acts, isLoss }: Action, value: unknown, out: FollowerAct[]): void {
    const after = isLoss ? this.#rules.loss[this.#knows] : is.ON;
    if (after === is.LOSE) this.#apply(is.go(is.OVER, is.DO_LOSE), value, out);
    else if (after === is.ASK) {
      const next =
        this.#tries < this.#rules.tries
          ? is.go(is.ASKING, is.DO_ASK)
          : is.go(is.OVER, is.DO_REFUSE);
      this.#apply(next, undefined, out);
    } else {
      if (to !== undefined) this.#state = to;
      if (this.#state === is.OVER) this.#held = [];
      for (const act of acts) this.#act(act, value, out);
    }
  }

  #act(act: number, value: unknown, out: FollowerAct[]): void {
    switch (act) {
      case is.DO_HOLD:
        return this.#hold(value as M);
      case is.DO_NOTE:
        return this.#note(value as M);
      case is.DO_DOUBT:
        return this.#doubt();
      case is.DO_RELEASE:
        return this.#release(out);
      case is.DO_FORGET:
        if (this.#last !== undefined) this.#forget(this.#last.epoch);
        return;
      case is.DO_OPEN:
        if (this.#state === is.LIVE) this.#state = is.OPEN;
        return;
      case is.DO_SKIP:
        if (this.#state !== is.BLIND) this.#moveTo((value as M).position ?? this.#last);
        return;
      case is.DO_PROMISE:
        if (this.#knows === is.BEFORE) this.#knows = is.BETWEEN;
        return;
      case is.DO_REJOIN:
        return this.#rejoin(value as Place | undefined);
      case is.DO_GIVE:
        return this.#give([value as M], is.DO_GIVE, false, out);
      case is.DO_PART:
        return this.#part(value as LogPart<M>, out);
      case is.DO_STATE:
        return this.#show(value as { readonly position: Place | undefined }, out);
      case is.DO_READ:
        this.#mark = this.#held.length;
        this.#seen = undefined;
        break;
      case is.DO_READ_LATER:
        this.#isBehind = true;
        break;
      case is.DO_ASK:
        this.#tries++;
        break;
      case is.DO_GAP:
        return this.#gap(out);
      case is.DO_LIVE:
        // What was released may be a message that the reader cannot take.
        if (this.#state !== is.LIVE && this.#state !== is.OPEN) return;
        out.push([is.DO_LIVE, !this.#isCut]);
        return this.#answered();
      case is.DO_BLIND:
        if (this.#state !== is.BLIND) return;
        this.#answered();
        break;
      case is.DO_KEEP:
        this.#moveTo(this.#begins);
        this.#answered();
        break;
    }
    out.push([act, value]);
  }

  #answered(): void {
    this.#knows = is.ANSWERED;
    this.#tries = 0;
    this.#isCut = false;
  }

  #gap(out: FollowerAct[]): void {
    this.#isCut = true;
    out.push([is.DO_GAP, this.#last]);
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
    // The next read brings the message.
    if (this.#state === is.GIVING && this.#seen === BEYOND) return;
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
    if (this.#last === undefined) this.#miss();
    else this.#seen = BEYOND;
  }

  #release(out: FollowerAct[]): void {
    const messages = inOrder(this.#held);
    this.#held = [];
    this.#seen = undefined;
    for (const message of messages) this.step(is.MESSAGE, message, out);
  }

  #rejoin(since: Place | undefined): void {
    // The reader has all up to its own position, even if that is newer.
    if (since !== undefined) this.#restart(since);
    this.#knows = is.BEFORE;
    this.#tries = 0;
    this.#isCut = this.#isBehind = false;
  }

  #show(state: { readonly position: Place | undefined }, out: FollowerAct[]): void {
    const { position } = state;
    this.#restart(position);
    // A state may be older than the join. So the log is read once.
    this.#seen = position === undefined ? undefined : BEYOND;
    this.#isCut = false;
    this.#held = this.#held.filter((each) => !isUpTo(each.position, position));
    out.push([is.DO_STATE, state]);
  }

  /** The messages of a part, and those that are held up to its position, without those that are known. */
  #newOf({ messages, position }: LogPart<M>): M[] {
    const offsets = new Set(messages.map((each) => each.position?.offset));
    const more = this.#held.filter(
      (each) => isUpTo(each.position, position) && !offsets.has(each.position!.offset),
    );
    const all = [...messages, ...more].filter((each) => !isUpTo(each.position, this.#last));
    return inOrder(all).filter(
      (each, i, list) => each.position!.offset !== list[i - 1]?.position!.offset,
    );
  }

  /** The messages of a part. A reader that has nothing yet learns of a gap before all of them. */
  #afterGap(part: LogPart<M>): M[] {
    const messages = this.#newOf(part);
    const [first] = part.messages;
    if (part.isWhole || this.#knows !== is.BEFORE || first === undefined) return messages;
    return messages.slice(messages.findIndex(({ position }) => isUpTo(first.position, position)));
  }

  /** Drops what came before the read, of another epoch: it is older. */
  #forget(epoch: string): void {
    this.#held = this.#held.filter(
      ({ position }, i) => i >= this.#mark || position === undefined || position.epoch === epoch,
    );
    this.#mark = 0;
  }

  #part(part: LogPart<M>, out: FollowerAct[]): void {
    const { position, end, isWhole } = part;
    // A room without a log.
    if (position === undefined) return isWhole ? undefined : this.#gap(out);
    const isStale = isWhole && this.#isStale(part);
    this.#forget(position.epoch);
    this.#isBehind = false;
    // The position is of another log, whose numbers have no meaning here.
    if (!isWhole && this.#isBefore(position)) this.#restart(ELSEWHERE);
    const first = inOrder(this.#held).find(
      ({ position: at }) => at?.epoch === position.epoch && !isUpTo(at, this.#last),
    );
    if (isStale) {
      this.#gap(out);
      this.#moveTo(before(first!));
    } else if (this.#last === undefined && this.#isVisited(first, part)) {
      this.#moveTo(before(first!));
    } else {
      const gaps = out.length;
      this.#give(this.#afterGap(part), is.DO_PART, !isWhole, out);
      if (!isWhole && !out.slice(gaps).some(([act]) => act === is.DO_GAP)) this.#gap(out);
      this.#held = this.#held.filter((each) => !isUpTo(each.position, position));
      if (!isWhole || !isUpTo(position, this.#last)) this.#moveTo(position);
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
      if (isLost || (tells && isFar(message, this.#last))) {
        flush();
        this.#gap(out);
      }
      if (!isLost) given.push(message);
      if (this.#state !== is.BLIND) this.#moveTo(message.position ?? this.#last);
    }
    flush();
  }
}
