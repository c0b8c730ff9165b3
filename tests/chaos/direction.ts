import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { turn } from '../kit/fake-platform.ts';
import type { Cut, DirectionPlan, Stretch } from './fault-plan.ts';
import type { MessageCounter } from './message-counter.ts';

/** Changes the bytes of a direction, for tests of the delivery rules. */
export type Tamper = (bytes: Buffer) => Buffer;

export interface DirectionOwner {
  /** The direction has carried the last byte that its plan allows. */
  cut(direction: Direction, how: Cut): void;
}

/** One direction of a proxied connection: copies bytes between two sockets as planned. */
export class Direction {
  readonly from: Socket;
  readonly to: Socket;
  /** Undefined over TLS, where the proxy sees no frames. */
  readonly counter: MessageCounter | undefined;
  /** Settles when no transfer is pending. */
  idle: Promise<void> = Promise.resolve();
  /** Incoming bytes are dropped. */
  #swallows = false;
  readonly #plan: DirectionPlan;
  readonly #owner: DirectionOwner;
  readonly #tamper: Tamper | undefined;
  #passed = 0;
  /** Index of the next stretch. */
  #stretch = 0;
  #slow = false;
  /** Bytes that are delayed by the plan. */
  #hand: Buffer = Buffer.alloc(0);
  #gathered: Buffer[] | undefined;
  /** Number of next bytes to send one at a time. */
  #singles = 0;

  constructor(
    from: Socket,
    to: Socket,
    plan: DirectionPlan,
    owner: DirectionOwner,
    counter: MessageCounter | undefined,
    tamper?: Tamper,
  ) {
    this.counter = counter;
    this.from = from;
    this.to = to;
    this.#plan = plan;
    this.#owner = owner;
    this.#tamper = tamper;
  }

  /** Starts with bytes already read from `from`. */
  start(head?: Buffer): void {
    const { from } = this;
    from.on('data', (chunk: Buffer) => this.#take(chunk));
    from.on('end', () => {
      void this.idle.then(() => {
        if (!this.to.writableEnded) this.to.end();
      });
    });
    this.to.on('drain', () => this.#flow());
    if (head !== undefined) this.#take(head);
    this.#flow();
  }

  /** Drops further bytes but keeps reading, to see the end of the sender. */
  swallow(): void {
    this.#swallows = true;
    this.#flow();
  }

  #flow(): void {
    if (this.#slow || this.from.destroyed) return;
    if (this.#swallows || !this.to.writableNeedDrain) this.from.resume();
  }

  #take(read: Buffer): void {
    const chunk = this.#tamper === undefined ? read : this.#tamper(read);
    if (this.#swallows || chunk.length === 0) return;
    if (this.#gathered !== undefined) this.#gathered.push(chunk);
    else if (this.#passed + chunk.length < this.#quietUntil && this.#singles === 0)
      this.#pass(chunk);
    else {
      this.#slow = true;
      this.from.pause();
      this.#hand = chunk;
      this.idle = this.#passSlowly();
    }
  }

  /** Offset of the next event of the plan. */
  get #quietUntil(): number {
    const { stretches, end } = this.#plan;
    return Math.min(stretches[this.#stretch]?.after ?? Infinity, end?.after ?? Infinity);
  }

  async #passSlowly(): Promise<void> {
    const { stretches, end } = this.#plan;
    while (!this.#swallows) {
      const stretch = stretches[this.#stretch];
      if (end !== undefined && this.#passed >= end.after) {
        // Lets the receiver read earlier bytes first: a reset after unread bytes may look like a
        // FIN.
        for (let i = 0; i < 3; i++) await turn();
        this.#swallows = true;
        this.#owner.cut(this, end.cut);
      } else if (this.#hand.length === 0) break;
      else if (stretch !== undefined && this.#passed >= stretch.after) {
        this.#stretch++;
        await this.#begin(stretch);
      } else if (this.#singles > 0) {
        this.#singles--;
        this.#passOn(1);
        await turn();
      } else this.#passOn(this.#quietUntil - this.#passed);
    }
    this.#hand = Buffer.alloc(0);
    this.#slow = false;
    this.#flow();
  }

  async #begin(stretch: Stretch): Promise<void> {
    if (stretch.kind === 'single') this.#singles += stretch.bytes;
    else if (stretch.kind === 'delay') await sleep(stretch.ms);
    else {
      this.#gathered = [this.#hand];
      this.from.resume();
      await sleep(stretch.ms);
      this.from.pause();
      this.#hand = Buffer.concat(this.#gathered);
      this.#gathered = undefined;
    }
  }

  /** Sends the first `n` delayed bytes. */
  #passOn(n: number): void {
    const bytes = this.#hand.subarray(0, n);
    this.#hand = this.#hand.subarray(bytes.length);
    this.#pass(bytes);
  }

  #pass(bytes: Buffer): void {
    if (!this.to.writable) return;
    this.#passed += bytes.length;
    this.counter?.pass(bytes);
    if (!this.to.write(bytes)) this.from.pause();
  }
}
