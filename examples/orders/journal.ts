import { appendFileSync } from 'node:fs';
import { open } from 'node:fs/promises';

/** The most ids that are remembered. Above it no order is taken. */
const MAX_IDS = 1_000_000;

export interface Order {
  /** Each order has its own id. The client sends an order again with the same id. */
  readonly id: string;
  readonly text: string;
}

/** A line of the file. */
interface Entry extends Order {
  /** In ms since 1970. */
  readonly at: number;
}

/**
 * The orders, one a line. An order is taken when its line is written, and the ids of the lines are
 * those of the orders that were taken: one write does both, so a kill cannot separate them.
 */
export class Journal {
  readonly #file: string;
  readonly #remember: number;
  /** When the orders were taken, the oldest first. */
  readonly #taken = new Map<string, number>();

  private constructor(file: string, remember: number) {
    this.#file = file;
    this.#remember = remember;
  }

  /**
   * Reads the file, or creates it.
   *
   * @param remember - How long a client may send an order again, in ms.
   */
  static async open(file: string, remember: number): Promise<Journal> {
    const journal = new Journal(file, remember);
    const oldest = Date.now() - remember;
    for await (const line of (await open(file, 'a+')).readLines()) {
      for (const { id, at } of entryOf(line)) if (at > oldest) journal.#taken.set(id, at);
    }
    return journal;
  }

  /**
   * Takes an order; false when it was taken before.
   *
   * @throws Error when the file cannot be written, and for too many orders: the order is not taken.
   */
  take({ id, text }: Order): boolean {
    if (this.#taken.has(id)) return false;
    if (this.#taken.size >= MAX_IDS) throw new Error(`${MAX_IDS} ids are remembered already`);
    const at = Date.now();
    // A database would do it in one transaction. `fsync` would also survive a power failure.
    // The line break comes first: it ends half a line of a full disk or a crash.
    appendFileSync(this.#file, `\n${JSON.stringify({ id, text, at } satisfies Entry)}`);
    this.#taken.set(id, at);
    return true;
  }

  /** Forgets the ids that no client sends again. `now` is in ms since 1970. */
  forget(now: number): void {
    for (const [id, at] of this.#taken) {
      if (now - at < this.#remember) return;
      this.#taken.delete(id);
    }
  }

  /** The number of ids that are remembered. */
  get size(): number {
    return this.#taken.size;
  }
}

function entryOf(line: string): Entry[] {
  try {
    return [JSON.parse(line) as Entry];
  } catch {
    return [];
  }
}
