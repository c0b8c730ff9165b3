import type { MessageData } from '@ws/conn';
import {
  checked,
  checkOptionNames,
  Deferred,
  isThenable,
  kind,
  markHandled,
  rejected,
  verdictOf,
  whole,
} from '@ws/conn/internal';
import { checkFunction, checkText } from '../arguments.ts';
import type { FallBehind } from '../delivery/audience.ts';
import { RoomRefusedError, SessionClosedError } from '../errors.ts';
import { observe } from '../observe.ts';
import { NEEDS_POSITIONS, type RoomSettings } from '../options.ts';
import { checkPosition, type Position } from '../position.ts';
import { infoText, MAX_SESSION_BYTES } from '../presence/presence.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

import { Cursor } from './cursor.ts';
import type { Joined } from './room.ts';
import type { Rooms } from './rooms.ts';

const JOIN_OPTION_NAMES: readonly (keyof JoinOptions)[] = ['since', 'limit', 'first'];

/** Bound of the nested calls of functions that decide joins, so that the stack does not overflow. */
const MAX_DECIDING = 64;

/**
 * The options of `Session.join`. With any of them the session resumes. In a room with the option
 * `state`, an empty object is enough.
 */
export interface JoinOptions<Data = unknown> {
  /** Position of the last message that the client has. Default: none, for a first visit. */
  readonly since?: Position | undefined;
  /**
   * For a first visit: number of the last messages of the history that the session gets. Not together
   * with `since`. Default: 0.
   */
  readonly limit?: number | undefined;
  /**
   * Returns a message that the session gets before the missed messages; undefined for none. The function
   * is synchronous. If it throws, `join` rejects with its error and the session is no member.
   */
  readonly first?: ((joined: Joined<Data>) => MessageData | undefined) | undefined;
}

/** The number of missed messages that a join has sent. `serveRooms` answers with it. */
export interface MissedCount {
  missed: number;
}

/** A join that waits: for a promise of `mayJoin` or, if the session is a member, for a state. */
export interface PendingJoin<Data> {
  readonly result: Deferred<Joined<Data>>;
  /** Undefined for a join without options. */
  readonly cursor: Cursor<Data> | undefined;
  /** Ends the wait. */
  unobserve: (() => void) | undefined;
}

/** A question to a function of the application, about a session in a room, without an answer yet. */
export interface Decision {
  readonly room: string;
  /** Whether the session had to leave the room meanwhile: the answer may be older. */
  isRevoked: boolean;
}

/** Admits or refuses joins: by their arguments, by the bounds of rooms, and by the option `mayJoin`. */
export class Joins<Data> {
  readonly #hub: Sessions<Data>;
  readonly #rooms: Rooms<Data>;
  /** The decisions without an answer. */
  readonly #decisions = new Map<Session<Data>, Set<Decision>>();
  /** Number of nested calls of {@link decide}. */
  #deciding = 0;

  constructor(hub: Sessions<Data>, rooms: Rooms<Data>) {
    this.#hub = hub;
    this.#rooms = rooms;
  }

