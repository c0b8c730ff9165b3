import { addAbortListener, Deferred, formatJSON, removeAbortListener } from '@ws/conn/internal';
import {
  type Definitions,
  type Named,
  RpcError,
  type SchemaInput,
  type SessionHandlerContext,
} from '@ws/rpc';
import {
  type Checked,
  check,
  ErrorCode,
  isRpcError,
  ROOM_REFUSED,
  type RoomMethods,
} from '@ws/rpc/internal';
import { bytesAbove, checkText, dataOf, prepare } from '../arguments.ts';
import { RoomRefusedError } from '../errors.ts';
import { Hub, internalsOfHub } from '../hub.ts';
import type { HubOptions, RoomOptions } from '../options.ts';
import type { Position } from '../position.ts';
import { type Decision, type JoinOptions, type MissedCount, refusalFor } from '../rooms/joins.ts';
import type { Joined } from '../rooms/room.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { ClientRequests, type Joining, type Request, unlessAborted } from './client-requests.ts';
import { MemberEvents } from './member-events.ts';
import { acceptedMessage, messageOutside } from './own-messages.ts';
import { type KeyRules, type RoomTable, rulesByName } from './room-table.ts';
import { asIs, gapText, keptText, messageText, quoted, stateText } from './room-text.ts';

/** Longest result of the option `stamp`, in bytes of JSON. */
const MAX_STAMP_BYTES = 1_024;
/** Largest `state`, as the hub bounds it. */
const MAX_STATE_BYTES = 1_048_576;
/** Bound of the calls of `mayJoin` for one join, whose answers the application takes back. */
const MAX_ASKED = 3;
/** Default of `hub.maxRoomsPerSession`. */
const MAX_ROOMS = 100;

/** The second argument of a handler. */
type Context<Data> = SessionHandlerContext<Session<Data>, unknown>;
type Input<Name extends keyof RoomMethods> = SchemaInput<RoomMethods[Name]['input']>;
type JoinAnswer = Omit<Joined, 'room'> &
  MissedCount & { readonly members?: true; readonly state?: true };

/** Answers the requests of clients to join rooms, leave rooms and publish in rooms. */
export class RoomServer<Data> {
  readonly hub: Hub<Data>;
  readonly handlers: object = {
    'room.join': (input: Input<'room.join'>, ctx: Context<Data>) => this.#join(input, ctx),
    'room.leave': ({ room }: Input<'room.leave'>, ctx: Context<Data>) =>
      this.#inOrder(room, ctx, (request) => this.#leave(ctx.session, room, request)),
    'room.publish': (input: Input<'room.publish'>, ctx: Context<Data>) =>
      this.#inOrder(input.room, ctx, (request) => this.#publish(ctx.session, input, request)),
  };
  readonly #sessions: Sessions<Data>;
  readonly #members: MemberEvents<Data>;
  readonly #timeout: number;
  readonly #rulesOf: (name: string) => KeyRules<Data> | undefined;
  /** Has no entry for a client without requests. */
  readonly #requests = new Map<Session<Data>, ClientRequests>();
  /** Set during a `session.leave` that a client has requested: the client needs no gap for it. */
  #leaving: readonly [session: Session<Data>, room: string] | undefined;
  /** The events that the application's contract has for clients. */
  readonly #events: Named<Definitions>;
  /** The kinds of mistakes that were reported. See {@link #mistake}. */
  readonly #mistakes = new Set<string>();

