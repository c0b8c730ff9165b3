import { Deferred } from '@ws/conn/internal';
import type { Due, FanOut } from '../delivery/fan-out.ts';

/** Cost of a part of a resume, with `form`, in deliveries of a short message. */
const COST = 1_024;

/** Resumes that wait to read or send their next messages, within the turns of all deliveries. */
export class MissedSends implements Due {
  readonly #fanOut: FanOut;
  readonly #waiting = new Set<Deferred<void>>();
  /** Resolves when none waits. */
  #done: Deferred<void> | undefined;

  constructor(fanOut: FanOut) {
    this.#fanOut = fanOut;
  }

  /** Resolves when there is time for a resume; undefined when there is now, and no other waits. */
  turn(): Promise<void> | undefined {
    if (this.#waiting.size === 0 && this.#fanOut.hasTime()) return undefined;
    const turn = new Deferred<void>();
    this.#waiting.add(turn);
    this.#done ??= new Deferred();
    this.#fanOut.add(this);
    return turn.promise;
  }

  get done(): Promise<void> | undefined {
    return this.#done?.promise;
  }

  run(budget: number): number {
    let rest = budget;
    for (const turn of this.#waiting) {
      if (rest <= 0) return rest;
      this.#waiting.delete(turn);
      turn.resolve();
      rest -= COST;
    }
    this.#done?.resolve();
    this.#done = undefined;
    return rest;
  }
}