  /**
   * See `Session.join`.
   *
   * @param client - Set for a join that a client has requested. The session then is admitted without a
   *   call of `mayJoin`. An earlier join of the session that still waits for a decision gets the same
   *   result.
   */
  join(
    session: Session<Data>,
    name: string,
    options: JoinOptions<Data> | undefined,
    client?: MissedCount,
  ): Promise<Joined<Data>> {
    try {
      if (session.state === 'closed') throw new SessionClosedError('session.join');
      checked(() => this.#rooms.room(name), session, 'join');
      const cursor =
        options === undefined ? undefined : this.#cursorFor(session, name, options, client);
      const pending = session.joining?.get(name);
      if (pending !== undefined) {
        if (client === undefined) return this.#joinAgain(session, name, pending, cursor);
        session.joining!.delete(name);
        pending.unobserve?.();
        pending.cursor?.cancel();
        const joined = this.join(session, name, options, client);
        pending.result.resolve(joined);
        return joined;
      }
      const isMember = session.isIn(name);
      if (!isMember) this.checkBounds(session, name);
      const admitted =
        isMember || client !== undefined ? undefined : admit(this.#hub, session, name);
      // A member that waits for a state still gets messages, and stays a member if it gets no state.
      const decision = isMember ? cursor?.askForState() : admitted;
      return decision === undefined
        ? this.#enterAdmitted(session, name, cursor)
        : this.#enterLater(session, name, decision, cursor);
    } catch (error) {
      this.#hub.joinFailed(session, error);
      return rejected(error, session);
    }
  }

  /**
   * Calls an option that decides a join. The option may join other rooms.
   *
   * @throws {@link RoomRefusedError} when the option throws, or joins rooms in a circle.
   */
  decide<T>(option: string, session: Session<Data>, room: string, ask: () => T): T {
    const decision = this.addDecision(session, room);
    try {
      const answer = this.#decide(option, session, room, ask);
      if (decision.isRevoked) throw leftError(room);
      return answer;
    } finally {
      this.removeDecision(session, decision);
    }
  }

  #decide<T>(option: string, session: Session<Data>, room: string, ask: () => T): T {
    try {
      if (this.#deciding === MAX_DECIDING) {
        throw new RangeError('mayJoin or presence joins rooms in a circle');
      }
      this.#deciding++;
      try {
        return ask();
      } finally {
        this.#deciding--;
      }
    } catch (cause) {
      const refusal = new RoomRefusedError(room, `${option} threw`, { cause });
      this.#hub.joinFailed(session, refusal, cause);
      throw refusal;
    }
  }

  /** A function of the application is asked about a session. Call {@link removeDecision} later. */
  addDecision(session: Session<Data>, room: string): Decision {
    const decision: Decision = { room, isRevoked: false };
    const decisions = this.#decisions.get(session);
    if (decisions !== undefined) decisions.add(decision);
    // After the end of the session, nothing would remove the entry.
    else if (session.state === 'open') this.#decisions.set(session, new Set([decision]));
    return decision;
  }

  removeDecision(session: Session<Data>, decision: Decision): void {
    const decisions = this.#decisions.get(session);
    if (decisions?.delete(decision) === true && decisions.size === 0) {
      this.#decisions.delete(session);
    }
  }

  /** The sessions about which the application may still decide. `everywhere.close` of a room closes them. */
  *undecided(room: string): Generator<Session<Data>> {
    for (const [session, decisions] of this.#decisions) {
      if ([...decisions].some((decision) => decision.room === room)) yield session;
    }
  }

  /** The application ends a membership, or a join before its answer. Later answers are outdated. */
  revoke(session: Session<Data>, name: string): void {
    for (const decision of this.#decisions.get(session) ?? []) {
      if (decision.room === name) decision.isRevoked = true;
    }
  }

  /** Rejects the joins of a session that has ended. */
  cancelAll(session: Session<Data>): void {
    this.#decisions.delete(session);
    for (const name of session.joining?.keys() ?? []) {
      this.cancel(session, name, () => new SessionClosedError('session.join'));
    }
  }

  /** Rejects a join that waits for a decision, if there is one. */
  cancel(session: Session<Data>, name: string, reason: () => Error = () => leftError(name)): void {
    const pending = session.joining?.get(name);
    if (pending === undefined) return;
    session.joining!.delete(name);
    pending.unobserve?.();
    pending.cursor?.cancel();
    pending.result.reject(reason());
  }

  /** Joins a room while an earlier join of the session in this room waits for a decision. */
  #joinAgain(
    session: Session<Data>,
    name: string,
    pending: PendingJoin<Data>,
    cursor: Cursor<Data> | undefined,
  ): Promise<Joined<Data>> {
    const { promise } = pending.result;
    if (cursor === undefined) return promise;
    if (pending.cursor !== undefined) throw new RoomRefusedError(name, 'is resuming');
    const decided = promise.then(() => {
      if (!session.isIn(name)) throw new RoomRefusedError(name, 'left');
      try {
        return this.#rooms.stay(session, name, cursor);
      } catch (error) {
        this.#hub.joinFailed(session, error);
        throw error;
      }
    });
    return markHandled(decided);
  }

