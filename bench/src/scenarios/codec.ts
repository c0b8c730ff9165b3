import type { ContestResult } from '../harness/runner.ts';
import { codecKernels } from '../kernels/codec.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { NATIVE } from '../rivals/contenders.ts';
import { kernelContests } from './kernel-contests.ts';
import type { Scenario } from './scenario.ts';

const CHECK = 'check UTF-8';
/** Title of the table that docs/performance.md shows. */
export const CODEC_CLASSES = 'The classes, next to the Receiver and the Sender of ws';

/** `ws-bench codec`. */
export const codec: Scenario = {
  name: 'codec',
  summary: 'frames in memory, no socket: finding and encoding frames, unmasking, checking UTF-8',
  help: `All contenders take turns in one process; ws without a native mask has its own. A round has eleven
batches of each, and the median counts. 'micro' and 'compare' measure whole connections.
`,
  full: { processes: 3, rounds: 7, ms: 0, warmUpMs: 0 },
  minutes: 2,
  quick: { processes: 1, rounds: 2, ms: 0, warmUpMs: 0 },
  contests: (environment) => kernelContests(environment, codecKernels),
  tables,
};

function tables(results: readonly ContestResult[]): Table[] {
  const base = results.some(({ readings }) => NATIVE in readings) ? NATIVE : 'ws';
  const withWs = results.filter(({ readings }) => readings[base] !== undefined);
  const checking = withWs.filter(({ name }) => name.startsWith(CHECK));
  const classes = withWs.filter(({ name }) => /^(?:read|write) messages/.test(name));
  const encoding = withWs.filter((one) => !checking.includes(one) && !classes.includes(one));
  const ratio = (title: string, some: readonly ContestResult[]): Table =>
    ratioTable(
      { title, unit: `speed, as times that of ${base}`, note: 'More is better.', results: some },
      base,
      'ns',
    );
  return [
    ratio(CODEC_CLASSES, classes),
    ratio('Encoding frames, next to the Sender of ws', encoding),
    ratio('Checking UTF-8', checking),
    metricTable(
      {
        title: 'Times',
        unit: 'ns for a frame or a call',
        note: 'Less is better.',
        results,
      },
      'ns',
    ),
  ].filter(({ labels }) => labels.length > 0);
}
