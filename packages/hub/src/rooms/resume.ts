import { CloseCode, type MessageData, type PreparedMessage } from '@ws/conn';
import { checkOptionNames, Deferred, flushShared, kind, whole } from '@ws/conn/internal';
import { prepareResult } from '../arguments.ts';
import { type Audience, isFor, type Publication } from '../delivery/audience.ts';
import { RoomRefusedError, SessionClosedError } from '../errors.ts';
import { checkPosition, type Position } from '../history/position.ts';
import { platformOf } from '../sessions/conn-calls.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { type MissedPart, NO_PART, type SharedPart } from './missed-parts.ts';
import type { PartTurn } from './part-turns.ts';
import type { Joined } from './room.ts';
import type { Rooms } from './rooms.ts';

/** The options of `Session.join`. With one of them the session resumes. */
export interface JoinOptions<Data = unknown> {
  /** Position of the last message that the client has. Default: none, for a first visit. */
  readonly since?: Position | undefined;
  /**
   * Largest number of missed messages, the last ones; `complete` is false if there are more. Default:
   * 0 without `since`, and all that the history has with it.
   */
  readonly limit?: number | undefined;
  /**
   * Makes the message that the session gets before the missed ones; undefined for none. Synchronous. If
   * it throws, `join` rejects with its error and the session is no member.
   */
  readonly first?: ((joined: Joined<Data>) => MessageData | undefined) | undefined;
}

const NAMES: readonly (keyof JoinOptions)[] = ['since', 'limit', 'first'];
/** Bytes of missed messages that are sent in one turn, with so many for each message. */
const TURN_COST = 32_768;
const MESSAGE_COST = 32;
const READS_FAILED = 'reads of missed messages failed';
/** A position of no history: after it come all messages that a history has. */
const BEFORE_ALL: Position = { epoch: 'none', offset: 0 };
const ALL = Number.MAX_SAFE_INTEGER;
/** The position of a room that has had no message. */
const NO_MESSAGE: Position = /* @__PURE__ */ Object.freeze({ epoch: '', offset: 0 });

/**
 * Checks the options of a join.
 *
 * @returns A copy of them; undefined if the session does not resume.
 * @throws TypeError or RangeError that names the option.
 */
export function checkJoinOptions<Data>(options: JoinOptions<Data>): JoinOptions<Data> | undefined {
  checkOptionNames('session.join', options, NAMES, 'ignore');
  const { since, limit, first } = options;
  const start = since === undefined ? undefined : checkPosition(since);
  if (limit !== undefined && limit !== 0) whole('limit', limit);
  if (first !== undefined && typeof first !== 'function') {
    throw new TypeError(`first: expected a function, got ${kind(first)}`);
  }
  return (start ?? limit ?? first) === undefined ? undefined : { since: start, limit, first };
}

/**
 * The start of a membership that loses no message: the session gets what it has missed, then what the
 * other members have got meanwhile, and no message twice.
 *
 * The history is read in parts: the next one when the one before has left. Meanwhile live messages wait
 * in a queue. If they are too many, the queue is emptied, and the history is read on from the position
 * of the session until it has caught up. So it is when the next live message does not follow that
 * position: the first message of a channel shows no loss before it.
 */
export class Resume<Data> {
  /**
   * `reading` until the session has all missed messages. `passing` until a message has passed that it
   * lacks: a live message may come later than the history has it. Then `over`.
   */
  #state: 'reading' | 'passing' | 'over' = 'reading';
  readonly #hub: Sessions<Data>;
  readonly #session: Session<Data>;
  readonly #name: string;
  readonly #options: JoinOptions<Data>;
  readonly #result = new Deferred<Joined<Data>>();
  #audience: Audience<Data> | undefined;
  #queue: Publication<Data>[] = [];
  #queuedBytes = 0;
  /** Of a first visit: the first live message, which the first read may find too. */
  #firstLive: Publication<Data> | undefined;
  /** The queue was emptied since the start of the latest read. */
  #hasForgotten = false;
  /** Parts are read in the turn of this resume: a session holds one of them at a time. */
  #turn: PartTurn | undefined;
  /** The part whose messages leave. */
  #held: SharedPart | undefined;
  #unsent: readonly PreparedMessage[] = [];
  /** The history may have more messages than the latest part. */
  #hasMore = false;
  /** The session has the messages up to this one; undefined if that is not known. */
  #last: Position | undefined;
  /** The history could not be read: the session lacks messages after `#last`. */
  #isUnread = false;
  /** More messages were missed than the option `limit` allows. */
  #isTooMany = false;
  /** The session lacks a missed message, or `form` has failed for one. */
  #hasLost = false;
  /** `first` or the result has said that no message is missing. */
  #hasPromised = false;
  /** Of the last message that was read or, if this node keeps the history, of its last one. */
  #position: Position | undefined;