  /** @throws TypeError or RangeError that names the option. */
  #cursorFor(
    session: Session<Data>,
    name: string,
    options: JoinOptions<Data>,
    client: MissedCount = { missed: 0 },
  ): Cursor<Data> | undefined {
    const copy = checked(() => this.#checkJoin(name, options), session, 'join');
    return copy && new Cursor(this.#hub, session, name, copy, client);
  }

  #checkJoin(name: string, options: JoinOptions<Data>): JoinOptions<Data> | undefined {
    const copy = checkJoinOptions(options);
    const { state, through } = this.#rooms.settingsOf(name);
    // Empty options are a first visit too. In a room with the option `state`, a first visit gets a state.
    if ((state ?? copy.since ?? copy.limit ?? copy.first) === undefined) return undefined;
    if (!this.#rooms.crosses || through) return copy;
    throw new TypeError(`session.join: since, limit or first: ${NEEDS_POSITIONS}`);
  }

  /** Enters after `mayJoin` has admitted the session, which may have joined or closed meanwhile. */
  #enterAdmitted(
    session: Session<Data>,
    name: string,
    cursor: Cursor<Data> | undefined,
  ): Promise<Joined<Data>> {
    if (session.state === 'closed') throw new SessionClosedError('session.join');
    if (session.isIn(name)) return this.#rooms.stay(session, name, cursor);
    this.checkBounds(session, name);
    return this.#rooms.enter(session, name, cursor);
  }

  /** Enters after `decision`, unless the session leaves or ends before. */
  #enterLater(
    session: Session<Data>,
    name: string,
    decision: Promise<void>,
    cursor: Cursor<Data> | undefined,
  ): Promise<Joined<Data>> {
    // Within `mayJoin`, the session may have joined the same room. That join would never settle.
    this.cancel(session, name, () => new RoomRefusedError(name, 'joined within mayJoin'));
    session.joining ??= new Map();
    const { joining } = session;
    const join: PendingJoin<Data> = { result: new Deferred(), cursor, unobserve: undefined };
    const { result } = join;
    // A cursor may reject after the decision.
    if (cursor !== undefined) void markHandled(result.promise);
    joining.set(name, join);
    const asked = this.addDecision(session, name);
    const decided = (enter: () => Promise<Joined<Data>>): void => {
      this.removeDecision(session, asked);
      joining.delete(name);
      try {
        result.resolve(enter());
      } catch (error) {
        cursor?.cancel();
        this.#hub.joinFailed(session, error);
        result.reject(error);
      }
    };
    const release = observe(
      decision,
      () => decided(() => this.#enterAdmitted(session, name, cursor)),
      (error) =>
        decided(() => {
          throw error;
        }),
    );
    join.unobserve = () => {
      this.removeDecision(session, asked);
      release();
    };
    return result.promise;
  }

  /**
   * Asks the option `presence` for the `info` of a session that will enter.
   *
   * @param presence - The option.
   * @returns JSON; undefined for a session that is not shown.
   * @throws {@link RoomRefusedError} when the option throws; TypeError or RangeError for its result;
   *   {@link SessionClosedError} when the session has ended meanwhile.
   */
  askPresence(
    session: Session<Data>,
    room: string,
    presence: NonNullable<RoomSettings<Data>['presence']>,
  ): string | undefined {
    checkText('session.id', session.id, 0, MAX_SESSION_BYTES);
    const info = this.decide('presence', session, room, () => presence(session));
    const text = infoText('presence', info);
    if (session.state === 'closed') throw new SessionClosedError('session.join');
    return text;
  }

  /** @throws {@link RoomRefusedError} above a bound on rooms. */
  checkBounds(session: Session<Data>, name: string): void {
    const { maxRoomsPerSession } = this.#hub.settings;
    const joining = [...(session.joining?.keys() ?? [])].filter((each) => !session.isIn(each));
    const joined = session.roomCount + joining.length;
    if (joined >= maxRoomsPerSession) {
      throw new RoomRefusedError(
        name,
        `the session has ${joined} rooms (option maxRoomsPerSession)`,
      );
    }
    if (!this.#rooms.hasPlace(name)) {
      throw new RoomRefusedError(name, `the hub has ${this.#rooms.size} rooms (option maxRooms)`);
    }
  }
}

