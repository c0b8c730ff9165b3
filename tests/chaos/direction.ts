import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { turn } from '../fake-host.ts';
import { FrameWalk } from './frame-walk.ts';
import type { Cut, LanePlan, Stretch } from './plan.ts';

/** Changes what a direction carries, as no network does: for tests of the judge. */
export type Meddle = (bytes: Buffer) => Buffer;

/** What a lane asks of its connection. */
export interface LaneOwner {
  /** The lane has carried the last byte that its plan lets through. */
  cut(lane: Lane, how: Cut): void;
}

/** One direction of a proxied connection: carries bytes from one socket to the other, as its plan says. */
export class Lane {
  readonly from: Socket;
  readonly to: Socket;
  /** Counts the messages that were passed on. */
  readonly walk = new FrameWalk();
  /** Settles when nothing is at work any more. */
  idle: Promise<void> = Promise.resolve();
  /** What comes is dropped. */
  #swallows = false;
  readonly #plan: LanePlan;
  readonly #owner: LaneOwner;
  readonly #meddle: Meddle | undefined;
  #passed = 0;
  /** The next stretch of the plan. */
  #stretch = 0;
  #slow = false;
  /** Bytes in hand, when they do not pass at once. */
  #hand: Buffer = Buffer.alloc(0);
  #gathered: Buffer[] | undefined;
  /** So many of the next bytes go one at a time. */
  #singles = 0;

  constructor(from: Socket, to: Socket, plan: LanePlan, owner: LaneOwner, meddle?: Meddle) {
    this.from = from;
    this.to = to;
    this.#plan = plan;
    this.#owner = owner;
    this.#meddle = meddle;
  }

  /** Begins, with what has been read of `from` already. */
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

  /** Drops what still comes, and reads on, to see the sender's end. */
  swallow(): void {
    this.#swallows = true;
    this.#flow();
  }

  #flow(): void {
    if (this.#slow || this.from.destroyed) return;
    if (this.#swallows || !this.to.writableNeedDrain) this.from.resume();
  }

  #take(read: Buffer): void {
    const chunk = this.#meddle === undefined ? read : this.#meddle(read);
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

  /** The byte with which something happens. */
  get #quietUntil(): number {
    const { stretches, end } = this.#plan;
    return Math.min(stretches[this.#stretch]?.after ?? Infinity, end?.after ?? Infinity);
  }

  async #passSlowly(): Promise<void> {
    const { stretches, end } = this.#plan;
    while (!this.#swallows) {
      const stretch = stretches[this.#stretch];
      if (end !== undefined && this.#passed >= end.after) {
        // What went before has been read by then, and a reset is seen as one: behind unread bytes it may look like a FIN.
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

  /** Passes on the first `n` bytes in hand, or what there is. */
  #passOn(n: number): void {
    const bytes = this.#hand.subarray(0, n);
    this.#hand = this.#hand.subarray(bytes.length);
    this.#pass(bytes);
  }

  #pass(bytes: Buffer): void {
    if (!this.to.writable) return;
    this.#passed += bytes.length;
    this.walk.pass(bytes);
    if (!this.to.write(bytes)) this.from.pause();
  }
}
