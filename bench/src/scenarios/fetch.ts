import { DENO_FLAGS, findDeno } from '../harness/deno.ts';
import { packageVersion } from '../harness/optional-package.ts';
import type { Contest, ContestResult, Reading } from '../harness/runner.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { FetchAnswers } from '../rivals/fetch-worker.ts';
import { ECHO_WARM_UP, QUICK_ECHO_WARM_UP } from './echo.ts';
import { type Environment, type Scenario, startChild, startProcesses } from './scenario.ts';

const CONNECTIONS = 64;
/** Messages in flight on each connection. */
const DEPTH = 16;
const CORPUS: EchoPlan = {
  content: 'binary',
  sizes: [16],
  count: 64,
  fragments: 1,
  raw: false,
};

/** The rival on each runtime. */
const RIVALS = { Node: 'crossws', Bun: 'bun', Deno: 'deno' } as const;
type Runtime = keyof typeof RIVALS;
const RUNTIMES = Object.keys(RIVALS) as Runtime[];

/** A program that runs the server, and why this machine cannot run it. */
interface Program {
  readonly path?: string;
  readonly flags?: readonly string[];
  readonly lacks?: string;
}

/** `ws-bench fetch`. */
export const fetch: Scenario = {
  name: 'fetch',
  summary: 'echoes of @ws/fetch on Node, Bun and Deno, next to what a user has there without it',
  help: `${CONNECTIONS} connections, ${DEPTH} messages of 16 B in flight on each. The same program of ours on each runtime,
with receive and with for await (loop), next to

  crossws  on Node: crossws with its own ws
  bun      on Bun: Bun.serve by hand
  deno     on Deno: Deno.serve by hand

A rival by hand has no limits, no checks of the origin and no backpressure.
`,
  full: { processes: 3, rounds: 5, ms: 1_000, warmUpMs: ECHO_WARM_UP },
  minutes: 3,
  quick: { processes: 1, rounds: 3, ms: 500, warmUpMs: QUICK_ECHO_WARM_UP },
  contests: (environment) => RUNTIMES.map((runtime) => echoes(environment, runtime)),
  tables,
  versions: (contenders) => {
    const deno = contenders.has(RIVALS.Deno) ? findDeno() : undefined;
    return {
      ...(contenders.has(RIVALS.Node) && { crossws: packageVersion('crossws') }),
      ...(deno !== undefined && 'version' in deno && { deno: deno.version }),
    };
  },
};

function programOf(runtime: Runtime, { bun }: Environment): Program {
  switch (runtime) {
    case 'Node':
      return {};
    case 'Bun':
      return bun;
    case 'Deno':
      return { flags: DENO_FLAGS, ...findDeno() };
  }
}

function echoes(environment: Environment, runtime: Runtime): Contest {
  const name = `on ${runtime}`;
  const { path, flags, lacks } = programOf(runtime, environment);
  return {
    name,
    contenders: ['receive', 'loop', RIVALS[runtime]],
    lacks,
    start: (contender) =>
      startProcesses(async (ends) => {
        const started = startChild<FetchAnswers>(
          './fetch-worker.js',
          contender,
          name,
          environment,
          { ...(flags !== undefined && { flags }), ...(path !== undefined && { runtime: path }) },
        );
        const { child } = started;
        ends.push(() => child.end());
        const { load } = environment;
        const port = await child.ask('listen', { contender: started.name });
        const opening = { target: { port }, connections: CONNECTIONS, corpus: CORPUS };
        const { group } = await load.ask('open', opening);
        ends.push(() => load.ask('drop', group));
        const window = async (ms: number): Promise<Reading> => {
          const before = await child.ask('usage', undefined);
          const ran = await load.ask('run', { group, depth: DEPTH, ms });
          const after = await child.ask('usage', undefined);
          const { messages } = await load.ask('check', group);
          if (messages !== ran.messages) {
            throw new Error(`${ran.messages} echoes were counted, but ${messages} verified`);
          }
          return {
            us: (after.cpu - before.cpu) / messages,
            wall: (1_000 * ran.ms) / messages,
            busy: ran.cpu / 1_000 / ran.ms,
          };
        };
        return { window };
      }),
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  const ratios = (title: string, per: string, metric: string): Table[] =>
    RUNTIMES.map((runtime) => {
      const rival = RIVALS[runtime];
      const columns = {
        title: `${title} on ${runtime}`,
        unit: `per ${per}, relative to ${rival}`,
        note: 'More is better.',
        results: results.filter(({ name }) => name === `on ${runtime}`),
      };
      return ratioTable(columns, rival, metric);
    });
  const cost = { title: 'CPU', unit: 'µs for an echo', note: 'Less is better.', results };
  return [
    ...ratios('Echoes', 'CPU second of the server', 'us'),
    ...ratios('Echoes by the clock', 'second', 'wall'),
    metricTable(cost, 'us'),
  ].filter(({ labels }) => labels.length > 0);
}
