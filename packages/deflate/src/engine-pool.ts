import type { ExtensionRuntime } from '@ws/codec';
import { poolGuard } from '@ws/codec/internal';
import { DeflaterPool } from './deflater-pool.ts';
import type { DeflateEngines } from './engines.ts';
import type { HistoryMemory } from './history-ring.ts';
import { InflateBudget } from './inflate-budget.ts';
import { InflaterPool, UnpooledInflaters } from './inflater-pool.ts';
import type { PoolState } from './pooled-engine.ts';

/** Time in ms after which an unused engine is closed. */
const IDLE = 60_000;
/** Most free history buffers that are kept of each size. */
const MAX_FREE_HISTORIES = 64;
/**
 * Size in bytes of the shared input and output buffers of engines. It is less than `COPY_BELOW`, so
 * that a write from these buffers is copied.
 */
export const SCRATCH = 32_767;

/** Engines of one source, and the memory of histories, shared by all connections on it. */
export class EnginePool implements PoolState, HistoryMemory {
  /** Of the timer that calls {@link fire}. */
  slot: number | undefined;
  /** Bytes that the histories of all connections hold. */
  historyBytes = 0;
  generation = 0;
  sweeps = 0;
  readonly source: DeflateEngines;
  readonly inflaters: InflaterPool;
  readonly deflaters: DeflaterPool;
  readonly inflateBudget: InflateBudget;
  /** Buffer for the UTF-8 of the text that is compressed next. */
  readonly plain: Uint8Array = new Uint8Array(SCRATCH);
  /**
   * Buffer for the output of an engine. The code that runs the engine copies the output before any
   * other call.
   */
  readonly output: Uint8Array = new Uint8Array(SCRATCH);

  readonly #runtime: ExtensionRuntime;
  readonly #histories = new Map<number, Uint8Array[]>();
  readonly #guard = poolGuard('history');

  constructor(source: DeflateEngines, runtime: ExtensionRuntime) {
    this.source = source;
    this.#runtime = runtime;
    this.inflateBudget = new InflateBudget();
    this.inflaters = new InflaterPool(this);
    this.deflaters = new DeflaterPool(this, runtime);
  }

  /** Subtracts the bytes of a history that will not be released. */
  uncount(bytes: number): void {
    this.historyBytes -= bytes;
  }

  acquire(bytes: number): Uint8Array {
    this.historyBytes += bytes;
    const history = this.#histories.get(bytes)?.pop() ?? new Uint8Array(bytes);
    this.#guard?.lend(history);
    return history;
  }

  release(buffer: Uint8Array): void {
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
    this.inflaters.closeAll();
    this.deflaters.closeAll();
  }

  sweepLater(): void {
    this.#runtime.fireLater(this, IDLE);
  }

  /** Closes the engines that are idle. */
  fire(): void {
    const last = this.sweeps++;
    this.inflaters.sweep(last);
    this.deflaters.sweep(last, this.#runtime.now() - IDLE);
    if (this.inflaters.size + this.deflaters.size > 0) this.sweepLater();
    else this.#histories.clear();
  }
}

/**
 * For a closed connection that still has messages to read. Each message gets a new inflater, and
 * memory is not counted.
 */
export class PrivateEngines {
  readonly inflaters: UnpooledInflaters;

  constructor(source: DeflateEngines) {
    this.inflaters = new UnpooledInflaters(source);
  }

  acquire(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  release(): void {}
}

const pools = new WeakMap<DeflateEngines, EnginePool>();

/** Returns the engines of `source`. The first call creates them. */
export function enginePoolOf(source: DeflateEngines, runtime: ExtensionRuntime): EnginePool {
  let engines = pools.get(source);
  if (engines === undefined) {
    engines = new EnginePool(source, runtime);
    pools.set(source, engines);
  }
  return engines;
}

/**
 * Bytes that the histories of all connections on `source` hold. The source's `memoryBudget` bounds
 * them.
 */
export function historyBytesOf(source: DeflateEngines): number {
  return pools.get(source)?.historyBytes ?? 0;
}
