import type { ExtensionRuntime } from '@ws/codec';
import type { Deflater } from './engines.ts';
import { closeWhere, FreeEngines, PooledEngine, type PoolState } from './pooled-engine.ts';

/**
 * The largest number of messages that are deflated fragment by fragment at the same time. Further
 * messages are sent uncompressed.
 */
const MAX_LEASED = 64;
/**
 * The largest number of deflaters, of 270 KiB each, that connections own: 4.3 MB of a process. More of
 * them help only where more connections than that send within {@link OWNER_IDLE_MS}.
 */
const MAX_OWNED = 16;
/**
 * An owner that has sent nothing for this time, in ms, loses its deflater to a connection that
 * sends.
 */
const OWNER_IDLE_MS = 1_000;

/** The deflaters of a platform. Some are free, others belong to connections with context takeover. */
export class DeflaterPool {
  readonly #engines: PoolState;
  readonly #runtime: ExtensionRuntime;
  readonly #free = new FreeEngines<Deflater>();
  readonly #owned: PooledEngine<Deflater>[] = [];
  #leased = 0;

  constructor(engines: PoolState, runtime: ExtensionRuntime) {
    this.#engines = engines;
    this.#runtime = runtime;
  }

  /** Deflaters that the pool holds: free and owned ones. */
  get size(): number {
    return this.#free.size + this.#owned.length;
  }

  /** A deflater for one message. Follow with {@link release} or {@link discard}. */
  acquire(key: number): PooledEngine<Deflater> {
    this.#engines.renew();
    return this.#free.acquire((engine) => engine.key === key) ?? this.#create(key);
  }

  release(engine: PooledEngine<Deflater>): void {
    if (engine.generation !== this.#engines.source.generation) return engine.close();
    engine.usedAtSweep = this.#engines.sweeps;
    this.#free.release(engine);
    this.#engines.sweepLater();
  }

  /** Closes a deflater that has failed. */
  discard(engine: PooledEngine<Deflater>): void {
    const at = this.#owned.indexOf(engine);
    if (at >= 0) this.#owned.splice(at, 1);
    engine.close();
  }

  /**
   * A deflater for a message that is written as a stream; undefined when too many streams have one.
   */
  acquireForStream(key: number): PooledEngine<Deflater> | undefined {
    if (this.#leased >= MAX_LEASED) return undefined;
    const engine = this.acquire(key);
    this.#leased++;
    return engine;
  }

  /** @param broken - The deflater failed, or its message ended within a fragment. */
  releaseFromStream(engine: PooledEngine<Deflater>, broken: boolean): void {
    this.#leased--;
    if (broken) this.discard(engine);
    else this.release(engine);
  }

  /**
   * A deflater for `owner` to keep: a new one, an abandoned one, or a silent owner's.
   * Undefined when {@link MAX_OWNED} are owned and all are busy: a deflater that changes its owner loses its
   * history.
   */
  own(owner: object, key: number): PooledEngine<Deflater> | undefined {
    this.#engines.renew();
    const now = this.#runtime.now();
    const at = this.#owned.findIndex(
      (engine) => engine.owner === undefined || now - engine.usedAtMs > OWNER_IDLE_MS,
    );
    let engine = this.#owned[at];
    if (engine === undefined && this.#owned.length >= MAX_OWNED) return undefined;
    if (engine?.key !== key) {
      const created = this.#create(key);
      if (engine === undefined) this.#owned.push(created);
      else {
        engine.close();
        this.#owned[at] = created;
      }
      engine = created;
    }
    engine.owner = owner;
    engine.usedAtMs = now;
    this.#engines.sweepLater();
    return engine;
  }

  /** Records that an owned deflater is in use. */
  touch(engine: PooledEngine<Deflater>): void {
    engine.usedAtMs = this.#runtime.now();
  }

  /**
   * Closes free deflaters unused since sweep `sweep`, and owned ones unused since `time`, in ms.
   */
  sweep(sweep: number, time: number): void {
    this.#free.closeWhere((engine) => engine.usedAtSweep < sweep);
    closeWhere(this.#owned, (engine) => engine.usedAtMs < time);
  }

  closeAll(): void {
    this.#free.closeWhere(() => true);
    closeWhere(this.#owned, () => true);
  }

  #create(key: number): PooledEngine<Deflater> {
    const { source, generation } = this.#engines;
    return new PooledEngine(source.deflater((key >> 4) - 2, key & 15), key, generation);
  }
}
