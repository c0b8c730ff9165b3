import {
  BackpressureError,
  CloseCode,
  CloseError,
  type ConnLike,
  portablePlatform,
  ReadLimitError,
} from '@ws/conn';
import { Deferred, internalsOf, reportError } from '@ws/conn/internal';
import { ErrorCode, RpcError } from '../rpc-error.ts';
import type { ClientRooms } from './client-rooms.ts';
import {
  type JoinAnswer,
  type JoinOptions,
  type Position,
  START,
  type WireGap,
  type WireMembers,
  type WireState,
} from './room-contract.ts';
import { type Arrived, isUpTo, RoomLoop } from './room-loop.ts';
import { KnownMembers } from './room-members.ts';
import type { KeySchemas } from './room-schemas.ts';

/** Bounds of the time before a request is sent again that an end could not serve, in ms. */
const LEAST_DELAY_MS = 1_000;
const MOST_DELAY_MS = 30_000;

/** One room of a client. Its loops share one join. */
export class ClientRoom {
  readonly name: string;
  readonly #rooms: ClientRooms;
  readonly #loops = new Set<RoomLoop>();
  /** The connection on which the client is a member. */
  #memberOn: ConnLike | undefined;
  /** The members that the server shows. */
  members: KnownMembers = new KnownMembers();
  /** Whether there was a join. Its messages may be on their way. */
  #hasAsked = false;
  /** Position of the newest message that has arrived. */
  #position: Position | undefined;
  /** Whether a loop needs a join. */
  #isDue = false;
  #isRunning = false;
  /** The loops that get what they lack by the join that is not answered. */
  readonly #joining = new Set<RoomLoop>();
  /** Whether these loops have got a gap. */
  #isTold = false;
  /** Called when the client is a member, or the room has no loops. */
  readonly #deciding = new Set<() => void>();
  /** Grows with each join, and with each end of a membership. */
  changes = 0;
  /** The error that has ended the loops. */
  failure: unknown;
  /** Ends the join that is not answered. */
  #joinControl: AbortController | undefined;
  #delays = new Delays();
  /** Ends a {@link #pause}. */
  #wake: (() => void) | undefined;
  /** Whether the room has a state, by the last join; undefined before the first. */
  hasState: boolean | undefined;
  /** The last connection on which a join has brought missed messages. */
  #missedOn: ConnLike | undefined;
  /** Joins in a row that ended with their connection, by a message that is too long. */
  tooLong = 0;
  /** Whether the server shows members, by the last join. */
  #hasMembers: boolean | undefined;
  /** Whether the application has asked for the members. */
  #wantsMembers = false;
  /** Whether a message that does not fit its schema was reported. */
  #hasReported = false;
  /** When the last state has come, in ms. */
  #stateAt = -Infinity;

  constructor(rooms: ClientRooms, name: string) {
    this.#rooms = rooms;
    this.name = name;
  }

