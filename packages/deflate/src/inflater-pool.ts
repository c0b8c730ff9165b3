import type { DeflateEngines, Inflater } from './engines.ts';
import type { InflateWaiter } from './inflate-budget.ts';
import { FreeEngines, PooledEngine, type PoolState } from './pooled-engine.ts';

/**
 * Most leased inflaters while no read waits: a complete message without a reader may fill the
 * read-ahead and keep its inflater.
 */
const MAX_LEASED = 256;
/**
 * Most leased inflaters at which a message gets one before it is complete. Further messages are
 * inflated when they are complete. So peers that send half a message leave inflaters for the others.
 */
const MAX_LEASED_EARLY = 128;

/**
 * The inflaters of a platform, shared by all of its connections. An inflater needs 45 KiB, and a
 * reset costs far less than an engine. So an idle connection holds no inflater: it keeps only the
 * plain text that its peer may refer back to. The next message leases a free inflater and resets it
 * with that text.
 */
export class InflaterPool {
  readonly #engines: PoolState;
  readonly #free = new FreeEngines<Inflater>();
  readonly #waiters = new Set<InflateWaiter>();
  #leased = 0;
  /** Whether {@link #wake} is scheduled. */
  #waking = false;

  constructor(engines: PoolState) {
    this.#engines = engines;
  }

  get size(): number {
    return this.#free.size;
  }

  /** Whether an inflater may be leased for a complete message that no read waits for. */
  get mayLease(): boolean {
    return this.#leased < MAX_LEASED;
  }

  /** Whether an inflater may be leased for a message that is not complete. */
  get mayLeaseEarly(): boolean {
    return this.#leased < MAX_LEASED_EARLY && this.#engines.source.inflates !== 'messages';
  }

  /** `waiter` continues in a later turn in which {@link mayLease}. */
  wait(waiter: InflateWaiter): void {
    this.#waiters.add(waiter);
  }

  leave(waiter: InflateWaiter): void {
    this.#waiters.delete(waiter);
  }

  #ended(): void {
    this.#leased--;
    this.#wakeLater();
  }

  #wakeLater(): void {
    if (this.#waking || !this.mayLease) return;
    for (const { runtime } of this.#waiters) {
      this.#waking = true;
      runtime.yield(() => this.#wake());
      return;
    }
  }

  /** Lets the first waiter continue. It may find that it needs no inflater: then the next one may. */
  #wake(): void {
    this.#waking = false;
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.onInflateTurn();
      break;
    }
    this.#wakeLater();
  }

  /**
   * Leases an inflater. Prefers the inflater that has seen all messages of `owner`, since that
   * needs no reset. An older inflater of `owner` has missed messages, so only the last one is
   * preferred.
   */
  acquire(owner: object): PooledEngine<Inflater> {
    const engines = this.#engines;
    engines.renew();
    const free =
      this.#free.acquire((engine) => engine.owner === owner) ?? this.#free.acquireNewest();
    const engine = free ?? new PooledEngine(engines.source.inflater(), 0, engines.generation);
    this.#leased++;
    return engine;
  }

  release(engine: PooledEngine<Inflater>): void {
    const engines = this.#engines;
    this.#ended();
    if (engine.generation !== engines.source.generation) return engine.close();
    engine.usedAtSweep = engines.sweeps;
    this.#free.release(engine);
    engines.sweepLater();
  }

  /** Closes an inflater that failed for another reason than its input. */
  discard(engine: PooledEngine<Inflater>): void {
    this.#ended();
    engine.close();
  }

  /**
   * Ends the lease of an inflater that will not be released: its message may never be read to the
   * end.
   */
  endLease(): void {
    this.#ended();
  }

  /** Closes free inflaters unused since sweep `sweep`. */
  sweep(sweep: number): void {
    this.#free.closeWhere((engine) => engine.usedAtSweep < sweep);
  }

  closeAll(): void {
    this.#free.closeWhere(() => true);
  }
}

/** Creates an inflater for each message, and closes it after the message. */
export class UnpooledInflaters {
  readonly mayLease = false;
  readonly mayLeaseEarly = false;
  readonly #source: DeflateEngines;

  constructor(source: DeflateEngines) {
    this.#source = source;
  }

  acquire(): PooledEngine<Inflater> {
    return new PooledEngine(this.#source.inflater(), 0, this.#source.generation);
  }

  release(engine: PooledEngine<Inflater>): void {
    engine.close();
  }

  discard(engine: PooledEngine<Inflater>): void {
    engine.close();
  }
}
