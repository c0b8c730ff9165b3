import type { CaseResult, Verdict } from '../model/case.ts';
import type { SuiteReport } from '../run/suite-report.ts';

/** The known differences of a target, as the command writes and reads them. */
export interface Expectations {
  readonly version: 1;
  readonly role: SuiteReport['role'];
  /** The cases that do not pass, by id. */
  readonly cases: Readonly<Record<string, { readonly verdict: Verdict; readonly title: string }>>;
}

/** Verdicts that are a difference. */
const DIFFERENT: readonly Verdict[] = ['fail', 'non-strict', 'advice'];

/**
 * Returns the differences of a report, to compare later reports with.
 *
 * @param report - A finished run.
 *
 * @example
 * ```ts
 * import { expectationsOf, runServerSuite, unexpectedOf } from '@ws/conformance';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0 }, (conn) => conn.receive((m) => conn.send(m)));
 * const known = expectationsOf(await runServerSuite(server.url, { only: ['1.1.*'] }));
 * const later = await runServerSuite(server.url, { only: ['1.1.*'] });
 * console.log(unexpectedOf(later, known)); // []
 * ```
 */
export function expectationsOf({ role, results }: SuiteReport): Expectations {
  const cases = results
    .filter(({ verdict }) => DIFFERENT.includes(verdict))
    .map(({ id, verdict, title }) => [id, { verdict, title }] as const);
  return { version: 1, role, cases: Object.fromEntries(cases) };
}

/** @throws Error for a text that is no such document. */
export function parseExpectations(text: string, role: SuiteReport['role']): Expectations {
  const read = jsonOf(text) as Partial<Expectations> | null;
  if (read?.version !== 1 || read.role !== role || typeof read.cases !== 'object') {
    throw new Error(`--expect: expected a file that --write-expect wrote for a ${role}`);
  }
  return read as Expectations;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/**
 * Compares a report with the expected differences. Cases that did not run are ignored.
 *
 * {@link expectationsOf} has an example.
 *
 * @param report - A finished run.
 * @param known - What `expectationsOf` returned for an earlier run.
 * @returns One line for each new, changed or healed difference.
 */
export function unexpectedOf({ results }: SuiteReport, { cases }: Expectations): string[] {
  return results.flatMap((one) => {
    const known = Object.hasOwn(cases, one.id) ? cases[one.id] : undefined;
    return unexpected(one, known) ?? [];
  });
}

function unexpected(
  { id, title, verdict }: CaseResult,
  known: Expectations['cases'][string] | undefined,
): string | undefined {
  if (verdict === 'skipped') return undefined;
  if (known !== undefined && known.title !== title) {
    return `other case: ${id} is now "${title}", expected "${known.title}"`;
  }
  const [now, before] = [verdict, known?.verdict ?? 'pass'];
  if (now === before) return undefined;
  if (before === 'pass') return `new: ${now} ${id} ${title}`;
  return now === 'pass' ? `healed: ${id} ${title}` : `changed: ${before} to ${now} ${id} ${title}`;
}
