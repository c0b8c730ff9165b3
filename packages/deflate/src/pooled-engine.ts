import type { DeflateEngines, Deflater, Inflater } from './engines.ts';

/** Free engines of one kind that are kept: an inflater has 45 KiB, a deflater 270 KiB. */
const MAX_FREE = 8;

/** What the pools of one source share. */
export interface PoolState {
  readonly source: DeflateEngines;
  /** The source's generation when the pools' engines were created. */
  readonly generation: number;
  /** How many sweeps of unused engines there were. */
  readonly sweeps: number;
  /** Drops the engines of an older generation of the source. */
  renew(): void;
  /** Schedules a sweep of unused engines. */
  sweepLater(): void;
}

/** An engine, with the facts that its pool needs. */
export class PooledEngine<E> {
  readonly engine: E;
  /** Of a deflater: its level and window bits, see {@link deflaterKey}. Of an inflater: 0. */
  readonly key: number;
  /** The generation of its source when it was created. */
  readonly generation: number;
  /** The compressor or decompressor with its history in the engine. Undefined when it has none. */
  owner: object | undefined;
  /** The pool's number of sweeps when the engine was last released. */
  usedAtSweep = 0;
  /** Time in ms when an owned deflater was last used. */
  usedAtMs = 0;

  constructor(engine: E, key: number, generation: number) {
    this.engine = engine;
    this.key = key;
    this.generation = generation;
  }

  close(this: PooledEngine<Inflater | Deflater>): void {
    this.owner = undefined;
    this.engine.close();
  }
}

/** Engines that no message uses, the last released one at the end. */
export class FreeEngines<E extends Inflater | Deflater> {
  readonly #engines: PooledEngine<E>[] = [];

  get size(): number {
    return this.#engines.length;
  }

  /** Removes the newest engine that `matches`. */
  acquire(matches: (engine: PooledEngine<E>) => boolean): PooledEngine<E> | undefined {
    let at = this.#engines.length - 1;
    while (at >= 0 && !matches(this.#engines[at]!)) at--;
    return at < 0 ? undefined : this.#engines.splice(at, 1)[0];
  }

  acquireNewest(): PooledEngine<E> | undefined {
    return this.#engines.pop();
  }

  /** Adds an engine; the oldest one is closed when there are too many. */
  release(engine: PooledEngine<E>): void {
    this.#engines.push(engine);
    if (this.#engines.length > MAX_FREE) this.#engines.shift()!.close();
  }

  closeWhere(isUnused: (engine: PooledEngine<E>) => boolean): void {
    closeWhere(this.#engines, isUnused);
  }
}

/** Closes and removes the engines that `isUnused` selects. */
export function closeWhere<E extends Inflater | Deflater>(
  engines: PooledEngine<E>[],
  isUnused: (engine: PooledEngine<E>) => boolean,
): void {
  for (let i = engines.length - 1; i >= 0; i--) {
    const engine = engines[i]!;
    if (!isUnused(engine)) continue;
    engines.splice(i, 1);
    engine.close();
  }
}

/** The level and the window bits of a deflater as one number. */
export function deflaterKey(level: number, windowBits: number): number {
  return (level + 2) * 16 + windowBits;
}
