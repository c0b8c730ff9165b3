import { CloseCode, CloseError, type ConnLike, portablePlatform, ReadLimitError } from '@ws/conn';
import { Deferred, internalsOf, reportError } from '@ws/conn/internal';
import type { Peer } from '../contract.ts';
import { Delays, maySucceedLater } from './delays.ts';
import { Misfits } from './misfits.ts';
import {
  type JoinAnswer,
  type JoinOptions,
  type Position,
  type RoomMethods,
  type WireGap,
  type WireMembers,
  type WireState,
} from './room-contract.ts';
import { type Arrived, isUpTo, RoomLoop } from './room-loop.ts';
import { KnownMembers, type MembersChange } from './room-members.ts';
import type { KeySchemas } from './room-schemas.ts';

/** What a room needs of the other rooms, see `ClientRooms`. */
export interface RoomsOfClient {
  readonly conn: ConnLike | undefined;
  readonly server: Peer<RoomMethods>;
  readonly answeredOn: ConnLike | undefined;
  join<R>(join: (isAlone: boolean) => Promise<R>): Promise<R>;
  joined(conn: ConnLike): void;
  isBreak(conn: ConnLike | undefined, error: unknown): boolean;
  passes(room: string, error: unknown): boolean;
  membersChanged(room: string, change: MembersChange): void;
  release(room: ClientRoom): void;
}

/** One room of a client. Its loops share one join. */
export class ClientRoom {
  readonly name: string;
  readonly #rooms: RoomsOfClient;
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
  #isJoining = false;
  /** Whether the server has sent a gap for the pending join. */
  #joinHasGap = false;
  /** Whether a message with a position has arrived since the pending join was sent. */
  #joinHasMessages = false;
  /**
   * Whether the pending join has no `since`. Unless a state comes, the server then omits messages that
   * other loops lack.
   */
  #joinOmits = false;
  /** The loops that lack a message because it belongs to the pending join of other loops. */
  readonly #omitted = new Set<RoomLoop>();
  /** Whether loops are learning of an event. A join would not know what later loops need. */
  #isTelling = false;
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
  /** Whether the server shows members, from the last answer to a join; undefined before the first. */
  #hasMembers: boolean | undefined;
  /** Whether the application has asked for the members. */
  #wantsMembers = false;
  readonly #misfits = new Misfits<RoomLoop>(() => this.#replaceMisfits());
  /** Whether a join requests a state because messages did not fit. The loops continue meanwhile. */
  #needsState = false;