  constructor(
    hub: Sessions<Data>,
    session: Session<Data>,
    name: string,
    options: JoinOptions<Data>,
  ) {
    this.#hub = hub;
    this.#session = session;
    this.#name = name;
    this.#options = options;
  }

  /** Whether missed messages are still to come. */
  get isReading(): boolean {
    return this.#state === 'reading';
  }

  /** From now on the live messages of the member wait. */
  hold(audience: Audience<Data>): void {
    this.#audience = audience;
    audience.setResume(this.#session, this);
    this.#hub.link?.joined(this.#name, this.#session, true);
  }

  /** Sends what the session has missed. Resolves when it has left. */
  start(): Promise<Joined<Data>> {
    if (this.isReading) void this.#run();
    return this.#result.promise;
  }

  /** The session has left the room, or has ended. */
  cancel(): void {
    if (this.isReading) {
      this.#fail(
        this.#session.state === 'closed'
          ? new SessionClosedError('session.join')
          : new RoomRefusedError(this.#name, 'left'),
      );
    }
  }

  /** Takes a live message for the session. */
  take(publication: Publication<Data>): void {
    if (this.#state === 'over') return;
    if (this.isReading) return this.#hold(publication);
    if (!this.#lacksBefore(publication)) return this.#deliver(publication);
    // A live message was lost, and none came before this one that would have shown it.
    this.#state = 'reading';
    this.#hold(publication);
    this.#hasForgotten = true;
    void this.#catchUp();
  }

  /** Whether the session may lack a message before this one. */
  #lacksBefore({ position, previous }: Publication<Data>): boolean {
    const last = this.#last;
    if (position === undefined || position.epoch !== last?.epoch || this.#isUnread) return false;
    return (previous ?? position.offset - 1) > last.offset;
  }

  /** Whether the session may lack a message before those that wait. */
  #queueLacks(): boolean {
    const last = this.#last;
    const next = this.#queue.find(
      ({ position: at }) => at !== undefined && at.epoch === last?.epoch && at.offset > last.offset,
    );
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

  /** From now on the session gets its messages like the other members. */
  #joinOthers(): void {
    if (this.#audience?.resumeOf(this.#session) !== this) return;
    this.#audience.setResume(this.#session, undefined);
  }

  #fail(error: unknown): void {
    this.#state = 'over';
    this.#queue = [];
    this.#release(undefined);
    this.#result.reject(error);
  }

  async #run(): Promise<void> {
    const { isWhole, missed } = await this.#readFirst();
    if (!this.isReading) return;
    let first: PreparedMessage | undefined;
    try {
      first = this.#first(this.#joined(isWhole, missed));
    } catch (error) {
      this.#hub.joinFailed(this.#session, error);
      // `first` may have left, and joined again.
      if (!this.isReading) return;
      this.#fail(error);
      return this.#rooms.leave(this.#session, this.#name);
    }
    if (first !== undefined) await this.#send([first]);
    const sent = (await this.#sendPart()) + (await this.#catchUp());
    const joined = this.#joined(isWhole, sent);
    this.#hasPromised ||= joined.complete;
    this.#result.resolve(joined);
  }

  /**
   * Reads on while live messages are forgotten or missing. Then the session gets those that wait.
   *
   * @returns The number of messages that were sent from the history.
   */
  async #catchUp(): Promise<number> {
    let missed = 0;
    let before: number | undefined;
    while (this.isReading) {
      const isDue = this.#hasMore || this.#hasForgotten;
      if (!isDue && !this.#queueLacks()) break;
      const last = this.#last?.offset;
      // The history does not have it: another read would find no more.
      if (!isDue && last === before) this.#lose();
      before = last;
      if (this.isReading) missed += await this.#readOn();
    }
    if (this.isReading) this.#pass();
    return missed;
  }

  get #rooms(): Rooms<Data> {
    return this.#hub.rooms;
  }

