import type { PreparedMessage } from '@ws/conn';
import { Deferred, RESOLVED } from '@ws/conn/internal';
import { OverflowError } from '../errors.ts';
import type { Position } from '../position.ts';
import type { Cursor } from '../rooms/cursor.ts';
import type { Session } from '../sessions/session.ts';
import { type DeliverySource, type FanOut, WRITE_COST } from './fan-out.ts';

/** Bounds of the publications that wait for the next pass: their number, and the bytes of messages. */
const MAX_WAITING_MESSAGES = 10_000;
const MAX_WAITING_BYTES = 67_108_864;

/** A message to the members of an audience. */
export interface Publication<Data> {
  readonly message: PreparedMessage;
  readonly key: string | undefined;
  /** The members that do not get the message. */
  readonly except: ReadonlySet<object> | undefined;
  /** If set, the only members that get the message. */
  readonly only?: ReadonlySet<Session<Data>> | undefined;
  /** The position in the room's history, if the history has the message and the position is known. */
  readonly position?: Position | undefined;
  /** Offset of the previous message, if the engine's offsets have holes. */
  readonly previous?: number | undefined;
}

export function isFor<Data>(
  { except, only }: Partial<Pick<Publication<Data>, 'except' | 'only'>>,
  member: Session<Data>,
): boolean {
  return except?.has(member) !== true && only?.has(member) !== false;
}

export type FallBehind<Data> = (
  audience: Audience<Data>,
  member: Session<Data>,
  publication: Publication<Data>,
) => void;

/** One pass over the members. */
interface Pass<Data> {
  readonly publications: readonly Publication<Data>[];
  /** The messages of all publications, if every member gets all of them. */
  readonly messages: readonly PreparedMessage[] | undefined;
  /** Number of the first publication, counted from the start of the audience. */
  readonly first: number;
  readonly ended: Deferred<void>;
  /** The members that the pass has not visited. */
  readonly members: Iterator<Session<Data>>;
  /** The publications by their receivers; undefined if none has `only`. */
  readonly selection: Selection<Data> | undefined;
}

/** Publications by their receivers, so that a pass need not check each publication for each member. */
interface Selection<Data> {
  /** Indexes of the publications for all members, in order. */
  readonly common: readonly number[];
  /** By member: indexes of the publications whose `only` has the member, in order. */
  readonly own: ReadonlyMap<Session<Data>, readonly number[]>;
}

/**
 * Sessions that get the same messages. Publications wait for the end of the turn. Then one pass
 * over the members sends each one all waiting messages, so its connection writes once. A long pass
 * continues in later turns. Publications that arrive during a pass wait for the next one.
 */
export class Audience<Data> implements DeliverySource {
  readonly members: Set<Session<Data>> = new Set();
  readonly #fanOut: FanOut;
  readonly #fallBehind: FallBehind<Data> | undefined;
  #waiting: Publication<Data>[] = [];
  #waitingBytes = 0;
  /** Resolves at the end of the next pass; undefined while no publication waits. */
  #delivered: Deferred<void> | undefined;
  /** The running pass. */
  #pass: Pass<Data> | undefined;
  /** Number of the first waiting publication, counted from the start of the audience. */
  #firstWaiting = 0;
  /**
   * The members that joined after publications which still wait or are being sent. The value is the
   * number of the first publication that the member gets.
   */
  #firsts: Map<Session<Data>, number> | undefined;
  /** The cursor of each member that lacks messages. It takes the messages in place of the member. */
  #cursors: Map<Session<Data>, Cursor<Data>> | undefined;
  /** Whether the last message from the backplane was refused. */
  #hasRefused = false;

  /** @param fallBehind - Called when a member has no room for a message of the history. */
  constructor(fanOut: FanOut, fallBehind?: FallBehind<Data>) {
    this.#fanOut = fanOut;
    this.#fallBehind = fallBehind;
  }

