import { Deferred, markHandled } from '@ws/conn/internal';
import type { JoinAnswer, JoinOptions, Position } from './room-contract.ts';
import { checkedValue, type KeySchemas } from './room-schemas.ts';

/** An item of a loop over a room. */
export type RoomMessage<Data, State = unknown> =
  | {
      readonly kind: 'message';
      /** The published value. */
      readonly data: Data;
      /** The id that the publisher gave the message; undefined for a message of the server. */
      readonly id: string | undefined;
      /** The publisher: the result of the server's option `stamp`; undefined without `stamp`. */
      readonly from: unknown;
      /** To pass as `since` to a later join; undefined in a room without history. */
      readonly position: Position | undefined;
    }
  | {
      /** The state of the room. It replaces all earlier items. */
      readonly kind: 'state';
      readonly data: State;
      /** Messages after this position follow; undefined while the server has no backplane. */
      readonly position: Position | undefined;
    }
  | {
      /** Messages may be missing here. In a room with a state, the state comes in place of a gap. */
      readonly kind: 'gap';
      /**
       * Position of the last message before the gap, if known. A gap for messages that do not fit their
       * schema comes some time after them.
       */
      readonly position: Position | undefined;
    }
  | {
      /** After each join: the loop has now yielded all messages from before the join. */
      readonly kind: 'live';
    };

/** A message that has arrived. */
export type Arrived = Extract<RoomMessage<unknown>, { readonly kind: 'message' }> & {
  /** Characters of the data as JSON. */
  readonly size: number;
  /** Hash of the data as JSON. */
  readonly hash: number;
};

/** Bounds of the unread messages of one loop: their number, and the characters of their data. */
const MAX_MESSAGES = 1_000;
const MAX_SIZE = 1024 * 1024;
/** Number of the last messages that a loop remembers by id, to recognize repetitions. */
const MAX_IDS = 1_000;

/** The room of a loop, see `ClientRoom`. */
export type RoomOfLoop = {
  /** Whether the server sends states of the room; undefined before the first answer. */
  readonly hasState: boolean | undefined;
  leave(loop: RoomLoop): void;
  rejoin(loop: RoomLoop): void;
  passes(error: unknown): boolean;
  misfit(loop: RoomLoop, error: unknown): void;
};

/** An entry of the queue that is not a message. A queue has at most one state. */
type Mark =
  | Exclude<RoomMessage<unknown>, { readonly kind: 'message' | 'live' }>
  | { readonly kind: 'live'; readonly position?: undefined };
type Entry = Arrived | Mark;

/** One loop of the application over the messages of a room. */
export class RoomLoop implements AsyncIterableIterator<RoomMessage<unknown>> {
  readonly #room: RoomOfLoop;
  readonly #schemas: KeySchemas;
  readonly #items: AsyncGenerator<RoomMessage<unknown>, undefined>;
  readonly #queue: Entry[] = [];
  /** Number of messages in the queue, and the characters of their data. */
  #count = 0;
  #size = 0;
  /** The loop has all messages up to this position; undefined before the first, and without history. */
  position: Position | undefined;
  /** The last messages, by id. */
  readonly #seen = new Map<string, Pick<Arrived, 'hash' | 'position'>>();
  /** Whether the queue was full, so that the loop ignores new messages until the queue is empty. */
  isBehind = false;
  /** Whether the loop has ignored a message without a position, which no join brings again. */
  #hasLost = false;
  /**
   * Whether a join has yet to bring messages that belong before messages of the queue. Meanwhile the
   * queue is sorted by position, and the reader gets nothing.
   */
  isFilling: boolean;
  /** Whether {@link take} must add a gap if the next message does not follow {@link position}. */
  #mustCheckNext = false;
  /** The {@link position} at the last call of {@link markGap}. */
  #gapAt: Position | undefined;
  /** Whether the first join was answered. */
  #hasBegun = false;
  /** Whether the next join has no `since`: the loop then continues with a state, or after a gap. */
  restarts = false;
  /** Whether a state has arrived since the last join was sent. */
  #hasNewState = false;
  /** Whether the answer to the next join adds a `live`. */
  #awaitsLive = true;
  /** The option `last`; undefined after the first join. */
  last: number | undefined;
  /** The positions of what has arrived since the join with {@link last} was sent, in order. */
  #arrived: Position[] = [];
  /** Number of connections in a row that a too long message has ended during a join of this loop. */
  limitEnds = 0;
  /** Position of the last entry that the reader has. */
  #readUpTo: Position | undefined;
  #end: { readonly error: unknown } | undefined;
  /** Resolves when there is something to read. */
  #readable: Deferred<void> | undefined;

