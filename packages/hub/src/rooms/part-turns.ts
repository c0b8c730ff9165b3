import { Deferred } from '@ws/conn/internal';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** A read that fails after so many ms has got no answer of the engine. */
const NO_ANSWER_MS = 4_900;

/** The turn of a resume, and the resumes of the same session that wait for theirs. */
interface Turn {
  began: number;
  waiting: { readonly since: number; readonly begins: Deferred<void> }[];
}

/**
 * Turns of the resumes of a session: one at a time reads and holds a part of what the session has
 * missed. Otherwise a client that does not read holds a part for each of its rooms.
 */
export class PartTurns<Data> {
  readonly #hub: Sessions<Data>;
  readonly #turns = new Map<Session<Data>, Turn>();

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  /**
   * Takes a turn, which {@link end} ends.
   *
   * @returns Resolves when the turn begins; undefined if that is now. Rejects when the engine has not
   *   answered the read of another resume, for which this one has waited.
   */
  take(session: Session<Data>): Promise<void> | undefined {
    const now = this.#hub.platform.now();
    const turn = this.#turns.get(session);
    if (turn === undefined) {
      this.#turns.set(session, { began: now, waiting: [] });
      return undefined;
    }
    const begins = new Deferred<void>();
    turn.waiting.push({ since: now, begins });
    return begins.promise;
  }

  /**
   * Ends a turn.
   *
   * @param error - Why the part could not be read, if so.
   */
  end(session: Session<Data>, error: unknown): void {
    const turn = this.#turns.get(session)!;
    const now = this.#hub.platform.now();
    if (error !== undefined && now - turn.began >= NO_ANSWER_MS) {
      for (const { since, begins } of turn.waiting) if (since <= turn.began) begins.reject(error);
      turn.waiting = turn.waiting.filter(({ since }) => since > turn.began);
    }
    const next = turn.waiting.shift();
    turn.began = now;
    if (next === undefined) this.#turns.delete(session);
    else next.begins.resolve();
  }
}
