import { describe, expect, it } from 'vitest';
import { inRounds, memoryRounds } from '../src/scenarios/memory.ts';

describe('inRounds', () => {
  it('measures each once a round, another one first each time', async () => {
    const seen = await inRounds(['a', 'b', 'c'], 3, (name) => Promise.resolve(name));
    expect(seen.join('')).toBe('abcbcacab');
  });
});

describe('memoryRounds', () => {
  it('is three, one for a first look, or what was asked for', () => {
    expect(memoryRounds({})).toBe(3);
    expect(memoryRounds({ quick: true })).toBe(1);
    expect(memoryRounds({ quick: true, rounds: '5' })).toBe(5);
  });
});
