import { type Lease, MessageMemory, NO_BYTES } from '@ws/codec/internal';
import { type EnginePool, PrivateEngines } from './engine-pool.ts';
import { type History, type Inflater, InflateStatus } from './engines.ts';
import { HistoryRing } from './history-ring.ts';
import type { InflateWaiter } from './inflate-budget.ts';
import type { PooledEngine } from './pooled-engine.ts';

/** The largest window that DEFLATE has, in bits. */
const MAX_BITS = 15;
/** Compressed bytes inflated in one step. */
const STEP_INPUT = 16_384;
/**
 * Cost of decoding a compressed byte, in plain bytes. The plain bytes are charged in addition. A
 * byte of a block header without output can cost 40.
 */
const INPUT_COST = 16;
/** Cost of a reset: a fixed part, and a part for each byte of history. */
const RESET_COST = 512;
const PRIME_COST = 0.125;
/**
 * Final blocks in a message: each costs its sender two bytes, and the receiver a reset with the
 * history.
 */
const MAX_FINALS = 8;

/**
 * Inflates the messages of a connection, one after the other and piece by piece (RFC 7692, section
 * 7.2.2). It keeps only the plain text that the peer may refer back to: none when the peer
 * compresses each message separately.
 */
export class Decompressor {
  #engines: EnginePool | PrivateEngines;
  /**
   * The shared pool, which counts this connection's memory; undefined once the connection has
   * ended.
   */
  #shared: EnginePool | undefined;
  readonly #takeover: boolean;
  /** Whether the last step left input or output to process. */
  more = false;
  /** Cost of the last step besides its plain bytes, in plain bytes. */
  cost = 0;
  readonly #window: number;
  #history: HistoryRing | undefined;
  /** The engine, while a message is under way. */
  #engine: PooledEngine<Inflater> | undefined;
  /** Unused input: `#bytes[#at, #end)`. */
  #bytes: Uint8Array = NO_BYTES;
  #at = 0;
  #inputEnd = 0;
  #last = false;
  /** Whether the input is in memory of the caller. */
  #lent = false;
  #finals = 0;
  /** The first part of a message that is inflated when it is complete. */
  #collected: MessageMemory | undefined;
  #collectedLease: Lease | undefined;

  /**
   * @param takeover - Whether the peer may refer back to earlier messages.
   * @param windowBits - Size of the peer's window, as a power of two in bytes.
   */
  constructor(engines: EnginePool, takeover: boolean, windowBits: number) {
    this.#engines = engines;
    this.#shared = engines;
    this.#takeover = takeover;
    this.#window = 1 << (takeover ? windowBits : MAX_BITS);
  }

  /** Bytes held for the message under way: collected input, and plain text as history. */
  get waitingBytes(): number {
    const collected = this.#collectedLease === undefined ? this.#collected?.length : this.left;
    return (collected ?? 0) + (this.#takeover ? 0 : (this.#history?.held ?? 0));
  }

  /** Bytes of memory held for the plain text of earlier messages. */
  get held(): number {
    return this.#shared === undefined ? 0 : (this.#history?.held ?? 0);
  }

  /** Whether the message is complete, its next step would need an engine, and all are in use. */
  get inflatersBusy(): boolean {
    return this.#engine === undefined && this.#last && !this.#engines.inflaters.mayLease;
  }

  /** `waiter` continues when an engine is free. */
  awaitInflater(waiter: InflateWaiter): void {
    this.#shared?.inflaters.wait(waiter);
  }

  /** `waiter` no longer waits. */
  leaveInflaters(waiter: InflateWaiter): void {
    this.#shared?.inflaters.leave(waiter);
  }

  /** Bytes of input not inflated yet. */
  get left(): number {
    return this.#inputEnd - this.#at;
  }

  /** Whether the message ends with the input fed last. */
  get last(): boolean {
    return this.#last;
  }

  /** A message begins. */
  beginMessage(): void {
    this.#finals = 0;
  }

  /** Adds compressed bytes, lent until {@link step} has used them, or until {@link keepInput}. */
  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#show(bytes, start, end, last);
    this.#lent = true;
  }

