import { CloseCode, type PreparedMessage } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { prepareResult } from '../arguments.ts';
import { type Audience, isFor, type Publication } from '../delivery/audience.ts';
import { RoomRefusedError, SessionClosedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { HeldMessages } from './held-messages.ts';
import { HeldPart } from './held-part.ts';
import { JoinStates } from './join-states.ts';
import type { JoinOptions } from './joins.ts';
import { isNext, type MissedPart } from './missed-parts.ts';
import type { Joined } from './room.ts';
import type { RoomState } from './room-states.ts';
import type { Rooms } from './rooms.ts';

/** Bound of the states of a join. The join is refused when the history reaches back to none of them. */
const MAX_STATES = 3;
/** A position of another history. A read from it begins with the oldest message of the present epoch. */
const BEFORE_ALL: Position = { epoch: 'none', offset: 0 };

/**
 * A join that loses no message: the session gets the missed messages, then the live messages, and no
 * message twice.
 *
 * The resume reads the history in parts. It reads the next part when the connection has taken the last
 * part. Meanwhile live messages wait in a queue. If too many wait, the resume empties the queue and
 * reads them from the history later. It also reads on when messages are missing before the next live
 * message: no channel sees a loss before its first message.
 */
export class Resume<Data> {
  /**
   * `reading`: the session still lacks missed messages. `live`: the session gets live messages, except
   * those that it already has from the history. `over`: the resume has ended.
   */
  #state: 'reading' | 'live' | 'over' = 'reading';
  readonly #hub: Sessions<Data>;
  readonly #rooms: Rooms<Data>;
  readonly #session: Session<Data>;
  readonly #name: string;
  #options: JoinOptions<Data>;
  readonly #result = new Deferred<Joined<Data>>();
  #audience: Audience<Data> | undefined;
  readonly #live: HeldMessages<Data>;
  /** Without `since`: the first live message. The first read may find it too. */
  #firstLive: Publication<Data> | undefined;
  /** Whether to read again: the queue was emptied, or lacks a message, since the start of the latest read. */
  #mustReread = false;
  /** The part that this resume reads or sends. */
  readonly #part: HeldPart<Data>;
  /** Whether the history may have messages after the latest part. */
  #hasMore = false;
  /** The session has all messages up to this position; undefined if the position is unknown. */
  #last: Position | undefined;
  /** Whether the history was not read: the session may lack messages after `#last`. */
  #isUnread = false;
  /** Whether the session has missed more messages than the option `limit` allows. */
  #exceedsLimit = false;
  /** Whether the session does not get a missed message, perhaps because `form` has failed. */
  #hasLost = false;
  /** Whether `first` or the join's result has said that no message is missing. */
  #saidWhole = false;
  /** The `position` of the result: that of the last missed message, if known. */
  #position: Position | undefined;
  /** Whether the room has the option `state`. */
  readonly #hasState: boolean;
  /** The states of this join; undefined if it needs none. */
  #states: JoinStates<Data> | undefined;
  /** Whether the join gets another state after a loss. Otherwise a loss ends the connection. */
  #retriesState = false;
  /** Whether the history lacks messages after the latest state of this join. */
  #isStateTooOld = false;
  /**
   * Set while other sessions must not see the member, because no state was sent to the member. `shown`
   * is the member's info.
   */
  hidden: { shown: string | undefined } | undefined;
  /** Set for a session that was a member before this join, with its resume of that time. */
  membership: { readonly earlier: Resume<Data> | undefined } | undefined;

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
    this.#part = new HeldPart(hub.rooms, session, name);
  }

  /** Whether the session still lacks missed messages. */
  get isReading(): boolean {
    return this.#state === 'reading';
  }

  #announce(): void {
    const { hidden } = this;
    this.hidden = undefined;
    if (hidden !== undefined) this.#rooms.announce(this.#session, this.#name, hidden.shown);
  }

  /** From now on the live messages of the member wait in the queue. */
  hold(audience: Audience<Data>): void {
    this.#audience = audience;
    audience.setResume(this.#session, this);
    this.#hub.link?.joined(this.#name, this.#session, true);
  }

  /** Asks for a state, if the join begins with one. Then call {@link hold} or {@link cancel}. */
  askForState(): Promise<void> | undefined {
    if (!this.#hasState || this.#options.since !== undefined) return undefined;
    this.#states = new JoinStates(this.#rooms.states, this.#session, this.#name);
    return this.#states.ask();
  }

  /** Sends the missed messages. Resolves when all of them are sent. */
  start(): Promise<Joined<Data>> {
    if (this.isReading) void this.#join();
    return this.#result.promise;
  }

  /** Called when the session has left the room, or has ended. */
  cancel(): void {
    if (!this.isReading) this.#state = 'over';
    else if (this.#session.state === 'closed') this.#fail(new SessionClosedError('session.join'));
    else this.#fail(new RoomRefusedError(this.#name, 'left'));
  }

  /** Called when `form` has failed for a live message. The room has reported a gap to its members. */
  skip({ epoch, offset }: Position, previous: number = offset - 1): void {
    if (this.#state === 'live' && this.#last?.epoch === epoch && this.#hasUpTo(previous)) {
      this.#last = { epoch, offset };
      return;
    }
    this.#live.skip(offset, previous);
  }

  /** Whether the session has all messages up to an offset, except those that `form` has skipped. */
  #hasUpTo(offset: number): boolean {
    return this.#live.hasSkippedAll(this.#last!.offset, offset);
  }

  /** Takes a live message for the session. */
  take(publication: Publication<Data>): void {
    if (this.#state === 'over') return;
    if (this.isReading) return this.#queue(publication);
    if (!this.#lacksBefore(publication)) return this.#deliver(publication);
    // If the session is leaving the room, its next join brings the rest.
    if (!this.#session.isIn(this.#name)) return this.cancel();
    // A live message was lost. Reads on, because no gap has reported the loss.
    this.#state = 'reading';
    this.#queue(publication);
    this.#mustReread = true;
    void this.#catchUp();
  }

  /** Whether the session may lack a message before this one. */
  #lacksBefore({ position, previous }: Publication<Data>): boolean {
    const last = this.#last;
    if (position === undefined || position.epoch !== last?.epoch || this.#isUnread) return false;
    return !this.#hasUpTo(previous ?? position.offset - 1);
  }

  /** Whether the session may lack a message before the waiting live messages. */
  #queueLacks(): boolean {
    const next = this.#live.nextAfter(this.#last);
    return next !== undefined && this.#lacksBefore(next);
  }

  /** Sends a live message that the session does not have yet. */
  #deliver(publication: Publication<Data>): void {
    const last = this.#last;
    const { message, key, position } = publication;
    if (position !== undefined && last !== undefined) {
      if (position.epoch === last.epoch && position.offset <= last.offset) return;
      this.#last = undefined;
      this.#stepAside();
    }
    if (isFor(publication, this.#session)) this.#session.deliver(message, key);
  }

  /** From now on the session gets its messages directly, as other members do. */
  #stepAside(): void {
    if (this.#audience?.resumeOf(this.#session) !== this) return;
    this.#audience.setResume(this.#session, undefined);
  }

  #fail(error: unknown): void {
    this.#state = 'over';
    this.#live.takeAll();
    this.#part.release(undefined);
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
    this.#saidWhole ||= joined.complete;
    this.#result.resolve(joined);
  }

  /** Refuses the join, and ends the membership. */
  #refuse(error: unknown): void {
    // Within a function of the application, the session may have left the room and joined it again.
    if (!this.isReading) return;
    this.#fail(error);
    this.#rooms.leave(this.#session, this.#name);
  }

  /** Sends the state of the room, and the messages after its position. */
  async #joinWithState(): Promise<void> {
    this.#states ??= new JoinStates(this.#rooms.states, this.#session, this.#name);
    try {
      for (let i = 0; i < MAX_STATES; i++) {
        this.#part.release(undefined);
        const state = await this.#states.next();
        const follows = state !== undefined && (await this.#readAfterState(state.position));
        if (!this.isReading) return;
        if (follows && (await this.#sendState(state, i === 0))) return;
      }
      const text = `its history does not reach back to ${MAX_STATES} states (option history.size)`;
      throw new RoomRefusedError(this.#name, text);
    } catch (error) {
      if (this.isReading) this.#hub.joinFailed(this.#session, error);
      if (this.isReading && this.membership !== undefined) this.#keepMember(error);
      else this.#refuse(error);
    }
  }

  /** Rejects the join of a session that was a member before, and stays one. */
  #keepMember(error: unknown): void {
    const queue = this.#live.takeAll();
    const { earlier } = this.membership!;
    // After a state, or with an emptied queue, the session lacks messages.
    const isWhole = !this.#saidWhole && !this.#mustReread;
    this.#fail(error);
    if (!isWhole) return this.#lose();
    this.#audience!.setResume(this.#session, earlier);
    for (const publication of queue) {
      if (earlier !== undefined) earlier.take(publication);
      else if (isFor(publication, this.#session)) {
        this.#session.deliver(publication.message, publication.key);
      }
    }
  }

  /**
   * Sends a state, and the messages after it.
   *
   * @returns False when the history no longer has all of these messages.
   */
  async #sendState({ message, position }: RoomState, isFirst: boolean): Promise<boolean> {
    const isKnown = position !== undefined;
    const first = isFirst ? this.#first(this.#joined(isKnown, 0)) : undefined;
    await this.#send(first === undefined ? [message] : [first, message]);
    this.#states!.sent();
    if (this.isReading) this.#announce();
    this.#saidWhole = this.#retriesState = true;
    const sent = (await this.#sendPart()) + (isKnown ? await this.#catchUp() : 0);
    this.#retriesState = false;
    if (this.isReading && this.#isStateTooOld) return false;
    if (this.isReading) {
      this.#rooms.states.markUnsure(this.#name);
      this.#goLive();
    }
    this.#result.resolve(this.#joined(isKnown, sent));
    return true;
  }

  /** Reads the first part of the messages after a state. Returns false if the history lacks some of them. */
  async #readAfterState(position: Position | undefined): Promise<boolean> {
    this.#isStateTooOld = this.#hasLost = false;
    this.#isUnread = position === undefined;
    this.#last = this.#position = position;
    if (position === undefined) return true;
    const countBefore = this.#live.count;
    try {
      const { isWhole, leftOut } = await this.#read(position);
      if (!this.isReading) return false;
      if (isWhole && leftOut.length === 0) {
        this.#live.dropOlder(countBefore, position.epoch);
        return true;
      }
    } catch (error) {
      this.#readFailed(error);
    }
    if (this.isReading) this.#rooms.states.markStale(this.#name);
    return false;
  }

  /**
   * Reads and sends parts until the history has no more, the queue was not emptied meanwhile, and no
   * message is missing before the queue. Then sends the queue.
   *
   * @returns Number of the messages that were sent from the history.
   */
  async #catchUp(): Promise<number> {
    let missed = 0;
    let lastBefore: number | undefined;
    while (this.isReading && !this.#isStateTooOld) {
      const isDue = this.#hasMore || this.#mustReread;
      if (!isDue && !this.#queueLacks()) break;
      const last = this.#last?.offset;
      // If the last read has found nothing new, another one would not find the missing message either.
      if (!isDue && last === lastBefore) this.#lose();
      lastBefore = last;
      if (this.isReading && !this.#isStateTooOld) missed += await this.#readOn();
    }
    if (this.isReading && !this.#isStateTooOld) this.#goLive();
    return missed;
  }

  #joined(isWhole: boolean, missed: number): Joined<Data> {
    const complete = isWhole && !this.#hasLost;
    const room = this.#rooms.room(this.#name);
    return Object.freeze({ room, complete, missed, position: this.#position });
  }

  /** Calls the option `first`. Returns the message to send before the missed ones. */
  #first(joined: Joined<Data>): PreparedMessage | undefined {
    const data: unknown = this.#options.first?.(joined);
    this.#saidWhole = joined.complete && data !== undefined;
    return data === undefined ? undefined : prepareResult(data, 'first');
  }

  /**
   * Reads the first part of the missed messages. If the history cannot be read, the result is not
   * whole.
   */
  async #readFirst(): Promise<{ readonly isWhole: boolean; readonly missed: number }> {
    const { since, limit } = this.#options;
    if (this.#hub.settings.room(this.#name).history === undefined) {
      // From the answer to the join on, the session gets what other nodes publish.
      await this.#hub.withLink((link) => link.untilSubscribed(this.#name));
      return { isWhole: since === undefined, missed: 0 };
    }
    try {
      const part =
        since === undefined ? await this.#readLast(limit ?? 0) : await this.#readSince(since);
      if (part === undefined) return { isWhole: !this.#exceedsLimit, missed: 0 };
      const { isWhole, messages, hasMore, position } = part;
      const later = hasMore ? this.#rooms.reads.countAfter(this.#name, position) : 0;
      this.#position = { ...position, offset: position.offset + later };
      const mayLack = this.#exceedsLimit || this.#rooms.reads.lacksUnkept(this.#name);
      return { isWhole: isWhole && !mayLack, missed: messages.length + later };
    } catch (error) {
      this.#readFailed(error);
      // Messages up to `since` may still arrive, and must not be sent again.
      this.#last = since;
      this.#isUnread = true;
      return { isWhole: false, missed: 0 };
    }
  }

  /** Reads the last `limit` messages; for 0, only the position of the last one. */
  async #readLast(limit: number): Promise<MissedPart | undefined> {
    if (limit > 0) {
      const part = await this.#read(undefined, limit);
      await this.#untilReturned();
      const { firstOffset = 0, position } = part;
      const before = this.#beforeLive({ ...position, offset: firstOffset - 1 });
      return before === undefined ? part : this.#read(before);
    }
    this.#part.release(undefined);
    this.#hasMore = false;
    const position = this.#rooms.reads.knownPosition(this.#name) ?? (await this.#readPosition());
    const { since } = this.#options;
    // The client may come from a node that is ahead of this node.
    const isLater = since?.epoch === position.epoch && since.offset > position.offset;
    this.#last = this.#position = isLater ? since : position;
    return undefined;
  }

  /** Reads the position of the last message, or of the one before the first live message. */
  async #readPosition(): Promise<Position> {
    const last = await this.#rooms.reads.position(this.#name);
    await this.#untilReturned();
    const before = this.#beforeLive(last);
    // Messages that this node published before the join do not arrive live.
    this.#hasMore = before !== undefined && this.#rooms.crosses;
    return before ?? last;
  }

  /** Waits until members have the messages of this node that the read may have found already. */
  async #untilReturned(): Promise<void> {
    await this.#hub.link?.untilReturned(this.#name);
    await this.#audience?.done;
  }

  /** The position before the first live message; undefined if that message comes after `last`. */
  #beforeLive(last: Position): Position | undefined {
    const { position, previous } = this.#firstLive ?? {};
    if (position?.epoch !== last.epoch || position.offset > last.offset) return undefined;
    return { epoch: last.epoch, offset: previous ?? position.offset - 1 };
  }

  /** Reads the messages after `since`, or the last ones of them if they exceed the option `limit`. */
  async #readSince(since: Position): Promise<MissedPart | undefined> {
    const { limit } = this.#options;
    const part = await this.#read(since);
    const { length } = part.messages;
    // The history has not reached `since` yet, so `since` is of another history.
    const isGone = length === 0 && !part.isWhole && !isNext(part, since);
    if (limit === undefined) return isGone ? this.#read(BEFORE_ALL) : part;
    if (!isGone && !part.hasMore && length <= limit) return part;
    const last = await this.#readLast(limit);
    const hasAll = part.isWhole && last !== undefined && last.firstOffset! <= part.firstOffset!;
    if (hasAll) return this.#read(since);
    this.#exceedsLimit = true;
    return last;
  }

  /** Reads the next part, and sends it. Returns the number of messages that were sent. */
  async #readOn(): Promise<number> {
    this.#mustReread = false;
    const since = this.#last;
    try {
      const part = since && (await this.#read(since));
      if (!this.isReading) return 0;
      // For a message that `form` has skipped, the room has already reported a gap.
      const isReported = (offset: number): boolean => this.#live.hasSkipped(offset);
      const isWhole =
        part?.isWhole === true && (!this.#saidWhole || part.leftOut.every(isReported));
      // A loss is allowed as long as the join can still resolve to `complete: false`.
      const mayLose = part !== undefined && !this.#saidWhole && isNext(part, since!);
      if (isWhole || mayLose) {
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
    this.#part.release(error);
    if (this.isReading) this.#hub.reportTogether('reads of missed messages failed', error);
  }

  /** The session cannot get a message that it should get: it needs another state, or must resume again. */
  #lose(): void {
    if (this.#retriesState) this.#isStateTooOld = true;
    else void this.#session.close(CloseCode.TryAgainLater, 'missed too much');
  }

  /** Reads a part, for {@link #sendPart}. */
  async #read(since: Position | undefined, limit = Number.MAX_SAFE_INTEGER): Promise<MissedPart> {
    const part = await this.#part.read(since, limit, () => this.isReading);
    if (!this.isReading) return part;
    const { position } = part;
    this.#hasMore = part.hasMore;
    this.#hasLost ||= part.leftOut.length > 0;
    this.#last = position;
    this.#position = position;
    return part;
  }

  /** Sends the messages of a part, after `first`. Returns their number. */
  async #sendPart(first?: PreparedMessage): Promise<number> {
    const { unsent } = this.#part;
    await this.#send(first === undefined ? unsent : [first, ...unsent]);
    if (!this.isReading) return 0;
    this.#part.release(undefined);
    return unsent.length;
  }

  /** Sends messages as fast as the client reads. */
  #send(messages: readonly PreparedMessage[]): Promise<void> {
    return this.#rooms.sends.send(this.#session, messages, () => this.isReading);
  }

  /** Queues a live message until the end of the read, within the session's `maxQueued…` bounds. */
  #queue(publication: Publication<Data>): void {
    if (this.#options.since === undefined) this.#firstLive ??= publication;
    if (this.#live.add(publication)) return;
    // Above the bounds, empties the queue: the history has these messages, unless they have no position.
    const queue = this.#live.takeAll();
    const lost = queue.filter((each) => !each.position && isFor(each, this.#session)).length;
    this.#mustReread ||= lost < queue.length;
    if (lost > 0) this.#session.overflowHeld(lost);
  }

  /** Called when the session has all missed messages. Sends the live messages of the queue. */
  #goLive(): void {
    const queue = this.#live.takeAll();
    this.#state = 'live';
    this.#options = {};
    if (this.#last === undefined) this.#stepAside();
    for (const publication of queue) this.take(publication);
    if (!this.#mayComeLate) void this.#endAfterDelivery();
  }

  /** Whether live messages may still arrive that the session already has from the history. */
  get #mayComeLate(): boolean {
    if (!this.#rooms.crosses) return false;
    const [last, known] = [this.#last, this.#rooms.reads.knownPosition(this.#name)];
    return last === undefined || known?.epoch !== last.epoch || known.offset < last.offset;
  }

  /** Ends the resume when the members have all messages from before the read. */
  async #endAfterDelivery(): Promise<void> {
    await this.#audience?.done;
    if (this.#state !== 'live') return;
    this.#stepAside();
    this.#state = 'over';
  }
}
