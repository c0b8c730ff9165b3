import { CloseCode, type PreparedMessage } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { prepareResult } from '../arguments.ts';
import { type Audience, isFor, type Publication } from '../delivery/audience.ts';
import { RoomRefusedError, SessionClosedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { HeldMessages } from './held-messages.ts';
import type { JoinOptions } from './joins.ts';
import { isNext, type MissedPart, type SharedPart } from './missed-parts.ts';
import type { PartTurn } from './part-turns.ts';
import type { Joined } from './room.ts';
import type { RoomState } from './room-states.ts';
import type { Rooms } from './rooms.ts';
import { StateTurn } from './state-turn.ts';

/** States that the history cannot follow, after which a join is refused. */
const MAX_STATES = 3;
/** A position of no history. All messages of a history come after it. */
const BEFORE_ALL: Position = { epoch: 'none', offset: 0 };

/**
 * The start of a membership that loses no message. The session gets the missed messages, then the live
 * ones, and no message twice.
 *
 * The resume reads the history in parts. It reads the next part when the connection has taken the last
 * one. Meanwhile live messages wait in a queue. If they are too many, the resume empties the queue and
 * reads on from the position of the session until it has caught up. It also reads on when the next live
 * message leaves a hole. The first message of a channel cannot report one.
 */
export class Resume<Data> {
  /**
   * `reading`: missed messages are still to come. `passing`: a live message may still arrive that the
   * session already has from the history. The first one that it lacks ends this: `over`.
   */
  #state: 'reading' | 'passing' | 'over' = 'reading';
  readonly #hub: Sessions<Data>;
  readonly #rooms: Rooms<Data>;
  readonly #session: Session<Data>;
  readonly #name: string;
  #options: JoinOptions<Data>;
  readonly #result = new Deferred<Joined<Data>>();
  #audience: Audience<Data> | undefined;
  readonly #live: HeldMessages<Data>;
  /** Of a first visit: the first live message, which the first read may find too. */
  #firstLive: Publication<Data> | undefined;
  /** The queue was emptied since the start of the latest read. */
  #hasForgotten = false;
  /** Parts are read in the turn of this resume. A session holds one of them at a time. */
  #turn: PartTurn | undefined;
  /** The part that is being sent. */
  #held: SharedPart | undefined;
  #unsent: readonly PreparedMessage[] = [];
  /** The history may have more messages than the latest part. */
  #hasMore = false;
  /** The session has all messages up to this one; undefined if that is unknown. */
  #last: Position | undefined;
  /** The history could not be read. The session lacks messages after `#last`. */
  #isUnread = false;
  /** More messages were missed than the option `limit` allows. */
  #isTooMany = false;
  /** The session lacks a missed message, or `form` has failed for one. */
  #hasLost = false;
  /** `first`, or the result of the join, has reported that no message is missing. */
  #hasPromised = false;
  /** Of the last message that was read or, if this node keeps the history, of its last one. */
  #position: Position | undefined;
  readonly #hasState: boolean;
  /** Of a join that gets a state. */
  #states: StateTurn<Data> | undefined;
  /** A loss leads to another state, not to the end of the connection. */
  #retries = false;
  /** The history does not follow the last state. */
  #isBehind = false;
  /** The `info` of a member. No other session sees the member before its state is sent. */
  hidden: { shown: string | undefined } | undefined;

  constructor(
    hub: Sessions<Data>,
    session: Session<Data>,
    name: string,
    options: JoinOptions<Data>,
  ) {
    this.#hub = hub;
    this.#rooms = hub.rooms;
    this.#session = session;
    this.#name = name;
    this.#options = options;
    this.#hasState = hub.rooms.settingsOf(name).state !== undefined;
    this.#live = new HeldMessages(hub.settings, session);
  }

  /** Whether missed messages are still to come. */
  get isReading(): boolean {
    return this.#state === 'reading';
  }

  #announce(): void {
    const { hidden } = this;
    this.hidden = undefined;
    if (hidden !== undefined) this.#rooms.announce(this.#session, this.#name, hidden.shown);
  }

  /** From now on the live messages of the member wait. */
  hold(audience: Audience<Data>): void {
    this.#audience = audience;
    audience.setResume(this.#session, this);
    this.#hub.link?.joined(this.#name, this.#session, true);
  }

  /** Asks for the state with which the join begins, if it does. Call {@link cancel} or {@link hold}. */
  askForState(): Promise<void> | undefined {
    if (!this.#hasState || this.#options.since !== undefined) return undefined;
    this.#states = new StateTurn(this.#rooms.states, this.#session, this.#name);
    return this.#states.ask();
  }

  /** Sends the missed messages. Resolves when all of them are sent. */
  start(): Promise<Joined<Data>> {
    if (this.isReading) void this.#join();
    return this.#result.promise;
  }

  /** The session has left the room, or has ended. It has the messages from before. */
  cancel(): void {
    if (!this.isReading) this.#state = 'over';
    else if (this.#session.state === 'closed') this.#fail(new SessionClosedError('session.join'));
    else this.#fail(new RoomRefusedError(this.#name, 'left'));
  }

  /** `form` failed for a live message. The room has reported a gap to its members. */
  skip({ epoch, offset }: Position, before: number | undefined): void {
    const previous = before ?? offset - 1;
    if (this.#state === 'passing' && this.#last?.epoch === epoch && this.#leads(previous)) {
      this.#last = { epoch, offset };
      return;
    }
    this.#live.skip(offset, previous);
  }

  /** Whether the session has all messages up to this offset, except those of {@link skip}. */
  #leads(offset: number): boolean {
    return this.#live.hasSkippedAll(this.#last!.offset, offset);
  }

  /** Takes a live message for the session. */
  take(publication: Publication<Data>): void {
    if (this.#state === 'over') return;
    if (this.isReading) return this.#hold(publication);
    if (!this.#lacksBefore(publication)) return this.#deliver(publication);
    // The session leaves. Its next visit brings the rest.
    if (!this.#session.isIn(this.#name)) return this.cancel();
    // A live message was lost, and no earlier message showed it.
    this.#state = 'reading';
    this.#hold(publication);
    this.#hasForgotten = true;
    void this.#catchUp();
  }

  /** Whether the session may lack a message before this one. */
  #lacksBefore({ position, previous }: Publication<Data>): boolean {
    const last = this.#last;
    if (position === undefined || position.epoch !== last?.epoch || this.#isUnread) return false;
    return !this.#leads(previous ?? position.offset - 1);
  }

  /** Whether the session may lack a message before those that wait. */
  #queueLacks(): boolean {
    const next = this.#live.nextAfter(this.#last);
    return next !== undefined && this.#lacksBefore(next);
  }

  /** Sends a live message, unless the session has it. */
  #deliver(publication: Publication<Data>): void {
    const last = this.#last;
    const { message, key, position } = publication;
    if (position !== undefined && last !== undefined) {
      if (position.epoch === last.epoch && position.offset <= last.offset) return;
      this.#last = undefined;
      this.#joinOthers();
    }
    if (isFor(publication, this.#session)) this.#session.deliver(message, key);
  }

  /** From now on the session gets its messages as the other members do. */
  #joinOthers(): void {
    if (this.#audience?.resumeOf(this.#session) !== this) return;
    this.#audience.setResume(this.#session, undefined);
  }

  #fail(error: unknown): void {
    this.#state = 'over';
    this.#live.takeAll();
    this.#release(undefined);
    this.#states?.cancel();
    this.#result.reject(error);
  }

  async #join(): Promise<void> {
    if (this.#hasState && this.#options.since === undefined) return this.#joinWithState();
    const { isWhole, missed } = await this.#readFirst();
    if (!this.isReading) return;
    if (this.#hasState && (!isWhole || this.#hasLost)) return this.#joinWithState();
    let first: PreparedMessage | undefined;
    try {
      first = this.#first(this.#joined(isWhole, missed));
    } catch (error) {
      this.#hub.joinFailed(this.#session, error);
      return this.#refuse(error);
    }
    this.#announce();
    const sent = (await this.#sendPart(first)) + (await this.#catchUp());
    const joined = this.#joined(isWhole, sent);
    this.#hasPromised ||= joined.complete;
    this.#result.resolve(joined);
  }

  /** The session is no member. */
  #refuse(error: unknown): void {
    // A function of the application may have left, and joined again.
    if (!this.isReading) return;
    this.#fail(error);
    this.#rooms.leave(this.#session, this.#name);
  }

  /** Sends the state of the room, and what comes after its position. */
  async #joinWithState(): Promise<void> {
    this.#states ??= new StateTurn(this.#rooms.states, this.#session, this.#name);
    try {
      for (let i = 0; i < MAX_STATES; i++) {
        this.#release(undefined);
        const state = await this.#states.next();
        const follows = state !== undefined && (await this.#follows(state.position));
        if (!this.isReading) return;
        if (follows && (await this.#sendState(state, i === 0))) return;
      }
      const text = `its history does not reach back to ${MAX_STATES} states (option history.size)`;
      throw new RoomRefusedError(this.#name, text);
    } catch (error) {
      if (this.isReading) this.#hub.joinFailed(this.#session, error);
      this.#refuse(error);
    }
  }

  /**
   * Sends a state, and what comes after it.
   *
   * @returns False when the history no longer has all that comes after it.
   */
  async #sendState({ message, position }: RoomState, isFirst: boolean): Promise<boolean> {
    const isKnown = position !== undefined;
    const first = isFirst ? this.#first(this.#joined(isKnown, 0)) : undefined;
    await this.#send(first === undefined ? [message] : [first, message]);
    this.#states!.left();
    if (this.isReading) this.#announce();
    this.#hasPromised = this.#retries = true;
    const sent = (await this.#sendPart()) + (isKnown ? await this.#catchUp() : 0);
    this.#retries = false;
    if (this.isReading && this.#isBehind) return false;
    if (this.isReading) {
      this.#rooms.states.isUnsure(this.#name);
      this.#pass();
    }
    this.#result.resolve(this.#joined(isKnown, sent));
    return true;
  }

  /** Reads the first part of the messages after a state. Returns false when the history lacks some. */
  async #follows(position: Position | undefined): Promise<boolean> {
    this.#isBehind = this.#hasLost = false;
    this.#isUnread = position === undefined;
    this.#last = this.#position = position;
    if (position === undefined) return true;
    const before = this.#live.count;
    try {
      const { isWhole, leftOut } = await this.#read(position);
      if (!this.isReading) return false;
      if (isWhole && leftOut.length === 0) {
        this.#live.dropOthers(before, position.epoch);
        return true;
      }
    } catch (error) {
      this.#readFailed(error);
    }
    if (this.isReading) this.#rooms.states.notFollowed(this.#name);
    return false;
  }

  /**
   * Reads on while the queue was emptied or lacks a message. Then sends the live messages that wait.
   *
   * @returns The number of messages that were sent from the history.
   */
  async #catchUp(): Promise<number> {
    let missed = 0;
    let before: number | undefined;
    while (this.isReading && !this.#isBehind) {
      const isDue = this.#hasMore || this.#hasForgotten;
      if (!isDue && !this.#queueLacks()) break;
      const last = this.#last?.offset;
      // The history lacks that message. Another read would not find it.
      if (!isDue && last === before) this.#lose();
      before = last;
      if (this.isReading && !this.#isBehind) missed += await this.#readOn();
    }
    if (this.isReading && !this.#isBehind) this.#pass();
    return missed;
  }

  #joined(isWhole: boolean, missed: number): Joined<Data> {
    const complete = isWhole && !this.#hasLost;
    const room = this.#rooms.room(this.#name);
    return Object.freeze({ room, complete, missed, position: this.#position });
  }

  #first(joined: Joined<Data>): PreparedMessage | undefined {
    const data: unknown = this.#options.first?.(joined);
    this.#hasPromised = joined.complete && data !== undefined;
    return data === undefined ? undefined : prepareResult(data, 'first');
  }

  /**
   * Reads the first part of what the session has missed before it joined. A history that cannot be read
   * is not complete.
   */
  async #readFirst(): Promise<{ readonly isWhole: boolean; readonly missed: number }> {
    const { since, limit } = this.#options;
    if (this.#hub.settings.room(this.#name).history === undefined) {
      return { isWhole: since === undefined, missed: 0 };
    }
    try {
      const part =
        since === undefined ? await this.#readLast(limit ?? 0) : await this.#readSince(since);
      if (part === undefined) return { isWhole: !this.#isTooMany, missed: 0 };
      const { isWhole, messages, hasMore, position } = part;
      const later = hasMore ? this.#rooms.reads.countAfter(this.#name, position) : 0;
      this.#position = { ...position, offset: position.offset + later };
      return { isWhole: isWhole && !this.#isTooMany, missed: messages.length + later };
    } catch (error) {
      this.#readFailed(error);
      // Late copies of what the session has may still arrive.
      this.#last = since;
      this.#isUnread = true;
      return { isWhole: false, missed: 0 };
    }
  }

  /** Reads the last `limit` messages, or only the position of the last one. */
  async #readLast(limit: number): Promise<MissedPart | undefined> {
    if (limit > 0) {
      const part = await this.#read(undefined, limit);
      await this.#untilReturned();
      const { firstOffset = 0, position } = part;
      const before = this.#beforeLive({ ...position, offset: firstOffset - 1 });
      return before === undefined ? part : this.#read(before);
    }
    this.#release(undefined);
    this.#hasMore = false;
    const position = this.#rooms.reads.knownPosition(this.#name) ?? (await this.#readPosition());
    const { since } = this.#options;
    // This node may be behind the one that the client comes from.
    const isBehind = since?.epoch === position.epoch && since.offset > position.offset;
    this.#last = this.#position = isBehind ? since : position;
    return undefined;
  }

  async #readPosition(): Promise<Position> {
    const last = await this.#rooms.reads.position(this.#name);
    await this.#untilReturned();
    const before = this.#beforeLive(last);
    // Messages that this node published before the join do not arrive live.
    this.#hasMore = before !== undefined && this.#rooms.crosses;
    return before ?? last;
  }

  /** Resolves when the members have this node's own messages. A read may find them before that. */
  async #untilReturned(): Promise<void> {
    await this.#hub.link?.untilReturned(this.#name);
    await this.#audience?.done;
  }

  /** The position before the first live message; undefined if it comes after `last`. */
  #beforeLive(last: Position): Position | undefined {
    const { position, previous } = this.#firstLive ?? {};
    if (position?.epoch !== last.epoch || position.offset > last.offset) return undefined;
    return { epoch: last.epoch, offset: previous ?? position.offset - 1 };
  }

  async #readSince(since: Position): Promise<MissedPart | undefined> {
    const { limit } = this.#options;
    // The epoch of a client without a position is empty.
    const start = since.epoch === '' ? BEFORE_ALL : since;
    const part = await this.#read(start);
    const { length } = part.messages;
    // The history has not reached this position. It is a position of another history.
    const isLost = length === 0 && !part.isWhole && !isNext(part, start);
    if (limit === undefined) return isLost ? this.#read(BEFORE_ALL) : part;
    if (!isLost && !part.hasMore && length <= limit) return part;
    const last = await this.#readLast(limit);
    const hasAll = part.isWhole && last !== undefined && last.firstOffset! <= part.firstOffset!;
    if (hasAll) return this.#read(start);
    this.#isTooMany = true;
    return last;
  }

  /** Reads on after an earlier read. Returns the number of messages that were sent. */
  async #readOn(): Promise<number> {
    this.#hasForgotten = false;
    const since = this.#last;
    try {
      const part = since && (await this.#read(since));
      if (!this.isReading) return 0;
      const isToldOf = (offset: number): boolean => this.#live.hasSkipped(offset);
      const isWhole =
        part?.isWhole === true && (!this.#hasPromised || part.leftOut.every(isToldOf));
      // The client knows of the loss.
      const isTold = part !== undefined && !this.#hasPromised && isNext(part, since!);
      if (isWhole || isTold) {
        this.#hasLost ||= !isWhole;
        return await this.#sendPart();
      }
    } catch (error) {
      this.#readFailed(error);
    }
    if (this.isReading) this.#lose();
    return 0;
  }

  #readFailed(error: unknown): void {
    this.#release(error);
    if (this.isReading) this.#hub.failedOften('reads of missed messages failed', error);
  }

  /** The session lacks a message after `first`. The client must resume again. */
  #lose(): void {
    if (this.#retries) this.#isBehind = true;
    else void this.#session.close(CloseCode.TryAgainLater, 'missed too much');
  }

  /** Reads a part, for {@link #sendPart}. */
  async #read(since: Position | undefined, limit = Number.MAX_SAFE_INTEGER): Promise<MissedPart> {
    this.#release(undefined);
    // The session has left. No later call would give the turn back.
    if (!this.isReading) throw new RoomRefusedError(this.#name, 'left');
    this.#turn = this.#rooms.turns.take(this.#session);
    if (this.#turn.begins !== undefined) await this.#turn.begins.promise;
    // A history of this node is read at once.
    const read = this.#rooms.crosses ? undefined : this.#rooms.sends.turn();
    if (read !== undefined) await read;
    // The session may have left meanwhile.
    if (!this.isReading) throw new RoomRefusedError(this.#name, 'left');
    const held = this.#rooms.missed.acquire(this.#name, since, limit);
    this.#held = held;
    const part = await held.part;
    if (!this.isReading) return part;
    const { messages, position } = part;
    this.#unsent = messages;
    this.#hasMore = part.hasMore;
    this.#hasLost ||= part.leftOut.length > 0;
    this.#last = position;
    this.#position = position;
    return part;
  }

  /** @param error - Why the part could not be read, if so. */
  #release(error: unknown): void {
    if (this.#turn !== undefined) this.#rooms.turns.leave(this.#session, this.#turn, error);
    this.#turn = undefined;
    if (this.#held !== undefined) this.#rooms.missed.release(this.#held);
    this.#held = undefined;
    this.#unsent = [];
  }

  /** Sends the messages of a part, after `first`. Returns their number. */
  async #sendPart(first?: PreparedMessage): Promise<number> {
    const { length } = this.#unsent;
    await this.#send(first === undefined ? this.#unsent : [first, ...this.#unsent]);
    if (!this.isReading) return 0;
    this.#release(undefined);
    return length;
  }

  /** Sends messages as fast as the client reads. */
  #send(messages: readonly PreparedMessage[]): Promise<void> {
    return this.#rooms.sends.send(this.#session, messages, () => this.isReading);
  }

  /** Queues a live message until the end of the read, within the bounds of slow sessions. */
  #hold(publication: Publication<Data>): void {
    if (this.#options.since === undefined) this.#firstLive ??= publication;
    if (this.#live.add(publication)) return;
    // The history has the rest.
    const queue = this.#live.takeAll();
    const lost = queue.filter((each) => !each.position && isFor(each, this.#session)).length;
    this.#hasForgotten ||= lost < queue.length;
    if (lost > 0) this.#session.overflowHeld(lost);
  }

  /** The session has all missed messages: sends it the live ones. */
  #pass(): void {
    const queue = this.#live.takeAll();
    this.#state = 'passing';
    this.#options = {};
    if (this.#last === undefined) this.#joinOthers();
    for (const publication of queue) this.take(publication);
    if (!this.#mayComeLate) void this.#endAfterPass();
  }

  /** Whether a live message may arrive that the session already has from the history. */
  get #mayComeLate(): boolean {
    if (!this.#rooms.crosses) return false;
    const [last, known] = [this.#last, this.#rooms.reads.knownPosition(this.#name)];
    return last === undefined || known?.epoch !== last.epoch || known.offset < last.offset;
  }

  /** The next pass delivers what was published before the read of the history. */
  async #endAfterPass(): Promise<void> {
    await this.#audience?.done;
    if (this.#state !== 'passing') return;
    this.#joinOthers();
    this.#state = 'over';
  }
}