  /** @param mayGetOlder - Whether messages of an earlier join of the room may arrive first. */
  constructor(
    room: RoomOfLoop,
    schemas: KeySchemas,
    { since, last }: JoinOptions,
    mayGetOlder: boolean,
  ) {
    this.#room = room;
    this.#schemas = schemas;
    this.position = this.#readUpTo = since;
    this.last = last;
    this.isFilling = last !== undefined || (mayGetOlder && since !== undefined);
    this.#items = this.#read();
  }

  /**
   * Whether the loop has no position yet, and its first join no answer. The reader gets nothing until
   * the answer, because the joins of other loops may bring older messages.
   */
  get isNew(): boolean {
    return !this.#hasBegun && this.position === undefined;
  }

  /** The option `since` of the next join for this loop. Without it, a gap or a state follows. */
  get since(): Position | undefined {
    return this.restarts ? undefined : this.position;
  }

  /** Called before a join for this loop. Returns its option `since`. */
  beginJoin(): Position | undefined {
    this.#awaitsLive = true;
    this.#hasNewState = false;
    // Without a position, the loop does not know what it has missed before the join.
    this.#mustCheckNext = this.position === undefined && this.#hasBegun && !this.restarts;
    // An interrupted join may have brought other messages than this join does.
    if (this.isNew || this.last !== undefined) {
      while (this.#queue.length > 0) this.#removeLast();
      this.isBehind = this.#hasLost = false;
      this.#arrived = [];
    }
    if (!this.restarts) return this.position;
    if (this.isFilling) this.isBehind = this.#hasLost = false;
    // If a state comes, it replaces this gap.
    if (!this.isNew) this.#addGap();
    this.isFilling = true;
    return undefined;
  }

  next(): Promise<IteratorResult<RoomMessage<unknown>, undefined>> {
    return markHandled(this.#items.next());
  }

  return(): Promise<IteratorResult<RoomMessage<unknown>, undefined>> {
    this.#queue.length = 0;
    this.end(undefined);
    this.#room.leave(this);
    return this.#items.return(undefined);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Ends the loop after its queue was read. The loop throws `error`, if there is one. */
  end(error: unknown): void {
    // Messages may be missing before the first message of the queue, so drops the queue.
    if (this.isFilling || this.isNew) this.#queue.length = 0;
    this.isFilling = false;
    this.#end ??= { error };
    this.#readable?.resolve();
  }

  /**
   * Called when a join of other loops omits messages. This loop lacks them too, unless the next message
   * follows {@link position}.
   */
  checkNext(): void {
    this.#mustCheckNext = !this.isFilling && !this.isBehind && !this.isNew;
  }

  /** Takes a message, unless the loop already has it. */
  take(message: Arrived): void {
    if (this.#mustCheckNext) {
      this.#mustCheckNext = false;
      if (!this.#follows(message.position)) this.markGap();
    }
    if (this.last !== undefined && message.position) this.#arrived.push(message.position);
    const place = this.#placeOf(message.position);
    if (place === undefined || this.#end !== undefined) return;
    if (this.isBehind && place === this.#queue.length) {
      this.#hasLost ||= message.position === undefined;
      return;
    }
    const { id, hash } = message;
    if (id !== undefined) {
      const seen = this.#seen.get(id);
      // A message at the same position is no repetition: it may come again after a state.
      if (seen?.hash === hash && !isSame(seen.position, message.position)) return;
      // If two messages have the same id, the loop remembers the first one.
      if (seen === undefined) this.#remember(id, { hash, position: message.position });
    }
    this.#queue.splice(place, 0, message);
    this.#count++;
    this.#size += message.size;
    while (this.#isFull) {
      this.#hasLost ||= this.#newest!.position === undefined;
      this.#removeLast();
      this.isBehind = true;
    }
    if (this.isNew) return;
    if (!this.isBehind && !this.isFilling) this.position = message.position ?? this.position;
    this.#readable?.resolve();
  }

  #follows(position: Position | undefined): boolean {
    if (position === undefined || this.position === undefined) return false;
    const { epoch, offset } = this.position;
    return isUpTo(position, { epoch, offset: offset + 1 });
  }

  get #newest(): Entry | undefined {
    return this.#queue[this.#queue.length - 1];
  }

  get #isFull(): boolean {
    return this.#count > MAX_MESSAGES || (this.#size > MAX_SIZE && this.#count > 1);
  }

  /** Removes the last entry. A later join brings its message again. */
  #removeLast(): void {
    const last = this.#queue.pop();
    if (last !== undefined) this.#forget(last);
  }

  /** Forgets an entry that the reader does not get, so that the loop takes it when it comes again. */
  #forget(entry: Entry): void {
    if (entry.kind !== 'message') return;
    const { id, hash, size } = entry;
    this.#count--;
    this.#size -= size;
    if (id !== undefined && this.#seen.get(id)?.hash === hash) this.#seen.delete(id);
  }

  #remember(id: string, message: Pick<Arrived, 'hash' | 'position'>): void {
    this.#seen.set(id, message);
    if (this.#seen.size <= MAX_IDS) return;
    const [oldest] = this.#seen.keys();
    this.#seen.delete(oldest!);
  }

  /** The index in the queue for a message at `position`; undefined when the loop has it. */
  #placeOf(position: Position | undefined): number | undefined {
    if (position === undefined) return this.#queue.length;
    if (isUpTo(position, this.position)) return undefined;
    let place = this.#queue.length;
    if (!this.isFilling) return place;
    for (let i = place - 1; i >= 0; i--) {
      const before = this.#queue[i]!.position;
      // An entry without a position is not sorted.
      if (before === undefined) continue;
      if (!isUpTo(position, before)) break;
      if (position.offset === before.offset) return undefined;
      place = i;
    }
    return place;
  }

