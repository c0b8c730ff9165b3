import { collectGarbage } from '../heap.ts';
import type { Assertion } from './bounds.ts';
import { threadTime } from './thread-time.ts';

/** What a round of an attack is told with: how much was sent, and when to look at the memory. */
export interface Watch {
  /** Notes that `bytes` more went to what is attacked: rows that allow memory by what was received count them. */
  sent(bytes: number): void;
  /**
   * Notes what is held beyond the start: heap, buffers, external memory. For the moments at which an attack would hold
   * most; the end of a round is weighed in any case. Garbage is collected only where it decides.
   */
  weigh(): void;
  /** Collects garbage and gives the bytes held beyond the start, for attacks that compare moments. */
  held(): number;
}

/** What one round cost. */
export interface Cost {
  /** Most bytes held beyond the start and beyond what had been sent allows, of all weighings. */
  readonly memory: number;
  /** Most milliseconds of CPU time in one turn of the event loop. */
  readonly stall: number;
}

/**
 * Watches a process through a round. A stall is counted in CPU time of the loop's own thread; it has the work of the
 * attacker in it where that runs in the same turn.
 */
export class Watcher implements Watch {
  #sent = 0;
  #memory = Number.NEGATIVE_INFINITY;
  #stall = 0;
  #spent: number;
  #pending: NodeJS.Immediate;
  readonly #bound: Assertion;
  readonly #start: number;

  /** @param bound - On memory. */
  constructor(bound: Assertion) {
    this.#bound = bound;
    collectGarbage();
    this.#start = used();
    this.#spent = threadTime();
    this.#pending = setImmediate(this.#onTurn).unref();
  }

  sent(bytes: number): void {
    this.#sent += bytes;
  }

  weigh(): void {
    const held = used() - this.#start;
    // With garbage and all it may be within the bound, which then holds without it too.
    if (held - this.#allowed() > this.#bound.most!) this.held();
    else this.#noteMemory(held);
  }

  held(): number {
    this.#noteTurn();
    collectGarbage();
    // The collection is ours, not the attack's.
    this.#spent = threadTime();
    const held = used() - this.#start;
    this.#noteMemory(held);
    return held;
  }

  /** Weighs once more and says what it all cost. */
  end(): Cost {
    this.#noteTurn();
    this.weigh();
    clearImmediate(this.#pending);
    return { memory: this.#memory, stall: this.#stall };
  }

  // Unref'd, so that the loop sleeps between two events instead of turning for us.
  readonly #onTurn = (): void => {
    this.#noteTurn();
    this.#pending = setImmediate(this.#onTurn).unref();
  };

  #noteTurn(): void {
    const now = threadTime();
    this.#stall = Math.max(this.#stall, now - this.#spent);
    this.#spent = now;
  }

  #noteMemory(held: number): void {
    this.#memory = Math.max(this.#memory, held - this.#allowed());
  }

  /** What has been sent so far allows so much. */
  #allowed(): number {
    return (this.#bound.perByte ?? 0) * this.#sent;
  }
}

function used(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
