import type { Host } from './host.ts';

/** Something that has work for the end of the turn: an object, so that a connection needs no closure for it. */
export interface Turn {
  /** Called once when all microtasks that were ready have run. Never throws. */
  onTurn(): void;
}

/** The queue shrinks again after more than this waited at once. */
const LONG = 1024;

/** What waits for the end of the turn, of all connections on one host: one `defer` serves them all. */
export class Turns {
  readonly #host: Host;
  #waiting: (Turn | undefined)[] = [];
  #count = 0;
  /** The other queue, empty: one is run while the next is filled. */
  #spare: (Turn | undefined)[] = [];

  constructor(host: Host) {
    this.#host = host;
  }

  add(turn: Turn): void {
    this.#waiting[this.#count++] = turn;
    if (this.#count === 1) this.#host.defer(this.#run);
  }

  readonly #run = (): void => {
    const due = this.#waiting;
    const count = this.#count;
    this.#waiting = this.#spare;
    this.#count = 0;
    let i = 0;
    try {
      while (i < count) {
        const turn = due[i]!;
        due[i++] = undefined;
        turn.onTurn();
      }
    } finally {
      // One that throws all the same is for the platform to tell, and takes no other's turn away.
      while (i < count) {
        this.add(due[i]!);
        due[i++] = undefined;
      }
      this.#spare = count > LONG ? [] : due;
    }
  };
}

const shared = new WeakMap<Host, Turns>();

/** The one {@link Turns} of `host`. */
export function turnsOf(host: Host): Turns {
  let turns = shared.get(host);
  if (turns === undefined) {
    turns = new Turns(host);
    shared.set(host, turns);
  }
  return turns;
}
