import type { CaseResult, SuiteReport } from '../../src/index.ts';

/** What did not pass, a line each: a test compares it with what is known. */
export function differences({ results }: SuiteReport): string[] {
  return results.filter(({ verdict }) => verdict === 'fail' || verdict === 'non-strict').map(words);
}

/** Cases that did not apply, by reason. */
export function skips({ results }: SuiteReport): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const { id, verdict, because } of results) {
    if (verdict === 'skipped') (found[because.join('; ')] ??= []).push(id);
  }
  return found;
}

function words({ id, verdict, title, because }: CaseResult): string {
  return `${verdict} ${id} ${title}: ${because.join('; ')}`;
}
