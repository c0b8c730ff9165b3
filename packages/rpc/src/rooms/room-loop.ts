import type { StandardSchema } from '@ws/conn';
import { Deferred, handled } from '@ws/conn/internal';
import { check, misfit } from '../schema.ts';
import type { ClientRoom } from './client-room.ts';
import type { JoinAnswer, Position } from './room-contract.ts';

/** An item of a loop over a room. */
export type RoomMessage<Data> =
  | {
      readonly gap: false;
      /** The published value. */
      readonly data: Data;
      /** The id that its publisher gave it; undefined for one of the server. */
      readonly id: string | undefined;
      /** For the `since` of a later join; undefined in a room without history. */
      readonly position: Position | undefined;
    }
  | {
      /** Messages may be missing here: load the state another way. */
      readonly gap: true;
      /**
       * Of the last message before the gap, if it is known. Of the missing message, if it does not fit
       * the schema.
       */
      readonly position: Position | undefined;
    };

/** A message that has arrived. */
export interface Arrived {
  readonly data: unknown;
  readonly id: string | undefined;
  readonly position: Position | undefined;
  /** Characters of its data in JSON. */
  readonly size: number;
  /** Of its data in JSON. */
  readonly hash: number;
}

/** Bounds of the messages that wait for one loop, in number and in characters of data. */
const MAX_MESSAGES = 1_000;
const MAX_SIZE = 1024 * 1024;
/** Number of the last messages among which a loop finds repetitions. */
const MAX_IDS = 1_000;

type Entry = Arrived | { readonly gap: true; readonly position: Position | undefined };

/** One loop over the messages of a room. */
export class RoomLoop<Data> implements AsyncIterableIterator<RoomMessage<Data>> {
  readonly #room: ClientRoom;
  readonly #schema: StandardSchema | undefined;
  readonly #items: AsyncGenerator<RoomMessage<Data>, undefined>;
  readonly #queue: Entry[] = [];
  #size = 0;
  /** The loop has all messages up to this one; undefined before the first, and without history. */
  #position: Position | undefined;
  /** The hashes of the last messages, by id. */
  readonly #seen = new Map<string, number>();
  /** Whether the queue is full. The loop takes no message until it is read. */
  #isBehind = false;
  /** The loop has not taken a message that no history has. */
  #hasLost = false;
  /**
   * Messages before those that wait are on their way. Until they are here, the queue is ordered by
   * position, and not read.
   */
  #isFilling: boolean;
  /** See {@link suspect}. */
  #isSuspect = false;
  /** Whether the first join was answered. */
  #hasBegun = false;
  /** See {@link skip}. */
  #isSkipping = false;
  #end: { readonly error: unknown } | undefined;
  /** Resolves when there is something to read. */
  #news: Deferred<void> | undefined;

  /** @param isLate - Whether messages of earlier loops may arrive before those after `since`. */
  constructor(
    room: ClientRoom,
    schema: StandardSchema | undefined,
    since: Position | undefined,
    isLate: boolean,
  ) {
    this.#room = room;
    this.#schema = schema;
    this.#position = since;
    this.#isFilling = isLate && since !== undefined;
    this.#items = this.#read();
  }

