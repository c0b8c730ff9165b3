import { describe, expect, it } from 'vitest';
import type { Verdict } from '../harness/campaign.ts';
import { mutantsOf } from '../harness/mutants.ts';
import { percentOf, scoresOf } from '../harness/score.ts';
import { parse } from '../harness/source.ts';
import { staleEntries, survivorsOf } from '../harness/survivors.ts';

const text = 'function f(a: number): number {\n  return a * 2 + 1;\n}\n';
const texts = new Map([['f.ts', text]]);
const [, plus, times] = mutantsOf(parse('f.ts', text)).toSorted((a, b) => b.end - a.end);

function verdict(mutant: Verdict['mutant'], outcome: Verdict['outcome']): Verdict {
  return { path: 'f.ts', mutant, outcome };
}

describe('survivorsOf', () => {
  it.each([
    { entry: { change: '+ → -' }, reasons: ['yes', undefined] },
    { entry: { change: ['+ → -', '* → /'] }, reasons: ['yes', 'yes'] },
    { entry: { within: 'f', kind: 'arithmetic' }, reasons: ['yes', 'yes'] },
    { entry: { within: 'g' }, reasons: [undefined, undefined] },
    { entry: { line: 'return a * 2 + 1;' }, reasons: ['yes', 'yes'] },
    { entry: { file: 'g.ts' }, reasons: [undefined, undefined] },
  ])('matches every field of $entry', ({ entry, reasons }) => {
    const verdicts = [verdict(plus!, 'survived'), verdict(times!, 'no coverage')];
    const survivors = survivorsOf(verdicts, texts, [{ file: 'f.ts', reason: 'yes', ...entry }]);
    expect(survivors.map(({ reason }) => reason)).toEqual(reasons);
  });
});

it('staleEntries lists entries of the given files without a survivor', () => {
  const entry = { file: 'f.ts', change: '+ → -', reason: 'yes' };
  expect(staleEntries([entry], [], ['f.ts'])).toEqual([entry]);
  expect(staleEntries([entry], [], ['g.ts'])).toEqual([]);
  const survivors = survivorsOf([verdict(plus!, 'survived')], texts, [entry]);
  expect(staleEntries([entry], survivors, ['f.ts'])).toEqual([]);
});

it('scoresOf counts uncovered mutants as survivors and ignores timeouts', () => {
  const outcomes = ['killed', 'killed', 'killed', 'survived', 'no coverage', 'timed out'] as const;
  const [score] = scoresOf(outcomes.map((outcome) => verdict(plus!, outcome)));
  expect(score).toEqual({ file: 'f.ts', killed: 3, survived: 1, uncovered: 1, timedOut: 1 });
  expect(percentOf(score!)).toBe(60);
});
