import { Child } from '../harness/child.ts';
import type { Contest, ContestResult, Running } from '../harness/runner.ts';
import type { SinkPlan } from '../load/client-turns.ts';
import type { SinkAnswers } from '../load/sink-worker.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { ClientAnswers } from '../rivals/client-worker.ts';
import { BASE } from '../rivals/contenders.ts';
import { type Environment, maskOf, type Scenario, startChild } from './scenario.ts';

const CONNECTIONS = 64;
const CONTENDERS: readonly string[] = ['ours', 'ws', BASE, 'ws, corked', 'mini'];

const TURNS: Readonly<Record<string, SinkPlan>> = {
  '1 send of 16 B in a turn': { up: 1, down: 1, size: 16 },
  '16 sends of 16 B in a turn': { up: 16, down: 1, size: 16 },
  '16 sends of 1 KiB in a turn': { up: 16, down: 1, size: 1024 },
  '16 receives of 16 B for 1 send': { up: 1, down: 16, size: 16 },
  '16 receives of 1 KiB for 1 send': { up: 1, down: 16, size: 1024 },
};

/** `ws-bench client`. */
export const client: Scenario = {
  name: 'client',
  summary: 'our client next to that of ws: sending and receiving, one and 16 in a turn',
  help: `${CONNECTIONS} connections take turns: some sends in one turn of the event loop, then a wait for the answer.
The other end unmasks and compares each message.

  mini  frames by hand, one write a turn, no check of what it receives
`,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: 300 },
  minutes: 2,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: 300 },
  contests: (environment) =>
    Object.entries(TURNS).map(([name, plan]) => clientContest(environment, name, plan)),
  tables,
};

function clientContest(environment: Environment, contest: string, plan: SinkPlan): Contest {
  return {
    name: contest,
    contenders: CONTENDERS,
    async start(contender): Promise<Running> {
      const sink = new Child<SinkAnswers>('./sink-worker.js', environment.cores.load);
      const script = './client-worker.js';
      const { child, name } = startChild<ClientAnswers>(script, contender, contest, environment);
      const port = await sink.ask('listen', plan);
      await child.ask('open', { client: name, port, connections: CONNECTIONS, plan });
      let sent = 0;
      return {
        mask: await maskOf(name, child),
        async window(ms) {
          const before = await child.ask('usage', undefined);
          const turns = await child.ask('run', ms);
          const after = await child.ask('usage', undefined);
          sent += turns * plan.up;
          const verified = await sink.ask('verified', undefined);
          if (verified !== sent)
            throw new Error(`${sent} messages were sent, ${verified} verified`);
          return { us: (after.cpu - before.cpu) / (turns * Math.max(plan.up, plan.down)) };
        },
        end: () => Promise.all([child.end(), sink.end()]),
      };
    },
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  return [
    ratioTable(
      {
        title: 'A client',
        unit: `messages per CPU second of the client, relative to ${BASE}`,
        note: 'More is better.',
        results,
      },
      BASE,
      'us',
    ),
    metricTable({ title: 'CPU of a client', unit: 'µs for a message', results }, 'us'),
  ];
}
