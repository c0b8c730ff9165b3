/** A batch ends at so many bytes of messages, so that it does not stop its process for long. */
const MAX_BATCH_BYTES = 1_048_576;
/** Bytes that an item is charged beside its message. */
const ITEM_COST = 128;

/** Gives a batch to the other process. `sent` is called when the operating system has taken it. */
export type Send<Item> = (batch: readonly Item[], sent: () => void) => void;

/** Items for another process, in their order: one batch in each turn, one batch under way. */
export class Batches<Item> {
  /** Bytes of the waiting items that may be dropped. */
  droppable = 0;
  readonly #send: Send<Item>;
  #waiting: { readonly item: Item; readonly bytes: number; readonly canDrop: boolean }[] = [];
  #isBusy = false;

  constructor(send: Send<Item>) {
    this.#send = send;
  }

  /** @param size - Bytes of the messages in the item. */
  add(item: Item, size: number, canDrop: boolean): void {
    const bytes = size + ITEM_COST;
    this.#waiting.push({ item, bytes, canDrop });
    if (canDrop) this.droppable += bytes;
    this.#sendLater();
  }

  /** Drops the waiting items that may be dropped. */
  drop(): void {
    this.#waiting = this.#waiting.filter(({ canDrop }) => !canDrop);
    this.droppable = 0;
  }

  #sendLater(): void {
    if (this.#isBusy || this.#waiting.length === 0) return;
    this.#isBusy = true;
    setImmediate(() => {
      this.#send(this.#take(), () => {
        this.#isBusy = false;
        this.#sendLater();
      });
    });
  }

  #take(): Item[] {
    let bytes = 0;
    const end = this.#waiting.findIndex((each) => (bytes += each.bytes) > MAX_BATCH_BYTES);
    const batch = this.#waiting.splice(0, end < 0 ? Infinity : Math.max(end, 1));
    for (const each of batch) if (each.canDrop) this.droppable -= each.bytes;
    return batch.map(({ item }) => item);
  }
}
