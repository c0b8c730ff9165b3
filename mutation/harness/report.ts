import type { Verdict } from './campaign.ts';
import type { Survivor } from './survivors.ts';

export interface Score {
  readonly file: string;
  readonly killed: number;
  readonly survived: number;
  readonly uncovered: number;
  /** Apart: it ended by a clock or a count, and no test has said what is wrong. */
  readonly timedOut: number;
}

/** A score for each file, and one for all. */
export function scoresOf(verdicts: readonly Verdict[]): Score[] {
  const files = [...new Set(verdicts.map(({ path }) => path))];
  const scores = files.map((file) =>
    scoreOf(
      file,
      verdicts.filter(({ path }) => path === file),
    ),
  );
  return files.length === 1 ? scores : [...scores, scoreOf('all', verdicts)];
}

function scoreOf(file: string, verdicts: readonly Verdict[]): Score {
  const count = (outcome: Verdict['outcome']): number =>
    verdicts.filter((verdict) => verdict.outcome === outcome).length;
  return {
    file,
    killed: count('killed'),
    survived: count('survived'),
    uncovered: count('no coverage'),
    timedOut: count('timed out'),
  };
}

/** Of a hundred mutants that lived or were killed, how many were killed. */
export function percentOf({ killed, survived, uncovered }: Score): number {
  const judged = killed + survived + uncovered;
  return judged === 0 ? 100 : (killed / judged) * 100;
}

/** A table in Markdown. */
export function table(scores: readonly Score[]): string {
  const head = ['file', 'killed', 'survived', 'no coverage', 'timed out', 'score'];
  const rows = scores.map((score) => [
    score.file.replace(/^packages\//, ''),
    String(score.killed),
    String(score.survived),
    String(score.uncovered),
    String(score.timedOut),
    `${percentOf(score).toFixed(1)} %`,
  ]);
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** One survivor, as lines for a person. */
export function told({ file, number, within, kind, line, change, outcome }: Survivor): string {
  return `${file}:${number}  ${kind}, ${outcome}, in ${within === '' ? 'the file' : within}\n  ${line}\n  ${change}`;
}

/** What a run has come to, as a page: the table, and every survivor under its reason. */
export function page(
  name: string,
  scores: readonly Score[],
  survivors: readonly Survivor[],
): string {
  const reasons = [...new Set(survivors.map(({ reason }) => reason))];
  const parts = reasons.map((reason) => {
    const these = survivors.filter((survivor) => survivor.reason === reason);
    const lines = these.map(
      ({ file, number, change }) => `- \`${file}:${number}\` ${code(change)}`,
    );
    return `### ${reason ?? 'New: not explained yet'}\n\n${lines.join('\n')}`;
  });
  return `# Mutants of ${name}\n\n${table(scores)}\n\n## Survivors\n\n${parts.join('\n\n')}\n`;
}

/** Text with backquotes in it stands between two of them. */
function code(text: string): string {
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``;
}
