import { randomInt } from 'node:crypto';
import { type RequestSettings, ServerAttempt } from '../attempts/server-attempt.ts';
import type { Case, CaseFacts, CaseResult } from '../model/case.ts';
import { Link } from '../model/link.ts';
import { factsOf, selectCases } from '../model/select.ts';
import { serverCases } from '../server/cases.ts';
import { judge, resultOf } from './judge.ts';
import { DEFAULT_TIMEOUT, reportOf, type SuiteOptions, type SuiteReport } from './suite-report.ts';

/** Options of {@link runServerSuite}. */
export interface ServerSuiteOptions extends SuiteOptions, RequestSettings {
  /** Number of cases at the same time, each on separate connections. Default: 16. */
  readonly concurrency?: number | undefined;
  /** Seed of the suite's keys. Default: random. */
  readonly seed?: string | undefined;
}

/** After this number of failed connections in a row, the suite skips the remaining cases. */
const MAX_UNREACHED = 32;

/** Seeds that the suite chooses itself are below this. */
const MAX_SEED = 1_000_000;

/**
 * Lists the cases that {@link runServerSuite} runs, in order. `only` and `exclude` contain ids with
 * `*`. Without `floods`, the list lacks the floods. With `http2`, it has chapter 15 instead of 8.
 *
 * @example
 * ```ts
 * import { serverSuiteCases } from '@ws/conformance';
 *
 * for (const { id, title } of serverSuiteCases(['7.1.*'])) console.log(id, title);
 * ```
 */
export function serverSuiteCases(
  only: readonly string[] = [],
  exclude: readonly string[] = [],
  floods: boolean = false,
  http2: boolean = false,
): CaseFacts[] {
  return selectCases(casesOver(http2), only, exclude, floods).map(factsOf);
}

/**
 * Runs the suite against a server. The server must echo each message with the same type and bytes.
 *
 * @param url - A `ws://` or `wss://` URL without credentials and fragment. Only `tls.ca` makes the suite verify
 *   certificates.
 * @param options - Which cases run, and how.
 * @throws (rejects with) TypeError for any other URL.
 *
 * @example
 * ```ts
 * import { runServerSuite, textReport } from '@ws/conformance';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0 }, (conn) => conn.receive((m) => conn.send(m)));
 * console.log(textReport(await runServerSuite(server.url, { only: ['1.1.*'] })));
 * ```
 */
export async function runServerSuite(
  url: string,
  {
    only = [],
    exclude = [],
    floods = false,
    timeout = DEFAULT_TIMEOUT,
    concurrency = 16,
    seed = String(randomInt(MAX_SEED)),
    onResult,
    ...settings
  }: ServerSuiteOptions = {},
): Promise<SuiteReport> {
  const target = serverUrl(url);
  const cases = selectCases(casesOver(settings.http2), only, exclude, floods);
  const results = Array.from<CaseResult>({ length: cases.length });
  const started = new Date();
  const link = new Link();
  let next = 0;
  let unreached = 0;
  /**
   * Cases to ask alone: those without a connection or a handshake, since a server may limit its
   * connections (RFC 6455, 10.4), and those that have timed out while the machine was late.
   */
  const again: number[] = [];
  const ask = async (at: number, alone: boolean): Promise<void> => {
    const one = cases[at]!;
    if (unreached >= MAX_UNREACHED) {
      results[at] ??= resultOf(one, 'skipped', ['the server is no longer reachable']);
    } else {
      const { result, reached, opened, wasLate } = await judge(
        one,
        new ServerAttempt(target, timeout, { ...settings, link, seed: `${seed} ${one.id}` }),
      );
      unreached = reached ? 0 : unreached + 1;
      results[at] = result;
      if ((!opened || wasLate) && !alone) return void again.push(at);
    }
    onResult?.(results[at]);
  };
  const workers = Math.min(concurrency, cases.length);
  const work = async (): Promise<void> => {
    while (next < cases.length) await ask(next++, workers === 1);
  };
  await Promise.all(Array.from({ length: workers }, work));
  for (const at of again) await ask(at, true);
  return { ...reportOf('server', url, started, results, seed), http2: settings.http2 };
}

/** Chapters of the handshakes over HTTP/1.1 and over HTTP/2. */
const [OVER_HTTP_1, OVER_HTTP_2] = [8, 15];

/** The cases over HTTP/1.1, or those over HTTP/2. */
function casesOver(http2: boolean | undefined): readonly Case<ServerAttempt>[] {
  const other = http2 === true ? OVER_HTTP_1 : OVER_HTTP_2;
  return serverCases.filter(({ chapter }) => chapter !== other);
}

/** @throws TypeError unless it is a ws: or wss: URL without credentials and fragment. */
export function serverUrl(url: string): URL {
  // Without the text of an invalid URL, which may have a password.
  if (!URL.canParse(url)) throw new TypeError('the URL is invalid; expected ws://HOST:PORT');
  const target = new URL(url);
  if (target.protocol !== 'ws:' && target.protocol !== 'wss:') {
    throw new TypeError(`${url} is not a ws: or wss: URL`);
  }
  if (target.hash !== '') throw new TypeError(`${url} has a fragment (RFC 6455, 3); remove it`);
  if (target.username + target.password !== '') {
    throw new TypeError('the URL has credentials, which the suite does not send; remove them');
  }
  return target;
}