/**
 * Asks the option `mayJoin`. Returns a promise if the option returns one.
 *
 * @throws (also rejects) {@link RoomRefusedError}
 */
function admit<Data>(
  hub: Sessions<Data>,
  session: Session<Data>,
  room: string,
): Promise<void> | undefined {
  const { mayJoin } = hub.settings;
  if (mayJoin === undefined) return undefined;
  const [answer, isPromise] = hub.rooms.joins.decide('mayJoin', session, room, () => {
    const value: unknown = mayJoin(session, room);
    return [value, isThenable(value)];
  });
  if (isPromise) return untilAdmitted(room, answer);
  checkAdmits(room, answer);
  return undefined;
}

/** A separate function, so that the application's promise does not keep the session. See {@link observe}. */
function untilAdmitted(room: string, answer: unknown): Promise<void> {
  return Promise.resolve(answer).then(
    (value) => checkAdmits(room, value),
    (cause) => {
      throw new RoomRefusedError(room, 'mayJoin rejected', { cause });
    },
  );
}

/** The session has left the room before the application has decided about its join. */
function leftError(room: string): RoomRefusedError {
  return new RoomRefusedError(room, 'left before the decision');
}

/** @throws {@link RoomRefusedError} unless the answer admits. */
function checkAdmits(room: string, answer: unknown): void {
  const refusal = refusalFor('mayJoin', room, answer);
  if (refusal !== undefined) throw refusal;
}

/** Returns the refusal for an answer of the application; undefined for one that admits. */
export function refusalFor(
  name: 'mayJoin' | 'mayPublish',
  room: string,
  answer: unknown,
): RoomRefusedError | undefined {
  const verdict = verdictOf(name, answer);
  if (verdict === true) return undefined;
  const text = typeof answer === 'boolean' ? String(answer) : kind(answer);
  const options = verdict === false ? undefined : { cause: verdict };
  return new RoomRefusedError(room, `${name} returned ${text}, not true`, options);
}

/**
 * Checks the options of a join.
 *
 * @returns A copy of them.
 * @throws TypeError or RangeError that names the option.
 */
function checkJoinOptions<Data>(options: JoinOptions<Data>): JoinOptions<Data> {
  checkOptionNames('session.join', options, JOIN_OPTION_NAMES, 'ignore');
  const { since, limit, first } = options;
  const start = since === undefined ? undefined : checkPosition(since);
  if (start !== undefined && limit !== undefined) {
    throw new TypeError('session.join: limit is for a first visit; leave it out, or since');
  }
  if (limit !== undefined && limit !== 0) whole('limit', limit);
  checkFunction('first', first);
  return { since: start, limit, first };
}

/** Lets the members of a room whose sessions have no room for a message read on from the history. */
export function slowMembers<Data>(hub: Sessions<Data>, name: string): FallBehind<Data> {
  return (audience, session, item) => {
    const cursor = new Cursor(hub, session, name, {}, { missed: 0 }, item);
    void cursor.fallBehind(audience, item);
  };
}
