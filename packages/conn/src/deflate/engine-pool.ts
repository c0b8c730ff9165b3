import { poolGuard } from '@ws/codec/internal';
import type { DeflateSource, Inflater } from '../platform/deflate-engine.ts';
import type { Platform } from '../platform/platform.ts';
import { DeflaterPool, type EngineKeeper } from './deflater-pool.ts';
import { InflateBuffers } from './inflate-buffers.ts';
import { FreeEngines, PooledEngine } from './pooled-engine.ts';
import type { HistoryMemory } from './window.ts';

export type { PooledEngine } from './pooled-engine.ts';

/** Lends inflaters to connections, and memory for the history of their peers' messages. */
export interface InflaterPool extends HistoryMemory {
  /** Whether an inflater may be leased for a whole message. */
  readonly mayLeaseInflater: boolean;
  takeInflater(owner: object): PooledEngine<Inflater>;
  giveInflater(engine: PooledEngine<Inflater>): void;
  /** Closes an inflater that failed for another reason than its input. */
  loseInflater(engine: PooledEngine<Inflater>): void;
}

/**
 * Most messages that are inflated piece by piece at the same time. Further messages are inflated
 * when they are complete.
 */
const MAX_LEASED_INFLATERS = 256;
/** Time in ms after which an unused engine is closed. */
const IDLE = 60_000;
/** Most free history buffers that are kept of each size. */
const MAX_FREE_HISTORIES = 64;
/**
 * Size in bytes of the shared buffers that are inflated or deflated into before the result is
 * copied.
 */
export const SCRATCH = 65_536;

/**
 * The engines of a platform, shared by all of its connections. An inflater needs 45 KiB, and a
 * reset costs far less than an engine. So an idle connection holds no inflater: it keeps only the
 * plain text that its peer may refer back to. The next message takes a free inflater and resets it
 * with that text.
 */
export class EnginePool implements InflaterPool, EngineKeeper {
  /** Bytes that the histories of all connections hold. */
  historyBytes = 0;
  /** The source's generation when the pool's engines were created. */
  generation = 0;
  sweeps = 0;
  readonly source: DeflateSource;
  readonly deflaters: DeflaterPool;
  /** Buffers for inflated payload. */
  readonly inflateBuffers: InflateBuffers = new InflateBuffers();
  /** Buffer for the UTF-8 of the text that is compressed next. */
  readonly plain: Uint8Array = new Uint8Array(SCRATCH);
  /**
   * Buffer for the output of an engine. The code that runs the engine copies the output before any
   * other call.
   */
  readonly output: Uint8Array = new Uint8Array(SCRATCH);

  readonly #platform: Platform;
  readonly #inflaters = new FreeEngines<Inflater>();
  readonly #histories = new Map<number, Uint8Array[]>();
  readonly #guard = poolGuard('history');
  #leasedInflaters = 0;
  #sweeping = false;

  constructor(source: DeflateSource, platform: Platform) {
    this.source = source;
    this.#platform = platform;
    this.deflaters = new DeflaterPool(this, platform);
  }

  /** Whether the histories use up the memory budget. New connections then get no history. */
  get overBudget(): boolean {
    return this.historyBytes >= this.source.memoryBudget;
  }

  get mayLeaseInflater(): boolean {
    return this.#leasedInflaters < MAX_LEASED_INFLATERS;
  }

  /**
   * Leases an inflater. Prefers the inflater that has seen all messages of `owner`, since that
   * needs no reset. An older inflater of `owner` has missed messages, so only the last one is
   * preferred.
   */
  takeInflater(owner: object): PooledEngine<Inflater> {
    this.renew();
    const free =
      this.#inflaters.take((engine) => engine.owner === owner) ?? this.#inflaters.takeNewest();
    const engine = free ?? new PooledEngine(this.source.inflater(), 0, this.generation);
    this.#leasedInflaters++;
    return engine;
  }

  giveInflater(engine: PooledEngine<Inflater>): void {
    this.#leasedInflaters--;
    if (engine.generation !== this.source.generation) return engine.close();
    engine.usedAt = this.sweeps;
    this.#inflaters.add(engine);
    this.sweepLater();
  }

  /**
   * Ends the lease of an inflater that will not be released: its message may never be read to the
   * end.
   */
  forgetInflater(): void {
    this.#leasedInflaters--;
  }

  loseInflater(engine: PooledEngine<Inflater>): void {
    this.#leasedInflaters--;
    engine.close();
  }

  /** Subtracts the bytes of a history that will not be released. */
  forget(bytes: number): void {
    this.historyBytes -= bytes;
  }

  take(bytes: number): Uint8Array {
    this.historyBytes += bytes;
    const history = this.#histories.get(bytes)?.pop() ?? new Uint8Array(bytes);
    this.#guard?.lend(history);
    return history;
  }

  give(buffer: Uint8Array): void {
    this.#guard?.takeBack(buffer);
    this.historyBytes -= buffer.length;
    const free = this.#histories.get(buffer.length);
    if (free === undefined) this.#histories.set(buffer.length, [buffer]);
    else if (free.length < MAX_FREE_HISTORIES) free.push(buffer);
  }

  renew(): void {
    const { generation } = this.source;
    if (generation === this.generation) return;
    this.generation = generation;
    this.#inflaters.closeWhere(() => true);
    this.deflaters.closeAll();
  }

  sweepLater(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#platform.setTimer(IDLE, () => {
      this.#sweeping = false;
      this.#sweep();
    });
  }

  #sweep(): void {
    const last = this.sweeps++;
    this.#inflaters.closeWhere((engine) => engine.usedAt < last);
    this.deflaters.sweep(last, this.#platform.now() - IDLE);
    if (this.#inflaters.size + this.deflaters.size > 0) this.sweepLater();
    else this.#histories.clear();
  }
}

/**
 * The engines of a closed connection that still has messages to read. Each message gets a new
 * inflater, and memory is not counted.
 */
export class PrivateEngines implements InflaterPool {
  readonly mayLeaseInflater = false;
  readonly #source: DeflateSource;

  constructor(source: DeflateSource) {
    this.#source = source;
  }

  takeInflater(): PooledEngine<Inflater> {
    return new PooledEngine(this.#source.inflater(), 0, this.#source.generation);
  }

  giveInflater(engine: PooledEngine<Inflater>): void {
    engine.close();
  }

  loseInflater(engine: PooledEngine<Inflater>): void {
    engine.close();
  }

  take(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  give(): void {}
}

const pools = new WeakMap<DeflateSource, EnginePool>();

/** Returns the engines of `source`. The first call creates them. */
export function enginePoolOf(source: DeflateSource, platform: Platform): EnginePool {
  let engines = pools.get(source);
  if (engines === undefined) {
    engines = new EnginePool(source, platform.base ?? platform);
    pools.set(source, engines);
  }
  return engines;
}

/**
 * Bytes that the histories of all connections on `source` hold. The source's `memoryBudget` bounds
 * them.
 */
export function historyBytesOf(source: DeflateSource): number {
  return pools.get(source)?.historyBytes ?? 0;
}
