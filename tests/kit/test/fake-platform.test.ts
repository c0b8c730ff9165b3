import { FakePlatform, hex, turn } from '@ws/tests';
import { describe, expect, it } from 'vitest';

describe('FakePlatform', () => {
  it('fires timers in order of their due time and moves the clock to each', async () => {
    const platform = new FakePlatform({ now: 100 });
    const rung: string[] = [];
    const ring = (name: string) => () => void rung.push(`${name} at ${platform.now()}`);
    platform.setTimer(20, ring('late'));
    platform.setTimer(10, ring('early'));
    platform.setTimer(10, ring('early too'));
    const cancel = platform.setTimer(15, ring('cancelled'));
    cancel();
    expect(platform.timers).toBe(3);
    await platform.advance(19);
    expect(rung).toEqual(['early at 110', 'early too at 110']);
    expect(platform.now()).toBe(119);
    await platform.advance(1);
    expect(rung[2]).toBe('late at 120');
    expect(platform.timers).toBe(0);
  });

  it('settles after a timer before the next one fires', async () => {
    const platform = new FakePlatform();
    const order: string[] = [];
    platform.setTimer(1, () => {
      platform.defer(() => order.push('deferred'));
      platform.yield(() => order.push('yielded'));
      platform.setTimer(0, () => order.push('set meanwhile'));
    });
    platform.setTimer(2, () => order.push('second'));
    await platform.advance(5);
    expect(order).toEqual(['deferred', 'yielded', 'set meanwhile', 'second']);
  });

  it('runs deferred callbacks after all microtasks, and yielded ones a turn later', async () => {
    const platform = new FakePlatform();
    const order: string[] = [];
    platform.yield(() => order.push('yielded'));
    platform.defer(() => order.push('deferred'));
    void (async () => {
      for (let i = 0; i < 9; i++) await Promise.resolve();
      order.push('microtasks');
    })();
    await platform.settle();
    expect(order).toEqual(['microtasks', 'deferred', 'yielded']);
  });

  it('lets turns of the event loop pass while yielded callbacks wait for one', async () => {
    const platform = new FakePlatform({ automatic: false });
    let passed = false;
    setImmediate(() => {
      passed = true;
    });
    let calls = 0;
    const poll = (): void => {
      if (!passed && ++calls < 1_000) platform.yield(poll);
    };
    platform.yield(poll);
    await platform.settle();
    expect(passed).toBe(true);
  });

  it('runs callbacks automatically by default', async () => {
    const order: string[] = [];
    const own = new FakePlatform();
    own.defer(() => order.push('by itself'));
    own.yield(() => order.push('by itself, later'));
    const led = new FakePlatform({ automatic: false });
    led.defer(() => order.push('led'));
    led.yield(() => order.push('led, later'));
    await turn();
    await turn();
    expect(order).toEqual(['by itself', 'by itself, later']);
    expect([own.deferred, own.yielded, led.deferred, led.yielded]).toEqual([0, 0, 1, 1]);
    led.runDeferred();
    await led.settle();
    expect(order.slice(2)).toEqual(['led', 'led, later']);
  });

  it('keeps callbacks that a deferred callback defers', () => {
    const platform = new FakePlatform({ automatic: false });
    platform.defer(() => platform.defer(() => {}));
    platform.runDeferred();
    expect(platform.deferred).toBe(1);
  });

  it('gives the same random words for the same seed', () => {
    const words = (seed: number): Int32Array => {
      const platform = new FakePlatform({ seed });
      const into = new Int32Array(100);
      platform.randomFill(into);
      return into;
    };
    expect(words(7)).toEqual(words(7));
    expect(words(7)).not.toEqual(words(8));
    expect(new Set(words(7)).size).toBe(100);
  });

  it('writes and reads UTF-8, and offers the given check', () => {
    const platform = new FakePlatform({ isUtf8: () => false });
    const into = new Uint8Array(10);
    expect(platform.writeUtf8(into, 2, 'é\ud800')).toBe(5);
    expect(into).toEqual(hex`0000 c3a9 efbfbd 000000`);
    expect(platform.decodeUtf8(hex`00 ef bb bf 61`, 1, 5)).toBe('\ufeffa');
    expect(platform.isUtf8?.(into)).toBe(false);
    expect(new FakePlatform().isUtf8).toBeUndefined();
  });
});