  constructor(
    table: RoomTable<Data>,
    options: HubOptions<Data>,
    timeout: number,
    events: Named<Definitions>,
  ) {
    for (const name of ['rooms', 'mayJoin', 'overflow'] as const) {
      if (options[name] === undefined) continue;
      throw new TypeError(
        name === 'overflow'
          ? 'serveRooms: hub.overflow is close, so that a slow client resumes; leave it out'
          : `serveRooms: hub.${name} is made of the table; leave it out`,
      );
    }
    this.#timeout = timeout;
    this.#events = events;
    this.#rulesOf = rulesByName(table);
    this.hub = new Hub<Data>({
      ...options,
      maxRoomsPerSession: options.maxRoomsPerSession ?? MAX_ROOMS,
      rooms: this.#roomOptions(table, options.backplane !== undefined),
      mayJoin: (session, room) => this.#mayJoin(session, room) as boolean,
    });
    this.#sessions = internalsOfHub(this.hub);
    this.#sessions.rooms.gapText = (room, from) => prepare(gapText(room, from, true), 'publish');
    this.hub.on('gap', (room, from) => this.#gap(room, from));
    this.hub.on('left', (session, room) => this.#left(session, room));
    // A question to the application may never have an answer, so its request may never end.
    this.hub.on('disconnect', (session) => {
      this.#requests.get(session)?.sessionEnded();
      this.#requests.delete(session);
    });
    this.#members = new MemberEvents(this.hub, this.#sessions.settings.maxQueuedBytes);
    this.hub.on('presence', (room, change) => {
      if (this.#rulesOf(room)?.members === true) this.#members.changed(room, change);
    });
  }

  #roomOptions(table: RoomTable<Data>, hasBackplane: boolean): Record<string, RoomOptions<Data>> {
    const form: RoomOptions<Data>['form'] = (message, { room, position }) =>
      messageText(message, room, position);
    const ofTable = Object.fromEntries(
      Object.entries(table).map(([key, { history, presence, schema, state }]) => {
        const accept: RoomOptions['accept'] = (message, room) =>
          acceptedMessage(this.#sessions, this.#events, message, { room, schema });
        const delivery = hasBackplane ? 'through' : 'local-first';
        return [
          key,
          { history, presence, form, accept, delivery, state: state && this.#stateOf(key, state) },
        ];
      }),
    );
    const accept: RoomOptions['accept'] = (message, room) =>
      messageOutside(this.#sessions, message, room);
    return { '*': { accept }, ...ofTable };
  }

  /** The option `state` of the hub. If the application's `state` throws an RpcError, the join is refused. */
  #stateOf(
    key: string,
    state: NonNullable<KeyRules<Data>['state']>,
  ): NonNullable<RoomOptions['state']> {
    return async (room, { position, signal }) => {
      try {
        const value = await state(room, { signal });
        const text = stateText(room, position, dataOf(value, `rooms[${quoted(key)}].state`));
        const bytes = bytesAbove(text, MAX_STATE_BYTES);
        if (bytes === undefined) return text;
        // Later calls would get no smaller state, so the client must not ask again.
        const why = `the state of the room has ${bytes} bytes, of at most ${MAX_STATE_BYTES}`;
        const error = new RpcError(ErrorCode.InternalError, why);
        this.#sessions.reportTogether('states were too large', error);
        throw error;
      } catch (cause) {
        throw isRpcError(cause) ? new RoomRefusedError(room, 'state threw', { cause }) : cause;
      }
    };
  }

  /** Sends an event to the members of a room, on all nodes. */
  emit(room: string, text: string): Promise<unknown> {
    const isOutside = this.#rulesOf(room) === undefined;
    if (isOutside) return this.#sessions.rooms.publish(room, text, {}, true);
    return this.#sessions.rooms.emit(room, asIs(text), false);
  }

  /** The option `mayJoin` of the hub. It decides the joins that the application calls itself. */
  #mayJoin(session: Session<Data>, room: string): unknown {
    // Only the application can join a session to a room outside of the table.
    const rules = this.#rulesOf(room);
    if (rules === undefined) return true;
    return typeof rules.mayJoin === 'function' ? rules.mayJoin(session, room) : rules.mayJoin;
  }

  #inOrder<T>(room: string, ctx: Context<Data>, run: (request: Request) => T | Promise<T>) {
    return this.#requestsOf(ctx.session).inOrder(room, ctx, run);
  }

  #requestsOf(session: Session<Data>): ClientRequests {
    const known = this.#requests.get(session);
    if (known !== undefined) return known;
    const { joins } = this.#sessions.rooms;
    const decisions = {
      add: (room: string) => joins.addDecision(session, room),
      remove: (decision: Decision) => joins.removeDecision(session, decision),
    };
    const requests = new ClientRequests(decisions, () => {
      if (requests.isIdle) this.#requests.delete(session);
    });
    this.#requests.set(session, requests);
    return requests;
  }

  async #join(input: Input<'room.join'>, ctx: Context<Data>): Promise<JoinAnswer> {
    const { room } = input;
    for (;;) {
      const reply = await this.#inOrder(room, ctx, (request) => this.#joinNow(input, ctx, request));
      if (!('ended' in reply)) return reply;
      // A join sends missed messages. Two joins at the same time would mix their messages.
      await unlessAborted(reply.ended.promise, ctx.signal);
      if (reply.isLeft) throw leftError();
    }
  }

