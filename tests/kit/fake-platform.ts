import { setImmediate } from 'node:timers/promises';
import { TextDecoder, TextEncoder } from 'node:util';
import type { Platform } from '@ws/conn';
import { Random } from './random.ts';

/** Options of a {@link FakePlatform}. */
export interface FakePlatformOptions {
  /** Start of the clock in milliseconds. Default 0. */
  readonly now?: number;
  /** Seed of the random words. Default 1. */
  readonly seed?: number;
  /** False keeps deferred and yielded callbacks until `settle`, `runDeferred` or `runYielded`. Default true. */
  readonly automatic?: boolean;
  /** A fast UTF-8 check. Default: none, so the codec uses its own. */
  readonly isUtf8?: (bytes: Uint8Array) => boolean;
}

interface Timer {
  readonly due: number;
  readonly callback: () => void;
}

/**
 * A platform that a test controls. Only `advance` moves the clock, and random words come from a seed. Deferred callbacks
 * run after all microtasks, yielded ones a turn later, in order of their registration.
 */
export class FakePlatform implements Platform {
  readonly isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #automatic: boolean;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** The buffers of `markUntransferable`, which can be transferred nevertheless. */
  readonly marked = new WeakSet<ArrayBuffer>();
  /** The texts of `warn`. */
  readonly warnings: string[] = [];
  #now: number;
  readonly #random: Random;
  /** In order of creation: of two timers due at the same time, the first one fires first. */
  readonly #timers = new Set<Timer>();
  #deferred: (() => void)[] = [];
  #yielded: (() => void)[] = [];

  constructor(options: FakePlatformOptions = {}) {
    this.#now = options.now ?? 0;
    this.#random = new Random(options.seed ?? 1);
    this.#automatic = options.automatic ?? true;
    this.isUtf8 = options.isUtf8;
  }

  readonly markUntransferable = (buffer: ArrayBuffer): void => void this.marked.add(buffer);

  /** Number of pending timers. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Time in ms to the next timer; undefined when none is pending. */
  get nextTimer(): number | undefined {
    const next = this.#nextTimer();
    return next === undefined ? undefined : next.due - this.#now;
  }

  /** Number of deferred callbacks. */
  get deferred(): number {
    return this.#deferred.length;
  }

  /** Number of yielded callbacks. */
  get yielded(): number {
    return this.#yielded.length;
  }

  /** Moves the clock by `ms` milliseconds within this turn, as code does that computes. No timer fires. */
  compute(ms: number): void {
    this.#now += ms;
  }

  /** Moves the clock by `ms` milliseconds. Due timers fire in order, and each one settles before the next. */
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

  /**
   * Resolves when no microtask, deferred or yielded callback is left. Turns of the real event loop pass between yielded
   * callbacks. One of them may wait for the real platform: with `base`, that one gives the turns to inflate.
   */
  async settle(): Promise<void> {
    await microtasks();
    for (let isIdle = false; !isIdle; ) {
      if (this.#deferred.length > 0) this.runDeferred();
      else {
        isIdle = this.#yielded.length === 0;
        // Promises that are rejected in a later turn do not use the platform.
        await turn();
        this.runYielded();
      }
      await microtasks();
      if (this.#deferred.length > 0 || this.#yielded.length > 0) isIdle = false;
    }
  }

  /** Runs the deferred callbacks, but not those that they defer. */
  runDeferred(): void {
    const callbacks = this.#deferred;
    this.#deferred = [];
    for (const callback of callbacks) callback();
  }

  /** Runs the yielded callbacks, but not those that they yield. */
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
    for (let i = 0; i < words.length; i++) words[i] = this.#random.word();
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

  warn(text: string): void {
    this.warnings.push(text);
  }

  #nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.due < next.due) next = timer;
    return next;
  }
}

/** Resolves after all microtasks, including those that they create. */
function microtasks(): Promise<void> {
  return Promise.resolve().then(() => new Promise((resolve) => process.nextTick(resolve)));
}

/** Waits for one turn of the event loop: all microtasks and ticks have run. */
export function turn(): Promise<void> {
  return setImmediate();
}
