// Which engines are kept for whom, and for how long; the engines themselves do nothing.
import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import type { Deflater, DeflateSource, Inflater } from '../../src/deflate/engine.ts';
import { deflaterKey, enginesOf } from '../../src/deflate/engines.ts';
import { historyBytesOf } from '../../src/index.ts';

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

function setup(): { source: Source; host: FakeHost; engines: ReturnType<typeof enginesOf> } {
  const source = new Source();
  const host = new FakeHost();
  return { source, host, engines: enginesOf(source, host) };
}

const KEY = deflaterKey(1, 15);
const MINUTE = 60_000;

describe('the engines of a source', () => {
  it('are the same for all who ask', () => {
    const { source, host, engines } = setup();
    expect(enginesOf(source, host)).toBe(engines);
    expect(enginesOf(new Source(), host)).not.toBe(engines);
  });

  it('are made when they are needed, and lent again', () => {
    const { source, engines } = setup();
    expect(source.made).toBe(0);
    for (let i = 0; i < 5; i++) {
      engines.giveInflater(engines.takeInflater({}));
      engines.giveDeflater(engines.takeDeflater(KEY));
    }
    expect([source.made, source.closed]).toEqual([2, 0]);
  });

  it('are kept by eight at most, of those that nobody uses', () => {
    const { source, engines } = setup();
    const inflaters = Array.from({ length: 20 }, () => engines.takeInflater({}));
    const deflaters = Array.from({ length: 20 }, () => engines.takeDeflater(KEY));
    expect(source.open).toBe(40);
    for (const seat of inflaters) engines.giveInflater(seat);
    for (const seat of deflaters) engines.giveDeflater(seat);
    expect(source.open).toBe(16);
  });

  it('are dropped after a minute or two without work, and the timer with the last of them', async () => {
    const { source, host, engines } = setup();
    const owner = {};
    engines.giveInflater(engines.takeInflater({}));
    engines.giveDeflater(engines.takeDeflater(KEY));
    engines.own(owner, KEY, 16);
    expect([source.open, host.timers]).toEqual([3, 1]);
    await host.advance(MINUTE);
    engines.giveInflater(engines.takeInflater({}));
    await host.advance(MINUTE);
    expect(source.open).toBe(1);
    await host.advance(MINUTE);
    await host.advance(MINUTE);
    expect([source.open, host.timers]).toEqual([0, 0]);
    engines.giveInflater(engines.takeInflater({}));
    expect([source.open, host.timers]).toEqual([1, 1]);
  });

  it('are made anew when the source says so, those in use when they come back', () => {
    const { source, engines } = setup();
    const inUse = engines.takeInflater({});
    engines.giveInflater(engines.takeInflater({}));
    engines.giveDeflater(engines.takeDeflater(KEY));
    const owned = engines.own({}, KEY, 16)!;
    source.generation++;
    engines.giveInflater(engines.takeInflater({}));
    engines.giveInflater(inUse);
    expect([source.made, source.open, owned.owner]).toEqual([5, 1, undefined]);
  });

  it('that failed are not lent again', () => {
    const { source, engines } = setup();
    engines.loseInflater(engines.takeInflater({}));
    engines.loseDeflater(engines.takeDeflater(KEY));
    engines.loseDeflater(engines.own({}, KEY, 1)!);
    expect(source.open).toBe(0);
    expect(engines.own({}, KEY, 1)).toBeDefined();
  });

  it('that cannot be made count for nobody', () => {
    const { source, engines } = setup();
    source.fails = true;
    for (let i = 0; i < 300; i++) {
      expect(() => engines.takeInflater({})).toThrow('no memory');
      expect(() => engines.leaseDeflater(KEY)).toThrow('no memory');
    }
    source.fails = false;
    expect(engines.mayLeaseInflater).toBe(true);
    expect(engines.leaseDeflater(KEY)).toBeDefined();
  });
});

