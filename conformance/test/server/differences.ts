import type { CaseResult, SuiteReport } from '../../src/index.ts';

/** Lists the cases that did not pass, one line each. */
export function differences({ results }: SuiteReport): string[] {
  return results.filter(({ verdict }) => verdict !== 'pass' && verdict !== 'skipped').map(lineOf);
}

/** Groups the ids of skipped cases by reason. */
export function skips({ results }: SuiteReport): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const { id, verdict, because } of results) {
    if (verdict === 'skipped') (found[because.join('; ')] ??= []).push(id);
  }
  return found;
}

function lineOf({ id, verdict, title, because }: CaseResult): string {
  return `${verdict} ${id} ${title}: ${because.join('; ')}`;
}