  /** Begins a loop. */
  loop(options: JoinOptions, schemas: KeySchemas): RoomLoop {
    const loop = new RoomLoop(this, schemas, options, this.#hasAsked);
    this.#loops.add(loop);
    const isLive = options.since === undefined && options.last === undefined;
    // Without a position it takes the live messages, as the other loops do.
    if (isLive && this.isMember) {
      loop.begin(this.#position);
      loop.live();
    } else this.#resume();
    return loop;
  }

  /** The client is a member, as far as it knows. */
  get isMember(): boolean {
    return this.#memberOn !== undefined && this.#memberOn === this.#rooms.conn;
  }

  /** Whether the client is a member, or has no loop of this room. */
  get isDecided(): boolean {
    return this.isMember || this.#loops.size === 0;
  }

  /**
   * Calls `decided` once, when {@link isDecided} becomes true.
   *
   * @returns Removes it.
   */
  onDecided(decided: () => void): () => void {
    this.#deciding.add(decided);
    return () => void this.#deciding.delete(decided);
  }

  #decided(): void {
    for (const decided of this.#deciding) decided();
    this.#deciding.clear();
  }

  take(message: Arrived): void {
    if (this.#memberOn === undefined && this.#joining.size === 0) return;
    const { position } = message;
    // The join of another loop may bring older messages.
    if (position !== undefined && !isUpTo(position, this.#position)) this.#position = position;
    for (const loop of this.#loops) {
      // The messages with which it begins come with its own join.
      if (loop.last === undefined || this.#joining.has(loop)) loop.take(message);
    }
  }

  state({ data, position }: WireState): void {
    if (this.#memberOn === undefined && this.#joining.size === 0) return;
    this.hasState = true;
    this.#stateAt = portablePlatform.now();
    this.#position = position;
    // The application changes the state with each message. Each loop has its own.
    const isShared = this.#loops.size > 1;
    for (const loop of this.#loops) loop.state(isShared ? structuredClone(data) : data, position);
  }

  gap({ position, joining }: WireGap): void {
    if (joining === true) {
      this.#isTold = true;
      // A server with a state sends it instead.
      this.hasState = false;
      for (const loop of this.#loops) {
        const isAfter = loop.position !== undefined && !isUpTo(loop.position, position);
        if (!this.#joining.has(loop) || (isAfter && !loop.isFilling)) loop.suspect();
        else if (loop.position !== undefined) loop.gap();
      }
      return;
    }
    // The client may be no member any more.
    if (position === undefined) {
      this.#memberOn = undefined;
      this.changes++;
    }
    for (const loop of this.#loops) {
      // Messages before its position cannot arrive any more. Otherwise the answer of a join decides.
      const at = loop.position;
      if (position !== undefined && at !== undefined && !isUpTo(at, position)) loop.gap();
      loop.refill();
    }
    this.#resume();
  }

  shown(event: WireMembers): void {
    if (this.#memberOn === undefined && this.#joining.size === 0) return;
    const before = this.members;
    this.#show(before.after(event), event.members !== undefined && !before.complete);
  }

  /** The members, for the application. A room that never has some is reported once. */
  askMembers(): KnownMembers {
    if (!this.#wantsMembers) {
      this.#wantsMembers = true;
      this.#checkMembers();
    }
    return this.members;
  }

  #checkMembers(): void {
    if (!this.#wantsMembers || this.#hasMembers !== false) return;
    const message = 'rooms.members: the key of the room needs members: true in serveRooms';
    reportFor(this.name, new TypeError(message));
  }

  /** @param isNews - Tell the listeners, also without a change. */
  #show(members: KnownMembers, isNews: boolean): void {
    const before = this.members;
    this.members = members;
    const change = members.since(before);
    const hasChanged =
      before.count !== members.count ||
      before.complete !== members.complete ||
      change.joined.size + change.left.size + change.changed.size > 0;
    if (isNews || hasChanged) this.#rooms.membersChanged(this.name, change);
  }

  /** A connection has ended. */
  closed(): void {
    if (!this.isMember) this.#show(this.members.unsure(), false);
  }

  /** A connection has opened. */
  opened(): void {
    // It may have replaced another one, which has not ended.
    this.closed();
    this.#resume();
    this.#wake?.();
  }

  /** A message does not fit the schema of a loop. It has a gap there, or a state in its place. */
  misfit(error: unknown): void {
    if (!this.#hasReported) reportFor(this.name, error);
    this.#hasReported = true;
  }

  resume(loop: RoomLoop): void {
    // The unanswered join began before, so the loop has not taken all of its messages.
    this.#joining.delete(loop);
    // Messages that do not fit cost the server no more than a state a second.
    const ms = this.#hasReported ? this.#stateAt + LEAST_DELAY_MS - portablePlatform.now() : 0;
    if (ms > 0) portablePlatform.setTimer(ms, () => this.#resume());
    else this.#resume();
  }

  /** A join or a leave is due. */
  #resume(): void {
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  leave(loop: RoomLoop): void {
    if (this.#loops.delete(loop) && this.#loops.size === 0) this.#unused();
  }

  /** The last loop has ended. */
  #unused(): void {
    this.#joinControl?.abort();
    this.#resume();
    this.#wake?.();
  }

  /** Ends all loops. */
  end(error: unknown): void {
    this.failure = error;
    for (const loop of this.#loops) loop.end(error);
    this.#loops.clear();
    this.#unused();
  }

  /** Joins and leaves, one after the other. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#isDue) {
      this.#isDue = false;
      if (this.#loops.size === 0) await this.#leave();
      else if (this.#rooms.conn !== undefined) await this.#tryJoin(this.#rooms.conn);
    }
    this.#isRunning = false;
    if (this.#loops.size > 0) return;
    this.#decided();
    this.#rooms.release(this);
  }

  async #leave(): Promise<void> {
    const conn = this.#memberOn;
    this.#memberOn = undefined;
    this.#show(new KnownMembers(), false);
    const delays = new Delays();
    // A loop that begins meanwhile joins after that.
    while (conn !== undefined && conn === this.#rooms.conn) {
      const left = this.#rooms.server['room.leave']({ room: this.name }, { timeout: false });
      if (!isLater(await left.catch((error: unknown) => error))) return;
      await this.#pause(delays);
    }
  }

  /** Waits before a request is sent again. */
  async #pause(delays: Delays): Promise<void> {
    const over = new Deferred<void>();
    this.#wake = () => over.resolve();
    const stop = delays.wait(this.#wake);
    await over.promise;
    this.#wake = undefined;
    stop();
  }

  async #tryJoin(conn: ConnLike): Promise<void> {
    const { isCautious } = this.#rooms;
    const join = (): Promise<boolean> => this.#join(conn, isCautious);
    if (await (isCautious ? this.#rooms.oneByOne(join) : join())) return;
    // The server, or this end, could not serve it.
    this.#isDue = true;
    await this.#pause(this.#delays);
  }

  /**
   * @param isAlone - Whether no other room joins: a message that is too long is of this one.
   * @returns False when the same join may succeed later.
   */
  async #join(conn: ConnLike, isAlone: boolean): Promise<boolean> {
    if (conn !== this.#rooms.conn) return true;
    const isNew = conn !== this.#memberOn;
    // No room has live messages. What is too long belongs to this join.
    const isFirst = isAlone && conn !== this.#rooms.answeredOn;
    let lacking = [...this.#loops].filter((loop) => loop.isFilling || (isNew && !loop.isBehind));
    if (!isNew && lacking.length === 0) return true;
    // A loop that begins with the last messages or needs a state asks alone, after the others.
    const asksAlone = (loop: RoomLoop): boolean =>
      loop.last !== undefined || (loop.restarts && this.hasState === true);
    const others = lacking.filter((loop) => !asksAlone(loop));
    if (others.length < lacking.length && lacking.length > 1) {
      this.#isDue = true;
      lacking = others.length > 0 ? others : lacking.slice(0, 1);
    }
    this.#hasAsked = true;
    for (const loop of lacking) this.#joining.add(loop);
    this.#isTold = false;
    const positions = lacking.map((loop) => loop.asks());
    const since = oldest(positions);
    const control = new AbortController();
    const { signal } = control;
    this.#joinControl = control;
    const { changes } = this;
    try {
      const input = { room: this.name, since, last: lacking[0]?.last };
      const answer = await this.#rooms.server['room.join'](input, { timeout: false, signal });
      // The membership may have ended before this answer has left, or before this join.
      if (this.changes === changes) this.#joined(conn, lacking, answer);
      else this.#isDue = true;
    } catch (error) {
      if (signal.aborted) {
        // The answer may have been on its way.
        this.#memberOn = conn;
        await this.#leave();
      } else if (error instanceof CloseError || this.#rooms.isBreak(conn, error)) {
        // The next connection joins again.
        // What the room has missed ends each connection.
        if (isAlone && (await endedByLength(conn))) {
          this.#skip(lacking, isFirst && since === undefined);
        }
      } else if (isLater(error)) return false;
      else this.end(error);
    } finally {
      this.#joinControl = undefined;
      this.#joining.clear();
    }
    return true;
  }

  /** The answer to a join has ended its connection. */
  #skip(lacking: readonly RoomLoop[], isOfState: boolean): void {
    this.tooLong++;
    if (isOfState && this.tooLong > 1 && this.hasState !== false) {
      const note = 'the state of the room is longer than readLimit';
      return this.end(new CloseError(CloseCode.MessageTooBig, '', note));
    }
    for (const loop of lacking) loop.skip();
  }

  /** The missed messages make this client too slow, if the join on `conn` brought it. */
  skipMissed(conn: ConnLike): void {
    if (conn !== this.#missedOn) return;
    for (const loop of this.#loops) loop.skip();
  }

  #joined(conn: ConnLike, lacking: readonly RoomLoop[], answer: JoinAnswer): void {
    // The request has waited for another connection, which gets its own.
    if (conn !== this.#rooms.conn) return;
    this.#memberOn = conn;
    this.changes++;
    this.#delays = new Delays();
    this.tooLong = 0;
    const { complete, missed, position, members = false, state = false } = answer;
    this.hasState = state;
    if (missed > 0) this.#missedOn = conn;
    if (members !== this.#hasMembers) {
      this.#hasMembers = members;
      this.#checkMembers();
    }
    if (position !== undefined && !isUpTo(position, this.#position)) this.#position = position;
    for (const loop of lacking) loop.joined(answer, this.#isTold, this.#joining.has(loop));
    // Those that have begun meanwhile.
    for (const loop of this.#loops) if (!loop.isFilling) loop.begin(answer.position);
    // A state without a position is not the newest.
    if (complete || !state) for (const loop of this.#loops) loop.live();
    this.#decided();
    this.#rooms.joined(conn);
  }
}

/** Whether a request may succeed when it is sent again. */
export function isLater(error: unknown): boolean {
  if (error instanceof RpcError) return error.code === ErrorCode.Busy;
  return error instanceof BackpressureError;
}

/** Reports a message or `info` that does not fit, or a publication that fails. */
export function reportFor(room: string, error: unknown): void {
  const where = `room ${JSON.stringify(room)}`;
  reportError(undefined, portablePlatform, error, { where });
}

/** Whether a message of the peer was longer than `readLimit` of this end. */
export async function endedByLength(conn: ConnLike): Promise<boolean> {
  const { error } = await internalsOf(conn).closed;
  return error instanceof ReadLimitError;
}

/** The times before a request is sent again. */
export class Delays {
  #ms = LEAST_DELAY_MS;

  /**
   * Calls `done` after between half of the time and all of it, so that clients do not return at once.
   * The next time is twice as long.
   *
   * @returns Stops the wait.
   */
  wait(done: () => void): () => void {
    const ms = this.#ms * (1 - Math.random() / 2);
    this.#ms = Math.min(2 * this.#ms, MOST_DELAY_MS);
    return portablePlatform.setTimer(ms, done);
  }
}

/** The earliest position. Positions of different histories have no order. */
function oldest(positions: readonly (Position | undefined)[]): Position | undefined {
  const known = positions.filter((position) => position !== undefined);
  if (known.some(({ epoch }) => epoch !== known[0]!.epoch)) return START;
  return known.reduce<Position | undefined>(
    (least, position) => (isUpTo(position, least ?? position) ? position : least),
    undefined,
  );
}
