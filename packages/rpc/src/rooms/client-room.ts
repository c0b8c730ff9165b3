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

/** Bounds of the time in ms before a failed request is sent again. */
const LEAST_DELAY_MS = 1_000;
const MOST_DELAY_MS = 30_000;

/** One room of a client. Its loops share one join. */
export class ClientRoom {
  readonly name: string;
  readonly #rooms: ClientRooms;
  readonly #loops = new Set<RoomLoop>();
  /** The connection on which the client joined; undefined while it is not a member. */
  #memberOn: ConnLike | undefined;
  /** The members that the server shows. */
  members: KnownMembers = new KnownMembers();
  /** Whether a join was sent: its messages may be older than a new loop. */
  #hasAsked = false;
  /** Position of the newest message that has arrived. */
  #position: Position | undefined;
  /** Whether a join or a leave is due. */
  #isDue = false;
  #isRunning = false;
  /** The loops that get their missing messages from the pending join. */
  readonly #joining = new Set<RoomLoop>();
  /** Whether the server has sent a gap for the pending join. */
  #joinHasGap = false;
  /** See {@link onDecided}. */
  readonly #deciding = new Set<() => void>();
  /** Number of joins, and of memberships that the server ended. Detects an answer that is outdated. */
  changes = 0;
  /** The error that has ended the loops. */
  failure: unknown;
  /** Ends the pending join. */
  #joinControl: AbortController | undefined;
  #delays = new Delays();
  /** Ends a {@link #pause}. */
  #wake: (() => void) | undefined;
  /** Whether the room has a state, from the last answer to a join; undefined before the first. */
  hasState: boolean | undefined;
  /** The last connection on which a join has brought missed messages. */
  #missedOn: ConnLike | undefined;
  /** Number of joins in a row whose connection ended because a message exceeded `readLimit`. */
  limitEnds = 0;
  /** Whether the server shows members, from the last answer to a join; undefined before the first. */
  #hasMembers: boolean | undefined;
  /** Whether the application has asked for the members. */
  #wantsMembers = false;
  /** Whether a message that does not fit its schema was reported. */
  #reportedMisfit = false;
  /** When the last state arrived, in ms. */
  #stateAt = -Infinity;

  constructor(rooms: ClientRooms, name: string) {
    this.#rooms = rooms;
    this.name = name;
  }

