import type { ContestResult } from '../harness/runner.ts';
import { microKernels } from '../kernels/micro.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { kernelContests } from './kernel-contests.ts';
import type { Scenario } from './scenario.ts';

const PLAIN = 'plain JS';

/** `ws-bench micro`. */
export const micro: Scenario = {
  name: 'micro',
  summary: 'echo by a Conn on a transport that does nothing, next to a loop of plain JavaScript',
  help: `No socket and no kernel, so the figures repeat within some per cent: the tool to steer by. The loop
of plain JavaScript is the one of 'mini' in 'compare': it parses and unmasks the same chunk.
`,
  full: { processes: 3, rounds: 15, ms: 0, warmUpMs: 0 },
  minutes: 1,
  quick: { processes: 1, rounds: 5, ms: 0, warmUpMs: 0 },
  contests: (environment) => kernelContests(environment, microKernels),
  tables,
};

function tables(results: readonly ContestResult[]): Table[] {
  return [
    ratioTable(
      {
        title: 'JavaScript only',
        unit: `messages per second, relative to ${PLAIN}`,
        note: 'More is better.',
        results,
      },
      PLAIN,
      'ns',
    ),
    metricTable({ title: 'A message', unit: 'ns', note: 'Less is better.', results }, 'ns'),
  ];
}
