import type { Command, Report, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { Child } from '../harness/child.ts';
import { chooseCores } from '../harness/cores.ts';
import { rotated } from '../harness/statistics.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { StepBar } from '../report/progress-bar.ts';
import { openFileLimit, settingLine, settingOf } from '../report/setting.ts';
import { type MemoryResult, type MemorySubject, measureMemory } from './idle-memory.ts';
import { memoryChart, memoryTable } from './memory-report.ts';

/** Open files of a process besides its connections, with a reserve. */
const OTHER_FILES = 100;
/** Number of connections that are open before the measured ones. */
export const EARLIER_CONNECTIONS = 100;

const SUMMARY = `resident memory of an idle connection, with and without compression, next to ws
and to a bare upgraded socket`;

const HELP = `ws-bench memory: ${SUMMARY}

usage: ws-bench memory [--connections N] [--rounds N] [--quick] [--json [FILE]] [--html FILE]

Measures the growth of the resident memory of a fresh server process for each connection, after a
collection: open, after one echo of 1 KiB each, after 40 more. The growth of the JavaScript heap is
next to it. ${EARLIER_CONNECTIONS} other connections are open before. A bare socket is the socket of an
'upgrade' event of Node's http server with a listener that echoes bytes. The young generation is
limited to 1 MiB everywhere (--max-semi-space-size=1), because it otherwise grows with traffic instead
of connections.

  heap        bytes on the JavaScript heap: hardly differs from run to run
  x bare      resident memory, as times that of a bare socket in the same round
  shared      compressed, server_no_context_takeover and client_no_context_takeover
  takeover    compressed, neither; windows of 32 KiB in both directions

options
  --connections N  default: 5000, or as many as the limit of open files allows
  --rounds N       fresh processes for each subject; default: 3
  --quick          one round for a first impression; do not quote the figures
  --json [FILE]    print one JSON document instead of tables, or write it to FILE besides the tables
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

/** The subjects without compression. */
export const PLAIN_SUBJECTS: readonly MemorySubject[] = SUBJECTS.slice(0, 3);

/** `ws-bench memory`. */
export const memory: Command = {
  summary: SUMMARY,
  help: HELP,
  options: { connections: { type: 'string' }, rounds: { type: 'string' } },
  run,
};

async function run(values: Values): Promise<Report> {
  const quick = values['quick'] === true;
  const rounds = memoryRounds(values);
  const asked = wholeNumber(values, 'connections', 5000);
  const connections = allowedConnections(asked, EARLIER_CONNECTIONS);
  const cores = chooseCores();
  const setting = settingOf(cores);
  const progress = new StepBar(rounds * SUBJECTS.length);
  const load = new Child<LoadAnswers>('./load-worker.js', [], cores.load);
  let results: MemoryResult[];
  try {
    results = await inRounds(SUBJECTS, rounds, (subject) => {
      progress.step(`${subject.library}, ${subject.mode}`);
      return measureMemory(load, cores, subject, connections, EARLIER_CONNECTIONS);
    });
  } finally {
    progress.end();
    await load.end();
  }
  return {
    document: { setting, quick, rounds, connections, results },
    text: [
      settingLine(setting),
      `bytes of resident memory for each of ${connections} idle connections`,
      `median of ${rounds} rounds`,
      ...limitNote(asked, connections),
      '',
      memoryTable(results),
    ].join('\n'),
    charts: [memoryChart(results, connections)],
  };
}

/** Number of fresh processes for each subject. */
export function memoryRounds(values: Values): number {
  return wholeNumber(values, 'rounds', values['quick'] === true ? 1 : 3);
}

/** Measures each subject once a round. Each round starts with another subject. */
export async function inRounds<S, R>(
  subjects: readonly S[],
  rounds: number,
  measure: (subject: S) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const subject of rotated(subjects, round)) results.push(await measure(subject));
  }
  return results;
}

/**
 * The number of connections that the limit of open files allows, up to `connections`.
 *
 * @param others - Further connections that are open.
 * @throws Error when the limit allows none.
 */
export function allowedConnections(connections: number, others = 0): number {
  const most = openFileLimit() - OTHER_FILES - others;
  if (most < 1) throw new Error('the limit of open files allows no connection; raise ulimit -n');
  return Math.min(connections, most);
}

/** The line of a report for fewer connections than requested; nothing otherwise. */
export function limitNote(asked: number, connections: number): string[] {
  if (connections === asked) return [];
  return [`the limit of open files (ulimit -n) allows ${connections} of ${asked} connections`];
}