  /** Begins a loop. */
  loop(options: JoinOptions, schemas: KeySchemas): RoomLoop {
    const loop = new RoomLoop(this, schemas, options, this.#hasAsked);
    this.#loops.add(loop);
    const beginsLive = options.since === undefined && options.last === undefined;
    // A loop that begins with live messages needs no join while the client is a member.
    if (beginsLive && this.isMember) {
      loop.begin(this.#position);
      loop.addLive();
    } else this.#schedule();
    return loop;
  }

  /** Whether the client is a member, as far as the client knows. */
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
   * @returns A function that removes `decided`.
   */
  onDecided(decided: () => void): () => void {
    this.#deciding.add(decided);
    return () => void this.#deciding.delete(decided);
  }

  #callDecided(): void {
    for (const decided of this.#deciding) decided();
    this.#deciding.clear();
  }

  take(message: Arrived): void {
    if (this.#memberOn === undefined && this.#joining.size === 0) return;
    const { position } = message;
    // The join of another loop may bring older messages.
    if (position !== undefined && !isUpTo(position, this.#position)) this.#position = position;
    for (const loop of this.#loops) {
      // Until its own join, a loop with the option `last` takes no message.
      if (loop.last === undefined || this.#joining.has(loop)) loop.take(message);
    }
  }

  takeState({ data, position }: WireState): void {
    if (this.#memberOn === undefined && this.#joining.size === 0) return;
    this.hasState = true;
    this.#stateAt = portablePlatform.now();
    this.#position = position;
    // Each loop needs a copy, because the application changes the state with each message.
    const copies = this.#loops.size > 1;
    for (const loop of this.#loops) loop.takeState(copies ? copyOf(data) : data, position);
  }

  takeGap({ position, joining }: WireGap): void {
    if (joining === true) {
      this.#joinHasGap = true;
      // For a room with a state, the server sends the state in place of a gap.
      this.hasState = false;
      for (const loop of this.#loops) {
        const isAhead = loop.position !== undefined && !isUpTo(loop.position, position);
        if (!this.#joining.has(loop) || (isAhead && !loop.isFilling)) loop.checkNext();
        else if (loop.position !== undefined) loop.markGap();
      }
      return;
    }
    // A gap without a position may mean that the client is no longer a member.
    if (position === undefined) {
      this.#memberOn = undefined;
      this.changes++;
    }
    for (const loop of this.#loops) {
      // A loop that is past the position gets a gap now. For others, the answer to the join decides.
      const at = loop.position;
      if (position !== undefined && at !== undefined && !isUpTo(at, position)) loop.markGap();
      loop.refill();
    }
    this.#schedule();
  }

  takeMembers(event: WireMembers): void {
    if (this.#memberOn === undefined && this.#joining.size === 0) return;
    const before = this.members;
    this.#setMembers(before.after(event), event.members !== undefined && !before.complete);
  }

  /** The members, for the application. Reports once that the server does not show members. */
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

  /** @param notifies - Whether to call the listeners even without a change. */
  #setMembers(members: KnownMembers, notifies: boolean): void {
    const before = this.members;
    this.members = members;
    const change = members.since(before);
    const hasChanged =
      before.count !== members.count ||
      before.complete !== members.complete ||
      change.joined.size + change.left.size + change.changed.size > 0;
    if (notifies || hasChanged) this.#rooms.membersChanged(this.name, change);
  }

  /** Called when a connection has ended. */
  closed(): void {
    if (!this.isMember) this.#setMembers(this.members.incomplete(), false);
  }

  /** Called when a connection has opened. */
  opened(): void {
    // The connection may replace one that has not ended yet.
    this.closed();
    this.#schedule();
    this.#wake?.();
  }

  /** Reports the first message that does not fit its schema. */
  report(error: unknown): void {
    if (!this.#reportedMisfit) reportFor(this.name, error);
    this.#reportedMisfit = true;
  }

  /** Joins again for a loop that lacks messages or a state. */
  rejoin(loop: RoomLoop): void {
    // The answer to the pending join does not bring all that the loop lacks.
    this.#joining.delete(loop);
    // After messages that do not fit, the client requests at most one state a second.
    const ms = this.#reportedMisfit ? this.#stateAt + LEAST_DELAY_MS - portablePlatform.now() : 0;
    if (ms > 0) portablePlatform.setTimer(ms, () => this.#schedule());
    else this.#schedule();
  }

  /** A join or a leave is due: starts {@link #run}, or lets it continue. */
  #schedule(): void {
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  leave(loop: RoomLoop): void {
    if (this.#loops.delete(loop) && this.#loops.size === 0) this.#noLoopsLeft();
  }

  /** Called when the last loop has ended. */
  #noLoopsLeft(): void {
    this.#joinControl?.abort();
    this.#schedule();
    this.#wake?.();
  }

  /** Ends all loops. */
  end(error: unknown): void {
    this.failure = error;
    for (const loop of this.#loops) loop.end(error);
    this.#loops.clear();
    this.#noLoopsLeft();
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
    this.#callDecided();
    this.#rooms.release(this);
  }

  async #leave(): Promise<void> {
    const conn = this.#memberOn;
    this.#memberOn = undefined;
    this.#setMembers(new KnownMembers(), false);
    const delays = new Delays();
    // A loop that begins meanwhile joins after the leave.
    while (conn !== undefined && conn === this.#rooms.conn) {
      const left = this.#rooms.server['room.leave']({ room: this.name }, { timeout: false });
      if (!maySucceedLater(await left.catch((error: unknown) => error))) return;
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
    const { isSerial } = this.#rooms;
    const join = (): Promise<boolean> => this.#join(conn, isSerial);
    if (await (isSerial ? this.#rooms.oneByOne(join) : join())) return;
    // The server or this end was too busy. Try again later.
    this.#isDue = true;
    await this.#pause(this.#delays);
  }

  /**
   * @param isAlone - Whether no other room joins now, so that a too long message belongs to this room.
   * @returns False when the same join may succeed later.
   */
  async #join(conn: ConnLike, isAlone: boolean): Promise<boolean> {
    if (conn !== this.#rooms.conn) return true;
    const isNew = conn !== this.#memberOn;
    // Whether no room has live messages yet, so that a too long message belongs to this join.
    const isFirst = isAlone && conn !== this.#rooms.answeredOn;
    let lacking = [...this.#loops].filter((loop) => loop.isFilling || (isNew && !loop.isBehind));
    if (!isNew && lacking.length === 0) return true;
    // Each loop with the option `last`, or that needs a state, has a separate join, after the join
    // that the other loops share.
    const joinsAlone = (loop: RoomLoop): boolean =>
      loop.last !== undefined || (loop.restarts && this.hasState === true);
    const others = lacking.filter((loop) => !joinsAlone(loop));
    if (others.length < lacking.length && lacking.length > 1) {
      this.#isDue = true;
      lacking = others.length > 0 ? others : lacking.slice(0, 1);
    }
    this.#hasAsked = true;
    for (const loop of lacking) this.#joining.add(loop);
    this.#joinHasGap = false;
    const positions = lacking.map((loop) => loop.beginJoin());
    const since = oldest(positions);
    const control = new AbortController();
    const { signal } = control;
    this.#joinControl = control;
    const { changes } = this;
    try {
      const input = { room: this.name, since, last: lacking[0]?.last };
      const answer = await this.#rooms.server['room.join'](input, { timeout: false, signal });
      // If a membership has ended meanwhile, the answer is outdated.
      if (this.changes === changes) this.#joined(conn, lacking, answer);
      else this.#isDue = true;
    } catch (error) {
      if (signal.aborted) {
        // The server may have answered the join before it got the cancel.
        this.#memberOn = conn;
        await this.#leave();
      } else if (error instanceof CloseError || this.#rooms.isBreak(conn, error)) {
        // The next connection joins again. A too long missed message would end each connection.
        if (isAlone && (await endedByReadLimit(conn))) {
          this.#skip(lacking, isFirst && since === undefined);
        }
      } else if (maySucceedLater(error)) return false;
      else this.end(error);
    } finally {
      this.#joinControl = undefined;
      this.#joining.clear();
    }
    return true;
  }

  /** Called when a too long message has ended the connection during a join. */
  #skip(lacking: readonly RoomLoop[], isState: boolean): void {
    this.limitEnds++;
    if (isState && this.limitEnds > 1 && this.hasState !== false) {
      const note = 'the state of the room is longer than readLimit';
      return this.end(new CloseError(CloseCode.MessageTooBig, '', note));
    }
    for (const loop of lacking) loop.skip();
  }

  /** Called for a client that is too slow. Gives up missed messages, if a join on `conn` has brought any. */
  skipMissed(conn: ConnLike): void {
    if (conn !== this.#missedOn) return;
    for (const loop of this.#loops) loop.skip();
  }

  #joined(conn: ConnLike, lacking: readonly RoomLoop[], answer: JoinAnswer): void {
    // If the connection was replaced, the room joins again on the new one.
    if (conn !== this.#rooms.conn) return;
    this.#memberOn = conn;
    this.changes++;
    this.#delays = new Delays();
    this.limitEnds = 0;
    const { complete, missed, position, members = false, state = false } = answer;
    this.hasState = state;
    if (missed > 0) this.#missedOn = conn;
    if (members !== this.#hasMembers) {
      this.#hasMembers = members;
      this.#checkMembers();
    }
    if (position !== undefined && !isUpTo(position, this.#position)) this.#position = position;
    for (const loop of lacking) loop.joined(answer, this.#joinHasGap, this.#joining.has(loop));
    // Begins the loops that were created since the join was sent.
    for (const loop of this.#loops) if (!loop.isFilling) loop.begin(answer.position);
    // A state without a position may be outdated.
    if (complete || !state) for (const loop of this.#loops) loop.addLive();
    this.#callDecided();
    this.#rooms.joined(conn);
  }
}

/** Whether a request may succeed when it is sent again. */
export function maySucceedLater(error: unknown): boolean {
  if (error instanceof RpcError) return error.code === ErrorCode.Busy;
  return error instanceof BackpressureError;
}

/** Reports an error of a room: a value that does not fit its schema, or a failed publication. */
export function reportFor(room: string, error: unknown): void {
  const where = `room ${JSON.stringify(room)}`;
  reportError(undefined, portablePlatform, error, { where });
}

/** Waits for the end of `conn`. Resolves to whether a message of the peer exceeded `readLimit`. */
export async function endedByReadLimit(conn: ConnLike): Promise<boolean> {
  const { error } = await internalsOf(conn).closed;
  return error instanceof ReadLimitError;
}

/** The growing delays before a request is sent again. */
export class Delays {
  #ms = LEAST_DELAY_MS;

  /**
   * Calls `done` after a random time between half of the delay and the full delay, so that many
   * clients do not send at the same time. The next delay is twice as long.
   *
   * @returns A function that stops the wait.
   */
  wait(done: () => void): () => void {
    const ms = this.#ms * (1 - Math.random() / 2);
    this.#ms = Math.min(2 * this.#ms, MOST_DELAY_MS);
    return portablePlatform.setTimer(ms, done);
  }
}

/** A copy of what JSON has. `structuredClone` is not in each page, and slower. */
function copyOf(data: unknown): unknown {
  return JSON.parse(JSON.stringify(data));
}

/** The earliest position; `START` for positions of different histories, which have no order. */
function oldest(positions: readonly (Position | undefined)[]): Position | undefined {
  const known = positions.filter((position) => position !== undefined);
  if (known.some(({ epoch }) => epoch !== known[0]!.epoch)) return START;
  return known.reduce<Position | undefined>(
    (least, position) => (isUpTo(position, least ?? position) ? position : least),
    undefined,
  );
}