  /** @returns The answer; or the client's earlier join of the room, if that is still running. */
  async #joinNow(
    { room, since, last }: Input<'room.join'>,
    { session, signal }: Context<Data>,
    request: Request,
  ): Promise<JoinAnswer | Joining> {
    const rules = this.#rulesFor(room);
    const { joining } = request.requests;
    const earlier = joining.get(room);
    if (earlier !== undefined) return earlier;
    for (let asked = 0; !session.isIn(room); asked++) {
      this.#checkCount(session);
      // Bounds the calls of a function that revokes each join.
      if (asked === MAX_ASKED) throw busyError();
      if (request.decision !== undefined) request.decision.isRevoked = false;
      await this.#ask('mayJoin', rules, session, room, request);
      if (request.decision?.isRevoked !== true) break;
    }
    if (!session.isIn(room)) this.#checkCount(session);
    const join: Joining = { ended: new Deferred(), isLeft: false };
    joining.set(room, join);
    const giveUp = (): void => this.#leaveNow(session, room);
    addAbortListener(signal, giveUp);
    try {
      const hasState = rules.state !== undefined;
      const first: JoinOptions<Data>['first'] = ({ complete }) =>
        complete || since === undefined || hasState ? undefined : gapText(room, since, true);
      const limit = since === undefined && !hasState ? last : undefined;
      if (limit && !rules.history) {
        const text = `the last messages of ${quoted(room)}: the key ${quoted(rules.key)} has no history`;
        this.#mistake(`history ${rules.key}`, `a client asks for ${text}`);
      }
      const count: MissedCount = { missed: 0 };
      const { joins } = this.#sessions.rooms;
      const joined = joins.join(session, room, { since, limit, first }, count);
      // The rest of the join sends messages, and lasts until the client has read them.
      if (session.isIn(room)) request.letNextRun();
      const { complete, position } = await joined;
      const { missed } = count;
      const answer = { complete, missed, position, ...(hasState && { state: true as const }) };
      if (rules.members !== true) return answer;
      this.#members.joined(session, room);
      return { ...answer, members: true };
    } catch (error) {
      // The hub reports the error.
      if (signal.aborted) throw signal.reason;
      if (join.isLeft) throw leftError();
      throw isRoomRefusal(error) && isRpcError(error.cause) ? error.cause : busyError();
    } finally {
      removeAbortListener(signal, giveUp);
      joining.delete(room);
      join.ended.resolve();
    }
  }

  /** @throws {@link RpcError} -32000 when the client has too many rooms: its leaves may be on the way. */
  #checkCount(session: Session<Data>): void {
    const { maxRoomsPerSession } = this.#sessions.settings;
    if (session.roomCount < maxRoomsPerSession) return;
    this.#mistake(
      'count',
      `a client asks for more than ${maxRoomsPerSession} rooms (option hub.maxRoomsPerSession)`,
    );
    throw busyError();
  }

  #leave(session: Session<Data>, room: string, { requests }: Request): null {
    this.#rulesFor(room);
    const joining = requests.joining.get(room);
    if (joining !== undefined) joining.isLeft = true;
    this.#leaveNow(session, room);
    return null;
  }

  #leaveNow(session: Session<Data>, room: string): void {
    this.#leaving = [session, room];
    this.#sessions.rooms.leave(session, room);
    this.#leaving = undefined;
  }

  async #publish(
    session: Session<Data>,
    { room, id, data }: Input<'room.publish'>,
    request: Request,
  ): Promise<null> {
    const rules = this.#rulesFor(room);
    if (rules.mayPublish === undefined) {
      const { key } = rules;
      throw this.#mistake(
        `mayPublish ${key}`,
        `a client publishes in ${quoted(room)}: the key ${quoted(key)} has no mayPublish, so no client may`,
      );
    }
    if (!session.isIn(room)) throw refusedError();
    if (rules.mayPublish !== true) await this.#ask('mayPublish', rules, session, room, request);
    const text =
      rules.schema === undefined
        ? this.#textOf(data, request)
        : await this.#checkedText(rules, session, { room, id, data }, request);
    // The application may have ended the membership meanwhile, and the client may have a new one.
    if (!session.isIn(room) || request.decision?.isRevoked === true) throw refusedError();
    const kept = keptText(id, text, this.#stampOf(rules, session));
    try {
      const published = this.#sessions.rooms.publish(room, kept, {}, true);
      request.letNextRun();
      await published;
    } catch {
      // The hub reports the error.
      throw busyError();
    }
    return null;
  }

  /**
   * The JSON of the option `stamp`; undefined without it.
   *
   * @throws {@link RpcError} when `stamp` throws, or returns a value that is too long or no JSON.
   */
  #stampOf({ key, stamp }: KeyRules<Data>, session: Session<Data>): string | undefined {
    if (stamp === undefined) return undefined;
    try {
      const text = dataOf(stamp(session), `rooms[${quoted(key)}].stamp`);
      checkText('stamp', text, 1, MAX_STAMP_BYTES);
      return text;
    } catch (error) {
      this.#sessions.reportTogether('calls of stamp failed', error);
      throw new RpcError(ErrorCode.InternalError, 'Internal error');
    }
  }

  /** Checks the data of a client by the schema. Returns the schema's result as JSON. */
  async #checkedText(
    { key, schema }: KeyRules<Data>,
    session: Session<Data>,
    { room, id, data }: Input<'room.publish'>,
    request: Request,
  ): Promise<string> {
    let result: Checked;
    try {
      const question = `the schema of ${quoted(key)} to ${id} in ${quoted(room)}`;
      [result] = (await request.requests.ask(question, request, this.#timeout, () =>
        check(schema!, data),
      )) as [Checked];
    } catch (error) {
      throw this.#failed('calls of a schema failed', error, request);
    }
    const { value, issues } = result;
    if (issues === undefined) return this.#textOf(value, request);
    throw new RpcError(ErrorCode.InvalidParams, 'Invalid params', { issues });
  }

  /** @throws {@link RpcError} for a value that cannot be written as JSON. */
  #textOf(value: unknown, request: Request): string {
    try {
      return formatJSON(value);
    } catch (error) {
      // JSON.stringify throws a RangeError for a value with too many levels.
      const isTooDeep = [error, (error as Error).cause].some((each) => each instanceof RangeError);
      if (isTooDeep) throw new RpcError(ErrorCode.InvalidParams, 'Invalid params');
      throw this.#failed('results of a schema were no JSON', error, request);
    }
  }

  /** @throws {@link RpcError} unless the application admits the client. */
  async #ask(
    name: 'mayJoin' | 'mayPublish',
    rules: KeyRules<Data>,
    session: Session<Data>,
    room: string,
    request: Request,
  ): Promise<void> {
    const may = rules[name];
    let refusal: RoomRefusedError;
    let isIntended = false;
    try {
      const question = `${name} of ${quoted(room)}`;
      const [answer] =
        typeof may === 'function'
          ? await request.requests.ask(question, request, this.#timeout, () => may(session, room))
          : [may];
      const refused = refusalFor(name, room, answer);
      if (refused === undefined) return;
      refusal = refused;
      // A missing result is often a forgotten `return`.
      isIntended = answer === false || answer === null;
    } catch (cause) {
      isIntended = isRpcError(cause);
      if (!isIntended && !isRoomRefusal(cause)) {
        throw this.#failed(`calls of ${name} failed`, cause, request);
      }
      if (request.ctx.signal.aborted) throw cause;
      refusal = new RoomRefusedError(room, `${name} threw`, { cause });
    }
    if (name === 'mayJoin') this.#sessions.joinFailed(session, refusal);
    else if (!isIntended) this.#sessions.reportTogether('publications were refused', refusal);
    throw refusedError();
  }

  /**
   * Reports an error of the application.
   *
   * @param what - Describes several such errors: `calls of mayJoin failed`.
   * @returns The error for the client, which asks again later.
   */
  #failed(what: string, error: unknown, { ctx }: Request): unknown {
    if (ctx.signal.aborted) return ctx.signal.reason;
    this.#sessions.reportTogether(what, error);
    return busyError();
  }

  /** @throws {@link RpcError} for a room outside of the table, and for a name that no room has. */
  #rulesFor(room: string): KeyRules<Data> {
    try {
      this.hub.room(room);
    } catch (error) {
      throw this.#mistake('name', `a client asks for a room: ${(error as Error).message}`);
    }
    const rules = this.#rulesOf(room);
    if (rules !== undefined) return rules;
    throw this.#mistake('key', `a client asks for ${quoted(room)}: no key of the table fits`);
  }

  /**
   * Reports a request that may show a mistake of the application. Reports each kind once, because a
   * hostile client may request anything.
   *
   * @returns The error for the client.
   */
  #mistake(category: string, text: string): RpcError {
    if (!this.#mistakes.has(category)) {
      this.#mistakes.add(category);
      this.#sessions.failed(undefined, new Error(`serveRooms: ${text}`));
    }
    return refusedError();
  }

  #gap(room: string | undefined, from: Position | undefined): void {
    if (room === undefined || this.#rulesOf(room) === undefined) return;
    const text = gapText(room, from, false);
    // Sends the gap after the messages of this turn, or at once if too many messages wait.
    this.#sessions.rooms.emit(room, asIs(text), true).catch(() => {
      for (const session of this.hub.room(room).members) session.send(text);
    });
  }

  /**
   * A membership has ended. If the client has not asked for it, the client gets a gap. It then joins
   * again, and is refused if it may not.
   */
  #left(session: Session<Data>, room: string): void {
    this.#members.left(session, room);
    const [leaving, name] = this.#leaving ?? [];
    if ((session === leaving && room === name) || session.state !== 'open') return;
    if (this.#rulesOf(room) !== undefined) session.send(gapText(room, undefined, false));
  }
}

/** Whether `error` is a RoomRefusedError, of any copy of this package. */
function isRoomRefusal(error: unknown): error is RoomRefusedError {
  try {
    // The error may be a Proxy that throws.
    return (Object(error) as Partial<RoomRefusedError>).code === 'WS_ERR_ROOM_REFUSED';
  } catch {
    return false;
  }
}

/** A final refusal. The error has no reason: a client must not learn which rooms exist. */
function refusedError(): RpcError {
  return new RpcError(ROOM_REFUSED, 'room refused');
}

/** A refusal for now. The client asks again later. */
function busyError(): RpcError {
  return new RpcError(ErrorCode.Busy, 'ask again later');
}

/** The error of a join when the client has left the room before the answer. */
function leftError(): RpcError {
  return new RpcError(ErrorCode.Cancelled, 'the client has left the room');
}
