import { Deferred } from '@ws/conn/internal';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** A read that fails after this many ms, or later, got no answer of the engine. */
const NO_ANSWER_MS = 4_900;

/** The place of a resume in the queue of its session. */
export interface PartPlace {
  /** Time in ms: when the resume began to wait, or when its place became the first one. */
  since: number;
  /**
   * Resolves when the place becomes the first one, or was left. Rejects when the engine has not answered
   * the read of an earlier resume. Undefined if the place was the first one at once.
   */
  readonly begins: Deferred<void> | undefined;
}

/**
 * Queues the resumes of each session. Only the first resume of a queue reads and keeps a part. So a
 * client that does not read keeps one part in memory, not one for each of its rooms.
 */
export class PartQueues<Data> {
  readonly #hub: Pick<Sessions<Data>, 'platform'>;
  readonly #queues = new Map<Session<Data>, PartPlace[]>();

  constructor(hub: Pick<Sessions<Data>, 'platform'>) {
    this.#hub = hub;
  }

  /** Takes the last place of a queue. Call {@link leave} with the result. */
  take(session: Session<Data>): PartPlace {
    const queue = this.#queues.get(session);
    const begins = queue === undefined ? undefined : new Deferred<void>();
    const place: PartPlace = { since: this.#hub.platform.now(), begins };
    if (queue === undefined) this.#queues.set(session, [place]);
    else queue.push(place);
    return place;
  }

  /**
   * Leaves a place, so that the next one begins.
   *
   * @param error - The error of a failed read; undefined if no read has failed.
   */
  leave(session: Session<Data>, place: PartPlace, error: unknown): void {
    const queue = this.#queues.get(session) ?? [];
    const index = queue.indexOf(place);
    if (index < 0) return;
    queue.splice(index, 1);
    if (index > 0) return place.begins!.resolve();
    const now = this.#hub.platform.now();
    if (error !== undefined && now - place.since >= NO_ANSWER_MS) {
      while (queue.length > 0 && queue[0]!.since <= place.since)
        queue.shift()!.begins!.reject(error);
    }
    const next = queue[0];
    if (next === undefined) return void this.#queues.delete(session);
    next.since = now;
    next.begins!.resolve();
  }
}
