import { Message, type MessageData, type PreparedMessage, portablePlatform } from '@ws/conn';
import { checked, Deferred, onRejection, RESOLVED, rejectedLater } from '@ws/conn/internal';
import { checkText, jsonOf } from '../arguments.ts';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import { Audience, type Publication } from '../delivery/audience.ts';
import {
  chosen,
  PUBLISH_NAMES,
  type PublishOptions,
  publicationOf,
} from '../delivery/publish-options.ts';
import { HubClosedError, OverflowError, RoomRefusedError, SessionClosedError } from '../errors.ts';
import { Histories } from '../history/histories.ts';
import type { Position } from '../history/position.ts';
import { checkQuery, type HistoryQuery, type Kept, RoomHistory } from '../history/room-history.ts';
import type { RoomSettings } from '../options.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { admit } from './joins.ts';
import { MembershipEvents } from './membership-events.ts';
import { type Joined, Room } from './room.ts';

/** A room with members or history. */
interface RoomState<Data> {
  readonly room: Room<Data>;
  readonly settings: RoomSettings;
  readonly audience: Audience<Data>;
  readonly history: RoomHistory | undefined;
  /** The result of joins; undefined before the first. */
  joined: Promise<Joined<Data>> | undefined;
}

const NO_POSITION = RESOLVED as Promise<undefined>;
const NO_MEMBERS: ReadonlySet<never> = /* @__PURE__ */ new Set();

