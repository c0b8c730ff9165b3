import type { Deferred } from '@ws/conn/internal';

/** Bound of the origins of one channel. A message may never return, and then keeps its origin. */
const MAX_ORIGINS = 10_000;

/** The sessions that do not get a message. The other nodes never learn of them. */
export type Except = ReadonlySet<object> | undefined;

/**
 * The part of a message with `through` that does not cross nodes. This node keeps it until the
 * message returns from the engine.
 */
export interface Origin {
  readonly except: Except;
  /**
   * Resolves when the members of this node have the message, or when the message is lost. Undefined
   * for a message from before the first member of this node, which no caller awaits.
   */
  readonly returned: Deferred<void> | undefined;
}

/** The origins of one channel. It has at least one. */
interface Entry {
  /** By the counter of the message, in order. */
  readonly origins: Map<number, Origin>;
  /** The sessions that have joined since, in order. Value: counter of the last message before the join. */
  readonly joined: Map<object, number>;
  /** Counter of the last digest that has returned from the engine. */
  digested: number;
}

/** The origins of the messages with `through` that have not returned from the engine. */
export class Origins {
  readonly #entries = new Map<string, Entry>();

  add(channel: string, counter: number, origin: Origin): void {
    let entry = this.#entries.get(channel);
    if (entry === undefined) {
      entry = { origins: new Map(), joined: new Map(), digested: 0 };
      this.#entries.set(channel, entry);
    }
    entry.origins.set(counter, origin);
    if (entry.origins.size <= MAX_ORIGINS) return;
    const [oldest] = entry.origins.keys();
    this.forgetUpTo(channel, oldest!);
  }

  /** Takes the origin of a message that has returned from the engine. */
  take(channel: string, counter: number): Origin | undefined {
    const entry = this.#entries.get(channel);
    const origin = entry?.origins.get(counter);
    if (entry === undefined || origin === undefined) return undefined;
    this.forgetUpTo(channel, counter - 1);
    const { except } = origin;
    // The sessions that remain in `joined` have joined after the publication of the message.
    const late =
      entry.joined.size === 0 ? except : new Set([...(except ?? []), ...entry.joined.keys()]);
    entry.origins.delete(counter);
    this.#dropIfEmpty(channel, entry);
    return { ...origin, except: late };
  }

  /** Forgets the origin of a message that the engine does not have. */
  forget(channel: string, counter: number): void {
    const entry = this.#entries.get(channel);
    entry?.origins.get(counter)?.returned?.resolve();
    if (entry?.origins.delete(counter)) this.#dropIfEmpty(channel, entry);
  }

  /**
   * Forgets the origins up to this counter. Called when a later message or digest has returned: as the
   * engine keeps the order, the messages up to `counter` are lost. Also called when all members have
   * left.
   */
  forgetUpTo(channel: string, counter: number): void {
    const entry = this.#entries.get(channel);
    if (entry === undefined) return;
    const { origins, joined } = entry;
    for (const [earlier, { returned }] of origins) {
      if (earlier > counter) break;
      returned?.resolve();
      origins.delete(earlier);
    }
    // Does not wait until `origins` is empty, which never happens in a busy room.
    for (const [session, lastBefore] of joined) {
      if (lastBefore > counter) break;
      joined.delete(session);
    }
    this.#dropIfEmpty(channel, entry);
  }

  #dropIfEmpty(channel: string, { origins }: Entry): void {
    if (origins.size === 0) this.#entries.delete(channel);
  }

  /**
   * Called when a session has joined. Unless it resumes, it must get no message from before.
   *
   * @param last - Counter of the last message.
   */
  joined(channel: string, session: object, resumes: boolean, last: number): void {
    const joined = this.#entries.get(channel)?.joined;
    // Moves the session to the end, because `forgetUpTo` needs the order of the counters.
    joined?.delete(session);
    if (!resumes) joined?.set(session, last);
  }

  /**
   * A digest of this node has returned.
   *
   * @param mayFollow - Whether messages up to `counter` may still return, until the next such digest.
   */
  digestReturned(channel: string, counter: number, mayFollow: boolean): void {
    const entry = this.#entries.get(channel);
    if (entry === undefined) return;
    if (!mayFollow || entry.digested === counter) this.forgetUpTo(channel, counter);
    entry.digested = counter;
  }

  /** One for each message of the channel that a caller awaits. */
  returning(channel: string): Deferred<void>[] {
    const origins = this.#entries.get(channel)?.origins.values() ?? [];
    return [...origins].flatMap(({ returned }) => returned ?? []);
  }
}