  /** Adds a member. The member gets the publications after this call. */
  join(session: Session<Data>): void {
    this.members.add(session);
    if (this.#pass === undefined && this.#delivered === undefined) return;
    this.#firsts ??= new Map();
    this.#firsts.set(session, this.#firstWaiting + this.#waiting.length);
  }

  /** Removes a member, and sends it the publications that wait. */
  leave(session: Session<Data>): void {
    if (this.members.delete(session)) this.#sendWaiting(session);
    this.setCursor(session, undefined);
  }

  /** The cursor of a member. It stays after the last missed message, to drop repeated messages. */
  cursorOf(session: Session<Data>): Cursor<Data> | undefined {
    return this.#cursors?.get(session);
  }

  /** From now on `cursor` takes the messages of the member; if undefined, the member gets them. */
  setCursor(session: Session<Data>, cursor: Cursor<Data> | undefined): void {
    if (cursor === undefined) {
      this.#cursors?.delete(session);
      if (this.#cursors?.size === 0) this.#cursors = undefined;
    } else {
      this.#cursors ??= new Map();
      this.#cursors.set(session, cursor);
    }
  }

  /** Called when `form` has failed for the message at a position. No member gets the message. */
  skip(position: Position, previous: number | undefined): void {
    for (const cursor of this.#cursors?.values() ?? []) cursor.take({ position, previous });
  }

  /**
   * Sends the waiting publications to a member that leaves or closes. Does nothing during a pass: the
   * pass has earlier publications, and may not have visited the member yet.
   */
  flush(session: Session<Data>): void {
    if (this.members.has(session)) this.#sendWaiting(session);
  }

  #sendWaiting(session: Session<Data>): void {
    if (this.#waiting.length === 0 || this.#pass !== undefined) return;
    this.#firsts ??= new Map();
    const end = this.#firstWaiting + this.#waiting.length;
    for (;;) {
      const next = Math.max(this.#firsts.get(session) ?? 0, this.#firstWaiting);
      if (next >= end) return;
      // Set before the delivery, because a listener of `sent` may leave or close too.
      this.#firsts.set(session, next + 1);
      this.#deliver(session, this.#waiting[next - this.#firstWaiting]!);
    }
  }

  /**
   * @returns A promise that resolves when every member has the message, has it waiting, or has
   *   left.
   * @throws {@link OverflowError}
   */
  publish(publication: Publication<Data>): Promise<void> {
    if (this.members.size === 0) return RESOLVED;
    const { length } = publication.message.bytes;
    const bytes = this.#waitingBytes + length;
    const tooMany = this.#waiting.length >= MAX_WAITING_MESSAGES || bytes > MAX_WAITING_BYTES;
    if (tooMany && this.#waiting.length > 0) {
      throw new OverflowError(
        `${this.#waiting.length} messages (${this.#waitingBytes} bytes) already wait for delivery; await publish`,
      );
    }
    this.#waiting.push(publication);
    this.#waitingBytes = bytes;
    if (this.#delivered === undefined) {
      this.#delivered = new Deferred();
      if (this.#pass === undefined) this.#fanOut.add(this);
    }
    return this.#delivered.promise;
  }

  /**
   * As {@link publish}, for a message from the backplane. Resolves at once for a refused message.
   *
   * @param refused - Called for the first refused message after an accepted one.
   */
  arrive(publication: Publication<Data>, refused: () => void): Promise<void> {
    try {
      const delivered = this.publish(publication);
      this.#hasRefused = false;
      return delivered;
    } catch {
      if (!this.#hasRefused) refused();
      this.#hasRefused = true;
      return RESOLVED;
    }
  }

  // Called by the fan-out

  get done(): Promise<void> | undefined {
    return (this.#delivered ?? this.#pass?.ended)?.promise;
  }

  run(budget: number): number {
    this.#pass ??= this.#begin();
    const { publications, messages, first, members, selection } = this.#pass;
    let cost = WRITE_COST + publications.length;
    for (let rest = budget; ; rest -= cost) {
      if (rest <= 0) return rest;
      const { done, value: member } = members.next();
      if (done === true) {
        this.#finish(this.#pass);
        return rest;
      }
      // A selected session may have left.
      if (selection !== undefined && !this.members.has(member)) continue;
      const from = this.#firsts?.get(member);
      const isUsual = from === undefined && this.#cursors?.has(member) !== true;
      if (messages !== undefined && isUsual && member.deliverAll(messages)) continue;
      const start = Math.max((from ?? 0) - first, 0);
      // Publications of a listener of `sent` wait for the next pass.
      if (selection === undefined) {
        for (let i = start; i < publications.length; i++) this.#deliver(member, publications[i]!);
      } else {
        const indexes = indexesOf(selection, member);
        cost = WRITE_COST + indexes.length;
        for (const i of indexes) if (i >= start) this.#deliver(member, publications[i]!);
      }
    }
  }

  #deliver(member: Session<Data>, publication: Publication<Data>): void {
    const cursor = this.#cursors?.get(member);
    if (cursor !== undefined) cursor.take(publication);
    else if (isFor(publication, member)) this.give(member, publication);
  }

  /** Sends a message to a member that lacks none before. */
  give(member: Session<Data>, publication: Publication<Data>): void {
    const { message, key, position } = publication;
    // A session that leaves the room cannot read on.
    if (position === undefined || !this.members.has(member)) member.deliver(message, key);
    else if (!member.deliverKept(message)) this.#fallBehind?.(this, member, publication);
  }

  #begin(): Pass<Data> {
    const publications = this.#waiting;
    const first = this.#firstWaiting;
    for (const [session, number] of this.#firsts ?? []) {
      if (number <= first) this.#firsts!.delete(session);
    }
    const selection = selectionOf(publications);
    const isForSome = selection?.common.length === 0;
    const members = isForSome ? selection.own.keys() : this.members.values();
    const isForAll = publications.every(({ except, only }) => (except ?? only) === undefined);
    const messages = isForAll ? publications.map(({ message }) => message) : undefined;
    const pass = {
      publications,
      messages,
      first,
      ended: this.#delivered!,
      members,
      selection,
    };
    this.#firstWaiting += publications.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#delivered = undefined;
    return pass;
  }

  #finish({ ended }: Pass<Data>): void {
    this.#pass = undefined;
    ended.resolve();
    if (this.#delivered === undefined) this.#firsts = undefined;
  }
}

function selectionOf<Data>(
  publications: readonly Publication<Data>[],
): Selection<Data> | undefined {
  if (publications.every(({ only }) => only === undefined)) return undefined;
  const common: number[] = [];
  const own = new Map<Session<Data>, number[]>();
  for (const [i, { only }] of publications.entries()) {
    if (only === undefined) common.push(i);
    for (const member of only ?? []) {
      const indexes = own.get(member);
      if (indexes === undefined) own.set(member, [i]);
      else indexes.push(i);
    }
  }
  return { common, own };
}

/** Indexes of the publications for a member, in order. */
function indexesOf<Data>(
  { common, own }: Selection<Data>,
  member: Session<Data>,
): readonly number[] {
  const indexes = own.get(member);
  if (indexes === undefined) return common;
  return common.length === 0 ? indexes : [...common, ...indexes].toSorted((a, b) => a - b);
}
