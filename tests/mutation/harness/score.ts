import type { Verdict } from './campaign.ts';

export interface Score {
  readonly file: string;
  readonly killed: number;
  readonly survived: number;
  readonly uncovered: number;
  /** Not part of the score: a clock or a count ended the mutant, and no test names the fault. */
  readonly timedOut: number;
}

/** One score for each file and one for all. */
export function scoresOf(verdicts: readonly Verdict[]): Score[] {
  const files = [...new Set(verdicts.map(({ path }) => path))];
  const scores = files.map((file) => scoreOf(file, verdicts));
  return files.length === 1 ? scores : [...scores, scoreOf('all', verdicts)];
}

function scoreOf(file: string, verdicts: readonly Verdict[]): Score {
  const count = (outcome: Verdict['outcome']): number =>
    verdicts.filter(
      (verdict) => (file === 'all' || verdict.path === file) && verdict.outcome === outcome,
    ).length;
  return {
    file,
    killed: count('killed'),
    survived: count('survived'),
    uncovered: count('no coverage'),
    timedOut: count('timed out'),
  };
}

/** Killed mutants in percent of the killed and the surviving ones. */
export function percentOf({ killed, survived, uncovered }: Score): number {
  const judged = killed + survived + uncovered;
  return judged === 0 ? 100 : (killed / judged) * 100;
}

/** A Markdown table. */
export function table(scores: readonly Score[]): string {
  const rows = scores.map((score) => [
    score.file.replace(/^packages\//, ''),
    ...[score.killed, score.survived, score.uncovered, score.timedOut].map(String),
    `${percentOf(score).toFixed(1)} %`,
  ]);
  const head = ['file', 'killed', 'survived', 'no coverage', 'timed out', 'score'];
  const rule = ['---', ...Array<string>(5).fill('--:')];
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
