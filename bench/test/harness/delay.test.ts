import { describe, expect, it } from 'vitest';
import { delay, longestTurn, waitsOf } from '../../src/harness/delay.ts';

describe('waitsOf', () => {
  it.each([
    [0.9, [0]],
    [1, [0]],
    [4, [3, 2, 1]],
  ])('counts each ms of a turn of %d ms as a wait', (ms, expected) => {
    const waits: number[] = [];
    waitsOf(ms, waits);
    expect(waits).toEqual(expected);
  });
});

describe('delay', () => {
  it('reports a long turn since the last call', async () => {
    delay();
    const until = performance.now() + 50;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(delay()).toBeGreaterThan(40);
    expect(delay()).toBe(0);
  });
});

describe('longestTurn', () => {
  it('reports a long turn since the last call', async () => {
    longestTurn();
    const until = performance.now() + 60;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 15));
    expect(longestTurn()).toBeGreaterThan(40);
    expect(longestTurn()).toBe(0);
  });
});