  /**
   * Whether the loop has no `since`, and its first join has no answer yet. Until then it is not read.
   * Other loops may bring older messages.
   */
  get #isNew(): boolean {
    return !this.#hasBegun && this.#position === undefined;
  }

  /** The loop has all messages up to this one. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** The position after which a join is to bring messages. Without one, a gap is told here. */
  asks(): Position | undefined {
    if (!this.#isSkipping) return this.#position;
    this.gap();
    return undefined;
  }

  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Whether the loop needs earlier messages. */
  get isFilling(): boolean {
    return this.#isFilling;
  }

  next(): Promise<IteratorResult<RoomMessage<Data>, undefined>> {
    return handled(this.#items.next());
  }

  return(): Promise<IteratorResult<RoomMessage<Data>, undefined>> {
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
    if (this.#isFilling || this.#isNew) this.#queue.length = 0;
    this.#isFilling = false;
    this.#end ??= { error };
    this.#news?.resolve();
  }

  /**
   * The join of other loops does not bring all messages. The loop gets no live messages meanwhile, so it
   * lacks some, unless the join begins with the next message of the loop or an earlier one.
   */
  suspect(): void {
    this.#isSuspect = !this.#isFilling && !this.#isBehind && !this.#isNew;
  }

  /** Takes a message, unless the loop has it. */
  take(message: Arrived): void {
    if (this.#isSuspect) {
      this.#isSuspect = false;
      if (!this.#follows(message.position)) this.gap();
    }
    const place = this.#placeOf(message.position);
    if (place === undefined || this.#end !== undefined) return;
    if (this.#isBehind && place === this.#queue.length) {
      this.#hasLost ||= message.position === undefined;
      return;
    }
    const { id, hash } = message;
    if (id !== undefined && this.#seen.get(id) === hash) return;
    // The id of the first message stays its own. Another one with this id replaces nothing.
    if (id !== undefined && !this.#seen.has(id)) this.#remember(id, hash);
    this.#queue.splice(place, 0, message);
    this.#size += message.size;
    while (this.#isFull) {
      this.#hasLost ||= this.#queue.at(-1)!.position === undefined;
      this.#giveBack();
      this.#isBehind = true;
    }
    if (this.#isNew) return;
    if (!this.#isBehind && !this.#isFilling) this.#position = message.position ?? this.#position;
    this.#news?.resolve();
  }

  #follows(position: Position | undefined): boolean {
    if (position === undefined || this.#position === undefined) return false;
    const { epoch, offset } = this.#position;
    return isUpTo(position, { epoch, offset: offset + 1 });
  }

  get #isFull(): boolean {
    const { length } = this.#queue;
    return length > MAX_MESSAGES || (this.#size > MAX_SIZE && length > 1);
  }

  /** Removes the last message. The loop gets it later. */
  #giveBack(): void {
    const last = this.#queue.pop();
    if (last !== undefined) this.#forget(last);
  }

  /** The reader does not get this entry. A repetition of it is another message. */
  #forget(entry: Entry): void {
    if ('gap' in entry) return;
    const { id, hash, size } = entry;
    this.#size -= size;
    if (id !== undefined && this.#seen.get(id) === hash) this.#seen.delete(id);
  }

  #remember(id: string, hash: number): void {
    this.#seen.set(id, hash);
    if (this.#seen.size <= MAX_IDS) return;
    const [oldest] = this.#seen.keys();
    this.#seen.delete(oldest!);
  }

  /** The index in the queue of a message; undefined when the loop has the message. */
  #placeOf(position: Position | undefined): number | undefined {
    if (position === undefined) return this.#queue.length;
    if (isUpTo(position, this.#position)) return undefined;
    let place = this.#queue.length;
    if (!this.#isFilling) return place;
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

  /** Says that messages may be missing after those that wait. */
  gap(): void {
    if (this.#end !== undefined || this.#isBehind) return;
    // The messages of the join follow. Between those that came before them and these, some may be
    // missing.
    while (this.#isFilling && this.#queue.length > 0) this.#giveBack();
    const last = this.#queue.at(-1);
    if (last !== undefined && 'gap' in last) return;
    this.#queue.push({ gap: true, position: this.#position });
    this.#news?.resolve();
  }

  /** Gives up all missed messages. The loop restarts with its next join, after a gap. */
  skip(): void {
    // A new loop has missed nothing.
    if (this.#isNew) return;
    while (this.#isFilling && this.#queue.length > 0) this.#giveBack();
    if (this.#isFilling) this.#isBehind = false;
    this.#isFilling = false;
    this.#isSkipping = true;
  }

  /** Messages after its position may be missing. The loop takes no others before them. */
  refill(): void {
    if (this.#position === undefined) this.gap();
    else if (this.#queue.length > 0 && !this.#isFilling) this.#isBehind = true;
    else {
      this.#isFilling = true;
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
    if (this.#isSkipping) return this.#skipped(position);
    if (this.#isNew) return this.begin(position);
    const isUnknown = this.#position === undefined && this.#hasBegun;
    const lacks = this.#position !== undefined && !complete;
    if (isUnknown || (lacks && !isTold)) this.gap();
    if (!isFilled) return;
    if (this.#isFilling) this.#fill();
    // Of a history that has lost all messages.
    if (lacks && this.#queue.every((entry) => 'gap' in entry)) this.#advance(position);
    this.begin(position);
    this.#news?.resolve();
  }

  #skipped(position: Position | undefined): void {
    this.#isSkipping = false;
    this.#hasBegun = true;
    this.#advance(position);
  }

  /** A node may be behind the one that the client comes from, or not know a position. */
  #advance(position: Position | undefined): void {
    if (position !== undefined && !isUpTo(position, this.#position)) this.#position = position;
  }

  /** The loop takes what comes after the position. */
  begin(position: Position | undefined): void {
    const isNew = this.#isNew;
    this.#hasBegun = true;
    this.#position ??= position;
    if (!isNew) return;
    const past = this.#queue.findLastIndex(({ position: at }) => at && isUpTo(at, position));
    for (const entry of this.#queue.splice(0, past + 1)) this.#forget(entry);
    this.#fill();
    this.#news?.resolve();
  }

  /** All messages up to the last of the queue are in it. */
  #fill(): void {
    this.#isFilling = false;
    const last = this.#queue.findLast(({ position }) => position !== undefined);
    this.#position = last?.position ?? this.#position;
  }

  async *#read(): AsyncGenerator<RoomMessage<Data>, undefined> {
    try {
      for (;;) {
        const entry = this.#shift();
        if (entry !== undefined) yield await this.#itemOf(entry);
        else if (this.#end === undefined) await this.#untilNews();
        else if (this.#end.error === undefined) return undefined;
        else throw this.#end.error;
      }
    } finally {
      this.end(undefined);
      this.#room.leave(this);
    }
  }

  #shift(): Entry | undefined {
    if (this.#isFilling || this.#isNew) return undefined;
    const entry = this.#queue.shift();
    if (entry !== undefined && !('gap' in entry)) this.#size -= entry.size;
    if (entry !== undefined || !this.#isBehind || this.#end !== undefined) return entry;
    const { position } = this;
    const gap = this.#hasLost ? ({ gap: true, position } as const) : undefined;
    this.#isBehind = this.#hasLost = false;
    // Without a history nothing brings what the loop did not take.
    if (position === undefined) return { gap: true, position };
    this.#isFilling = true;
    this.#room.resume(this);
    return gap;
  }

  #untilNews(): Promise<void> {
    this.#news = new Deferred();
    return this.#news.promise;
  }

  async #itemOf(entry: Entry): Promise<RoomMessage<Data>> {
    if ('gap' in entry) return entry;
    const { data, id, position } = entry;
    if (this.#schema === undefined) return { gap: false, data: data as Data, id, position };
    try {
      const { value, issues } = await check(this.#schema, data);
      if (issues === undefined) return { gap: false, data: value as Data, id, position };
      throw misfit('a message of the room does not fit its schema', issues);
    } catch (error) {
      this.#room.misfit(error);
      return { gap: true, position };
    }
  }
}

/** Whether `position` is not after `other`. Positions of different histories have no order. */
export function isUpTo(position: Position, other: Position | undefined): boolean {
  return other !== undefined && position.epoch === other.epoch && position.offset <= other.offset;
}