  #joined(isWhole: boolean, missed: number): Joined<Data> {
    const complete = isWhole && !this.#hasLost;
    const position = this.#position?.offset === 0 ? NO_MESSAGE : this.#position;
    return Object.freeze({ room: this.#rooms.room(this.#name), complete, missed, position });
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
    const received = this.#rooms.reads.untilReceived(this.#name);
    const receives = received === undefined || (await received);
    try {
      const part =
        since === undefined ? await this.#readLast(limit ?? 0) : await this.#readSince(since);
      if (part === undefined) return { isWhole: receives && !this.#isTooMany, missed: 0 };
      const { isWhole, messages, hasMore, position } = part;
      const later = hasMore ? this.#rooms.reads.countAfter(this.#name, position) : 0;
      this.#position = { ...position, offset: position.offset + later };
      const hasAll = isWhole && receives && !this.#isTooMany;
      return { isWhole: hasAll, missed: messages.length + later };
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
    this.#last = isBehind ? since : position;
    this.#position = this.#last;
    return undefined;
  }

  async #readPosition(): Promise<Position> {
    const last = await this.#rooms.reads.position(this.#name);
    await this.#untilReturned();
    const before = this.#beforeLive(last);
    // Those of this node from before the join do not come live.
    this.#hasMore = before !== undefined && this.#rooms.engineKeeps;
    return before ?? last;
  }

  /** Resolves when the members have this node's own messages: a read may find them before that. */
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
    const start = since.epoch === NO_MESSAGE.epoch ? BEFORE_ALL : since;
    const part = await this.#read(start);
    const { length } = part.messages;
    // A position that the history has not reached yet: another history had it.
    const isLost = length === 0 && !part.isWhole && !isNext(part, start);
    if (limit === undefined) return isLost ? this.#read(BEFORE_ALL) : part;
    if (!isLost && !part.hasMore && length <= limit) return part;
    const last = await this.#readLast(limit);
    const hasAll = part.isWhole && last !== undefined && last.firstOffset! <= part.firstOffset!;
    if (hasAll) return this.#read(start);
    this.#isTooMany = true;
    return last;
  }

  /** Reads the messages after those of an earlier read. Returns the number of those that were sent. */
  async #readOn(): Promise<number> {
    this.#hasForgotten = false;
    const since = this.#last;
    try {
      const part = since && (await this.#read(since));
      if (!this.isReading) return 0;
      const isWhole = part?.isWhole === true && (part.leftOut === 0 || !this.#hasPromised);
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
    if (this.isReading) this.#hub.failedOften(READS_FAILED, error);
  }

  /** The session lacks a message after `first`: the client resumes again, and is told. */
  #lose(): void {
    void this.#session.close(CloseCode.TryAgainLater, 'missed too much');
  }

  /** Reads a part, for {@link #sendPart}. */
  async #read(since: Position | undefined, limit = ALL): Promise<MissedPart> {
    this.#release(undefined);
    // The session has left: no later call would give the turn back.
    if (!this.isReading) return NO_PART;
    this.#turn = this.#rooms.turns.take(this.#session);
    if (this.#turn.begins !== undefined) await this.#turn.begins.promise;
    // The session may have left meanwhile.
    if (!this.isReading) return NO_PART;
    const held = this.#rooms.missed.acquire(this.#name, since, limit);
    this.#held = held;
    const part = await held.part;
    if (!this.isReading) return part;
    const { messages, position } = part;
    this.#unsent = messages;
    this.#hasMore = part.hasMore;
    this.#hasLost ||= part.leftOut > 0;
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

  /** Sends the messages of a part. Returns their number. */
  async #sendPart(): Promise<number> {
    const { length } = this.#unsent;
    await this.#send(this.#unsent);
    if (!this.isReading) return 0;
    this.#release(undefined);
    return length;
  }

  /** Sends messages as fast as the client reads. */
  async #send(messages: readonly PreparedMessage[]): Promise<void> {
    const session = this.#session;
    const platform = platformOf(session.conn);
    let cost = 0;
    for (const message of messages) {
      cost += message.bytes.length + MESSAGE_COST;
      if (cost > TURN_COST) {
        cost = 0;
        // The connection knows whether it takes more when it has written.
        flushShared(platform);
        await new Promise<void>((resolve) => platform.yield(resolve));
      }
      let writable = session.untilWritable();
      while (writable !== undefined) {
        await writable;
        writable = session.untilWritable();
      }
      if (!this.isReading) return;
      session.deliver(message, undefined);
    }
  }

  /** Keeps a live message for the end of the read, within the bounds of slow sessions. */
  #hold(publication: Publication<Data>): void {
    const { maxQueuedMessages, maxQueuedBytes } = this.#hub.settings;
    this.#queue.push(publication);
    if (this.#options.since === undefined) this.#firstLive ??= publication;
    this.#queuedBytes += publication.message.bytes.length;
    if (this.#queue.length <= maxQueuedMessages && this.#queuedBytes <= maxQueuedBytes) return;
    // The history has the rest.
    const lost = this.#queue.filter(
      (each) => each.position === undefined && isFor(each, this.#session),
    ).length;
    this.#hasForgotten ||= lost < this.#queue.length;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (lost > 0) this.#hub.overflowed(this.#session, lost, 'drop-old');
  }

  /** The session has all missed messages: sends it the live ones. */
  #pass(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#state = 'passing';
    if (this.#last === undefined) this.#joinOthers();
    this.#queuedBytes = 0;
    for (const publication of queue) this.take(publication);
  }
}

/** Whether a part begins after a position, in its history. It may still lack messages of other nodes. */
function isNext({ firstOffset, position }: MissedPart, { epoch, offset }: Position): boolean {
  return position.epoch === epoch && (firstOffset ?? position.offset + 1) === offset + 1;
}
