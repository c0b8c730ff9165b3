import type { StandardSchema } from '@ws/conn';
import { Deferred, markHandled } from '@ws/conn/internal';
import { check, valueOf } from '../schema.ts';
import type { ClientRoom } from './client-room.ts';
import type { JoinAnswer, JoinOptions, Position } from './room-contract.ts';
import type { KeySchemas } from './room-schemas.ts';

/** An item of a loop over a room. */
export type RoomMessage<Data, State = unknown> =
  | {
      readonly kind: 'message';
      /** The published value. */
      readonly data: Data;
      /** The id that its publisher gave it; undefined for one of the server. */
      readonly id: string | undefined;
      /** Its publisher, by the server's option `stamp`; undefined without it. */
      readonly from: unknown;
      /** For the `since` of a later join; undefined in a room without history. */
      readonly position: Position | undefined;
    }
  | {
      /** The state of the room. It replaces all earlier items. */
      readonly kind: 'state';
      readonly data: State;
      /** The messages after this one follow; undefined while the server has no backplane. */
      readonly position: Position | undefined;
    }
  | {
      /** Messages may be missing here. A room with a state has a state instead. */
      readonly kind: 'gap';
      /**
       * Of the last message before the gap, if it is known. Of the missing message, if it does not fit
       * the schema.
       */
      readonly position: Position | undefined;
    }
  | {
      /** The loop has had all that was published before its join. It comes after each join. */
      readonly kind: 'live';
    };

/** A message that has arrived. */
export type Arrived = Extract<RoomMessage<unknown>, { readonly kind: 'message' }> & {
  /** Characters of its data in JSON. */
  readonly size: number;
  /** Of its data in JSON. */
  readonly hash: number;
};

/** Bounds of the messages that wait for one loop, in number and in characters of data. */
const MAX_MESSAGES = 1_000;
const MAX_SIZE = 1024 * 1024;
/** Number of the last messages among which a loop finds repetitions. */
const MAX_IDS = 1_000;

/** An item without a size. A queue has at most one state. */
type Mark =
  | Exclude<RoomMessage<unknown>, { readonly kind: 'message' | 'live' }>
  | { readonly kind: 'live'; readonly position?: undefined };
type Entry = Arrived | Mark;

/** One loop over the messages of a room. */
export class RoomLoop implements AsyncIterableIterator<RoomMessage<unknown>> {
  readonly #room: ClientRoom;
  readonly #schemas: KeySchemas;
  readonly #items: AsyncGenerator<RoomMessage<unknown>, undefined>;
  readonly #queue: Entry[] = [];
  /** Number of messages in the queue, and the characters of their data. */
  #count = 0;
  #size = 0;
  /** The loop has all messages up to this one; undefined before the first, and without history. */
  position: Position | undefined;
  /** The last messages, by id. */
  readonly #seen = new Map<string, Pick<Arrived, 'hash' | 'position'>>();
  /** Whether the queue is full. The loop takes no message until it is read. */
  isBehind = false;
  /** The loop has not taken a message that no history has. */
  #hasLost = false;
  /**
   * Messages before those that wait are on their way. Until they are here, the queue is ordered by
   * position, and not read.
   */
  isFilling: boolean;
  /** See {@link suspect}. */
  #isSuspect = false;
  /** Whether the first join was answered. */
  #hasBegun = false;
  /** The next join has no `since`: it brings a state or, after a gap, what follows. */
  restarts = false;
  /** Whether a state has come since this client sent the join. */
  #hasNewState = false;
  /** Whether `live` follows the answer of the next join. */
  #awaitsLive = true;
  /** Number of messages with which the loop begins; undefined after its first join. */
  last: number | undefined;
  #end: { readonly error: unknown } | undefined;
  /** Resolves when there is something to read. */
  #news: Deferred<void> | undefined;

