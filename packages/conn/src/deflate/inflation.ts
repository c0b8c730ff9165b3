import { CloseCode, type Extension, ProtocolError } from '@ws/codec';
import { RSV1 } from '../platform/deflate-engine.ts';
import type { Platform } from '../platform/platform.ts';
import type { Decompressor } from './decompressor.ts';
import type { InflateBudget, InflateWaiter } from './inflate-budget.ts';

/** Charged for each step on top of its plain bytes. */
const STEP_COST = 64;

/**
 * The way in of permessage-deflate: inflates messages step by step (RFC 7692, section 6.2). Above
 * the thread's {@link InflateBudget} it waits for a later turn.
 */
export class Inflation implements Extension, InflateWaiter {
  readonly rsv: number = RSV1;
  readonly platform: Platform;
  previousWaiter: InflateWaiter | undefined = undefined;
  nextWaiter: InflateWaiter | undefined = undefined;
  waiting = false;
  /** Whether the last step has made the last byte of the message. */
  done = false;
  /** The connection, which continues to parse when its turn has come. */
  owner: { onInflateTurn(): void } | undefined = undefined;
  readonly #decompressor: Decompressor;
  readonly #budget: InflateBudget;

  constructor(decompressor: Decompressor, budget: InflateBudget, platform: Platform) {
    this.#decompressor = decompressor;
    this.#budget = budget;
    this.platform = platform;
  }

  get more(): boolean {
    return this.#decompressor.more;
  }

  get unread(): number {
    return this.#decompressor.left;
  }

  get held(): number {
    return this.#decompressor.waitingBytes;
  }

  begin(): void {
    this.#decompressor.beginMessage();
  }

  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#decompressor.feed(bytes, start, end, last);
  }

  keep(): void {
    this.#decompressor.keepInput();
  }

  ready(): boolean {
    return !this.waiting && this.#budget.request(this);
  }

  step(into: Uint8Array, limit: number): number {
    const decompressor = this.#decompressor;
    // One byte above the limit is enough to detect an excess.
    const size = decompressor.step(into, Math.min(into.length, limit + 1), limit);
    this.#budget.charge(Math.max(size, 0) + STEP_COST + decompressor.cost, this.platform);
    if (size < 0) throw invalidDeflate();
    this.done = decompressor.last && !decompressor.more;
    return size;
  }

  endMessage(): void {
    this.#decompressor.endMessage();
    this.#budget.messageComplete(this);
  }

  destroy(): void {
    this.#leaveQueues();
    this.#decompressor.destroy();
  }

  onInflateTurn(): void {
    this.owner?.onInflateTurn();
  }

  /** Whether the next step would need an inflater and all are in use. */
  get inflatersBusy(): boolean {
    return this.#decompressor.inflatersBusy;
  }

  /** The connection continues when an inflater is free. */
  awaitInflater(): void {
    this.#decompressor.awaitInflater(this);
  }

  /** The connection has parsed all input: it waits for no inflater. */
  leaveInflaters(): void {
    this.#decompressor.leaveInflaters(this);
  }

  /** The connection has ended: it leaves the pools, and its messages may still be read. */
  leavePools(): void {
    this.leaveInflaters();
    this.#decompressor.leavePools();
  }

  #leaveQueues(): void {
    this.#budget.leave(this);
    this.leaveInflaters();
  }
}

/** RFC 7692, section 7.2.2, names no code: 1007 fits, as for any payload of the wrong format. */
function invalidDeflate(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid DEFLATE data in compressed message'],
    'WS_ERR_INVALID_DEFLATE',
  );
}
