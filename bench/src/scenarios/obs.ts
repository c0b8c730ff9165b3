import { Child } from '../harness/child.ts';
import type { Contest, ContestResult, Running } from '../harness/runner.ts';
import type { ObsServerAnswers } from '../load/obs-server-worker.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { ObsClientAnswers } from '../rivals/obs-client-worker.ts';
import { type Environment, type Scenario, startChild } from './scenario.ts';

const BASE = 'obs-websocket-js';
const CONTENDERS: readonly string[] = ['ours', BASE, 'bare ws', 'bare socket'];

/** Calls in flight at a time. */
const CALLS: readonly number[] = [1, 4, 16, 64];

/** `ws-bench obs`. */
export const obs: Scenario = {
  name: 'obs',
  summary: 'calls of @ws/obs next to those of obs-websocket-js',
  help: `A client calls GetSceneList of a server that answers as OBS does, with ten scenes. Each answer is compared
with the server's. The client has its own process. 'bare ws' and 'bare socket' encode a request, decode its answer and
settle a promise, without ids, checks or timeouts: no client can cost less on that transport.
`,
  full: { processes: 3, rounds: 3, ms: 1_000, warmUpMs: 5_000 },
  minutes: 6,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: 300 },
  contests: (environment) =>
    ['json', 'msgpack'].flatMap((encoding) =>
      CALLS.map((calls) => callContest(environment, encoding, calls)),
    ),
  tables,
};

function callContest(environment: Environment, encoding: string, calls: number): Contest {
  const contest = `${encoding}, ${calls} in flight`;
  return {
    name: contest,
    contenders: CONTENDERS,
    async start(contender): Promise<Running> {
      const server = new Child<ObsServerAnswers>('./obs-server-worker.js', environment.cores.load);
      const script = './obs-client-worker.js';
      const { child, name } = startChild<ObsClientAnswers>(script, contender, contest, environment);
      const url = await server.ask('listen', undefined);
      await child.ask('open', { client: name, url, encoding });
      return {
        async window(ms) {
          const before = await child.ask('usage', undefined);
          const started = performance.now();
          const done = await child.ask('run', { ms, calls });
          const wall = (performance.now() - started) * 1_000;
          const after = await child.ask('usage', undefined);
          return { us: (after.cpu - before.cpu) / done, wall: wall / done };
        },
        end: () => Promise.all([child.end(), server.end()]),
      };
    },
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  return [
    ratioTable(
      {
        title: 'Calls for OBS',
        unit: `calls per CPU second of the client, relative to ${BASE}`,
        note: 'More is better.',
        results,
      },
      BASE,
      'us',
    ),
    ratioTable(
      {
        title: 'Calls for OBS in a second',
        unit: `calls per second, relative to ${BASE}`,
        note: 'More is better.',
        results,
      },
      BASE,
      'wall',
    ),
    metricTable({ title: 'CPU of a call', unit: 'µs of the client', results }, 'us'),
    metricTable({ title: 'Time of a call', unit: 'µs between answers', results }, 'wall'),
  ];
}
