import { execFile } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command, Report, Values } from '../command-line/command.ts';
import { chooseCores } from '../harness/cores.ts';
import { ratios, spreadOf } from '../harness/statistics.ts';
import { StepBar } from '../report/progress-bar.ts';
import { bytesName, number, spreadCells, table } from '../report/table.ts';
import { codecCharts } from './codec-charts.ts';
import type { Row, WorkerResult } from './codec-worker.ts';

const run = promisify(execFile);
/** Bytes of the view that each chunk may cost. Further bytes belong to the frames. */
const VIEW = 128;

interface Figures {
  readonly timed: WorkerResult;
  readonly plain: WorkerResult;
  readonly heap: WorkerResult;
}

const SUMMARY = `frames in memory, no socket: decode and encode next to the Receiver and
Sender of ws, with and without bufferutil; unmasking next to memcpy`;

const HELP = `ws-bench codec: ${SUMMARY}

usage: ws-bench codec [--quick] [--json [FILE]] [--html FILE]

options
  --quick        a tenth of the batches for a first impression; do not quote the figures
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    write a page with charts
`;

/** `ws-bench codec`: three processes in turn, then the tables. */
export const codec: Command = { summary: SUMMARY, help: HELP, options: {}, run: measure };

async function measure(values: Values): Promise<Report> {
  const quick = values['quick'] === true ? 'quick' : 'full';
  const progress = new StepBar(3);
  progress.step('with bufferutil');
  const timed = await worker(['time', quick], [], {});
  progress.step('without bufferutil');
  const plain = await worker(['time', quick], [], { WS_NO_BUFFER_UTIL: '1' });
  progress.step('heap');
  const heap = await worker(
    ['heap', quick],
    ['--expose-gc', '--min-semi-space-size=512', '--max-semi-space-size=512'],
    {},
  );
  progress.end();
  const figures: Figures = { timed, plain, heap };
  return {
    document: { node: process.version, ...figures },
    text: tables(figures),
    charts: codecCharts(figures.timed, figures.plain),
  };
}

async function worker(
  args: string[],
  flags: string[],
  env: NodeJS.ProcessEnv,
): Promise<WorkerResult> {
  const script = fileURLToPath(new URL('./codec-worker.js', import.meta.url));
  const { server: core } = chooseCores();
  const node = [process.execPath, ...flags, script, ...args];
  const [command, ...rest] = core === undefined ? node : ['taskset', '-c', `${core}`, ...node];
  const { stdout } = await run(command!, rest, {
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 24,
  });
  return JSON.parse(stdout) as WorkerResult;
}

function tables({ timed, plain, heap }: Figures): string {
  const lines: string[] = [];
  const out = (text: string): void => void lines.push(text);
  out(`node ${process.version}, ${availableParallelism()} x ${cpus()[0]?.model ?? 'cpu'}`);
  out('ns: fastest of many short batches of interleaved subjects. x: times as fast as ws.');
  out(`bu: ws with bufferutil${timed.bufferutil ? '' : ' (NOT loaded here)'}; js: without.`);
  out('B: heap bytes for a frame. push: without one view (128 B) for each pushed 64 KiB chunk.');

  for (const masked of [true, false]) {
    const kind = masked ? 'masked' : 'unmasked';
    out(`\ndecode ${kind}: 64 KiB chunks; larger frames assembled, as in ws\n`);
    out(
      table(
        [
          'payload',
          'push ns',
          'commit ns',
          'streamed',
          'ws bu',
          'x',
          'ws js',
          'x',
          'push B',
          'commit B',
          'ws B',
        ],
        pick(timed, 'decode', masked).map((row) => decodeCells(row, plain, heap)),
      ),
    );
    const kinds: Row['what'][] = ['encode', 'encode text'];
    if (masked) kinds.push('encode text, last é');
    for (const what of kinds) {
      out(`\n${what} ${kind}: flushed by 64 KiB and discarded\n`);
      out(
        table(
          ['payload', 'ours ns', 'ws bu', 'x', 'ws js', 'x', 'ours B', 'ws B'],
          pick(timed, what, masked).map((row) => encodeCells(row, plain, heap)),
        ),
      );
    }
  }
  out('\nunmask, ns a call, unaligned; % of memcpy\n');
  out(
    table(
      ['bytes', 'in place', '%', 'simd memory', '%', 'memcpy'],
      pick(timed, 'unmask', true).map((row) => {
        const [place, inside, copy] = ['in place', 'simd memory', 'memcpy'].map((n) =>
          least(row, n),
        );
        const percent = (ns: number | undefined): string => number((100 * copy!) / ns!);
        return [
          bytesName(row.bytes),
          number(place),
          percent(place),
          number(inside),
          percent(inside),
          number(copy),
        ];
      }),
    ),
  );
  out(
    '\ncheck of UTF-8, ns a call; x: times as fast as ws, median of the rounds and least to most\n',
  );
  out(
    table(
      ['text', 'ours', 'table', 'isUtf8', 'ws', 'x ws', 'rounds'],
      timed.rows.filter(({ what }) => what.startsWith('validate')).map(validateCells),
    ),
  );
  return `${lines.join('\n')}\n`;
}

function validateCells({ what, bytes, times }: Row): string[] {
  const of = (name: string): readonly number[] => times[name]?.rounds ?? [];
  return [
    `${bytesName(bytes)}, ${what === 'validate' ? 'ASCII' : 'mixed scripts'}`,
    ...['ours', 'table', 'isUtf8', 'ws'].map((name) => number(spreadOf(of(name)).median)),
    ...spreadCells(spreadOf(ratios(of('ws'), of('ours')))),
  ];
}

function decodeCells(row: Row, plain: WorkerResult, heap: WorkerResult): string[] {
  const twin = same(plain, row);
  const garbage = same(heap, row)?.heap ?? {};
  const beyond = (garbage['push'] ?? 0) - VIEW * (garbage['push chunks'] ?? 0);
  return [
    bytesName(row.bytes),
    number(least(row, 'push')),
    number(least(row, 'commit')),
    number(least(row, 'streamed')),
    ...against(row, 'push'),
    ...against(twin, 'push'),
    number(Math.max(0, beyond)),
    number(Math.max(0, garbage['commit'] ?? 0)),
    number(garbage['ws']),
  ];
}

function encodeCells(row: Row, plain: WorkerResult, heap: WorkerResult): string[] {
  const garbage = same(heap, row)?.heap ?? {};
  return [
    bytesName(row.bytes),
    number(least(row, 'ours')),
    ...against(row, 'ours'),
    ...against(same(plain, row), 'ours'),
    number(Math.max(0, garbage['ours'] ?? 0)),
    number(garbage['ws']),
  ];
}

/** Two cells: the time of ws, and our speed as times that of ws. */
function against(row: Row | undefined, name: string): [string, string] {
  const ws = row && least(row, 'ws');
  const own = row && least(row, name);
  return [number(ws), ws && own ? number(ws / own) : '-'];
}

function least(row: Row, name: string): number | undefined {
  return row.times[name]?.min;
}

function pick(result: WorkerResult, what: Row['what'], masked: boolean): Row[] {
  return result.rows.filter((row) => row.what === what && row.masked === masked);
}

function same(result: WorkerResult, row: Row): Row | undefined {
  return pick(result, row.what, row.masked).find(({ bytes }) => bytes === row.bytes);
}
