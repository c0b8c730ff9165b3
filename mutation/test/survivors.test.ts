import { describe, expect, it } from 'vitest';
import type { Verdict } from '../harness/campaign.ts';
import { mutantsOf } from '../harness/mutants.ts';
import { percentOf, scoresOf, table } from '../harness/report.ts';
import { parse } from '../harness/source.ts';
import { outlived, survivorsOf } from '../harness/survivors.ts';

const text = 'function f(a: number): number {\n  return a * 2 + 1;\n}\n';
const texts = new Map([['f.ts', text]]);
const [, plus, times] = mutantsOf(parse('f.ts', text)).toSorted((a, b) => b.end - a.end);

function verdict(mutant: Verdict['mutant'], outcome: Verdict['outcome']): Verdict {
  return { path: 'f.ts', mutant, outcome };
}

describe('survivors', () => {
  it('are new until an entry of the list matches all that it names', () => {
    const verdicts = [verdict(plus!, 'survived'), verdict(times!, 'no coverage')];
    const reasons = (entry: object): (string | undefined)[] =>
      survivorsOf(verdicts, texts, [{ file: 'f.ts', reason: 'yes', ...entry }]).map(
        ({ reason }) => reason,
      );
    expect(reasons({ change: '+ → -' })).toEqual(['yes', undefined]);
    expect(reasons({ change: ['+ → -', '* → /'] })).toEqual(['yes', 'yes']);
    expect(reasons({ within: 'f', kind: 'arithmetic' })).toEqual(['yes', 'yes']);
    expect(reasons({ within: 'g' })).toEqual([undefined, undefined]);
    expect(reasons({ kind: 'boolean' })).toEqual([undefined, undefined]);
    expect(reasons({ line: 'return a * 2 + 1;' })).toEqual(['yes', 'yes']);
    expect(reasons({ file: 'g.ts' })).toEqual([undefined, undefined]);
  });

  it('are not what was killed or timed out', () => {
    expect(
      survivorsOf([verdict(plus!, 'killed'), verdict(times!, 'timed out')], texts, []),
    ).toEqual([]);
  });

  it('are missed when the list names them and they are gone', () => {
    const entry = { file: 'f.ts', change: '+ → -', reason: 'yes' };
    expect(outlived([entry], [], ['f.ts'])).toEqual([entry]);
    expect(outlived([entry], [], ['g.ts'])).toEqual([]);
    const survivors = survivorsOf([verdict(plus!, 'survived')], texts, [entry]);
    expect(outlived([entry], survivors, ['f.ts'])).toEqual([]);
  });
});

describe('a score', () => {
  it('counts what no test runs as alive, and time-outs not at all', () => {
    const [score] = scoresOf(
      (['killed', 'killed', 'killed', 'survived', 'no coverage', 'timed out'] as const).map(
        (outcome) => verdict(plus!, outcome),
      ),
    );
    expect(score).toEqual({ file: 'f.ts', killed: 3, survived: 1, uncovered: 1, timedOut: 1 });
    expect(percentOf(score!)).toBe(60);
    expect(table([score!]).split('\n')[2]).toMatch(/f\.ts\W+3 \|\W+1 \|\W+1 \|\W+1 \| 60\.0 %/);
  });
});
