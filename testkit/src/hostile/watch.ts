import { collectGarbage } from '../heap.ts';

/** What a round of an attack is told with: how much was sent, and when to look at the memory. */
export interface Watch {
  /** Notes that `bytes` more went to what is attacked: rows that allow memory by what was received count them. */
  sent(bytes: number): void;
  /**
   * Collects garbage and notes what is held beyond the start: heap, buffers, external memory. For the moments at which
   * an attack would hold most; the end of a round is weighed in any case.
   */
  weigh(): void;
}

/** What one round cost. */
export interface Cost {
  /** Most bytes held beyond the start, of all weighings. */
  readonly memory: number;
  /** Most milliseconds of CPU time in one turn of the event loop. */
  readonly stall: number;
  readonly sent: number;
}

/**
 * Watches a process through a round. A stall is counted in CPU time, which is the same on a machine with other work; it
 * has the work of the attacker in it where that runs in the same turn.
 */
export class Watcher implements Watch {
  #sent = 0;
  #memory = 0;
  #stall = 0;
  #spent = 0;
  #pending: NodeJS.Immediate | undefined;
  readonly #start: number;

  constructor() {
    this.#start = held();
    this.#spent = cpu();
    this.#pending = setImmediate(this.#onTurn);
  }

  sent(bytes: number): void {
    this.#sent += bytes;
  }

  weigh(): void {
    this.#note();
    this.#memory = Math.max(this.#memory, held() - this.#start);
    // The collection is ours, not the attack's.
    this.#spent = cpu();
  }

  /** Weighs once more and says what it all cost. */
  end(): Cost {
    this.weigh();
    clearImmediate(this.#pending);
    return { memory: this.#memory, stall: this.#stall, sent: this.#sent };
  }

  readonly #onTurn = (): void => {
    this.#note();
    this.#pending = setImmediate(this.#onTurn);
  };

  #note(): void {
    const now = cpu();
    this.#stall = Math.max(this.#stall, now - this.#spent);
    this.#spent = now;
  }
}

function held(): number {
  collectGarbage();
  // What buffers had is given back by another thread, and for certain when the next collection begins.
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
