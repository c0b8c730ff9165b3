import { Message, type MessageData, type PreparedMessage } from '@ws/conn';
import { checked, onRejection, RESOLVED, rejected } from '@ws/conn/internal';
import { checkNoEvent, checkRoomName, jsonOf, prepareResult } from '../arguments.ts';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import type { Arrival } from '../backplane/envelope.ts';
import { Audience, type Publication } from '../delivery/audience.ts';
import {
  chosen,
  PUBLISH_NAMES,
  type PublishOptions,
  publicationOf,
} from '../delivery/publish-options.ts';
import { HubClosedError, OverflowError, RoomRefusedError, SessionClosedError } from '../errors.ts';
import { Histories } from '../history/histories.ts';
import { RoomHistory } from '../history/room-history.ts';
import type { RoomSettings } from '../options.ts';
import type { Position } from '../position.ts';
import { infoText, type Presence } from '../presence/presence.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Cursor } from './cursor.ts';
import { Joins, slowMembers } from './joins.ts';
import { MembershipEvents } from './membership-events.ts';
import { MissedParts } from './missed-parts.ts';
import { MissedSends } from './missed-sends.ts';
import { PartQueues } from './part-queues.ts';
import { type Joined, Room } from './room.ts';
import { RoomReads } from './room-reads.ts';
import { RoomStates } from './room-states.ts';

/** A room with members or history. */
interface RoomRecord<Data> {
  readonly room: Room<Data>;
  readonly settings: RoomSettings<Data>;
  readonly audience: Audience<Data>;
  readonly history: RoomHistory | undefined;
  /** The shared result of all joins that do not resume; undefined before the first such join. */
  joined: Promise<Joined<Data>> | undefined;
}

const NO_POSITION = RESOLVED as Promise<undefined>;
const NO_MEMBERS: ReadonlySet<never> = /* @__PURE__ */ new Set();
/** The first byte of the text of an event of `serveRooms`, see `serve-rooms/room-text.ts`. */
const EVENT_MARK = 0x21;

