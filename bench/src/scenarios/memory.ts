import { Child } from '../harness/child.ts';
import { chooseCores } from '../harness/cores.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { wholeNumber } from '../option-values.ts';
import { Progress } from '../report/progress.ts';
import { openFilesLimit, settingLine, settingOf } from '../report/setting.ts';
import { turns } from '../statistics.ts';
import { type MemoryResult, type MemorySubject, measureMemory } from './deflate-memory.ts';
import { memoryChart, memoryTable } from './memory-report.ts';
import type { Report, Scenario, Values } from './scenario.ts';

/** Files that a process has open besides its connections, and some to spare. */
const OTHER_FILES = 100;
/** Connections that stand before those that are measured. */
export const OTHERS = 100;

const SUMMARY = `resident memory of an idle connection, with and without compression, next to ws
and to a bare upgraded socket`;

const HELP = `ws-bench memory: ${SUMMARY}

usage: ws-bench memory [--connections N] [--rounds N] [--quick] [--json [FILE]] [--html FILE]

How much the resident memory of a fresh server process grew by for each connection, garbage collected:
open, after one echo of 1 KiB each, after 40 more; beside it, what of that lives on the JavaScript heap.
${OTHERS} others stand before. A bare socket is what Node's http server hands out at
'upgrade', with a listener that sends back what comes, and nothing else. The young generation is kept
at 1 MiB everywhere (--max-semi-space-size=1), which otherwise grows with traffic, not connections.

  heap        bytes on the JavaScript heap: hardly differs from run to run
  x bare      of resident memory: how many times as much as a bare socket, in the same round
  shared      compressed, server_no_context_takeover and client_no_context_takeover
  takeover    compressed, neither; windows of 32 KiB in both directions

options
  --connections N  5000, or as many as the limit of open files allows
  --rounds N       fresh processes of each; 3
  --quick          one round: a first look, not figures to quote
  --json [FILE]    print one JSON document instead of tables, or write it to a file besides
  --html FILE      write a page with charts
`;

const SUBJECTS: readonly MemorySubject[] = [
  { mode: 'uncompressed', library: 'bare' },
  { mode: 'uncompressed', library: 'ours' },
  { mode: 'uncompressed', library: 'ws' },
  { mode: 'shared', library: 'ours' },
  { mode: 'shared', library: 'ws' },
  { mode: 'takeover 32 KiB', library: 'ours' },
  { mode: 'takeover 32 KiB', library: 'ws' },
];

/** Those whom the table of goals is about. */
export const PLAIN_SUBJECTS: readonly MemorySubject[] = SUBJECTS.slice(0, 3);

/** `ws-bench memory`. */
export const memory: Scenario = {
  summary: SUMMARY,
  help: HELP,
  options: { connections: { type: 'string' }, rounds: { type: 'string' } },
  run,
};

async function run(values: Values): Promise<Report> {
  const quick = values['quick'] === true;
  const rounds = memoryRounds(values);
  const asked = wholeNumber(values, 'connections', 5000);
  const connections = possible(asked, OTHERS);
  const cores = chooseCores();
  const setting = settingOf(cores);
  const progress = new Progress(rounds * SUBJECTS.length);
  const load = new Child<LoadAnswers>('./load-worker.js', [], cores.load);
  let results: MemoryResult[];
  try {
    results = await inRounds(SUBJECTS, rounds, (subject) => {
      progress.step(`${subject.library}, ${subject.mode}`);
      return measureMemory(load, cores, subject, connections, OTHERS);
    });
  } finally {
    progress.end();
    await load.end();
  }
  return {
    document: { setting, quick, rounds, connections, results },
    text: [
      settingLine(setting),
      `bytes of resident memory for each of ${connections} idle connections, median of ${rounds} rounds`,
      ...reduced(asked, connections),
      '',
      memoryTable(results),
    ].join('\n'),
    charts: [memoryChart(results, connections)],
  };
}

/** Of how many fresh processes each the memory is looked at. */
export function memoryRounds(values: Values): number {
  return wholeNumber(values, 'rounds', values['quick'] === true ? 1 : 3);
}

/** Measures each subject once a round, another one first each time. */
export async function inRounds<S, R>(
  subjects: readonly S[],
  rounds: number,
  measure: (subject: S) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const subject of turns(subjects, round)) results.push(await measure(subject));
  }
  return results;
}

/**
 * As many connections as were asked for, if the limit of open files allows them besides `others`.
 *
 * @throws Error when it allows none.
 */
export function possible(connections: number, others = 0): number {
  const most = openFilesLimit() - OTHER_FILES - others;
  if (most < 1) throw new Error('the limit of open files allows no connection; see ulimit -n');
  return Math.min(connections, most);
}

/** What a report says when there are fewer connections than were asked for; nothing else. */
export function reduced(asked: number, connections: number): string[] {
  if (connections === asked) return [];
  return [`${asked} were asked for: the limit of open files (ulimit -n) allows ${connections}`];
}
