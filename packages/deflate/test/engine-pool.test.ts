// The ownership and the lifetime of engines, with fake engines.

import { extensionRuntime } from '@ws/conn/internal';
import { FakePlatform } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { enginePoolOf, historyBytesOf } from '../src/engine-pool.ts';
import type { DeflateEngines, Deflater, Inflater } from '../src/engines.ts';
import { deflaterKey } from '../src/pooled-engine.ts';

/** Engines that tell how many of them there are. */
class Source implements DeflateEngines {
  memoryBudget = 1000;
  generation = 0;
  made = 0;
  closed = 0;
  fails = false;

  inflater(): Inflater {
    return this.#engine() as Inflater;
  }

  deflater(): Deflater {
    return this.#engine() as Deflater;
  }

  /** How many are open. */
  get open(): number {
    return this.made - this.closed;
  }

  #engine(): unknown {
    if (this.fails) throw new Error('no memory');
    this.made++;
    return { used: 0, produced: 0, reset: () => {}, write: () => 0, close: () => this.closed++ };
  }
}

function setup(): {
  source: Source;
  platform: FakePlatform;
  engines: ReturnType<typeof enginePoolOf>;
} {
  const source = new Source();
  const platform = new FakePlatform();
  return { source, platform, engines: enginePoolOf(source, extensionRuntime(platform)) };
}

const KEY = deflaterKey(1, 15);
const MINUTE = 60_000;

describe('the engine pool of a source', () => {
  it('keeps at most eight idle engines', () => {
    const { source, engines } = setup();
    const inflaters = Array.from({ length: 20 }, () => engines.inflaters.acquire({}));
    const deflaters = Array.from({ length: 20 }, () => engines.deflaters.acquire(KEY));
    expect(source.open).toBe(40);
    for (const seat of inflaters) engines.inflaters.release(seat);
    for (const seat of deflaters) engines.deflaters.release(seat);
    expect(source.open).toBe(16);
  });

  it('drops idle engines after one to two minutes, and its timer with the last one', async () => {
    const { source, platform, engines } = setup();
    const owner = {};
    engines.inflaters.release(engines.inflaters.acquire({}));
    engines.deflaters.release(engines.deflaters.acquire(KEY));
    engines.deflaters.own(owner, KEY);
    expect([source.open, platform.timers]).toEqual([3, 1]);
    // A slot of the timers more.
    await platform.advance(MINUTE + 64);
    engines.inflaters.release(engines.inflaters.acquire({}));
    await platform.advance(MINUTE + 64);
    expect(source.open).toBe(1);
    await platform.advance(2 * (MINUTE + 64));
    expect([source.open, platform.timers]).toEqual([0, 0]);
    engines.inflaters.release(engines.inflaters.acquire({}));
    expect([source.open, platform.timers]).toEqual([1, 1]);
  });

  it('replaces engines when the source requires it, used ones at their release', () => {
    const { source, engines } = setup();
    const inUse = engines.inflaters.acquire({});
    engines.inflaters.release(engines.inflaters.acquire({}));
    engines.deflaters.release(engines.deflaters.acquire(KEY));
    const owned = engines.deflaters.own({}, KEY)!;
    source.generation++;
    engines.inflaters.release(engines.inflaters.acquire({}));
    engines.inflaters.release(inUse);
    expect([source.made, source.open, owned.owner]).toEqual([5, 1, undefined]);
  });

  it('does not reuse failed engines', () => {
    const { source, engines } = setup();
    engines.inflaters.discard(engines.inflaters.acquire({}));
    engines.deflaters.discard(engines.deflaters.acquire(KEY));
    const owned = Array.from({ length: 16 }, () => engines.deflaters.own({}, KEY)!);
    expect(engines.deflaters.own({}, KEY)).toBeUndefined();
    for (const engine of owned) engines.deflaters.discard(engine);
    expect(source.open).toBe(0);
    expect(engines.deflaters.own({}, KEY)).toBeDefined();
  });
});

describe('the timer of idle engines', () => {
  afterEach(() => void vi.useRealTimers());

  it('is set again when the timers of the runtime were replaced', async () => {
    const { source, platform, engines } = setup();
    const use = (): void => engines.inflaters.release(engines.inflaters.acquire({}));
    const setTimer = vi.spyOn(platform, 'setTimer');
    vi.useFakeTimers();
    // The clock of fake timers is removed with its callbacks.
    setTimer.mockReturnValueOnce(() => {});
    use();
    vi.useRealTimers();
    use();
    for (let i = 0; i < 3; i++) await platform.advance(MINUTE);
    expect(source.open).toBe(0);
  });

  it('is one timer, also after that', () => {
    const { platform, engines } = setup();
    const use = (): void => engines.inflaters.release(engines.inflaters.acquire({}));
    use();
    vi.useFakeTimers();
    use();
    use();
    expect(platform.timers).toBe(1);
  });
});

describe('the memory of histories', () => {
  it('is counted for the source, also above its budget', () => {
    const { source, engines } = setup();
    expect([historyBytesOf(source), historyBytesOf(new Source())]).toEqual([0, 0]);
    const buffer = engines.acquire(512);
    expect(historyBytesOf(source)).toBe(512);
    const other = engines.acquire(512);
    expect(historyBytesOf(source)).toBe(1024);
    engines.release(other);
    engines.release(buffer);
    expect(historyBytesOf(source)).toBe(0);
  });

  it('is reused by size', () => {
    const { engines } = setup();
    const buffer = engines.acquire(512);
    engines.release(buffer);
    expect(engines.acquire(1024)).not.toBe(buffer);
    expect(engines.acquire(512)).toBe(buffer);
  });

  it('is limited to 64 unused buffers of a size, and to none without compression', async () => {
    const { platform, engines } = setup();
    const buffers = Array.from({ length: 70 }, () => engines.acquire(512));
    for (const buffer of buffers) engines.release(buffer);
    const again = new Set(Array.from({ length: 70 }, () => engines.acquire(512)));
    expect(buffers.filter((buffer) => again.has(buffer)).length).toBe(64);
    for (const buffer of again) engines.release(buffer);
    engines.inflaters.release(engines.inflaters.acquire({}));
    for (let i = 0; i < 3; i++) await platform.advance(MINUTE);
    expect(again.has(engines.acquire(512))).toBe(false);
  });
});
