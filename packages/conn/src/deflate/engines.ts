import { poolGuard } from '@ws/codec';
import type { Host } from '../host.ts';
import type { Deflater, DeflateSource, Inflater } from './engine.ts';
import type { HistoryMemory } from './history.ts';
import { PlainBuffers } from './plain-buffers.ts';

/** Where the inflater of a connection comes from, and the memory for what its peer may refer back to. */
export interface InflaterPool extends HistoryMemory {
  /** Whether a message may have an inflater for as long as it takes. */
  readonly mayLeaseInflater: boolean;
  takeInflater(owner: object): Seat<Inflater>;
  giveInflater(seat: Seat<Inflater>): void;
  /** An inflater that has failed, not for what it was fed: it is not to be used again. */
  loseInflater(seat: Seat<Inflater>): void;
}

/** How many messages may be inflated piece by piece at a time; those beyond are inflated when they are complete. */
const MAX_LEASED_INFLATERS = 256;
/** How many messages may be deflated piece by piece at a time; those beyond are sent as they are. */
const MAX_LEASED_DEFLATERS = 64;
/** Engines without an owner that are kept for whoever comes next: an inflater has 45 KiB, a deflater 270. */
const MAX_FREE = 8;
/** Engines that were not used for so long are dropped, in ms. */
const IDLE = 60_000;
/** An owner that has sent nothing for so long loses its engine to one who does, in ms. */
const STICKY = 1_000;
/** Free history buffers of each size that are kept. */
const MAX_FREE_HISTORIES = 64;
/** Room to inflate or deflate into before the result is copied to where it belongs. */
export const SCRATCH = 65_536;

/** An engine and who knows what it has seen. */
export class Seat<E> {
  readonly engine: E;
  /** Of a deflater: its level and window bits. */
  readonly key: number;
  /** The source's when it was made. */
  readonly generation: number;
  /** Whose messages it has seen last, and nothing else since. */
  owner: object | undefined;
  /** When it was last used, by the pool's count of sweeps; of an owned deflater, by the clock. */
  usedAt = 0;

  constructor(engine: E, key: number, generation: number) {
    this.engine = engine;
    this.key = key;
    this.generation = generation;
  }
}

/** A deflater's settings as one number. */
export function deflaterKey(level: number, windowBits: number): number {
  return (level + 2) * 16 + windowBits;
}

/**
 * The engines of a platform, shared by all of its connections: zlib's state is large, and costs nothing to reset. What a
 * connection keeps of its own is plain text.
 */
export class Engines implements InflaterPool {
  /** Bytes that the histories of all connections hold. */
  historyBytes = 0;
  readonly source: DeflateSource;
  /** For what comes in. */
  readonly plains: PlainBuffers = new PlainBuffers();
  /** For text that is about to be compressed. */
  readonly plain: Uint8Array = new Uint8Array(SCRATCH);
  /** For what an engine puts out. Whoever gets it copies it before anything else happens. */
  readonly output: Uint8Array = new Uint8Array(SCRATCH);

  readonly #host: Host;
  readonly #inflaters: Seat<Inflater>[] = [];
  readonly #deflaters: Seat<Deflater>[] = [];
  /** Deflaters that are kept for connections with context takeover. */
  readonly #owned: Seat<Deflater>[] = [];
  readonly #histories = new Map<number, Uint8Array[]>();
  readonly #guard = poolGuard('history');
  #leasedInflaters = 0;
  #leasedDeflaters = 0;
  #generation = 0;
  #sweeps = 0;
  #sweeping = false;

  constructor(source: DeflateSource, host: Host) {
    this.source = source;
    this.#host = host;
  }

  /** Whether histories hold more than the budget, so that new connections are to do without. */
  get overBudget(): boolean {
    return this.historyBytes >= this.source.memoryBudget;
  }

  get mayLeaseInflater(): boolean {
    return this.#leasedInflaters < MAX_LEASED_INFLATERS;
  }

