import { CloseCode, type PreparedMessage } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import * as is from '@ws/rpc/internal/following';
import { Follower, type FollowerAct, type LogPart } from '@ws/rpc/internal/following';
import { prepareResult } from '../arguments.ts';
import { type Audience, isFor, type Publication } from '../delivery/audience.ts';
import { RoomRefusedError, SessionClosedError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { HeldShare } from './held-share.ts';
import { JoinStates } from './join-states.ts';
import type { JoinOptions, MissedCount } from './joins.ts';
import { brokenStep, type Item, MAX_STATES, MemberLog, rulesOf } from './member-log.ts';
import type { Joined } from './room.ts';
import type { RoomState } from './room-states.ts';
import type { Rooms } from './rooms.ts';

/** Least time between two gaps or states of a live member, and the wait for a late copy, in ms. */
const WAIT_MS = 1_000;

/**
 * A member that follows the history of a room: it gets the missed messages at the pace of its connection,
 * then the live messages, and no message twice. The table of {@link Follower} decides what is next. A member
 * with all messages needs no cursor, so the cursor steps aside.
 */
export class Cursor<Data> {
  readonly #hub: Sessions<Data>;
  readonly #rooms: Rooms<Data>;
  readonly #session: Session<Data>;
  readonly #name: string;
  readonly #options: JoinOptions<Data>;
  readonly #result = new Deferred<Joined<Data>>();
  #follower: Follower<Item<Data>>;
  #audience: Audience<Data> | undefined;
  readonly #log: MemberLog<Data>;
  /** The states of the join; undefined before the first. */
  #states: JoinStates<Data> | undefined;
  /** What the client takes next, at its pace. */
  #out: PreparedMessage[] = [];
  /** Set while {@link #out} has a state. */
  #state: RoomState | undefined;
  /** The result's position. */
  #position: Position | undefined;
  readonly #sent: MissedCount;
  /** Whether the client does not get a missed message, so that `complete` is false. */
  #lacks = false;
  /** Whether the join has its result. */
  #isAnswered = false;
  /** Whether the option `first` was called. */
  #hasBegun = false;
  /** The events that wait for the end of the acts of another one. */
  #events: (readonly [event: number, value: unknown])[] | undefined;
  #isSending = false;
  readonly #held: HeldShare;
  /** When the last gap or state was sent to a live member. */
  #toldAt = -WAIT_MS;
  #cancelWait: (() => void) | undefined;
  /** Number of the reads and states that were begun. The result of an earlier one comes too late. */
  #asked = 0;
  /**
   * Set while other sessions must not see the member, because no state was sent to the member. `shown`
   * is the member's info.
   */
  hidden: { shown: string | undefined } | undefined;
  /** Whether the session was a member before the join, and stays one if no state comes. */
  wasMember = false;

  /** @param behind - The message for which the session of a member had no room, see {@link fallBehind}. */
  constructor(
    hub: Sessions<Data>,
    session: Session<Data>,
    name: string,
    options: JoinOptions<Data>,
    sent: MissedCount,
    behind?: Item<Data>,
  ) {
    this.#sent = sent;
    this.#hub = hub;
    this.#rooms = hub.rooms;
    this.#session = session;
    this.#name = name;
    this.#options = options;
    this.#log = new MemberLog(hub, session, name);
    this.#held = new HeldShare(session);
    const asks = hub.rooms.settingsOf(name).state !== undefined;
    const rules = rulesOf(asks, hub.rooms.gapText !== undefined);
    if (behind !== undefined) {
      this.#isAnswered = this.#hasBegun = true;
      this.#follower = new Follower(rules, is.LIVE, is.before(behind));
      return;
    }
    const { since } = options;
    const state = asks && since === undefined ? is.ASKING : is.READING;
    this.#follower = new Follower(rules, state, this.#log.exists ? since : undefined);
  }

  /** Whether the join has no answer yet. */
  get isJoining(): boolean {
    return this.#follower.state !== is.OVER && this.#follower.knows !== is.ANSWERED;
  }

  /** From now on the cursor takes the live messages of the member. */
  hold(audience: Audience<Data>): void {
    this.#audience = audience;
    const earlier = audience.cursorOf(this.#session);
    if (earlier !== undefined) this.#continue(earlier);
    audience.setCursor(this.#session, this);
    this.#hub.link?.joined(this.#name, this.#session, true);
  }

  /**
   * Called for a member that had all messages before `item`, and has no room for this one. When its client
   * has read what waits, it gets the rest from the history.
   */
  async fallBehind(audience: Audience<Data>, item: Item<Data>): Promise<void> {
    this.#audience = audience;
    audience.setCursor(this.#session, this);
    this.#isSending = true;
    this.#feed(is.FULL);
    this.take(item);
    await this.#rooms.sends.untilWritable(this.#session);
    this.#isSending = false;
    if (this.#follower.state === is.GIVING) this.#feed(is.DRAINED);
  }

  /** Takes what an earlier cursor of the member holds, doubts and owes. */
  #continue(earlier: Cursor<Data>): void {
    // The last messages are read anew. An earlier cursor that is live holds and owes nothing.
    if (this.#options.limit !== undefined && !earlier.#follower.holds) return earlier.cancel();
    const own = this.#follower;
    this.#follower = earlier.#follower;
    own.step(is.LEAVE);
    earlier.#follower = own;
    earlier.#stop();
    this.#held.update(this.#follower.held);
  }

  /** Asks for a state, if the join begins with one. Then call {@link hold} or {@link cancel}. */
  askForState(): Promise<void> | undefined {
    if (this.#follower.state !== is.ASKING) return undefined;
    this.#states = new JoinStates(this.#rooms.states, this.#session, this.#name);
    return this.#states.ask();
  }

  /** Sends the missed messages. Resolves when all of them are sent. */
  start(): Promise<Joined<Data>> {
    const { state, knows } = this.#follower;
    if (knows === is.ANSWERED) this.#feed(is.AGAIN, this.#options.since);
    else if (state !== is.OVER) this.#doAll(this.#follower.begin());
    return this.#result.promise;
  }

  /** Called when the session has left the room, or has ended. */
  cancel(): void {
    this.#feed(is.LEAVE);
  }

  /** Takes a live message for the session. Without `message`, the room has reported a gap for it. */
  take(item: Item<Data>): void {
    const { state, holds } = this.#follower;
    if (state === is.OVER) return;
    if (!holds) {
      const isAhead = this.#follower.columnOf(is.MESSAGE, item) === is.AHEAD;
      // If the session is leaving the room, its next join brings the rest.
      if (isAhead && !this.#session.isIn(this.#name)) return this.cancel();
      return this.#feed(is.MESSAGE, item);
    }
    const hasRoom = this.#held.hasRoomFor(item, this.#hub.settings);
    if (hasRoom) this.#feed(is.MESSAGE, item);
    else if (item.position !== undefined) this.#feed(is.EXCESS, item);
    else if (isFor(item, this.#session)) this.#session.overflowHeld(1);
  }

  /** Handles an event now, or after the acts of the present one. */
  #feed(event: number, value?: unknown): void {
    if (this.#events === undefined) this.#doAll(this.#step(event, value));
    else this.#events.push([event, value]);
  }

  #step(event: number, value: unknown): FollowerAct[] {
    const acts = this.#follower.step(event, value);
    this.#held.update(this.#follower.held);
    return acts;
  }

  #doAll(acts: readonly FollowerAct[]): void {
    const events: (readonly [event: number, value: unknown])[] = [];
    this.#events = events;
    let due: readonly FollowerAct[] | undefined = acts;
    try {
      while (due !== undefined) {
        for (const [act, value] of due) this.#do(act, value);
        const next = events.shift();
        due = next && this.#step(...next);
      }
    } finally {
      this.#events = undefined;
    }
    if (this.#follower.state === is.GIVING && !this.#isSending) void this.#send();
  }

  #do(act: number, value: unknown): void {
    switch (act) {
      case is.DO_GIVE:
        for (const item of value as Item<Data>[]) this.#deliver(item);
        return;
      case is.DO_PART:
        for (const item of value as Item<Data>[]) this.#addMissed(item);
        return;
      case is.DO_STATE:
        return this.#addState(value as RoomState);
      case is.DO_READ:
        // What follows a state is read at once.
        return this.#after(this.#states ? -WAIT_MS : this.#toldAt, () => void this.#read());
      case is.DO_READ_LATER:
        return this.#after(this.#hub.platform.now(), () => void this.#read());
      case is.DO_ASK:
        return this.#after(this.#toldAt, () => void this.#ask());
      case is.DO_GAP:
        return this.#addGap(value as Position | undefined);
      case is.DO_BLIND:
        this.#rooms.states.markUnsure(this.#name);
        return this.#live(false);
      case is.DO_LIVE:
        return this.#live(value === true);
      case is.DO_KEEP:
        return this.#keep(value);
      case is.DO_LOSE:
        return this.#lose();
      case is.DO_REFUSE:
        return this.#refuse(value);
      case is.DO_LEAVE:
        return this.#leave();
      case is.DO_BREAK:
        return this.#break(value as [number, number, string]);
    }
  }

  #deliver(item: Item<Data>): void {
    const { message, position } = item;
    const audience = this.#audience!;
    const next = audience.cursorOf(this.#session);
    // The session had no room for an earlier message.
    if (next !== undefined && next !== this) return next.take(item);
    if (message !== undefined && isFor(item, this.#session)) {
      audience.give(this.#session, item as Publication<Data>);
    }
    // The session is up to date: from now on it gets its messages directly, as other members do.
    if (position !== undefined && this.#follower.state === is.LIVE) this.#stepAside();
  }

  /** Adds a message to what the client takes at its pace. */
  #addMissed(item: Item<Data>): void {
    const { message, isLost } = item;
    if (isLost === true) this.#addGap(item.position && is.before(item));
    else if (message !== undefined && isFor(item, this.#session)) {
      this.#out.push(message);
      this.#sent.missed++;
    }
  }

  /** The state replaces what the client has. */
  #addState(state: RoomState): void {
    this.#sent.missed = 0;
    this.#lacks = false;
    this.#state = state;
    this.#out.push(state.message);
    if (this.#isAnswered) this.#toldAt = this.#hub.platform.now();
  }

  /** Reports a gap to a member that was live. Before, the join's answer reports it. */
  #addGap(from: Position | undefined): void {
    if (!this.#isAnswered) {
      this.#lacks = true;
      return;
    }
    const gap = this.#rooms.gapText?.(this.#name, from);
    if (gap === undefined) return;
    if (this.#follower.state === is.GIVING) this.#out.push(gap);
    else this.#session.deliver(gap, undefined);
    if (this.#isAnswered) this.#toldAt = this.#hub.platform.now();
  }

  /** Runs `run`, {@link WAIT_MS} after `start` or now. */
  #after(start: number, run: () => void): void {
    const { platform } = this.#hub;
    const ms = start + WAIT_MS - platform.now();
    this.#cancelWait?.();
    if (ms <= 0) run();
    else this.#cancelWait = platform.setTimer(ms, run);
  }

  async #read(): Promise<void> {
    const isDue = this.#dueIn(is.READING);
    let part: LogPart<Item<Data>>;
    try {
      part = await this.#readPart(isDue);
    } catch (error) {
      this.#log.release(error);
      if (!isDue()) return;
      this.#hub.reportTogether('reads of missed messages failed', error);
      this.#position = undefined;
      // A room with a state gets a state instead.
      const isAnswer = this.#follower.columnOf(is.AGAIN, undefined) === is.AGAIN;
      if (isAnswer && !this.#begin(false, undefined)) return;
      for (const message of this.#out.splice(0)) this.#session.deliver(message, undefined);
      return this.#feed(is.FAILED);
    }
    if (isDue()) this.#feed(is.PART, part);
  }

  async #readPart(isDue: () => boolean): Promise<LogPart<Item<Data>>> {
    const { since, limit = 0 } = this.#options;
    if (!this.#log.exists) {
      // From the answer to the join on, the session gets what other nodes publish.
      await this.#hub.withLink((link) => link.untilSubscribed(this.#name));
      return { messages: [], position: undefined, end: undefined, isWhole: since === undefined };
    }
    const isVisit = this.#follower.last === undefined;
    const part = await this.#log.read(this.#follower, limit, this.#audience, isDue);
    if (isVisit && limit === 0) return part;
    this.#lacks ||= this.#states === undefined && this.#rooms.reads.lacksUnkept(this.#name);
    if (!isVisit) return part;
    // A first visit lacks what the history has before its last messages, but has no gap in them.
    this.#lacks ||= !part.isWhole;
    return { ...part, isWhole: true };
  }

  /** Whether the follower still waits for what begins now. */
  #dueIn(state: number): () => boolean {
    const id = ++this.#asked;
    return () => id === this.#asked && this.#follower.state === state;
  }

  async #ask(): Promise<void> {
    const isDue = this.#dueIn(is.ASKING);
    this.#log.release(undefined);
    this.#out = [];
    // The history lacks messages after the last state.
    if (this.#follower.tries > 1) this.#rooms.states.markStale(this.#name);
    this.#states ??= new JoinStates(this.#rooms.states, this.#session, this.#name);
    let state: RoomState | undefined;
    try {
      state = await this.#states.next();
    } catch (error) {
      if (isDue()) this.#failBegin(error);
      return;
    }
    if (state === undefined || !isDue()) return;
    const { position } = state;
    if (this.#begin(position !== undefined, position) && isDue()) this.#feed(is.STATE, state);
  }

  /**
   * Calls the option `first`, unless it was called before.
   *
   * @returns Whether the join continues: within `first`, the session may have left.
   */
  #begin(complete: boolean, position: Position | undefined): boolean {
    const follower = this.#follower;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      try {
        const data: unknown = this.#options.first?.(this.#joined(complete, position));
        if (data !== undefined) this.#out.unshift(prepareResult(data, 'first'));
      } catch (error) {
        if (follower === this.#follower) this.#failBegin(error);
        return false;
      }
    }
    return follower === this.#follower && follower.state !== is.OVER;
  }

  /** The join fails with an error of the application. */
  #failBegin(error: unknown): void {
    this.#hub.joinFailed(this.#session, error);
    const { state, tries } = this.#follower;
    // After a state, a member that stays would lack messages.
    const stays = this.wasMember && state === is.ASKING && tries === 1;
    this.#feed(stays ? is.KEPT : is.REFUSED, { error });
  }

  /** Sends what was given, at the pace of the client. */
  async #send(): Promise<void> {
    this.#isSending = true;
    const follower = this.#follower;
    const isGiving = (): boolean => follower === this.#follower && follower.state === is.GIVING;
    const isState = this.#state !== undefined;
    this.#state = undefined;
    this.#position = follower.last;
    if (!isState) {
      const isBegun = this.#begin(!follower.isCut, follower.last);
      if (isBegun) this.#announce();
      // A gap before the first part can no longer be reported.
      if (isGiving()) this.#feed(is.PROMISED);
    }
    if (isGiving()) await this.#rooms.sends.send(this.#session, this.#out.splice(0), isGiving);
    this.#isSending = false;
    if (!isGiving()) return;
    if (isState) {
      this.#states!.sent();
      this.#announce();
    } else this.#log.release(undefined);
    if (isGiving()) this.#feed(is.DRAINED);
  }

  #joined(complete: boolean, position: Position | undefined): Joined<Data> {
    const room = this.#rooms.room(this.#name);
    return Object.freeze({ room, complete: complete && !this.#lacks, position });
  }

  /** Shows the member to others, from its first part or state on. */
  #announce(): void {
    const { hidden } = this;
    this.hidden = undefined;
    if (hidden !== undefined) this.#rooms.announce(this.#session, this.#name, hidden.shown);
  }

  #live(complete: boolean): void {
    this.#endRequests();
    this.#announce();
    this.#result.resolve(this.#joined(complete, this.#position));
    this.#isAnswered = true;
    this.#stepAsideLater();
  }

  /** The join fails, and the session stays a member. */
  #keep(value: unknown): void {
    this.#endRequests();
    this.#result.reject((value as { readonly error: unknown }).error);
    this.#isAnswered = true;
    this.#stepAsideLater();
  }

  #endRequests(): void {
    this.#log.release(undefined);
    this.#states?.cancel();
    this.#states = undefined;
  }

  /** Ends the cursor when no message comes that the member already has. */
  #stepAsideLater(): void {
    const { last } = this.#follower;
    if (last === undefined) return this.#stepAside();
    const known = this.#rooms.crosses ? this.#rooms.reads.knownPosition(this.#name) : last;
    if (is.isUpTo(last, known)) void this.#endAfterDelivery();
  }

  /** Ends the cursor when the members have all messages from before the read. */
  async #endAfterDelivery(): Promise<void> {
    await this.#audience?.done;
    const { state } = this.#follower;
    if (state === is.LIVE || state === is.OPEN) this.#stepAside();
  }

  /** From now on the session gets its messages directly, as other members do. */
  #stepAside(): void {
    if (this.#audience?.cursorOf(this.#session) !== this) return;
    this.#audience.setCursor(this.#session, undefined);
  }

  #refuse(value: unknown): void {
    const given = value as { readonly error: unknown } | undefined;
    const text = `its history does not reach back to ${MAX_STATES} states (option history.size)`;
    const error = given === undefined ? new RoomRefusedError(this.#name, text) : given.error;
    this.#hub.joinFailed(this.#session, error);
    // Without the rest, what the client has is not whole.
    const isLoss = this.#isAnswered || (this.wasMember && given === undefined);
    if (isLoss) return this.#lose(error);
    this.#fail(error);
    this.#rooms.leave(this.#session, this.#name);
  }

  /** The client must come again with its position. */
  #lose(error: unknown = new SessionClosedError('session.join')): void {
    this.#fail(error);
    void this.#session.close(CloseCode.TryAgainLater, 'missed too much');
  }

  #leave(): void {
    const isClosed = this.#session.state === 'closed';
    this.#fail(
      isClosed ? new SessionClosedError('session.join') : new RoomRefusedError(this.#name, 'left'),
    );
  }

  #fail(error: unknown): void {
    this.#stop();
    this.#result.reject(error);
  }

  #stop(): void {
    this.#endRequests();
    this.#cancelWait?.();
    this.#out = [];
    this.#held.update(this.#follower.held);
  }

  /** A fault of the table: the member must come again. */
  #break(step: [number, number, string]): void {
    this.#hub.failed(this.#session, brokenStep(step));
    this.#lose();
  }
}