/** The rooms of one hub, by name. */
export class Rooms<Data> {
  readonly joins: Joins<Data>;
  readonly reads: RoomReads<Data>;
  readonly missed: MissedParts<Data>;
  readonly partQueues: PartQueues<Data>;
  readonly sends: MissedSends;
  readonly states: RoomStates<Data>;
  /** Returns the message by which a client learns of a gap; undefined in a hub without such messages. */
  gapText: ((room: string, from: Position | undefined) => PreparedMessage) | undefined = undefined;
  readonly #hub: Sessions<Data>;
  readonly #records = new Map<string, RoomRecord<Data>>();
  /** The rooms without members but with history, in the order of their last use. */
  readonly #unattended = new Set<RoomRecord<Data>>();
  readonly #histories: Histories;
  readonly #events: MembershipEvents<Data>;
  /** Whether a call of the option `form` is in progress. */
  #forming = false;

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
    this.joins = new Joins(hub, this);
    this.reads = new RoomReads(hub, this);
    this.missed = new MissedParts(this);
    this.partQueues = new PartQueues(hub);
    this.sends = new MissedSends(hub.fanOut);
    this.states = new RoomStates(hub);
    this.#events = new MembershipEvents(hub);
    this.#histories = new Histories(hub.settings.maxHistoryBytes);
  }

  get size(): number {
    return this.#records.size;
  }

  /** Whether messages cross nodes. If so, the engine keeps the histories of rooms, else this node. */
  get crosses(): boolean {
    return this.#hub.settings.backplane !== undefined;
  }

  /** Whether a message may have a key. Only a hub with the policy `latest` uses keys, perhaps on another node. */
  get #takesKey(): boolean {
    return this.crosses || this.#hub.settings.overflow === 'latest';
  }

  get presence(): Presence {
    return this.#hub.presence;
  }

  /** Whether the room exists, or may be created. */
  hasPlace(name: string): boolean {
    const attended = this.size - this.#unattended.size;
    return this.#records.has(name) || attended < this.#hub.settings.maxRooms;
  }

  /** @throws TypeError, RangeError for an invalid name. */
  room(name: string): Room<Data> {
    checkRoomName(name);
    return this.#records.get(name)?.room ?? new Room(this, name);
  }

  membersOf(name: string): ReadonlySet<Session<Data>> {
    return this.#records.get(name)?.audience.members ?? NO_MEMBERS;
  }

  /** The members of a room, and the sessions that it may admit. */
  admissible(name: string): ReadonlySet<Session<Data>> {
    const sessions = new Set(this.membersOf(name));
    for (const session of this.joins.undecided(name)) sessions.add(session);
    return sessions;
  }

  /** See `Session.leave`. Also revokes pending questions to the application about the session in this room. */
  revoke(session: Session<Data>, name: string): void {
    this.joins.revoke(session, name);
    this.leave(session, name);
  }

  leave(session: Session<Data>, name: string): void {
    this.joins.cancel(session, name);
    if (!session.isIn(name)) return;
    session.left(name);
    const record = this.#records.get(name)!;
    const cursor = record.audience.cursorOf(session);
    const isHidden = cursor?.hidden !== undefined;
    record.audience.leave(session);
    cursor?.cancel();
    this.#removeIfUnused(name, record);
    if (isHidden) return;
    if (record.settings.presence !== undefined) this.#hub.presence.left(session.id, name);
    this.#events.add('left', session, name);
  }

  show(session: Session<Data>, name: string, info: unknown): void {
    checkRoomName(name);
    if (!session.isIn(name)) throw new RoomRefusedError(name, 'the session is not a member');
    const { audience, settings } = this.#records.get(name)!;
    const cursor = audience.cursorOf(session);
    if (cursor?.hidden !== undefined && settings.presence !== undefined) {
      cursor.hidden.shown = infoText('session.show', info);
      return;
    }
    this.#hub.presence.show(session.id, name, info);
  }

  leaveAll(session: Session<Data>): void {
    this.joins.cancelAll(session);
    for (const name of session.roomNames()) this.leave(session, name);
  }

  /** Called when the link is loaded: it subscribes to the rooms that already have members. */
  addChannels(link: BackplaneLink): void {
    for (const [name, { audience, settings }] of this.#records) {
      if (audience.members.size > 0) link.addChannel(name, settings);
    }
  }

  flush(session: Session<Data>): void {
    for (const name of session.roomNames()) this.#records.get(name)?.audience.flush(session);
  }

  /**
   * See `Room.publish`.
   *
   * @param isAccepted - Whether the option `accept` need not check the message.
   */
  publish(
    name: string,
    data: MessageData | PreparedMessage,
    options: PublishOptions<Data>,
    isAccepted = false,
  ): Promise<Position | undefined> {
    return this.#reported(() => this.#publish(name, data, options, true, isAccepted));
  }

  /**
   * As {@link publish}, for a message that is not kept and has no position.
   *
   * @param local - Whether only the members of this node get the message.
   */
  emit(name: string, text: string, local: boolean): Promise<unknown> {
    return this.#reported(() => this.#publish(name, text, { local }, false, true));
  }

  /** Reports the error of a publication that the application may not await. */
  #reported(
    publish: () => Promise<Position | undefined> | undefined,
  ): Promise<Position | undefined> {
    try {
      const published = publish() ?? NO_POSITION;
      onRejection(published, (error) => this.#hub.refused(error));
      return published;
    } catch (error) {
      this.#hub.refused(error);
      return rejected(error, this);
    }
  }

  publishJSON(
    name: string,
    value: unknown,
    options: PublishOptions<Data>,
  ): Promise<Position | undefined> {
    const format = (): string => {
      checkNoEvent(value, this.#hub.listeners.events);
      return jsonOf(value);
    };
    return this.#reported(() =>
      this.#publish(name, checked(format, Room.prototype, 'publishJSON'), options, true, false),
    );
  }

  #publish(
    name: string,
    data: MessageData | PreparedMessage,
    options: PublishOptions<Data>,
    isKept: boolean,
    isAccepted: boolean,
  ): Promise<Position | undefined> | undefined {
    if (this.#hub.ended) throw new HubClosedError('publish');
    const { message: given, except } = checked(
      () => publicationOf('publish', data, options, PUBLISH_NAMES, this.#takesKey),
      Room.prototype,
      'publish',
    );
    // A publication within `form` would get the position of the message that is formed.
    if (this.#forming) throw new TypeError('publish: not allowed within form; publish after it');
    const settings = this.settingsOf(name);
    if (settings.through && options.filter !== undefined) {
      throw new TypeError(
        "filter: not allowed in a room with delivery 'through', whose messages cross nodes",
      );
    }
    const only = chosen(this.membersOf(name), options.filter);
    const { key } = options;
    const { accept } = settings;
    const message = isAccepted || accept === undefined ? given : accept(given, name);
    const history = isKept ? settings.history : undefined;
    const crosses = this.crosses && options.local !== true;
    if (crosses && settings.through) {
      this.#hub.publishedCount++;
      return this.#hub.withLink((link) => link.publish(name, message, key, history, { except }));
    }
    const delivered = this.#deliver(name, settings, message, key, except, only, isKept);
    this.#hub.publishedCount++;
    if (!crosses || only !== undefined) return delivered;
    return this.#hub.withLink((link) => link.publishToOthers(name, message, key, delivered));
  }

  /** A message has arrived from the backplane. */
  arrived(
    name: string,
    message: PreparedMessage,
    key: string | undefined,
    except: Publication<Data>['except'],
    { envelope, position, previous }: Arrival,
  ): Promise<void> {
    const record = this.#records.get(name);
    if (record === undefined) return RESOLVED;
    const { history, accept } = record.settings;
    const isKept = history === undefined || position !== undefined;
    // No history keeps an event. Only rooms of `serveRooms` have `accept`, and events.
    const isEvent = accept !== undefined && message.bytes[0] === EVENT_MARK;
    if (!isKept && !isEvent && envelope!.node !== this.#hub.link!.node) {
      this.reads.unkept(name, envelope!.node, history.ttl);
    }
    const formed = this.#formOrMiss(name, record.settings, message, position, previous);
    if (formed === undefined) return RESOLVED;
    const publication = { message: formed, key, except, only: undefined, position, previous };
    return record.audience.arrive(publication, () => this.#missed(name, undefined));
  }

  /** Reports a gap for a message that members do not get. `position` is undefined if unknown. */
  #missed(name: string, position: Position | undefined): void {
    this.#hub.missed(name, position && { ...position, offset: position.offset - 1 });
  }

  /** As {@link form}. Reports a gap if the option fails. */
  #formOrMiss(
    name: string,
    settings: Pick<RoomSettings, 'form'>,
    message: PreparedMessage,
    position: Position | undefined,
    previous?: number,
  ): PreparedMessage | undefined {
    const formed = this.form(name, message, position, settings);
    if (formed !== undefined) return formed;
    if (position !== undefined) this.#records.get(name)?.audience.skip(position, previous);
    this.#missed(name, position);
    return undefined;
  }

  /** Makes the message that members get; undefined if the option `form` fails. */
  form(
    room: string,
    message: PreparedMessage,
    position: Position | undefined,
    { form }: Pick<RoomSettings, 'form'> = this.settingsOf(room),
  ): PreparedMessage | undefined {
    if (form === undefined) return message;
    const wasForming = this.#forming;
    this.#forming = true;
    try {
      return prepareResult(form(this.toMessage(message), { room, position }), 'form');
    } catch (error) {
      this.#hub.reportTogether('calls of form failed', error);
      return undefined;
    } finally {
      this.#forming = wasForming;
    }
  }

  /** The history of a room on this node, without expired messages. */
  historyOf(name: string): RoomHistory | undefined {
    const history = this.#records.get(name)?.history;
    if (history !== undefined) this.#histories.expire(history, this.#hub.platform.now());
    return history;
  }

  toMessage(message: PreparedMessage): Message {
    return new Message(message.type as 1 | 2, message.bytes.slice(), this.#hub.platform);
  }

  /**
   * Delivers a message to the members of this node, and adds it to the history on this node.
   *
   * @throws {@link OverflowError}
   */
  #deliver(
    name: string,
    settings: RoomSettings<Data>,
    message: PreparedMessage,
    key: string | undefined,
    except: Publication<Data>['except'],
    only: Publication<Data>['only'],
    isKept: boolean,
  ): Promise<Position | undefined> {
    // A history is for all members, so it has no message with a filter.
    const keeps = isKept && this.#keepsHere(settings) && only === undefined;
    const record = keeps ? this.#recordOf(name, settings) : this.#records.get(name);
    if (record === undefined) return NO_POSITION;
    const position = keeps ? record.history!.nextPosition() : undefined;
    const formed = this.#formOrMiss(name, settings, message, position);
    const delivered =
      formed === undefined
        ? RESOLVED
        : record.audience.publish({ message: formed, key, except, only, position });
    if (keeps) this.#keep(name, record, message);
    if (position === undefined) return delivered as Promise<undefined>;
    return delivered.then(() => position);
  }

  /** Whether this node keeps the room's history. With a backplane, the engine keeps it. */
  #keepsHere({ history }: Pick<RoomSettings, 'history'>): boolean {
    return history !== undefined && !this.crosses;
  }

  /** The settings of a room, which need not exist. */
  settingsOf(name: string): RoomSettings<Data> {
    return this.#records.get(name)?.settings ?? this.#hub.settings.room(name);
  }

  /**
   * Makes the session a member.
   *
   * @throws {@link RoomRefusedError} or {@link SessionClosedError} when a listener of `entered` ends
   *   the membership, or when listeners leave and join the room in a circle.
   */
  enter(
    session: Session<Data>,
    name: string,
    cursor: Cursor<Data> | undefined,
  ): Promise<Joined<Data>> {
    if (this.#events.inCircle(session, name)) {
      throw new RoomRefusedError(name, 'listeners of entered and left leave and join in a circle');
    }
    const settings = this.settingsOf(name);
    let shown: string | undefined;
    if (settings.presence !== undefined) {
      shown = this.joins.askPresence(session, name, settings.presence);
      // The option may itself have joined the session to this room, or to others.
      if (session.isIn(name)) return this.stay(session, name, cursor);
      this.joins.checkBounds(session, name);
    }
    const { audience } = this.#recordOf(name, settings);
    session.entered(name);
    audience.join(session);
    this.#unattended.delete(this.#records.get(name)!);
    cursor?.hold(audience);
    if (audience.members.size === 1) this.#hub.link?.addChannel(name, settings);
    // A session that does not resume must not get a message that was published before its join and
    // returns after it. This holds for the first member too: the room may have had others before the
    // link was loaded.
    if (settings.through && (cursor === undefined || settings.history === undefined)) {
      onRejection(
        this.#hub.withLink(async (link) => link.joined(name, session, false)),
        () => {},
      );
    }
    if (cursor !== undefined && settings.state !== undefined) {
      cursor.hidden = { shown };
      return cursor.start();
    }
    this.announce(session, name, shown);
    if (session.isIn(name)) return cursor?.start() ?? this.#joined(name);
    throw session.state === 'closed'
      ? new SessionClosedError('session.join')
      : new RoomRefusedError(name, 'left by a listener of entered');
  }

  /**
   * Shows a new member to the others, and emits `entered`.
   *
   * @param shown - The result of the option `presence` as JSON; undefined for a hidden session.
   */
  announce(session: Session<Data>, name: string, shown: string | undefined): void {
    const { presence } = this.#records.get(name)!.settings;
    if (presence !== undefined) this.#hub.presence.entered(session.id, name, shown);
    this.#events.add('entered', session, name);
  }

  /** The result of a join that does not resume. All such joins of a room share a promise. */
  #joined(name: string): Promise<Joined<Data>> {
    const record = this.#records.get(name)!;
    record.joined ??= Promise.resolve(
      Object.freeze({ room: record.room, complete: true, position: undefined }),
    );
    return record.joined;
  }

  /** Joins a room of which the session is a member. */
  stay(
    session: Session<Data>,
    name: string,
    cursor: Cursor<Data> | undefined,
  ): Promise<Joined<Data>> {
    if (cursor === undefined) return this.#joined(name);
    const { audience } = this.#records.get(name)!;
    if (audience.cursorOf(session)?.isJoining) throw new RoomRefusedError(name, 'is resuming');
    cursor.wasMember = true;
    cursor.hold(audience);
    return cursor.start();
  }

  #recordOf(
    name: string,
    settings: RoomSettings<Data> = this.#hub.settings.room(name),
  ): RoomRecord<Data> {
    const found = this.#records.get(name);
    if (found !== undefined) return found;
    if (!this.hasPlace(name)) {
      throw new OverflowError(`the hub has ${this.size} rooms (option maxRooms)`);
    }
    while (this.size >= this.#hub.settings.maxRooms) this.#forgetQuietest();
    const record: RoomRecord<Data> = {
      room: new Room(this, name),
      settings,
      audience: new Audience(this.#hub.fanOut, slowMembers(this.#hub, name)),
      history: this.#keepsHere(settings)
        ? (this.#histories.take(name) ?? new RoomHistory(settings.history!))
        : undefined,
      joined: undefined,
    };
    this.#records.set(name, record);
    return record;
  }

  /** Drops the history of the room without members that was used least recently. */
  #forgetQuietest(): void {
    const [quietest] = this.#unattended;
    this.#histories.clear(quietest!.history!);
    this.#removeIfUnused(quietest!.room.name, quietest!);
  }

  /** Adds a message to the room's history on this node. */
  #keep(name: string, record: RoomRecord<Data>, message: PreparedMessage): void {
    this.#histories.add(record.history!, message, this.#hub.platform, () => {
      this.#removeIfUnused(name, record);
    });
    this.#removeIfUnused(name, record);
  }

  #removeIfUnused(name: string, record: RoomRecord<Data>): void {
    const { audience, history } = record;
    // Also called when a history becomes empty: the room may have ended and started again before.
    if (audience.members.size > 0 || this.#records.get(name) !== record) return;
    this.#hub.link?.removeChannel(name);
    this.states.clearUnsure(name);
    // Moves the room to the end, as the last used one.
    this.#unattended.delete(record);
    if (history !== undefined && history.length > 0) return void this.#unattended.add(record);
    this.#records.delete(name);
    if (history !== undefined) this.#histories.roomEnded(name, history, this.#hub.platform);
  }
}
