import { setImmediate } from 'node:timers/promises';
import { TextDecoder, TextEncoder } from 'node:util';
import type { Host } from '@ws/conn';

/** What a {@link FakeHost} can be told. */
export interface FakeHostOptions {
  /** Where the clock stands, in milliseconds. Default 0. */
  readonly now?: number;
  /** Of the random words: the same seed gives the same words. Default 1. */
  readonly seed?: number;
  /** False keeps deferred and yielded callbacks until `settle`, `runDeferred` or `runYielded`. Default true. */
  readonly automatic?: boolean;
  /** A fast UTF-8 check to lend. Default: none, so that the codec's own is used. */
  readonly isUtf8?: (bytes: Uint8Array) => boolean;
}

interface Timer {
  readonly due: number;
  readonly callback: () => void;
}

/**
 * A platform in the hands of a test. Time stands still until `advance`; random words come from a seed; deferred
 * callbacks run when all microtasks have, yielded ones a turn later, in the order in which they came.
 */
export class FakeHost implements Host {
  readonly isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #automatic: boolean;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #now: number;
  #seed: number;
  /** In the order in which they were set, which decides between those that are due together. */
  readonly #timers = new Set<Timer>();
  #deferred: (() => void)[] = [];
  #yielded: (() => void)[] = [];

  constructor(options: FakeHostOptions = {}) {
    this.#now = options.now ?? 0;
    this.#seed = options.seed ?? 1;
    this.#automatic = options.automatic ?? true;
    this.isUtf8 = options.isUtf8;
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** How many callbacks wait for the end of the microtasks. */
  get deferred(): number {
    return this.#deferred.length;
  }

  /** How many callbacks wait for a later turn. */
  get yielded(): number {
    return this.#yielded.length;
  }

  /** Lets `ms` milliseconds pass: the timers due in them ring in their order, each with all that follows from it. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await this.settle();
      const next = this.#nextTimer();
      if (next === undefined || next.due > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.due);
      next.callback();
    }
    this.#now = end;
  }

  /** Resolves when nothing is left to run without time passing: no microtask, nothing deferred, nothing yielded. */
  async settle(): Promise<void> {
    await microtasks();
    while (this.#deferred.length > 0 || this.#yielded.length > 0) {
      if (this.#deferred.length > 0) this.runDeferred();
      else this.runYielded();
      await microtasks();
    }
  }

  /** Runs what is deferred now; what that defers is left for the next time. */
  runDeferred(): void {
    const callbacks = this.#deferred;
    this.#deferred = [];
    for (const callback of callbacks) callback();
  }

  /** Runs what is yielded now; what that yields is left for the next time. */
  runYielded(): void {
    const callbacks = this.#yielded;
    this.#yielded = [];
    for (const callback of callbacks) callback();
  }

  writeUtf8(into: Uint8Array, at: number, text: string): number {
    return this.#encoder.encodeInto(text, into.subarray(at)).written;
  }

  decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
    return this.#decoder.decode(bytes.subarray(start, end));
  }

  randomFill(words: Int32Array): void {
    for (let i = 0; i < words.length; i++) words[i] = this.#random();
  }

  now(): number {
    return this.#now;
  }

  setTimer(ms: number, callback: () => void): () => void {
    const timer = { due: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
    if (!this.#automatic || this.#deferred.length > 1) return;
    void microtasks().then(() => this.runDeferred());
  }

  yield(callback: () => void): void {
    this.#yielded.push(callback);
    if (!this.#automatic || this.#yielded.length > 1) return;
    void turn().then(() => this.runYielded());
  }

  #nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.due < next.due) next = timer;
    return next;
  }

  /** Mulberry32: short, and good enough for keys that nobody attacks. */
  #random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#seed ^ (this.#seed >>> 15), this.#seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return t ^ (t >>> 14);
  }
}

/** Resolves when all microtasks that are ready have run, and those that they made. */
function microtasks(): Promise<void> {
  return Promise.resolve().then(() => new Promise((resolve) => process.nextTick(resolve)));
}

/** A turn of the event loop: all microtasks and ticks that are ready have run when it resolves. */
export function turn(): Promise<void> {
  return setImmediate();
}
