// The ownership and the lifetime of engines, with fake engines.
import { FakePlatform } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { enginePoolOf } from '../../src/deflate/engine-pool.ts';
import { deflaterKey } from '../../src/deflate/pooled-engine.ts';
import { historyBytesOf } from '../../src/internal.ts';
import type { Deflater, DeflateSource, Inflater } from '../../src/platform/deflate-engine.ts';

/** Engines that tell how many of them there are. */
class Source implements DeflateSource {
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

  deflateLater(): () => void {
    return () => {};
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
  return { source, platform, engines: enginePoolOf(source, platform) };
}

const KEY = deflaterKey(1, 15);
const MINUTE = 60_000;

describe('the engine pool of a source', () => {
  it('is the same for all callers', () => {
    const { source, platform, engines } = setup();
    expect(enginePoolOf(source, platform)).toBe(engines);
    expect(enginePoolOf(new Source(), platform)).not.toBe(engines);
  });

  it('creates engines on demand and reuses them', () => {
    const { source, engines } = setup();
    expect(source.made).toBe(0);
    for (let i = 0; i < 5; i++) {
      engines.inflaters.release(engines.inflaters.acquire({}));
      engines.deflaters.release(engines.deflaters.acquire(KEY));
    }
    expect([source.made, source.closed]).toEqual([2, 0]);
  });

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
    engines.deflaters.own(owner, KEY, 16);
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
    const owned = engines.deflaters.own({}, KEY, 16)!;
    source.generation++;
    engines.inflaters.release(engines.inflaters.acquire({}));
    engines.inflaters.release(inUse);
    expect([source.made, source.open, owned.owner]).toEqual([5, 1, undefined]);
  });

  it('does not reuse failed engines', () => {
    const { source, engines } = setup();
    engines.inflaters.discard(engines.inflaters.acquire({}));
    engines.deflaters.discard(engines.deflaters.acquire(KEY));
    engines.deflaters.discard(engines.deflaters.own({}, KEY, 1)!);
    expect(source.open).toBe(0);
    expect(engines.deflaters.own({}, KEY, 1)).toBeDefined();
  });

  it('does not count an engine whose creation failed', () => {
    const { source, engines } = setup();
    source.fails = true;
    for (let i = 0; i < 300; i++) {
      expect(() => engines.inflaters.acquire({})).toThrow('no memory');
      expect(() => engines.deflaters.acquireForStream(KEY)).toThrow('no memory');
    }
    source.fails = false;
    expect(engines.inflaters.mayLease).toBe(true);
    expect(engines.deflaters.acquireForStream(KEY)).toBeDefined();
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

describe('an inflater', () => {
  it('is reused by the connection that had it before', () => {
    const { engines } = setup();
    const [one, two] = [{}, {}];
    const [first, second] = [engines.inflaters.acquire(one), engines.inflaters.acquire(two)];
    first.owner = one;
    second.owner = two;
    engines.inflaters.release(first);
    engines.inflaters.release(second);
    expect(engines.inflaters.acquire(one)).toBe(first);
    expect(engines.inflaters.acquire({})).toBe(second);
  });

  it('is limited to 256 messages at a time', () => {
    const { engines } = setup();
    const seats = [];
    while (engines.inflaters.mayLease) seats.push(engines.inflaters.acquire({}));
    expect(seats.length).toBe(256);
    engines.inflaters.release(seats[0]!);
    expect(engines.inflaters.mayLease).toBe(true);
  });
});

describe('a deflater', () => {
  it('serves one level and one window', () => {
    const { source, engines } = setup();
    const keys = [-2, -1, 0, 9].flatMap((level) => [8, 15].map((bits) => deflaterKey(level, bits)));
    expect(new Set(keys).size).toBe(8);
    for (let i = 0; i < 2; i++) {
      for (const key of keys) engines.deflaters.release(engines.deflaters.acquire(key));
    }
    expect(source.made).toBe(8);
  });

  it('stays with an owner that sends, and is reassigned after a second', async () => {
    const { platform, engines } = setup();
    const [one, two, three] = [{}, {}, {}];
    const first = engines.deflaters.own(one, KEY, 2)!;
    const second = engines.deflaters.own(two, KEY, 2)!;
    expect(engines.deflaters.own(three, KEY, 2)).toBeUndefined();
    await platform.advance(900);
    engines.deflaters.touch(first);
    await platform.advance(200);
    expect(engines.deflaters.own(three, KEY, 2)).toBe(second);
    expect([first.owner, second.owner]).toEqual([one, three]);
  });

  it('is reused after its release, with a new level if necessary', () => {
    const { source, engines } = setup();
    const first = engines.deflaters.own({}, KEY, 1)!;
    first.owner = undefined;
    const again = engines.deflaters.own({}, KEY, 1);
    expect(again).toBe(first);
    first.owner = undefined;
    const other = engines.deflaters.own({}, deflaterKey(9, 15), 1)!;
    expect(other).not.toBe(first);
    expect([source.made, source.closed]).toEqual([2, 1]);
    expect(engines.deflaters.own({}, KEY, 0)).toBeUndefined();
  });

  it('is limited to 64 streams at a time', () => {
    const { source, engines } = setup();
    const seats = Array.from({ length: 64 }, () => engines.deflaters.acquireForStream(KEY)!);
    expect(engines.deflaters.acquireForStream(KEY)).toBeUndefined();
    engines.deflaters.releaseFromStream(seats[0]!, true);
    expect(source.closed).toBe(1);
    engines.deflaters.releaseFromStream(engines.deflaters.acquireForStream(KEY)!, false);
    expect(engines.deflaters.acquireForStream(KEY)).toBeDefined();
    expect(engines.deflaters.acquireForStream(KEY)).toBeUndefined();
  });
});

describe('the memory of histories', () => {
  it('is counted for the source, also above its budget', () => {
    const { source, engines } = setup();
    expect([historyBytesOf(source), historyBytesOf(new Source())]).toEqual([0, 0]);
    const buffer = engines.acquire(512);
    expect([historyBytesOf(source), engines.overBudget]).toEqual([512, false]);
    const other = engines.acquire(512);
    expect([historyBytesOf(source), engines.overBudget]).toEqual([1024, true]);
    engines.release(other);
    expect(engines.overBudget).toBe(false);
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
