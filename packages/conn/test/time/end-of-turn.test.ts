import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { endOfTurnOf } from '../../src/time/end-of-turn.ts';

describe('EndOfTurn', () => {
  it('runs all entries in one deferred call, in order', () => {
    const platform = new FakePlatform({ automatic: false });
    const ran: number[] = [];
    for (let i = 0; i < 3; i++) endOfTurnOf(platform).add({ onEndOfTurn: () => ran.push(i) });
    expect(platform.deferred).toBe(1);
    expect(ran).toEqual([]);
    platform.runDeferred();
    expect(ran).toEqual([0, 1, 2]);
    expect(platform.deferred).toBe(0);
  });

  it('runs the entries after one that throws in the next turn', () => {
    const platform = new FakePlatform({ automatic: false });
    const ran: number[] = [];
    endOfTurnOf(platform).add({ onEndOfTurn: () => ran.push(0) });
    endOfTurnOf(platform).add({
      onEndOfTurn: () => {
        throw new Error('a bug');
      },
    });
    for (let i = 1; i < 4; i++) endOfTurnOf(platform).add({ onEndOfTurn: () => ran.push(i) });
    expect(() => platform.runDeferred()).toThrow('a bug');
    expect(ran).toEqual([0]);
    platform.runDeferred();
    expect(ran).toEqual([0, 1, 2, 3]);
    endOfTurnOf(platform).add({ onEndOfTurn: () => ran.push(4) });
    platform.runDeferred();
    expect(ran).toEqual([0, 1, 2, 3, 4]);
  });

  it('defers entries that are added meanwhile to the next turn', () => {
    const platform = new FakePlatform({ automatic: false });
    const ran: string[] = [];
    const again = { onEndOfTurn: () => ran.push('again') };
    endOfTurnOf(platform).add({
      onEndOfTurn: () => {
        ran.push('first');
        endOfTurnOf(platform).add(again);
      },
    });
    endOfTurnOf(platform).add({ onEndOfTurn: () => ran.push('second') });
    platform.runDeferred();
    expect(ran).toEqual(['first', 'second']);
    expect(platform.deferred).toBe(1);
    platform.runDeferred();
    expect(ran).toEqual(['first', 'second', 'again']);
  });
});