/** The rooms of one hub, by name. */
export class Rooms<Data> {
  readonly #hub: Sessions<Data>;
  readonly #states = new Map<string, RoomState<Data>>();
  readonly #histories: Histories;
  /** Whether the backplane keeps the history of rooms. */
  readonly #engineKeeps: boolean;
  readonly #events: MembershipEvents<Data>;
  /** Whether a read of a history that no room has was reported. */
  #missingReported = false;

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
    this.#events = new MembershipEvents(hub);
    const { maxHistoryBytes, backplane } = hub.settings;
    this.#histories = new Histories(maxHistoryBytes);
    this.#engineKeeps = backplane?.keeps === true && backplane.history !== undefined;
  }

  get size(): number {
    return this.#states.size;
  }

  /** Whether messages cross nodes. */
  get #crosses(): boolean {
    return this.#hub.settings.backplane !== undefined;
  }

  /** @throws TypeError, RangeError for an invalid name. */
  room(name: string): Room<Data> {
    checkText('room', name, 1, this.#hub.settings.maxNameBytes, ' (option maxNameBytes)');
    return this.#states.get(name)?.room ?? new Room(this, name);
  }

  membersOf(name: string): ReadonlySet<Session<Data>> {
    return this.#states.get(name)?.audience.members ?? NO_MEMBERS;
  }

  /** See `Session.join`. */
  join(session: Session<Data>, name: string): Promise<Joined<Data>> {
    try {
      if (session.state === 'closed') throw new SessionClosedError('session.join');
      checked(() => this.room(name), session, 'join');
      const pending = session.joining?.get(name);
      if (pending !== undefined) return pending.promise;
      if (session.isIn(name)) return this.#joined(name);
      this.#checkBounds(session, name);
      if (this.#hub.settings.mayJoin === undefined) return this.#enter(session, name);
      const admitted = admit(this.#hub, session, name);
      return admitted === undefined
        ? this.#enterAdmitted(session, name)
        : this.#enterLater(session, name, admitted);
    } catch (error) {
      this.#hub.joinFailed(session, error);
      return rejectedLater(portablePlatform, error);
    }
  }

  leave(session: Session<Data>, name: string): void {
    this.#cancelJoin(session, name, () => new RoomRefusedError(name, 'left before the decision'));
    if (!session.isIn(name)) return;
    session.left(name);
    const state = this.#states.get(name)!;
    state.audience.leave(session);
    this.#removeIfUnused(name, state);
    this.#events.add('left', session, name);
  }

  /** The session has ended. */
  leaveAll(session: Session<Data>): void {
    for (const name of session.joining?.keys() ?? []) {
      this.#cancelJoin(session, name, () => new SessionClosedError('session.join'));
    }
    for (const name of session.roomNames()) this.leave(session, name);
  }

  #cancelJoin({ joining }: Session<Data>, name: string, reason: () => Error): void {
    const pending = joining?.get(name);
    if (pending === undefined) return;
    joining!.delete(name);
    pending.reject(reason());
  }

  /** Receives the messages of other nodes, for the rooms that have members already. */
  addChannels(link: BackplaneLink<Data>): void {
    for (const [name, { audience, settings }] of this.#states) {
      if (audience.members.size > 0) link.addChannel(name, settings);
    }
  }

  /** See {@link Audience.flush}. */
  flush(session: Session<Data>): void {
    for (const name of session.roomNames()) this.#states.get(name)?.audience.flush(session);
  }

  publish(
    name: string,
    data: MessageData | PreparedMessage,
    options: PublishOptions<Data>,
  ): Promise<Position | undefined> {
    try {
      const published = this.#publish(name, data, options) ?? NO_POSITION;
      onRejection(published, (error) => this.#hub.refused(error));
      return published;
    } catch (error) {
      this.#hub.refused(error);
      return rejectedLater(portablePlatform, error);
    }
  }

  /** See `Room.publishJSON`. */
  publishJSON(
    name: string,
    value: unknown,
    options: PublishOptions<Data>,
  ): Promise<Position | undefined> {
    let text: string;
    try {
      text = checked(() => jsonOf(value), Room.prototype, 'publishJSON');
    } catch (error) {
      this.#hub.refused(error);
      return rejectedLater(portablePlatform, error);
    }
    return this.publish(name, text, options);
  }

  #publish(
    name: string,
    data: MessageData | PreparedMessage,
    options: PublishOptions<Data>,
  ): Promise<Position | undefined> | undefined {
    if (this.#hub.ended) throw new HubClosedError('publish');
    const { message, except } = checked(
      () => publicationOf('publish', data, options, PUBLISH_NAMES),
      Room.prototype,
      'publish',
    );
    const settings = this.#states.get(name)?.settings ?? this.#hub.settings.room(name);
    if (settings.through && options.filter !== undefined) {
      throw new TypeError(
        "filter: not allowed in a room with delivery 'through', whose messages cross nodes",
      );
    }
    const only = chosen(this.membersOf(name), options.filter);
    const { key } = options;
    const { history } = settings;
    const crosses = this.#crosses && options.local !== true;
    if (crosses && settings.through) {
      this.#hub.publishedCount++;
      return this.#hub.withLink((link) => link.publish(name, message, key, history, { except }));
    }
    const delivered = this.#deliver(name, settings, { message, key, except, only });
    this.#hub.publishedCount++;
    if (!crosses || only !== undefined) return delivered;
    return this.#hub.withLink((link) =>
      link.publishToOthers(name, message, key, history, delivered),
    );
  }

  /** A message has arrived from the backplane. */
  arrived(
    name: string,
    message: PreparedMessage,
    key: string | undefined,
    except: ReadonlySet<Session<Data>> | undefined,
  ): Promise<Position | undefined> {
    const state = this.#states.get(name);
    if (state === undefined) return NO_POSITION;
    const kept = this.#keep(name, state, message);
    const delivered = state.audience.arrive({ message, key, except, only: undefined }, () => {
      this.#hub.missed(name, kept && { ...kept, offset: kept.offset - 1 });
    });
    return positioned(delivered, kept);
  }

  /** Messages of other nodes may be missing in a room. */
  interrupted(name: string): void {
    this.#states.get(name)?.history?.interrupt();
  }

  /** See `Room.history`. */
  history(
    name: string,
    query: HistoryQuery,
    second: unknown,
  ): Promise<{ messages: Kept[]; complete: boolean }> {
    return this.#read(name, query, second).catch((error: unknown) =>
      rejectedLater(portablePlatform, error),
    );
  }

  async #read(
    name: string,
    query: HistoryQuery,
    second: unknown,
  ): Promise<{ messages: Kept[]; complete: boolean }> {
    checked(() => checkQuery(query, second), Room.prototype, 'history');
    const bounds = this.#hub.settings.room(name).history;
    const { since, limit: most = bounds?.size } = query;
    const history = this.#states.get(name)?.history;
    const { platform } = this.#hub;
    if (bounds === undefined || most === undefined) {
      this.#reportMissing(name);
      return { messages: [], complete: false };
    }
    if (this.#engineKeeps) {
      const found = await this.#hub.withLink((link) => link.sharedHistory(name, since, most));
      const { arrivals, complete } = found!;
      const messages = arrivals.flatMap(({ envelope, position }) =>
        envelope?.message === undefined
          ? []
          : [{ position: position!, message: this.#toMessage(envelope.message) }],
      );
      // The rest are unreadable, or records of losses.
      return { messages, complete: complete && messages.length === arrivals.length };
    }
    // Without members, and while the engine is away, this node receives no messages of other nodes.
    const receives =
      !this.#crosses || (this.membersOf(name).size > 0 && this.#hub.link?.state === 'up');
    if (history === undefined) return { messages: [], complete: since === undefined && receives };
    this.#histories.expire(history, platform.now());
    const { messages, complete } = history.read(since, most, (message) => this.#toMessage(message));
    return { messages, complete: complete && receives };
  }

  /** Reports once that a room has no history. */
  #reportMissing(name: string): void {
    if (this.#missingReported) return;
    this.#missingReported = true;
    const { settings } = this.#hub;
    const text = `history: the room ${JSON.stringify(name)} has none`;
    this.#hub.failed(undefined, new TypeError(`${text}; ${settings.historyAdvice(name)}`));
  }

  #toMessage({ type, bytes }: PreparedMessage): Message {
    return new Message(type as 1 | 2, bytes.slice(), this.#hub.platform);
  }

  /**
   * Delivers to the members of this node, and adds the message to the history of this node.
   *
   * @throws {@link OverflowError}
   */
  #deliver(
    name: string,
    settings: RoomSettings,
    publication: Publication<Data>,
  ): Promise<Position | undefined> {
    // A filter selects members, and a history is for all members.
    const keeps = this.#keepsHere(settings) && publication.only === undefined;
    const state = keeps ? this.#state(name, settings) : this.#states.get(name);
    const delivered = state?.audience.publish(publication) ?? RESOLVED;
    const position = keeps ? this.#keep(name, state, publication.message) : undefined;
    return positioned(delivered, position);
  }

  /**
   * Whether this node keeps the room's history. Otherwise the engine keeps it, or there is none.
   */
  #keepsHere({ history }: RoomSettings): boolean {
    return history !== undefined && !this.#engineKeeps;
  }

  #checkBounds(session: Session<Data>, name: string): void {
    const { maxRooms, maxRoomsPerSession } = this.#hub.settings;
    const joined = session.roomCount + (session.joining?.size ?? 0);
    if (joined >= maxRoomsPerSession) {
      throw new RoomRefusedError(
        name,
        `the session has ${joined} rooms (option maxRoomsPerSession)`,
      );
    }
    if (this.size >= maxRooms && !this.#states.has(name)) {
      throw new RoomRefusedError(name, `the hub has ${this.size} rooms (option maxRooms)`);
    }
  }

  /**
   * Makes the session a member.
   *
   * @throws {@link RoomRefusedError} or {@link SessionClosedError} when a listener of `entered` ends
   *   the membership, or in a circle of listeners.
   */
  #enter(session: Session<Data>, name: string): Promise<Joined<Data>> {
    if (this.#events.inCircle(session, name)) {
      throw new RoomRefusedError(name, 'listeners of entered and left leave and join in a circle');
    }
    const { audience, settings, history } = this.#state(name);
    session.entered(name);
    audience.join(session);
    // Also for the first member, whose room may have had others before the link is loaded.
    if (settings.through) {
      onRejection(
        this.#hub.withLink(async (link) => link.joined(name, session)),
        () => {},
      );
    }
    if (audience.members.size === 1) {
      this.#hub.link?.addChannel(name, settings);
      // While the room had no members, this node received no messages of other nodes.
      if (this.#crosses) history?.interrupt();
    }
    this.#events.add('entered', session, name);
    if (session.isIn(name)) return this.#joined(name);
    throw session.state === 'closed'
      ? new SessionClosedError('session.join')
      : new RoomRefusedError(name, 'left by a listener of entered');
  }

  /** All joins of a room share a promise. */
  #joined(name: string): Promise<Joined<Data>> {
    const state = this.#states.get(name)!;
    state.joined ??= Promise.resolve(
      Object.freeze({ room: state.room, complete: true, missed: 0, position: undefined }),
    );
    return state.joined;
  }

  /** Enters after `mayJoin` has admitted the session. It may have joined or closed meanwhile. */
  #enterAdmitted(session: Session<Data>, name: string): Promise<Joined<Data>> {
    if (session.state === 'closed') throw new SessionClosedError('session.join');
    if (session.isIn(name)) return this.#joined(name);
    this.#checkBounds(session, name);
    return this.#enter(session, name);
  }

  /** Enters after a promise of `mayJoin`, unless the session leaves or ends before. */
  #enterLater(
    session: Session<Data>,
    name: string,
    admitted: Promise<void>,
  ): Promise<Joined<Data>> {
    session.joining ??= new Map();
    const { joining } = session;
    const join = new Deferred<Joined<Data>>();
    joining.set(name, join);
    const failed = (error: unknown): void => {
      this.#hub.joinFailed(session, error);
      join.reject(error);
    };
    admitted.then(
      () => {
        if (joining.get(name) !== join) return;
        joining.delete(name);
        try {
          join.resolve(this.#enterAdmitted(session, name));
        } catch (error) {
          failed(error);
        }
      },
      (error) => {
        if (joining.get(name) !== join) return;
        joining.delete(name);
        failed(error);
      },
    );
    return join.promise;
  }

  #state(name: string, settings: RoomSettings = this.#hub.settings.room(name)): RoomState<Data> {
    const found = this.#states.get(name);
    if (found !== undefined) return found;
    if (this.size >= this.#hub.settings.maxRooms) {
      throw new OverflowError(`the hub has ${this.size} rooms (option maxRooms)`);
    }
    const state: RoomState<Data> = {
      room: new Room(this, name),
      settings,
      audience: new Audience(this.#hub.fanOut),
      history: this.#keepsHere(settings) ? new RoomHistory(settings.history!) : undefined,
      joined: undefined,
    };
    this.#states.set(name, state);
    return state;
  }

  #keep(
    name: string,
    state: RoomState<Data> | undefined,
    message: PreparedMessage,
  ): Position | undefined {
    if (state?.history === undefined) return undefined;
    const { platform } = this.#hub;
    return this.#histories.add(state.history, message, platform, () => {
      this.#removeIfUnused(name, state);
    });
  }

  #removeIfUnused(name: string, state: RoomState<Data>): void {
    const { audience, history } = state;
    // The room may have ended before its history is swept, and may have started again.
    if (audience.members.size > 0 || this.#states.get(name) !== state) return;
    this.#hub.link?.removeChannel(name);
    if (history === undefined || history.length === 0) this.#states.delete(name);
  }
}

/** Resolves when `delivered` does, to the position of the message if it has one. */
function positioned(
  delivered: Promise<void>,
  position: Position | undefined,
): Promise<Position | undefined> {
  return position === undefined
    ? (delivered as Promise<undefined>)
    : delivered.then(() => position);
}
