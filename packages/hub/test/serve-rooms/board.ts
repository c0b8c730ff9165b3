// A table that is written before what has changed is published, and its copies in loops.
import type { RoomMessage } from '@ws/rpc/rooms';
import type { Random } from '@ws/tests';

export interface Change {
  /** The version of the room after it. */
  readonly n: number;
  readonly key: string;
  readonly isDelete: boolean;
  readonly add: number;
}

export interface Table {
  readonly n: number;
  readonly sum: number;
  readonly keys: Readonly<Record<string, number>>;
}

export const EMPTY: Table = { n: 0, sum: 0, keys: {} };

/** A random change of a table, and the table after it. */
export function changed({ n, sum, keys }: Table, random: Random): [Change, Table] {
  const key = `k${random.below(4)}`;
  const change = { n: n + 1, key, isDelete: random.once(4), add: random.below(9) };
  const { [key]: _, ...others } = keys;
  const after = change.isDelete ? others : { ...others, [key]: n + 1 };
  return [change, { n: n + 1, sum: sum + change.add, keys: after }];
}

/** What a loop makes of its room. */
export class Copy {
  readonly faults: string[] = [];
  readonly #loop: AsyncIterableIterator<RoomMessage<unknown>>;
  #version = -1;
  #sum = 0;
  #keys = new Map<string, Change>();
  #applied = new Set<number>();
  #last: { epoch: string; offset: number } | undefined;
  isLive = false;
  reads = true;
  ended = false;
  wake = (): void => {};
  items = 0;
  readonly room: string;
  readonly #isDense: boolean;

  /** @param isDense - Whether the engine skips no offset. */
  constructor(loop: AsyncIterableIterator<RoomMessage<unknown>>, room: string, isDense = true) {
    this.room = room;
    this.#isDense = isDense;
    this.#loop = loop;
    void this.#read().catch((error: unknown) => this.faults.push(String(error)));
  }

  toggle(reads = !this.reads): void {
    this.reads = reads;
    if (reads) this.wake();
  }

  end(): void {
    this.ended = true;
    this.toggle(true);
    void this.#loop.return!();
  }

  async #read(): Promise<void> {
    for await (const item of this.#loop) {
      this.items++;
      if (item.kind === 'state') this.#replace(item.data as Table, item.position);
      else if (item.kind === 'message') this.#apply(item.data as Change, item.position);
      else if (item.kind === 'live') this.isLive = true;
      else this.faults.push('a gap');
      while (!this.reads) await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  #replace({ n, sum, keys }: Table, position: Copy['last']): void {
    this.isLive = false;
    this.#version = n;
    this.#sum = sum;
    this.#applied.clear();
    this.#last = position;
    this.#keys = new Map(
      Object.entries(keys).map(([key, at]) => [key, { n: at, key, isDelete: false, add: 0 }]),
    );
  }

  get last(): { readonly epoch: string; readonly offset: number } | undefined {
    return this.#last;
  }

  #apply(change: Change, position: Copy['last']): void {
    const { n, key, add } = change;
    if (this.#version < 0) this.faults.push(`${n} before the state`);
    const last = this.#last;
    if (last !== undefined) {
      if (position?.epoch !== last.epoch) this.faults.push(`${n} of another history`);
      else if (
        position.offset <= last.offset ||
        (this.#isDense && position.offset > last.offset + 1)
      ) {
        this.faults.push(`${position.offset} after ${last.offset}`);
      }
    }
    if (last !== undefined) this.#last = position;
    // A message that is in the state, or that was published twice.
    if (n <= this.#version || this.#applied.has(n)) return;
    this.#applied.add(n);
    this.#sum += add;
    if ((this.#keys.get(key)?.n ?? 0) < n) this.#keys.set(key, change);
  }

  /** How the copy differs from the table. */
  differs({ sum, keys }: Table): string[] {
    const faults = [...this.faults];
    if (!this.isLive) faults.push('not live');
    if (this.#sum !== sum) faults.push(`sum ${this.#sum}, not ${sum}`);
    const own = [...this.#keys.values()].filter(({ isDelete }) => !isDelete);
    const text = JSON.stringify(own.map(({ key, n }) => `${key} ${n}`).toSorted());
    const wanted = JSON.stringify(
      Object.entries(keys)
        .map(([key, n]) => `${key} ${n}`)
        .toSorted(),
    );
    if (text !== wanted) faults.push(`${text}, not ${wanted}`);
    return faults.map((fault) => `${this.room}: ${fault}`);
  }
}