  /** Copies the unused input, if it is lent. */
  keepInput(): void {
    if (!this.#lent) return;
    const rest = new Uint8Array(this.#bytes.subarray(this.#at, this.#inputEnd));
    this.#show(rest, 0, rest.length, this.#last);
  }

  /** Whether the message is inflated when it is complete. */
  #collects(): boolean {
    if (this.#collected !== undefined) return true;
    return !this.#last && !this.#engines.inflaters.mayLeaseEarly;
  }

  /** Adds the input to the message that is inflated when it is complete. */
  #collect(): void {
    const last = this.#last;
    this.#collected ??= this.#newBuffer();
    this.#collected.append(this.#bytes, this.#at, this.#inputEnd, 0, false);
    this.#show(NO_BYTES, 0, 0, last);
    if (!last) return;
    const { length } = this.#collected;
    this.#collectedLease = this.#collected.takeLease();
    this.#collected = undefined;
    this.#show(this.#collectedLease.bytes, 0, length, true);
  }

  #newBuffer(): MessageMemory {
    const buffer = new MessageMemory();
    if (this.#shared === undefined) buffer.leavePools();
    return buffer;
  }

  /**
   * Inflates the next part into `output[0, room)`.
   *
   * @param limit - Plain bytes that the rest of the message may have.
   * @returns Number of plain bytes, more than `limit` for a message that is too long; -1 means invalid
   *   DEFLATE data. Call again while `more` is true.
   * @throws Any error of the platform, for example when memory is missing.
   */
  step(output: Uint8Array, room: number, limit: number): number {
    this.more = false;
    this.cost = 0;
    if (this.#engine === undefined && this.#collects()) {
      this.#collect();
      if (!this.#last) return 0;
    }
    try {
      this.#engine ??= this.#open();
      return this.#run(this.#engine, output, room, limit);
    } catch (error) {
      if (this.#engine !== undefined) this.#engines.inflaters.discard(this.#engine);
      this.#engine = undefined;
      throw error;
    }
  }

  #run(pooled: PooledEngine<Inflater>, output: Uint8Array, room: number, limit: number): number {
    const { engine } = pooled;
    let at = 0;
    const end = engine.wholeMessages
      ? this.#inputEnd
      : Math.min(this.#inputEnd, this.#at + STEP_INPUT);
    const last = this.#last && end === this.#inputEnd;
    for (;;) {
      const status: InflateStatus = engine.write(
        this.#bytes,
        this.#at,
        end,
        last,
        output,
        at,
        room,
        limit - at,
      );
      this.#at += engine.used;
      this.cost += engine.used * INPUT_COST + engine.extraCost;
      if (status < InflateStatus.Done) {
        // The engine cannot continue: the next message resets it.
        pooled.owner = undefined;
        return status === InflateStatus.TooBig ? limit + 1 : -1;
      }
      const before = at;
      at += engine.produced;
      const complete = status === InflateStatus.Done && last;
      if (this.#takeover || !complete) this.#remember(output, before, at);
      if (status !== InflateStatus.Final) {
        this.more = status !== InflateStatus.Done || end < this.#inputEnd;
        return at;
      }
      if (++this.#finals > MAX_FINALS) {
        pooled.owner = undefined;
        return -1;
      }
      this.#reset(engine, this.#history);
    }
  }

  /** The message is complete: releases its engine and memory. */
  endMessage(): void {
    this.#show(NO_BYTES, 0, 0, false);
    this.#collectedLease?.release();
    this.#collectedLease = undefined;
    if (!this.#takeover) this.#history?.release();
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#engine = undefined;
    this.#engines.inflaters.release(engine);
  }

  /** Drops the message under way and the history: the connection has ended, or drops its input. */
  destroy(): void {
    this.#abandon();
    this.#collected?.release();
    this.#collected = undefined;
    this.endMessage();
    this.#history?.release();
  }

  /**
   * Detaches this decompressor from the shared pools, because the connection has ended and messages
   * may still be unread. The engine and the history no longer count there. Collected input moves to
   * private memory.
   */
  leavePools(): void {
    const shared = this.#shared;
    if (shared === undefined) return;
    this.#shared = undefined;
    const own = new PrivateEngines(shared.source);
    this.#engines = own;
    if (this.#engine !== undefined) {
      this.#engine.owner = undefined;
      shared.inflaters.endLease();
    }
    shared.uncount(this.#history?.held ?? 0);
    this.#history?.moveTo(own);
    this.#collected?.leavePools();
    const lease = this.#collectedLease;
    if (lease === undefined) return;
    this.#collectedLease = undefined;
    const rest = new Uint8Array(this.#bytes.subarray(this.#at, this.#inputEnd));
    this.#show(rest, 0, rest.length, this.#last);
    lease.release();
  }

  /** Resets the engine in the middle of a message that is dropped. */
  #abandon(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    engine.owner = undefined;
    try {
      engine.engine.reset(undefined);
    } catch {
      this.#engine = undefined;
      this.#engines.inflaters.discard(engine);
    }
  }

  #reset(engine: Inflater, history: History | undefined): void {
    this.cost += RESET_COST + (history?.length ?? 0) * PRIME_COST;
    engine.reset(history);
  }

  #remember(bytes: Uint8Array, start: number, end: number): void {
    this.#history ??= new HistoryRing(this.#engines, this.#window);
    this.#history.append(bytes, start, end);
  }

  #open(): PooledEngine<Inflater> {
    const engine = this.#engines.inflaters.acquire(this);
    this.#engine = engine;
    if (!this.#takeover || engine.owner !== this) {
      this.#reset(engine.engine, this.#takeover ? this.#history : undefined);
    }
    engine.owner = this.#takeover && !engine.engine.wholeMessages ? this : undefined;
    return engine;
  }

  #show(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#inputEnd = end;
    this.#last = last;
    this.#lent = false;
  }
}
