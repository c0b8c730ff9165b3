import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ServerAttempt } from './attempts/server-attempt.ts';
import { countOf, type Output } from './command-options.ts';
import { Attempt } from './model/attempt.ts';
import type { Case, CaseResult } from './model/case.ts';
import { selectCases } from './model/select.ts';
import { caseText } from './report/text.ts';
import { type CaseData, caseOf } from './rooms/case-data.ts';
import { runClientCase } from './rooms/run-client-case.ts';
import { runServerCase } from './rooms/run-server-case.ts';
import { judge } from './run/judge.ts';
import { serverUrl } from './run/run-server.ts';
import { DEFAULT_TIMEOUT } from './run/suite-report.ts';

const ROOMS_HELP = `ws-conform rooms: tests a server or client of calls and rooms against docs/wire.md

usage: ws-conform rooms ws://… [options]
       ws-conform rooms --client [options] [--] command…

  --only GLOB         run only these cases; repeatable
  --exclude GLOB      leave these out; repeatable
  --list              print the cases without running them
  --concurrency N     number of cases at the same time; default 8
  --timeout MS        maximum duration of a single wait; default 5000

exit code: 0 no case failed, 1 a case failed, 2 wrong command line
`;

const OPTIONS = {
  client: { type: 'boolean' },
  only: { type: 'string', multiple: true },
  exclude: { type: 'string', multiple: true },
  list: { type: 'boolean' },
  concurrency: { type: 'string' },
  timeout: { type: 'string' },
  help: { type: 'boolean' },
} as const;

/** Runs `ws-conform rooms` with the arguments after `rooms`. @returns The exit code. */
export async function runRooms(args: readonly string[], output: Output): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  });
  const { client = false, only, exclude } = values;
  const timeout = countOf('timeout', values.timeout) ?? DEFAULT_TIMEOUT;
  const select = <T extends { readonly id: string }>(cases: readonly T[]): T[] =>
    selectCases(cases, only ?? [], exclude);
  if (values.help === true) output.out(ROOMS_HELP);
  if (values.help === true) return 0;
  const data = casesFor(client ? 'client' : 'server');
  if (values.list === true) {
    output.out(
      select(data)
        .map(({ id, title }) => `${id.padEnd(14)} ${title}\n`)
        .join(''),
    );
    return 0;
  }
  const [url, ...more] = positionals;
  if (url === undefined || (!client && more.length > 0)) {
    throw new Error(`expected ${client ? 'a command' : 'one server URL'}; see rooms --help`);
  }
  const workers = countOf('concurrency', values.concurrency) ?? 8;
  const results = client
    ? await runCases(
        select(
          data.map((one) =>
            caseOf(one, (a: Attempt, steps) => runClientCase(a, steps, positionals)),
          ),
        ),
        () => new Attempt(timeout),
        workers,
      )
    : await runCases(
        select(data.map((one) => caseOf(one, runServerCase))),
        () => new ServerAttempt(serverUrl(url), timeout),
        workers,
      );
  return report(results, output);
}

/** Reads the cases from `rooms.json`, beside the manifest of this package. */
function casesFor(role: 'server' | 'client'): readonly CaseData[] {
  const text = readFileSync(new URL('../rooms.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as Record<typeof role, readonly CaseData[]>)[role];
}

async function runCases<Context extends Attempt>(
  cases: readonly Case<Context>[],
  attemptOf: () => Context,
  workers: number,
): Promise<CaseResult[]> {
  const results = Array.from<CaseResult>({ length: cases.length });
  const again: number[] = [];
  let next = 0;
  const ask = async (at: number): Promise<boolean> => {
    const { result, wasLate } = await judge(cases[at]!, attemptOf());
    results[at] = result;
    return wasLate;
  };
  const work = async (): Promise<void> => {
    while (next < cases.length) {
      const at = next++;
      if (await ask(at)) again.push(at);
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, cases.length) }, work));
  // A case that has timed out on a late machine is asked once more, alone.
  for (const at of again) await ask(at);
  return results;
}

function report(results: readonly CaseResult[], output: Output): number {
  const others = results.filter(({ verdict }) => verdict !== 'pass');
  const failed = others.filter(({ verdict }) => verdict !== 'skipped').length;
  for (const each of others) output.out(`${caseText(each)}\n\n`);
  const passed = results.length - others.length;
  const counts = `${passed} passed, ${failed} failed, ${others.length - failed} skipped`;
  output.out(`${results.length} cases: ${counts}\n`);
  return failed === 0 && passed > 0 ? 0 : 1;
}
