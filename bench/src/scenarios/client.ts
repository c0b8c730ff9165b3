import { Child } from '../harness/child.ts';
import type { Contest, ContestResult, Running } from '../harness/runner.ts';
import type { SinkPlan } from '../load/client-turns.ts';
import type { SinkAnswers } from '../load/sink-worker.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { ClientAnswers } from '../rivals/client-worker.ts';
import { BASE, keepsMemory, NATIVE } from '../rivals/contenders.ts';
import { type Environment, maskOf, type Scenario, startChild } from './scenario.ts';

const CONTENDERS: readonly string[] = ['ours', 'ws', NATIVE, BASE];

/** The work of a client, on so many connections. */
interface Work extends SinkPlan {
  readonly connections: number;
}

const KIB = 1024;
const WORK: Readonly<Record<string, Work>> = {
  '64 x 1 x 16 B': { connections: 64, up: 1, down: 1, size: 16 },
  '64 x 16 x 16 B': { connections: 64, up: 16, down: 16, size: 16 },
  '64 x 16 x 1 KiB': { connections: 64, up: 16, down: 16, size: KIB },
  '16 x 1 x 64 KiB': { connections: 16, up: 1, down: 1, size: 64 * KIB },
  '4 x 1 x 1 MiB': { connections: 4, up: 1, down: 1, size: KIB * KIB },
  '16 sends of 16 B, 1 receive': { connections: 64, up: 16, down: 1, size: 16 },
  '16 sends of 1 KiB, 1 receive': { connections: 64, up: 16, down: 1, size: KIB },
  '1 send of 16 B, 16 receives': { connections: 64, up: 1, down: 16, size: 16 },
  '1 send of 1 KiB, 16 receives': { connections: 64, up: 1, down: 16, size: KIB },
};

/** `ws-bench client`. */
export const client: Scenario = {
  name: 'client',
  summary:
    'our client next to that of ws: the rows of compare, and sending or receiving 16 in a turn',
  help: `Each connection takes turns: some sends in one turn of the event loop, then a wait for the answer.
The other end unmasks and compares each message.

  64 x 16 x 16 B  connections x messages sent in a turn, and received after it x bytes of a message
`,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: 300 },
  minutes: 4,
  quick: { processes: 1, rounds: 2, ms: 250, warmUpMs: 250 },
  contests: (environment) =>
    Object.entries(WORK).map(([name, work]) => clientContest(environment, name, work)),
  tables,
};

function clientContest(environment: Environment, contest: string, work: Work): Contest {
  const { connections, ...plan } = work;
  return {
    name: contest,
    contenders: CONTENDERS,
    async start(contender): Promise<Running> {
      const sink = new Child<SinkAnswers>('./sink-worker.js', environment.cores.load);
      const script = './client-worker.js';
      const { child, name } = startChild<ClientAnswers>(script, contender, contest, environment, {
        kept: keepsMemory([plan.size]),
      });
      const port = await sink.ask('listen', plan);
      await child.ask('open', { client: name, port, connections, plan });
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
