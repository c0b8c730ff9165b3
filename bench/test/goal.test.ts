import { describe, expect, it } from 'vitest';
import { goalCells, isMet, spreadCells } from '../src/report/goal.ts';

describe('isMet', () => {
  it('takes the bound itself for met', () => {
    expect([0.9, 1, 1.1].map((value) => isMet(value, 1, 'at least'))).toEqual([false, true, true]);
    expect([0.9, 1, 1.1].map((value) => isMet(value, 1, 'at most'))).toEqual([true, true, false]);
  });
});

describe('goalCells', () => {
  it('holds a figure against both bounds', () => {
    const goal = { must: 5, aim: 7 };
    expect(goalCells(6, goal, 'at least')).toEqual(['>= 5', 'met', '>= 7', 'missed']);
    expect(goalCells(6, goal, 'at most')).toEqual(['<= 5', 'missed', '<= 7', 'met']);
  });

  it('is empty without a goal', () => {
    expect(goalCells(6, undefined, 'at least')).toEqual(['', '', '', '']);
  });
});

describe('spreadCells', () => {
  it('gives the median, and how far the rounds lie apart', () => {
    expect(spreadCells({ median: 2, least: 1.5, most: 10.25 })).toEqual(['2.00', '1.50-10.3']);
  });
});