describe('an inflater', () => {
  it('goes to the connection whose messages it has seen, before all others', () => {
    const { engines } = setup();
    const [one, two] = [{}, {}];
    const [first, second] = [engines.takeInflater(one), engines.takeInflater(two)];
    first.owner = one;
    second.owner = two;
    engines.giveInflater(first);
    engines.giveInflater(second);
    expect(engines.takeInflater(one)).toBe(first);
    expect(engines.takeInflater({})).toBe(second);
  });

  it('is to be had by 256 messages at a time', () => {
    const { engines } = setup();
    const seats = [];
    while (engines.mayLeaseInflater) seats.push(engines.takeInflater({}));
    expect(seats.length).toBe(256);
    engines.giveInflater(seats[0]!);
    expect(engines.mayLeaseInflater).toBe(true);
  });
});

describe('a deflater', () => {
  it('serves one level and one window', () => {
    const { source, engines } = setup();
    const keys = [-2, -1, 0, 9].flatMap((level) => [8, 15].map((bits) => deflaterKey(level, bits)));
    expect(new Set(keys).size).toBe(8);
    for (let i = 0; i < 2; i++) {
      for (const key of keys) engines.giveDeflater(engines.takeDeflater(key));
    }
    expect(source.made).toBe(8);
  });

  it('stays with its owner as long as that sends, and goes to another after a second', async () => {
    const { host, engines } = setup();
    const [one, two, three] = [{}, {}, {}];
    const first = engines.own(one, KEY, 2)!;
    const second = engines.own(two, KEY, 2)!;
    expect(engines.own(three, KEY, 2)).toBeUndefined();
    await host.advance(900);
    engines.touch(first);
    await host.advance(200);
    expect(engines.own(three, KEY, 2)).toBe(second);
    expect([first.owner, second.owner]).toEqual([one, three]);
  });

  it('that is given up goes to the next one, at another level as another one', () => {
    const { source, engines } = setup();
    const first = engines.own({}, KEY, 1)!;
    first.owner = undefined;
    const again = engines.own({}, KEY, 1);
    expect(again).toBe(first);
    first.owner = undefined;
    const other = engines.own({}, deflaterKey(9, 15), 1)!;
    expect(other).not.toBe(first);
    expect([source.made, source.closed]).toEqual([2, 1]);
    expect(engines.own({}, KEY, 0)).toBeUndefined();
  });

  it('is to be had by 64 streams at a time', () => {
    const { source, engines } = setup();
    const seats = Array.from({ length: 64 }, () => engines.leaseDeflater(KEY)!);
    expect(engines.leaseDeflater(KEY)).toBeUndefined();
    engines.endLease(seats[0]!, true);
    expect(source.closed).toBe(1);
    engines.endLease(engines.leaseDeflater(KEY)!, false);
    expect(engines.leaseDeflater(KEY)).toBeDefined();
    expect(engines.leaseDeflater(KEY)).toBeUndefined();
  });
});

describe('the memory of histories', () => {
  it('is counted for the source, and above its budget', () => {
    const { source, engines } = setup();
    expect([historyBytesOf(source), historyBytesOf(new Source())]).toEqual([0, 0]);
    const buffer = engines.take(512);
    expect([historyBytesOf(source), engines.overBudget]).toEqual([512, false]);
    const other = engines.take(512);
    expect([historyBytesOf(source), engines.overBudget]).toEqual([1024, true]);
    engines.give(other);
    expect(engines.overBudget).toBe(false);
    engines.give(buffer);
    expect(historyBytesOf(source)).toBe(0);
  });

  it('is lent again by its size', () => {
    const { engines } = setup();
    const buffer = engines.take(512);
    engines.give(buffer);
    expect(engines.take(1024)).not.toBe(buffer);
    expect(engines.take(512)).toBe(buffer);
  });

  it('is not kept by more than 64 of a size, nor when nobody compresses any more', async () => {
    const { host, engines } = setup();
    const buffers = Array.from({ length: 70 }, () => engines.take(512));
    for (const buffer of buffers) engines.give(buffer);
    const again = new Set(Array.from({ length: 70 }, () => engines.take(512)));
    expect(buffers.filter((buffer) => again.has(buffer)).length).toBe(64);
    for (const buffer of again) engines.give(buffer);
    engines.giveInflater(engines.takeInflater({}));
    for (let i = 0; i < 3; i++) await host.advance(MINUTE);
    expect(again.has(engines.take(512))).toBe(false);
  });
});
