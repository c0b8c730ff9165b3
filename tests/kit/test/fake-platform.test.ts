import { FakeHost, hex, turn } from '@ws/testkit';
import { describe, expect, it } from 'vitest';

describe('FakeHost', () => {
  it('rings timers in the order in which they are due, and moves the clock to each', async () => {
    const host = new FakeHost({ now: 100 });
    const rung: string[] = [];
    const ring = (name: string) => () => void rung.push(`${name} at ${host.now()}`);
    host.setTimer(20, ring('late'));
    host.setTimer(10, ring('early'));
    host.setTimer(10, ring('early too'));
    const cancel = host.setTimer(15, ring('cancelled'));
    cancel();
    expect(host.timers).toBe(3);
    await host.advance(19);
    expect(rung).toEqual(['early at 110', 'early too at 110']);
    expect(host.now()).toBe(119);
    await host.advance(1);
    expect(rung[2]).toBe('late at 120');
    expect(host.timers).toBe(0);
  });

  it('lets follow from a timer what follows before the next one rings', async () => {
    const host = new FakeHost();
    const order: string[] = [];
    host.setTimer(1, () => {
      host.defer(() => order.push('deferred'));
      host.yield(() => order.push('yielded'));
      host.setTimer(0, () => order.push('set meanwhile'));
    });
    host.setTimer(2, () => order.push('second'));
    await host.advance(5);
    expect(order).toEqual(['deferred', 'yielded', 'set meanwhile', 'second']);
  });

  it('defers to the end of the microtasks, and yields a turn later', async () => {
    const host = new FakeHost();
    const order: string[] = [];
    host.yield(() => order.push('yielded'));
    host.defer(() => order.push('deferred'));
    void (async () => {
      for (let i = 0; i < 9; i++) await Promise.resolve();
      order.push('microtasks');
    })();
    await host.settle();
    expect(order).toEqual(['microtasks', 'deferred', 'yielded']);
  });

  it('runs by itself unless told not to', async () => {
    const order: string[] = [];
    const own = new FakeHost();
    own.defer(() => order.push('by itself'));
    own.yield(() => order.push('by itself, later'));
    const led = new FakeHost({ automatic: false });
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

  it('leaves what a deferred callback defers for the next round', () => {
    const host = new FakeHost({ automatic: false });
    host.defer(() => host.defer(() => {}));
    host.runDeferred();
    expect(host.deferred).toBe(1);
  });

  it('gives the same random words for the same seed', () => {
    const words = (seed: number): Int32Array => {
      const host = new FakeHost({ seed });
      const into = new Int32Array(100);
      host.randomFill(into);
      return into;
    };
    expect(words(7)).toEqual(words(7));
    expect(words(7)).not.toEqual(words(8));
    expect(new Set(words(7)).size).toBe(100);
  });

  it('writes and reads UTF-8, and lends the check it was given', () => {
    const host = new FakeHost({ isUtf8: () => false });
    const into = new Uint8Array(10);
    expect(host.writeUtf8(into, 2, 'é\ud800')).toBe(5);
    expect(into).toEqual(hex`0000 c3a9 efbfbd 000000`);
    expect(host.decodeUtf8(hex`00 ef bb bf 61`, 1, 5)).toBe('\ufeffa');
    expect(host.isUtf8?.(into)).toBe(false);
    expect(new FakeHost().isUtf8).toBeUndefined();
  });
});