  /** Called when messages may be missing after the queue. Adds a gap, or requests a state. */
  markGap(): void {
    if (this.#end !== undefined) return;
    this.#gapAt = this.position;
    if (this.#room.hasState === true) return this.#needState();
    if (!this.isBehind) this.#addGap();
  }

  #addGap(): void {
    // Messages may be missing between the queue and the pending join. The join brings the messages of
    // the queue again.
    while (this.isFilling && this.#queue.length > 0 && this.#newest!.kind !== 'gap') {
      this.#removeLast();
    }
    // A `live` at the end of the queue is no longer true.
    if (this.#newest?.kind === 'live') this.#queue.pop();
    if (this.#newest?.kind === 'gap') return;
    this.#queue.push({ kind: 'gap', position: this.position });
    this.#readable?.resolve();
  }

  /** Adds a gap for messages that did not fit, before the queue: they came earlier. */
  addMisfitGap(): void {
    if (this.#queue[0]?.kind === 'gap') return;
    this.#queue.unshift({ kind: 'gap', position: this.#readUpTo });
    this.#readable?.resolve();
  }

  /** Called when it is known whether the room has a state. Requests a state instead of a gap. */
  learned(): void {
    const hasGap = this.#queue.some(({ kind }) => kind === 'gap');
    if (hasGap && this.#room.hasState === true) this.#needState();
    else this.#readable?.resolve();
  }

  /** Requests a state. The loop yields nothing until the state arrives. */
  #needState(): void {
    this.restarts = true;
    this.isFilling = true;
    this.#room.rejoin(this);
  }

  /** Takes a state. The state replaces the queue. */
  takeState(data: unknown, position: Position | undefined): void {
    if (this.#end !== undefined) return;
    this.#queue.length = this.#count = this.#size = 0;
    this.isBehind = this.#hasLost = this.isFilling = this.#mustCheckNext = false;
    this.#hasBegun = this.#hasNewState = this.#awaitsLive = true;
    this.last = undefined;
    // Messages may be missing after a state without a position.
    this.restarts = position === undefined;
    this.position = position;
    this.#queue.push({ kind: 'state', data, position });
    this.#readable?.resolve();
  }

  /** Called when a join was answered and no earlier message is missing. Adds a `live`. */
  addLive(): void {
    const isLate = this.isNew || this.isFilling || this.isBehind;
    if (!this.#awaitsLive || isLate || this.#end !== undefined) return;
    this.#awaitsLive = false;
    if (this.#newest?.kind !== 'live') this.#queue.push({ kind: 'live' });
    this.#readable?.resolve();
  }

  /** Gives up all missed messages: after a gap, the loop restarts with its next join. */
  skip(): void {
    // A new loop has missed nothing, unless it has the option `last`.
    if (this.isNew && this.last === undefined) return;
    this.last = undefined;
    if (this.#room.hasState === true) return this.#needState();
    while (this.isFilling && this.#queue.length > 0) this.#removeLast();
    if (this.isFilling) this.isBehind = false;
    this.isFilling = false;
    this.#hasBegun = this.restarts = true;
  }

  /** Called when the server has lost messages after `from`. */
  gapAfter(from: Position | undefined): void {
    // A loop that is past the position gets a gap now, unless it has reported this loss. For others, the answer
    // to the next join decides.
    const isPast =
      from !== undefined && this.position !== undefined && !isUpTo(this.position, from);
    if (isPast && !isSame(from, this.#gapAt)) this.markGap();
    this.refill();
  }

  /** Called when messages after {@link position} may be missing. Requests them. */
  refill(): void {
    if (this.#end !== undefined) return;
    if (this.position === undefined || this.restarts) this.markGap();
    // The reader requests them after the queue.
    else if ((this.#queue.length > 0 || this.isBehind) && !this.isFilling) this.isBehind = true;
    else {
      this.isFilling = true;
      this.#room.rejoin(this);
    }
  }

  /**
   * Called when a join for this loop is answered.
   *
   * @param hasGap - Whether the server has sent a gap during the join.
   * @param isFilled - Whether the loop has taken all messages of the join.
   */
  joined(answer: JoinAnswer, hasGap: boolean, isFilled: boolean): void {
    const { complete, position } = answer;
    if (this.#hasNewState) return;
    if (this.restarts && isFilled) {
      this.restarts = false;
      if (!this.isNew) return this.#restarted(position);
    }
    if (this.last !== undefined) return this.#beginWithLast(answer);
    if (this.isNew) return this.begin(position);
    const isUnknown = this.position === undefined && this.#mustCheckNext;
    const lacks = this.position !== undefined && !complete;
    if (isUnknown || (lacks && !hasGap)) this.markGap();
    if (isUnknown) this.#mustCheckNext = false;
    if (!isFilled) return;
    if (this.isFilling) this.#endFilling();
    // If no message has come, only the answer has the position of the history.
    const isEmpty = this.#mustCheckNext || this.#queue.every(({ kind }) => kind !== 'message');
    if (lacks && isEmpty && !this.isBehind && position !== undefined) {
      if (this.#mustCheckNext && !isUpTo(position, this.position)) this.markGap();
      this.#mustCheckNext = false;
      this.#advance(position);
    }
    this.begin(position);
    this.#readable?.resolve();
  }

  #restarted(position: Position | undefined): void {
    this.#hasBegun = true;
    this.#endFilling(position);
    this.#readable?.resolve();
  }

  /** Keeps the last messages of the join, as many as the option `last` says. */
  #beginWithLast({ position, missed }: JoinAnswer): void {
    const past = lastIndex(this.#queue, ({ position: at }) => at && isUpTo(at, position));
    // Earlier live messages of a member may have arrived since the join was sent. Others may be missing
    // between them and the messages of the join.
    const upTo = this.#arrived.filter((at) => isUpTo(at, position));
    const first = upTo[Math.max(upTo.length - missed, 0)];
    let begin = Math.max(past + 1 - this.last!, 0);
    while (begin <= past && !(first && isUpTo(first, this.#queue[begin]!.position))) begin++;
    for (const entry of this.#queue.splice(0, begin)) this.#forget(entry);
    this.#arrived = [];
    this.last = undefined;
    this.#hasBegun = true;
    this.#endFilling(position);
    this.#readable?.resolve();
  }

  /** Moves the position, but never back: the node of a new connection may be behind, or know none. */
  #advance(position: Position | undefined): void {
    if (position !== undefined && !isUpTo(position, this.position)) this.position = position;
  }

  /** Called when the room is joined. A new loop begins with the messages after `position`. */
  begin(position: Position | undefined): void {
    const isNew = this.isNew;
    if (isNew && this.#room.hasState === true) return this.#needState();
    this.#hasBegun = true;
    this.position ??= position;
    if (!isNew) return;
    const past = lastIndex(this.#queue, ({ position: at }) => at && isUpTo(at, position));
    for (const entry of this.#queue.splice(0, past + 1)) this.#forget(entry);
    this.#endFilling();
    this.#readable?.resolve();
  }

  /**
   * Called when no message is missing in the queue up to its last one.
   *
   * @param position - That of the answer, for a queue without messages. A message may be of a later
   *   history than the answer.
   */
  #endFilling(position?: Position): void {
    this.isFilling = false;
    const last = lastIndex(this.#queue, ({ kind, position: at }) => kind === 'message' && !!at);
    if (last >= 0) this.position = this.#queue[last]!.position;
    else if (!this.isBehind) this.#advance(position);
  }

  async *#read(): AsyncGenerator<RoomMessage<unknown>, undefined> {
    try {
      for (;;) {
        const entry = this.#shift();
        const item = entry && (await this.#itemOf(entry));
        if (item !== undefined) yield item;
        else if (entry !== undefined) continue;
        else if (this.#end === undefined) await (this.#readable = new Deferred<void>()).promise;
        else if (this.#end.error === undefined) return undefined;
        else throw this.#end.error;
      }
    } finally {
      this.end(undefined);
      this.#room.leave(this);
    }
  }

  #shift(): Entry | undefined {
    if (this.isFilling || this.isNew) return undefined;
    // In a room with a state, the state replaces a gap.
    if (this.#queue[0]?.kind === 'gap' && this.#room.hasState === undefined) return undefined;
    const entry = this.#queue.shift();
    this.#readUpTo = entry?.position ?? this.#readUpTo;
    if (entry?.kind === 'message') {
      this.#count--;
      this.#size -= entry.size;
    }
    if (entry !== undefined || !this.isBehind || this.#end !== undefined) return entry;
    const { position } = this;
    const hasLost = this.#hasLost || position === undefined;
    this.isBehind = this.#hasLost = false;
    if (hasLost && this.#room.hasState === true) {
      this.#needState();
      return undefined;
    }
    // Without a position no join brings the ignored messages.
    if (position !== undefined) {
      this.isFilling = true;
      this.#room.rejoin(this);
    }
    return hasLost ? { kind: 'gap', position } : undefined;
  }

  /**
   * Checks the data of an entry.
   *
   * @returns Undefined for a message that does not fit: the loop passes over it. For a state too, if the
   *   server is newer.
   * @throws (rejects) JSONError for a state that does not fit.
   */
  async #itemOf(entry: Entry): Promise<RoomMessage<unknown> | undefined> {
    const { kind } = entry;
    if (kind === 'gap' || kind === 'live') return entry;
    const isState = kind === 'state';
    const { state, message } = this.#schemas;
    const what = isState ? 'the state of the room' : 'a message of the room';
    try {
      const data = await checkedValue(isState ? state : message, entry.data, what);
      const { position } = entry;
      return isState
        ? { kind, data, position }
        : { kind, data, id: entry.id, from: entry.from, position };
    } catch (error) {
      if (this.#room.passes(error)) return undefined;
      if (isState) throw error;
      this.#room.misfit(this, error);
      return undefined;
    }
  }
}

/** As `findLastIndex`, which Safari 15 lacks. */
function lastIndex(queue: readonly Entry[], test: (entry: Entry) => unknown): number {
  let i = queue.length - 1;
  while (i >= 0 && !test(queue[i]!)) i--;
  return i;
}

function isSame(one: Position | undefined, two: Position | undefined): boolean {
  return one !== undefined && one.epoch === two?.epoch && one.offset === two.offset;
}

/** Whether `position` is not after `other`. Positions of different histories have no order. */
export function isUpTo(position: Position, other: Position | undefined): boolean {
  return other !== undefined && position.epoch === other.epoch && position.offset <= other.offset;
}
