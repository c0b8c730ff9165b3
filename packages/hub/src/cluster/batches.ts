/** Bound of a batch of several items, in bytes. A larger batch would block its reader for too long. */
const MAX_BATCH_BYTES = 1_048_576;
/** Bytes that an item costs beside its messages. */
const ITEM_COST = 128;

/** Sends a batch to the other process. Calls `sent` when the operating system has the batch. */
export type Send<Item> = (batch: readonly Item[], sent: () => void) => void;

/**
 * Sends items to another process, in order and in batches: at most one batch in each turn, and only
 * when the batch before is sent.
 */
export class Batches<Item> {
  /** Bytes of the waiting items with `canDrop`. */
  droppableBytes = 0;
  readonly #send: Send<Item>;
  #waiting: { readonly item: Item; readonly bytes: number; readonly canDrop: boolean }[] = [];
  #isBusy = false;

  constructor(send: Send<Item>) {
    this.#send = send;
  }

  /**
   * @param messageBytes - Bytes of the messages in the item.
   * @param canDrop - Whether {@link drop} drops the item while it waits.
   */
  add(item: Item, messageBytes: number, canDrop: boolean): void {
    const bytes = messageBytes + ITEM_COST;
    this.#waiting.push({ item, bytes, canDrop });
    if (canDrop) this.droppableBytes += bytes;
    this.#sendLater();
  }

  /** Drops the waiting items with `canDrop`. */
  drop(): void {
    this.#waiting = this.#waiting.filter(({ canDrop }) => !canDrop);
    this.droppableBytes = 0;
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
    const end = this.#waiting.findIndex((entry) => (bytes += entry.bytes) > MAX_BATCH_BYTES);
    const batch = this.#waiting.splice(0, end < 0 ? Infinity : Math.max(end, 1));
    for (const entry of batch) if (entry.canDrop) this.droppableBytes -= entry.bytes;
    return batch.map(({ item }) => item);
  }
}
