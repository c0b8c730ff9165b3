import type { Deferred } from '@ws/conn/internal';

/** Bound of the origins of a channel. A message may never return, and then keeps its origin. */
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

/** The origins of the messages on a channel that have not returned from the engine. */
export class Origins {
  /** By the counter of the message, in order. */
  readonly #origins = new Map<number, Origin>();
  /**
   * The sessions that joined while `#origins` had entries, in order. Value: counter of the last message
   * before the join.
   */
  readonly #joined = new Map<object, number>();
  /** Counter of the last digest that has returned from the engine. */
  #digested = 0;

  add(counter: number, origin: Origin): void {
    this.#origins.set(counter, origin);
    if (this.#origins.size <= MAX_ORIGINS) return;
    const [oldest] = this.#origins.keys();
    this.forgetUpTo(oldest!);
  }

  /** Removes and returns the origin of a message that has returned from the engine. */
  returned(counter: number): Origin | undefined {
    const origin = this.#origins.get(counter);
    if (origin === undefined) return undefined;
    this.forgetUpTo(counter - 1);
    this.#origins.delete(counter);
    if (this.#joined.size === 0) return origin;
    // The sessions of `#joined` have joined after the publication of the message.
    return { ...origin, except: new Set([...(origin.except ?? []), ...this.#joined.keys()]) };
  }

  /** Forgets the origin of a message that the engine does not have. */
  forget(counter: number): void {
    this.#origins.get(counter)?.returned?.resolve();
    this.#origins.delete(counter);
  }

  /**
   * Forgets the origins up to this counter. Called when a later message or digest has returned: as the
   * engine keeps the order, the messages up to `counter` are lost. Also called when all members have
   * left.
   */
  forgetUpTo(counter: number): void {
    for (const earlier of this.#origins.keys()) {
      if (earlier > counter) break;
      this.forget(earlier);
    }
    // Does not wait until `#origins` is empty, which never happens in a busy room.
    for (const [session, lastBefore] of this.#joined) {
      if (lastBefore > counter && this.#origins.size > 0) break;
      this.#joined.delete(session);
    }
  }

  /**
   * Called when a session has joined. Unless it resumes, it must get no message from before.
   *
   * @param last - Counter of the last message.
   */
  joined(session: object, resumes: boolean, last: number): void {
    // Moves the session to the end, because `forgetUpTo` needs the order of the counters.
    this.#joined.delete(session);
    if (!resumes && this.#origins.size > 0) this.#joined.set(session, last);
  }

  /**
   * A digest of this node has returned.
   *
   * @param mayFollow - Whether messages up to `counter` may still return, until the next such digest.
   */
  digestReturned(counter: number, mayFollow: boolean): void {
    if (!mayFollow || this.#digested === counter) this.forgetUpTo(counter);
    this.#digested = counter;
  }

  /** One for each message that a caller awaits. */
  returning(): Deferred<void>[] {
    return [...this.#origins.values()].flatMap(({ returned }) => returned ?? []);
  }
}