  /**
   * An inflater: the one that has seen all messages of `owner` and need not be reset, if it is there. It has to be that
   * one, since another that `owner` had before has missed some.
   */
  takeInflater(owner: object): Seat<Inflater> {
    this.#renew();
    const own = this.#inflaters.findLastIndex((seat) => seat.owner === owner);
    const free = own >= 0 ? this.#inflaters.splice(own, 1)[0] : this.#inflaters.pop();
    const seat = free ?? new Seat(this.source.inflater(), 0, this.#generation);
    this.#leasedInflaters++;
    return seat;
  }

  giveInflater(seat: Seat<Inflater>): void {
    this.#leasedInflaters--;
    this.#keep(this.#inflaters, seat);
  }

  /** The inflater of a message that may never be read to its end: it is not lent any more, and not given back. */
  forgetInflater(): void {
    this.#leasedInflaters--;
  }

  /** Bytes of a history that will not be given back. */
  forget(bytes: number): void {
    this.historyBytes -= bytes;
  }

  /** An inflater that has failed, not for what it was fed: it is not to be used again. */
  loseInflater(seat: Seat<Inflater>): void {
    this.#leasedInflaters--;
    close(seat);
  }

  takeDeflater(key: number): Seat<Deflater> {
    this.#renew();
    const at = this.#deflaters.findLastIndex((seat) => seat.key === key);
    if (at < 0) return this.#newSeat(key);
    return this.#deflaters.splice(at, 1)[0]!;
  }

  giveDeflater(seat: Seat<Deflater>): void {
    this.#keep(this.#deflaters, seat);
  }

  /** A deflater that has failed: it is not to be used again. */
  loseDeflater(seat: Seat<Deflater>): void {
    const at = this.#owned.indexOf(seat);
    if (at >= 0) this.#owned.splice(at, 1);
    close(seat);
  }

  /** A deflater for a message that is written as a stream; undefined when too many are. */
  leaseDeflater(key: number): Seat<Deflater> | undefined {
    if (this.#leasedDeflaters >= MAX_LEASED_DEFLATERS) return undefined;
    const seat = this.takeDeflater(key);
    this.#leasedDeflaters++;
    return seat;
  }

  endLease(seat: Seat<Deflater>, broken: boolean): void {
    this.#leasedDeflaters--;
    if (broken) this.loseDeflater(seat);
    else this.giveDeflater(seat);
  }

  /**
   * A deflater for `owner` to keep: a new one, a free one, or one whose owner has fallen silent. Undefined when all are
   * busy; taking them in turns would leave nobody a context.
   */
  own(owner: object, key: number, most: number): Seat<Deflater> | undefined {
    this.#renew();
    const now = this.#host.now();
    const at = this.#owned.findIndex(
      (seat) => seat.owner === undefined || now - seat.usedAt > STICKY,
    );
    let seat = this.#owned[at];
    if (seat === undefined && this.#owned.length >= most) return undefined;
    if (seat?.key !== key) {
      const fresh = this.#newSeat(key);
      if (seat === undefined) this.#owned.push(fresh);
      else {
        close(seat);
        this.#owned[at] = fresh;
      }
      seat = fresh;
    }
    seat.owner = owner;
    seat.usedAt = now;
    this.#sweepLater();
    return seat;
  }

  /** `seat` is in use. */
  touch(seat: Seat<Deflater>): void {
    seat.usedAt = this.#host.now();
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

  #newSeat(key: number): Seat<Deflater> {
    return new Seat(this.source.deflater((key >> 4) - 2, key & 15), key, this.#generation);
  }

  /** Drops the engines that are not to be used any more. */
  #renew(): void {
    const { generation } = this.source;
    if (generation === this.#generation) return;
    this.#generation = generation;
    const all = (): boolean => true;
    drop<Inflater | Deflater>(this.#inflaters, all);
    drop<Inflater | Deflater>(this.#deflaters, all);
    drop(this.#owned, all);
  }

  #keep<E extends Inflater | Deflater>(free: Seat<E>[], seat: Seat<E>): void {
    if (seat.generation !== this.source.generation) return close(seat);
    seat.usedAt = this.#sweeps;
    free.push(seat);
    if (free.length > MAX_FREE) close(free.shift()!);
    this.#sweepLater();
  }

  #sweepLater(): void {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#host.setTimer(IDLE, () => {
      this.#sweeping = false;
      this.#sweep();
    });
  }

  #sweep(): void {
    const last = this.#sweeps++;
    const since = this.#host.now() - IDLE;
    for (const free of [this.#inflaters, this.#deflaters]) {
      drop<Inflater | Deflater>(free, (seat) => seat.usedAt < last);
    }
    drop(this.#owned, (seat) => seat.usedAt < since);
    const left = this.#inflaters.length + this.#deflaters.length + this.#owned.length;
    if (left > 0) this.#sweepLater();
    else this.#histories.clear();
  }
}

function drop<E extends Inflater | Deflater>(
  seats: Seat<E>[],
  idle: (seat: Seat<E>) => boolean,
): void {
  for (let i = seats.length - 1; i >= 0; i--) {
    const seat = seats[i]!;
    if (!idle(seat)) continue;
    seats.splice(i, 1);
    close(seat);
  }
}

function close(seat: Seat<Inflater | Deflater>): void {
  seat.owner = undefined;
  seat.engine.close();
}

/**
 * For a connection that is gone and still has something to read: an inflater for each message that is asked for, memory
 * that is not counted.
 */
export class PrivateEngines implements InflaterPool {
  readonly mayLeaseInflater = false;
  readonly #source: DeflateSource;

  constructor(source: DeflateSource) {
    this.#source = source;
  }

  takeInflater(): Seat<Inflater> {
    return new Seat(this.#source.inflater(), 0, this.#source.generation);
  }

  giveInflater(seat: Seat<Inflater>): void {
    close(seat);
  }

  loseInflater(seat: Seat<Inflater>): void {
    close(seat);
  }

  take(bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  give(): void {}
}

const pools = new WeakMap<DeflateSource, Engines>();

/** The engines of `source`, made when they are first asked for. */
export function enginesOf(source: DeflateSource, host: Host): Engines {
  let engines = pools.get(source);
  if (engines === undefined) {
    engines = new Engines(source, host.base ?? host);
    pools.set(source, engines);
  }
  return engines;
}

/** Bytes that the histories of all connections on `source` hold: what its `memoryBudget` is for. */
export function historyBytesOf(source: DeflateSource): number {
  return pools.get(source)?.historyBytes ?? 0;
}
