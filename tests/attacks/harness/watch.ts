import { collectGarbage } from '../../kit/heap.ts';
import { threadTime } from './thread-time.ts';

/** What a round reports: the bytes that it sent, and the moments to measure memory. */
export interface Watch {
  /** Adds `bytes` to those sent to the target: some bounds allow memory for each of them. */
  sent(bytes: number): void;
  /**
   * Measures the memory held beyond the start: heap, buffers, external memory. Call it when the
   * attack holds most. The end of a round is measured too. Collects garbage only if needed.
   */
  weigh(): void;
  /** Collects garbage and returns the bytes held beyond the start, to compare two moments. */
  held(): number;
}

/** The cost of one round. */
export interface Cost {
  /** Highest number of bytes held, minus those allowed for the bytes sent. */
  readonly memory: number;
  /** Highest CPU time of one turn of the event loop, in ms. */
  readonly stall: number;
}

/**
 * Measures one round. A stall is CPU time of the event loop's thread. The attacker's work counts
 * too if it runs in the same turn.
 */
export class Watcher implements Watch {
  #sent = 0;
  #memory = Number.NEGATIVE_INFINITY;
  #stall = 0;
  #spent: number;
  #pending: NodeJS.Immediate;
  readonly #limit: number;
  readonly #perByte: number;
  readonly #start: number;

  /**
   * @param limit - Highest number of bytes held beyond the start.
   * @param perByte - Further bytes allowed for each byte sent.
   */
  constructor(limit: number, perByte: number) {
    this.#limit = limit;
    this.#perByte = perByte;
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
    // If the memory with garbage is within the limit, a collection can only lower it.
    if (held - this.#allowed() > this.#limit) this.held();
    else this.#noteMemory(held);
  }

  held(): number {
    this.#noteTurn();
    collectGarbage();
    // This collection is not part of the attack.
    this.#spent = threadTime();
    const held = used() - this.#start;
    this.#noteMemory(held);
    return held;
  }

  /** Measures once more and returns the cost of the round. */
  end(): Cost {
    this.#noteTurn();
    this.weigh();
    clearImmediate(this.#pending);
    return { memory: this.#memory, stall: this.#stall };
  }

  // Unreferenced, so that the event loop can sleep between events.
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

  /** Bytes allowed for those sent so far. */
  #allowed(): number {
    return this.#perByte * this.#sent;
  }
}

function used(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
