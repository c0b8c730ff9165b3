import { Deferred } from '@ws/conn/internal';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** A read that fails after so many ms has got no answer of the engine. */
const NO_ANSWER_MS = 4_900;

/** The turn of a resume, or its place among those that wait for one. */
export interface PartTurn {
  /** When the resume began to wait and, after that, when its turn began. */
  since: number;
  /**
   * Resolves when the turn begins or is given up; undefined if it has begun at once. Rejects when the
   * engine has not answered the read of another resume, for which this one has waited.
   */
  readonly begins: Deferred<void> | undefined;
}

/**
 * Turns of the resumes of a session. Only one resume at a time reads and holds a part. Otherwise a
 * client that does not read would hold a part for each of its rooms.
 */
export class PartTurns<Data> {
  readonly #hub: Pick<Sessions<Data>, 'platform'>;
  /** The first one has its turn, the others wait. */
  readonly #turns = new Map<Session<Data>, PartTurn[]>();

  constructor(hub: Pick<Sessions<Data>, 'platform'>) {
    this.#hub = hub;
  }

  /** Takes a turn, or a place behind the others. Call {@link leave} for it. */
  take(session: Session<Data>): PartTurn {
    const turns = this.#turns.get(session);
    const begins = turns === undefined ? undefined : new Deferred<void>();
    const turn: PartTurn = { since: this.#hub.platform.now(), begins };
    if (turns === undefined) this.#turns.set(session, [turn]);
    else turns.push(turn);
    return turn;
  }

  /**
   * Ends a turn, or gives up a place.
   *
   * @param error - Why the part could not be read, if so.
   */
  leave(session: Session<Data>, turn: PartTurn, error: unknown): void {
    const turns = this.#turns.get(session) ?? [];
    const index = turns.indexOf(turn);
    if (index < 0) return;
    turns.splice(index, 1);
    if (index > 0) return turn.begins!.resolve();
    const now = this.#hub.platform.now();
    if (error !== undefined && now - turn.since >= NO_ANSWER_MS) {
      while (turns.length > 0 && turns[0]!.since <= turn.since)
        turns.shift()!.begins!.reject(error);
    }
    const next = turns[0];
    if (next === undefined) return void this.#turns.delete(session);
    next.since = now;
    next.begins!.resolve();
  }
}
