import type { CaseFacts, CaseResult } from '../model/case.ts';
import { factsOf, selectCases } from '../model/select.ts';
import { serverCases } from '../server/cases.ts';
import { judge, resultOf } from './judge.ts';
import { ServerAttempt } from './server-attempt.ts';
import { DEFAULT_TIMEOUT, reportOf, type SuiteOptions, type SuiteReport } from './suite-report.ts';

/** What {@link runServerSuite} can be told. */
export interface ServerSuiteOptions extends SuiteOptions {
  /** Cases under way at the same time, each on connections of its own. Default 16. */
  readonly concurrency?: number | undefined;
}

/** So many cases in a row that reached nobody end the run: the server is gone. */
const GIVE_UP_AFTER = 32;

/** The cases that {@link runServerSuite} runs, in order. */
export function serverSuiteCases(only: readonly string[] = []): CaseFacts[] {
  return selectCases(serverCases, only).map(factsOf);
}

/**
 * Asks a server every question of the suite. The server must send each message back, type and bytes.
 *
 * @param url - `ws://` or `wss://`, without credentials; a certificate is not checked.
 * @throws (rejects with) TypeError for another URL.
 */
export async function runServerSuite(
  url: string,
  { only = [], timeout = DEFAULT_TIMEOUT, concurrency = 16, onResult }: ServerSuiteOptions = {},
): Promise<SuiteReport> {
  const target = new URL(url);
  if (target.protocol !== 'ws:' && target.protocol !== 'wss:') {
    throw new TypeError(`${url} is no ws: or wss: URL`);
  }
  if (target.username + target.password !== '') {
    throw new TypeError('the URL has credentials, and the suite sends none');
  }
  const cases = selectCases(serverCases, only);
  const results = Array.from<CaseResult>({ length: cases.length });
  const started = new Date();
  let next = 0;
  let unreached = 0;
  const work = async (): Promise<void> => {
    while (next < cases.length) {
      const at = next++;
      const one = cases[at]!;
      if (unreached >= GIVE_UP_AFTER) {
        results[at] = resultOf(one, 'skipped', ['the server was not to be reached any more']);
      } else {
        const { result, reached } = await judge(one, new ServerAttempt(target, timeout));
        unreached = reached ? 0 : unreached + 1;
        results[at] = result;
      }
      onResult?.(results[at]);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, cases.length) }, work));
  return reportOf('server', url, started, results);
}
