import type { Position } from '../position.ts';
import { type Arrival, isPlaced, type Placed } from './envelope.ts';

/** Bounds of the messages that wait for the end of a repair. */
const MAX_MESSAGES = 10_000;
const MAX_BYTES = 16_777_216;

/** Stands for an outage in {@link RepairQueue.later}. */
export const OUTAGE = 'outage';

/** The messages and outages that arrive during a repair. The repair reads one epoch of the history. */
export class RepairQueue {
  /** The messages of the repaired epoch. */
  messages: Placed[] = [];
  /** The first message of the next epoch. After it, no read finds messages of the repaired epoch. */
  next: Placed | undefined;
  /** Handled after the repair: messages without a position or of another epoch, and outages among them. */
  readonly later: (Arrival | typeof OUTAGE)[] = [];
  /** Whether an outage came since {@link beginRead}. */
  isInterrupted = false;
  readonly #epoch: string;
  /** Whether messages after {@link #highest} may be missing. */
  #mayLackLater: boolean;
  /** Highest offset of the epoch that arrived since the latest outage, even in a dropped message. */
  #highest = -1;
  #bytes = 0;
  /** The position of the latest read. */
  #since: Position | undefined;

  /** @param first - The message that has shown the loss, if one has. */
  constructor(epoch: string, first: Arrival | undefined) {
    this.#epoch = epoch;
    this.#mayLackLater = first === undefined;
    if (first !== undefined) this.add(first);
  }

  /** Adds a message, or drops it beyond the bounds. A dropped message counts as missing. */
  add(arrival: Arrival): void {
    const isFull =
      this.messages.length + this.later.length >= MAX_MESSAGES || this.#bytes > MAX_BYTES;
    if (!isFull) this.#bytes += sizeOf(arrival);
    if (isPlaced(arrival) && arrival.position.epoch === this.#epoch) {
      this.#highest = Math.max(this.#highest, arrival.position.offset);
      if (!isFull) this.messages.push(arrival);
      return;
    }
    if (isPlaced(arrival)) this.next ??= arrival;
    if (isFull) this.#addLaterOutage();
    else this.later.push(arrival);
  }

  addOutage(): void {
    if (this.next !== undefined) return this.#addLaterOutage();
    this.#highest = -1;
    this.#mayLackLater = true;
    this.isInterrupted = true;
  }

  #addLaterOutage(): void {
    if (this.later.at(-1) !== OUTAGE) this.later.push(OUTAGE);
  }

  /**
   * Called before a read of the history after `since`. All messages up to `since` are delivered.
   *
   * @returns An offset up to which the read surely finds all messages. For a repeated read: the highest
   *   offset of the waiting messages. For a first read -1, because a replica of the engine may be late.
   */
  beginRead(since: Position): number {
    const isRepeated = since === this.#since;
    this.#since = since;
    this.isInterrupted = false;
    this.messages = this.messages.filter(({ position }) => position.offset > since.offset);
    this.#bytes = 0;
    for (const event of [...this.messages, ...this.later]) {
      if (event !== OUTAGE) this.#bytes += sizeOf(event);
    }
    if (!isRepeated) return -1;
    return this.#highestWaiting();
  }

  /** Takes the messages with an offset above `last`, up to `end`. */
  takeAfter(last: number, end: number): Placed[] {
    const isTaken = ({ position: { offset } }: Placed): boolean => offset > last && offset <= end;
    const taken = this.messages.filter(isTaken);
    if (taken.length === 0) return taken;
    this.messages = this.messages.filter((each) => !isTaken(each));
    this.#highest = this.#highestWaiting();
    return taken;
  }

  #highestWaiting(): number {
    return this.messages.reduce((highest, each) => Math.max(highest, each.position.offset), -1);
  }

  /**
   * Whether no message of the epoch is missing. All messages up to the offset `last` are delivered.
   *
   * @param complete - Whether the read has found all messages of the history.
   */
  isWhole(last: number, complete: boolean): boolean {
    // The last message has arrived, and all before it are delivered.
    if (this.#highest === last) return true;
    return this.#highest < last && (!this.#mayLackLater || (complete && !this.isInterrupted));
  }
}

function sizeOf({ envelope }: Arrival): number {
  return envelope?.message?.bytes.length ?? 0;
}