  /** @param isLate - Whether messages of earlier loops may arrive before those after `since`. */
  constructor(
    room: ClientRoom,
    schemas: KeySchemas,
    { since, last }: JoinOptions,
    isLate: boolean,
  ) {
    this.#room = room;
    this.#schemas = schemas;
    this.position = since;
    this.last = last;
    this.isFilling = last !== undefined || (isLate && since !== undefined);
    this.#items = this.#read();
  }

  /**
   * Whether the loop has no `since`, and its first join has no answer yet. Until then it is not read.
   * Other loops may bring older messages.
   */
  get #isNew(): boolean {
    return !this.#hasBegun && this.position === undefined;
  }

  /** The position after which a join is to bring messages. Without one, a gap or a state follows. */
  asks(): Position | undefined {
    this.#awaitsLive = true;
    this.#hasNewState = false;
    if (!this.restarts) return this.position;
    if (this.isFilling) this.isBehind = this.#hasLost = false;
    // A state may take the place of the gap.
    if (!this.#isNew) this.#addGap();
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

  /** Ends the loop when it has read its queue: with `error`, if there is one. */
  end(error: unknown): void {
    // Messages may be missing among the waiting ones.
    if (this.isFilling || this.#isNew) this.#queue.length = 0;
    this.isFilling = false;
    this.#end ??= { error };
    this.#news?.resolve();
  }

  /**
   * The join of other loops does not bring all messages. The loop gets no live messages meanwhile, so it
   * lacks some, unless the join begins with the next message of the loop or an earlier one.
   */
  suspect(): void {
    this.#isSuspect = !this.isFilling && !this.isBehind && !this.#isNew;
  }

  /** Takes a message, unless the loop has it. */
  take(message: Arrived): void {
    if (this.#isSuspect) {
      this.#isSuspect = false;
      if (!this.#follows(message.position)) this.gap();
    }
    const place = this.#placeOf(message.position);
    if (place === undefined || this.#end !== undefined) return;
    if (this.isBehind && place === this.#queue.length) {
      this.#hasLost ||= message.position === undefined;
      return;
    }
    const { id, hash } = message;
    if (id !== undefined) {
      const seen = this.#seen.get(id);
      // After a state the same message may come again, at its position.
      if (seen?.hash === hash && !isSame(seen.position, message.position)) return;
      // The id of the first message stays its own. Another one with this id replaces nothing.
      if (seen === undefined) this.#remember(id, { hash, position: message.position });
    }
    this.#queue.splice(place, 0, message);
    this.#count++;
    this.#size += message.size;
    while (this.#isFull) {
      this.#hasLost ||= this.#queue.at(-1)!.position === undefined;
      this.#giveBack();
      this.isBehind = true;
    }
    if (this.#isNew) return;
    if (!this.isBehind && !this.isFilling) this.position = message.position ?? this.position;
    this.#news?.resolve();
  }

  #follows(position: Position | undefined): boolean {
    if (position === undefined || this.position === undefined) return false;
    const { epoch, offset } = this.position;
    return isUpTo(position, { epoch, offset: offset + 1 });
  }

  get #isFull(): boolean {
    return this.#count > MAX_MESSAGES || (this.#size > MAX_SIZE && this.#count > 1);
  }

  /** Removes the last message. The loop gets it later. */
  #giveBack(): void {
    const last = this.#queue.pop();
    if (last !== undefined) this.#forget(last);
  }

  /** The reader does not get this entry. A repetition of it is another message. */
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

  /** The index in the queue of a message; undefined when the loop has the message. */
  #placeOf(position: Position | undefined): number | undefined {
    if (position === undefined) return this.#queue.length;
    if (isUpTo(position, this.position)) return undefined;
    let place = this.#queue.length;
    if (!this.isFilling) return place;
    for (let i = place - 1; i >= 0; i--) {
      const before = this.#queue[i]!.position;
      // An entry without a position has no place among those with one.
      if (before === undefined) continue;
      if (!isUpTo(position, before)) break;
      if (position.offset === before.offset) return undefined;
      place = i;
    }
    return place;
  }

  /** Messages may be missing after the waiting items. */
  gap(): void {
    if (this.#end !== undefined) return;
    if (this.#room.hasState === true) return this.#needState();
    if (!this.isBehind) this.#addGap();
  }

  #addGap(): void {
    // The messages of the join follow. Between those that came before them and these, some may be
    // missing.
    while (this.isFilling && this.#queue.length > 0 && this.#queue.at(-1)!.kind !== 'gap') {
      this.#giveBack();
    }
    // Nothing has come since.
    if (this.#queue.at(-1)?.kind === 'live') this.#queue.pop();
    if (this.#queue.at(-1)?.kind === 'gap') return;
    this.#queue.push({ kind: 'gap', position: this.position });
    this.#news?.resolve();
  }

  /** The loop takes and hands out nothing before the next state. */
  #needState(): void {
    this.restarts = true;
    this.isFilling = true;
    this.#room.resume(this);
  }

  /** Takes a state. It replaces what waits. */
  state(data: unknown, position: Position | undefined): void {
    if (this.#end !== undefined) return;
    this.#queue.length = this.#count = this.#size = 0;
    this.isBehind = this.#hasLost = this.isFilling = this.#isSuspect = false;
    this.#hasBegun = this.#hasNewState = this.#awaitsLive = true;
    this.last = undefined;
    // Without a position messages may be missing after it.
    this.restarts = position === undefined;
    this.position = position;
    this.#queue.push({ kind: 'state', data, position });
    this.#news?.resolve();
  }

  /** The join of the room was answered, and nothing that was published before it is missing. */
  live(): void {
    const isLate = this.#isNew || this.isFilling || this.isBehind;
    if (!this.#awaitsLive || isLate || this.#end !== undefined) return;
    this.#awaitsLive = false;
    if (this.#queue.at(-1)?.kind !== 'live') this.#queue.push({ kind: 'live' });
    this.#news?.resolve();
  }

  /** Gives up all missed messages. The loop restarts with its next join, after a gap. */
  skip(): void {
    // A new loop has missed nothing, except the messages with which it would begin.
    if (this.#isNew && this.last === undefined) return;
    this.last = undefined;
    if (this.#room.hasState === true) return this.#needState();
    while (this.isFilling && this.#queue.length > 0) this.#giveBack();
    if (this.isFilling) this.isBehind = false;
    this.isFilling = false;
    this.#hasBegun = this.restarts = true;
  }

  /** Messages after its position may be missing. The loop takes no others before them. */
  refill(): void {
    if (this.position === undefined || this.restarts) this.gap();
    else if (this.#queue.length > 0 && !this.isFilling) this.isBehind = true;
    else {
      this.isFilling = true;
      this.#room.resume(this);
    }
  }

  /**
   * A join was answered that was to bring what the loop lacks.
   *
   * @param isTold - Whether the loop has got the gap.
   * @param isFilled - Whether the loop has taken all that the join has brought.
   */
  joined({ complete, position }: JoinAnswer, isTold: boolean, isFilled: boolean): void {
    if (this.#hasNewState) return;
    if (this.restarts && isFilled) {
      this.restarts = false;
      if (!this.#isNew) return this.#restarted(position);
    }
    if (this.last !== undefined) return this.#beginWithLast(position);
    if (this.#isNew) return this.begin(position);
    const isUnknown = this.position === undefined && this.#hasBegun;
    const lacks = this.position !== undefined && !complete;
    if (isUnknown || (lacks && !isTold)) this.gap();
    if (!isFilled) return;
    if (this.isFilling) this.#fill();
    // Of a history that has lost all messages.
    if (lacks && this.#queue.every(({ kind }) => kind !== 'message')) this.#advance(position);
    this.begin(position);
    this.#news?.resolve();
  }

  #restarted(position: Position | undefined): void {
    this.#hasBegun = true;
    this.#fill();
    this.#advance(position);
    this.#news?.resolve();
  }

  /** A join has brought the messages with which the loop begins. */
  #beginWithLast(position: Position | undefined): void {
    const past = this.#queue.findLastIndex(({ position: at }) => at && isUpTo(at, position));
    const early = this.#queue.splice(0, past + 1 - Math.min(this.last!, past + 1));
    for (const entry of early) this.#forget(entry);
    this.last = undefined;
    this.#hasBegun = true;
    this.#fill();
    if (!this.isBehind) this.#advance(position);
    this.#news?.resolve();
  }

  /** A node may be behind the one that the client comes from, or not know a position. */
  #advance(position: Position | undefined): void {
    if (position !== undefined && !isUpTo(position, this.position)) this.position = position;
  }

  /** The loop takes what comes after the position. */
  begin(position: Position | undefined): void {
    const isNew = this.#isNew;
    if (isNew && this.#room.hasState === true) return this.#needState();
    this.#hasBegun = true;
    this.position ??= position;
    if (!isNew) return;
    const past = this.#queue.findLastIndex(({ position: at }) => at && isUpTo(at, position));
    for (const entry of this.#queue.splice(0, past + 1)) this.#forget(entry);
    this.#fill();
    this.#news?.resolve();
  }

  /** All messages up to the last of the queue are in it. */
  #fill(): void {
    this.isFilling = false;
    const last = this.#queue.findLast(({ position }) => position !== undefined);
    this.position = last?.position ?? this.position;
  }

  async *#read(): AsyncGenerator<RoomMessage<unknown>, undefined> {
    try {
      for (;;) {
        const entry = this.#shift();
        const item = entry && (await this.#itemOf(entry));
        if (item !== undefined) yield item;
        else if (entry !== undefined) continue;
        else if (this.#end === undefined) await (this.#news = new Deferred<void>()).promise;
        else if (this.#end.error === undefined) return undefined;
        else throw this.#end.error;
      }
    } finally {
      this.end(undefined);
      this.#room.leave(this);
    }
  }

  #shift(): Entry | undefined {
    if (this.isFilling || this.#isNew) return undefined;
    const entry = this.#queue.shift();
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
    // Without a history nothing brings what the loop did not take.
    if (position !== undefined) {
      this.isFilling = true;
      this.#room.resume(this);
    }
    return hasLost ? { kind: 'gap', position } : undefined;
  }

  /**
   * @returns Undefined when a state will replace a message that does not fit.
   * @throws (rejects) JSONError for a state that does not fit.
   */
  async #itemOf(entry: Entry): Promise<RoomMessage<unknown> | undefined> {
    if (entry.kind === 'state') {
      const data = await fitted(this.#schemas.state, entry.data, 'the state of the room');
      return { ...entry, data };
    }
    if (entry.kind !== 'message') return entry;
    const { kind, id, from, position } = entry;
    try {
      const data = await fitted(this.#schemas.message, entry.data, 'a message of the room');
      return { kind, data, id, from, position };
    } catch (error) {
      this.#room.misfit(error);
      if (this.#room.hasState !== true) return { kind: 'gap', position };
      this.#needState();
      return undefined;
    }
  }
}

/** @throws (rejects) JSONError for a value that does not fit `schema`. */
async function fitted(
  schema: StandardSchema | undefined,
  given: unknown,
  what: string,
): Promise<unknown> {
  return schema === undefined ? given : valueOf(await check(schema, given), what);
}

function isSame(one: Position | undefined, two: Position | undefined): boolean {
  return one !== undefined && one.epoch === two?.epoch && one.offset === two.offset;
}

/** Whether `position` is not after `other`. Positions of different histories have no order. */
export function isUpTo(position: Position, other: Position | undefined): boolean {
  return other !== undefined && position.epoch === other.epoch && position.offset <= other.offset;
}