  constructor(rooms: RoomsOfClient, name: string) {
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
    if (this.#memberOn === undefined && !this.#isJoining) return;
    const { position } = message;
    this.#joinHasMessages ||= position !== undefined;
    // The join of another loop may bring older messages.
    if (position !== undefined && !isUpTo(position, this.#position)) this.#position = position;
    this.#isTelling = true;
    for (const loop of this.#loops) {
      if (this.#joining.has(loop)) loop.take(message);
      // Until its own join, a loop with the option `last` takes no message.
      else if (loop.last !== undefined) continue;
      else if (this.#isOmittedFor(loop, position)) this.#omitted.add(loop);
      else loop.take(message);
    }
    this.#told();
  }

  /**
   * Whether a loop must not take a message, because the pending join of other loops may omit messages
   * before it. The loop joins again afterwards.
   */
  #isOmittedFor(loop: RoomLoop, position: Position | undefined): boolean {
    if (position === undefined || !this.#isJoining || loop.isNew) return false;
    const omits = this.#joinOmits && this.hasState !== true;
    return omits || loop.position?.epoch !== position.epoch;
  }

  takeState({ data, position }: WireState): void {
    if (this.#memberOn === undefined && !this.#isJoining) return;
    this.hasState = true;
    this.#needsState = this.#joinOmits = false;
    this.#omitted.clear();
    this.#misfits.forget();
    this.#position = position;
    // Each loop needs a copy, because the application changes the state with each message.
    const copies = this.#loops.size > 1;
    for (const loop of this.#loops) loop.takeState(copies ? copyOf(data) : data, position);
    // A slow member gets it in place of messages: no answer follows.
    if (!this.#isJoining && position !== undefined) for (const loop of this.#loops) loop.addLive();
  }

  takeGap({ position, joining }: WireGap): void {
    this.#isTelling = true;
    if (joining === true) {
      this.#joinHasGap = true;
      // For a room with a state, the server sends the state in place of a gap.
      this.#learn(false);
      for (const loop of this.#loops) {
        const isAhead = loop.position !== undefined && !isUpTo(loop.position, position);
        if (!this.#joining.has(loop) || (isAhead && !loop.isFilling)) loop.checkNext();
        else if (loop.position !== undefined) loop.markGap();
      }
    } else {
      // A gap without a position may mean that the client is no longer a member.
      if (position === undefined) {
        this.#memberOn = undefined;
        this.changes++;
      }
      for (const loop of this.#loops) loop.gapAfter(position);
      this.#isDue = true;
    }
    this.#told();
  }

  /** Notes whether the room has a state. Before, the loops keep their gaps back. */
  #learn(hasState: boolean): void {
    const wasUnknown = this.hasState === undefined;
    this.hasState = hasState;
    if (wasUnknown) for (const loop of this.#loops) loop.learned();
  }

  /** Ends the phase in which loops learn of an event. Begins the join that they need. */
  #told(): void {
    this.#isTelling = false;
    if (this.#isDue) this.#schedule();
  }

  takeMembers(event: WireMembers): void {
    if (this.#memberOn === undefined && !this.#isJoining) return;
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

  /** Whether a loop passes over a value that does not fit, and nothing replaces it. */
  passes(error: unknown): boolean {
    return this.#rooms.passes(this.name, error);
  }

  /** Called when a loop has passed over a message that does not fit its schema. Reports the first one. */
  misfit(loop: RoomLoop, error: unknown): void {
    if (!this.#misfits.hasReported) reportFor(this.name, error);
    if (this.#loops.has(loop)) this.#misfits.add(loop);
  }

  /** Requests a state, or adds a gap, instead of the messages that did not fit. */
  #replaceMisfits(): void {
    // The first answer says which of the two.
    if (this.hasState === undefined) return;
    if (this.hasState) {
      this.#needsState = !this.#misfits.isEmpty;
      this.#schedule();
    } else for (const loop of this.#misfits.takeLoops()) loop.addMisfitGap();
  }

  /** Joins again for a loop that lacks messages or a state. */
  rejoin(loop: RoomLoop): void {
    // The answer to the pending join does not bring all that the loop lacks.
    this.#joining.delete(loop);
    this.#schedule();
  }

  /** A join or a leave is due: starts {@link #run}, or lets it continue. */
  #schedule(): void {
    this.#isDue = true;
    if (!this.#isRunning && !this.#isTelling) void this.#run();
  }

  leave(loop: RoomLoop): void {
    if (this.#loops.delete(loop) && this.#loops.size === 0) this.#noLoopsLeft();
  }

  /** Called when the last loop has ended. */
  #noLoopsLeft(): void {
    this.#misfits.forget();
    this.#joinControl?.abort();
    this.#schedule();
    this.#wake?.();
  }

  /** Ends loops. Default: all loops. */
  end(error: unknown, loops: readonly RoomLoop[] = [...this.#loops]): void {
    for (const loop of loops) {
      loop.end(error);
      this.#loops.delete(loop);
    }
    if (this.#loops.size > 0) return;
    this.failure = error;
    this.#noLoopsLeft();
  }

  /** The number of connections in a row that a too long message has ended during a join of one loop. */
  get limitEnds(): number {
    return Math.max(0, ...Array.from(this.#loops, (loop) => loop.limitEnds));
  }

  /** Whether the client is a member, and no loop waits for a join. */
  get isSettled(): boolean {
    return this.isMember && Array.from(this.#loops).every((loop) => !loop.isFilling);
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
    if (await this.#rooms.join((isAlone) => this.#join(conn, isAlone))) return;
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
    const due = [...this.#loops].filter((loop) => loop.isFilling || (isNew && !loop.isBehind));
    const asksForState = due.length === 0 && this.#needsState;
    if (!isNew && due.length === 0 && !asksForState) return true;
    if (asksForState) this.#needsState = false;
    const lacking = this.#together(due);
    this.#isDue ||= lacking.length < due.length || this.#needsState;
    this.#hasAsked = true;
    for (const loop of lacking) this.#joining.add(loop);
    this.#isJoining = true;
    this.#joinHasGap = this.#joinHasMessages = false;
    const since = this.#since(lacking);
    this.#joinOmits = since === undefined;
    // The server does not know what the loops of later joins lack.
    for (const loop of due) if (!lacking.includes(loop) && !loop.isNew) this.#omitted.add(loop);
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
      } else if (!maySucceedLater(error)) this.end(error);
      else return asksForState;
    } finally {
      // If no state has come, the room requests it later.
      if (asksForState) this.#misfits.wait();
      this.#joinControl = undefined;
      this.#joining.clear();
      this.#isJoining = false;
      this.#refillOmitted();
    }
    return true;
  }

  /** The loops that share the next join. */
  #together(due: readonly RoomLoop[]): readonly RoomLoop[] {
    // A message that ended connections belongs to the first join of a connection.
    const suspects = due.filter(({ limitEnds }) => limitEnds > 0);
    const next = suspects.length > 0 ? suspects : due;
    // Each loop with the option `last`, or that needs a state, has a separate join, after the join
    // that the other loops share.
    const sharing = next.filter(
      (loop) => loop.last === undefined && !(loop.restarts && this.hasState === true),
    );
    if (sharing.length === 0) return next.slice(0, 1);
    // Positions of different histories have no order.
    const epochs = sharing.map(({ since }) => since?.epoch);
    const epoch = epochs.find((each) => each !== undefined);
    return sharing.filter((_, i) => epochs[i] === undefined || epochs[i] === epoch);
  }

  /**
   * The option `since` of a join: the oldest position. The server sends a member no message up to `since`
   * again, so `since` is not after the position of another loop.
   */
  #since(lacking: readonly RoomLoop[]): Position | undefined {
    const positions = lacking.map((loop) => loop.beginJoin());
    const least = oldest(positions);
    const others = [...this.#loops].filter((loop) => !loop.isBehind && !lacking.includes(loop));
    const known = others.map((loop) => loop.since);
    return least && oldest([least, ...known.filter((each) => each?.epoch === least.epoch)]);
  }

  /** Lets the loops join again that have not got what another join has brought. */
  #refillOmitted(): void {
    for (const loop of this.#omitted) loop.refill();
    this.#omitted.clear();
  }

  /** Called when a too long message has ended the connection during a join. */
  #skip(lacking: readonly RoomLoop[], isState: boolean): void {
    for (const loop of lacking) loop.limitEnds++;
    if (isState && this.limitEnds > 1 && this.hasState !== false) {
      const note = 'the state of the room is longer than readLimit';
      const loops = [...this.#loops].filter((loop) => loop.isNew || loop.restarts);
      return this.end(new CloseError(CloseCode.MessageTooBig, '', note), loops);
    }
    for (const loop of lacking) loop.skip();
  }

  /** Called for a client that is too slow. Gives up missed messages, if a join on `conn` has brought any. */
  skipMissed(conn: ConnLike): void {
    if (conn !== this.#missedOn) return;
    this.#isTelling = true;
    for (const loop of this.#loops) loop.skip();
    this.#told();
  }

  #joined(conn: ConnLike, lacking: readonly RoomLoop[], answer: JoinAnswer): void {
    // If the connection was replaced, the room joins again on the new one.
    if (conn !== this.#rooms.conn) return;
    this.#memberOn = conn;
    this.changes++;
    this.#delays = new Delays();
    const { complete, missed, position, members = false, state = false } = answer;
    const wasUnknown = this.hasState === undefined;
    this.hasState = state;
    if (missed > 0) this.#missedOn = conn;
    if (members !== this.#hasMembers) {
      this.#hasMembers = members;
      this.#checkMembers();
    }
    const isSameHistory = position?.epoch === this.#position?.epoch;
    // Messages of another history that have arrived meanwhile are newer than the answer.
    if (position !== undefined && (isSameHistory || !this.#joinHasMessages)) {
      if (!isUpTo(position, this.#position)) this.#position = position;
    }
    for (const loop of lacking) {
      loop.limitEnds = 0;
      loop.joined(answer, this.#joinHasGap, this.#joining.has(loop));
    }
    for (const loop of this.#loops) {
      if (!lacking.includes(loop) && this.#lacks(loop, answer)) this.#omitted.add(loop);
    }
    this.#refillOmitted();
    // Begins the loops that were created since the join was sent.
    for (const loop of this.#loops) if (!loop.isFilling) loop.begin(answer.position);
    // A state without a position may be outdated.
    if (complete || !state) for (const loop of this.#loops) loop.addLive();
    if (wasUnknown) {
      for (const loop of this.#loops) loop.learned();
      if (!this.#misfits.isWaiting) this.#replaceMisfits();
    }
    this.#callDecided();
    this.#rooms.joined(conn);
  }

  /** Whether a loop may lack messages up to the position of an answer to a join of other loops. */
  #lacks(loop: RoomLoop, { position, state }: JoinAnswer): boolean {
    if (position === undefined || loop.isNew) return false;
    if (loop.position?.epoch !== position.epoch) return true;
    return this.#joinOmits && state !== true && !isUpTo(position, loop.position);
  }
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

/** A copy of what JSON has. `structuredClone` is not in each page, and slower. */
function copyOf(data: unknown): unknown {
  return JSON.parse(JSON.stringify(data));
}

/** The earliest of positions of one history; undefined without positions. */
function oldest(positions: readonly (Position | undefined)[]): Position | undefined {
  return positions.reduce(
    (least, position) => (position && isUpTo(position, least ?? position) ? position : least),
    undefined,
  );
}
