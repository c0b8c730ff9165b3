import { appendFileSync, existsSync, readFileSync } from 'node:fs';

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

  /** @param remember - How long a client may send an order again, in ms. */
  constructor(file: string, remember: number) {
    this.#file = file;
    this.#remember = remember;
    if (!existsSync(file)) return;
    const text = readFileSync(file, 'utf8');
    // The machine has crashed within a write.
    if (text !== '' && !text.endsWith('\n')) appendFileSync(file, '\n');
    for (const { id, at } of text.split('\n').flatMap(entryOf)) this.#taken.set(id, at);
    this.forget(Date.now());
  }

  /** Takes an order; false when it was taken before. */
  take({ id, text }: Order): boolean {
    if (this.#taken.has(id)) return false;
    const at = Date.now();
    // A database would do it in one transaction. `fsync` would also survive a power failure.
    appendFileSync(this.#file, `${JSON.stringify({ id, text, at } satisfies Entry)}\n`);
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
