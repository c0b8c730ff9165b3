import type { Contest, ContestResult, Reading, Running } from '../harness/runner.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { BASE, type ContenderName } from '../rivals/contenders.ts';
import type { BroadcastTask } from '../rivals/echo-servers.ts';
import type { ServerAnswers } from '../rivals/server-worker.ts';
import {
  allowedConnections,
  type Environment,
  maskOf,
  type Scenario,
  startChild,
} from './scenario.ts';

const RECEIVERS = 1000;
const CONTENDERS: readonly string[] = ['ours', 'ws', BASE, 'bun'];

interface Room extends BroadcastTask {
  readonly name: string;
  readonly receivers: number;
  /** Number of receivers that do not read. */
  readonly slow: number;
  readonly perTurn: number;
  /** Number of turns in a window. Default: as many as fit. */
  readonly turns?: number;
}

const ROOMS: readonly Room[] = [
  ...[1, 16].map((perTurn) => ({
    name: `${perTurn} a turn`,
    receivers: RECEIVERS,
    slow: 0,
    perTurn,
    size: 100,
    count: 61,
  })),
  {
    // 23 MiB for each slow one: more than our bound of 16 MiB.
    name: '16 KiB, 10 of 100 do not read',
    receivers: 100,
    slow: 10,
    perTurn: 1,
    turns: 1500,
    size: 16 * 1024,
    count: 61,
  },
];

/** `ws-bench broadcast`. */
export const broadcast: Scenario = {
  name: 'broadcast',
  summary:
    'one message to many receivers, alone, 16 in a turn, and with receivers that do not read',
  help: `One receiver requests a number of messages. The server sends them to all receivers in that turn: ours
with broadcast(conns, data), ws with a send to each client, Bun with publish. The next request follows when every receiver
that reads has all messages. Every received byte is compared with the expected one.
`,
  full: { processes: 3, rounds: 3, ms: 500, warmUpMs: 500 },
  minutes: 2,
  quick: { processes: 1, rounds: 2, ms: 400, warmUpMs: 400 },
  contests: (environment) => ROOMS.map((room) => roomContest(environment, room, CONTENDERS)),
  tables,
};

/** One contest of the scenario: `perTurn` messages to 1,000 receivers. */
export function broadcastContest(
  environment: Environment,
  perTurn: 1 | 16,
  contenders: readonly string[],
): Contest {
  const room = ROOMS.find((one) => one.perTurn === perTurn)!;
  const contest = roomContest(environment, room, contenders);
  return { ...contest, name: `broadcast to ${RECEIVERS.toLocaleString('en')}, ${room.name}` };
}

function roomContest(environment: Environment, room: Room, contenders: readonly string[]): Contest {
  return {
    name: room.name,
    contenders,
    // A slow receiver is slow for good: its server serves one window.
    once: room.slow > 0,
    async start(contender): Promise<Running> {
      const started = startChild<ServerAnswers>(
        './server-worker.js',
        contender,
        `broadcast ${room.name}`,
        environment,
      );
      const { child, name } = started;
      const { load } = environment;
      const { size, count } = room;
      const port = await child.ask('listen', {
        contender: name === 'ours' ? 'receive' : (name as ContenderName),
        task: { size, count },
      });
      const corpus: EchoPlan = {
        content: 'binary',
        sizes: [size],
        count,
        fragments: 1,
        raw: false,
        aligned: true,
      };
      const connections = allowedConnections(room.receivers);
      const { group } = await load.ask('open', { target: { port }, connections, corpus });
      await load.ask('pause', { group, count: room.slow });
      return {
        mask: await maskOf(name, child),
        window: (ms) => broadcastWindow(environment, room, { child, group, connections }, ms),
        end: async () => {
          await load.ask('drop', group);
          await child.end();
        },
      };
    },
  };
}

async function broadcastWindow(
  { load }: Environment,
  { perTurn, slow, turns }: Room,
  server: {
    readonly child: ReturnType<typeof startChild<ServerAnswers>>['child'];
    readonly group: number;
    readonly connections: number;
  },
  ms: number,
): Promise<Reading> {
  const { child, group, connections } = server;
  const memory = await child.ask('memory', false);
  const before = await child.ask('usage', undefined);
  const extent = turns === undefined ? { ms } : { turns };
  const ran = await load.ask('broadcast', { group, perTurn, slow, ...extent });
  const after = await child.ask('usage', undefined);
  const { resident } = await child.ask('memory', false);
  return {
    us: (after.cpu - before.cpu) / (ran.messages * (connections - slow)),
    p50: ran.latency.p50,
    p99: ran.latency.p99,
    busy: ran.cpu / 1000 / ran.ms,
    ...(slow > 0 && { growth: (resident - memory.resident) / 2 ** 20 }),
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  const slow = results.filter(({ readings }) => readings['ours']?.['growth'] !== undefined);
  const ms = (metric: string, title: string): Table =>
    metricTable(
      {
        title,
        unit: 'ms from the request to the last receiver that reads',
        note: 'Less is better.',
        results,
      },
      metric,
    );
  return [
    ratioTable(
      {
        title: `Broadcast, 100 B to ${RECEIVERS} receivers unless the row says otherwise`,
        unit: `messages to a receiver per CPU second of the server, relative to ${BASE}`,
        note: 'More is better.',
        results,
      },
      BASE,
      'us',
    ),
    metricTable(
      { title: 'CPU of a broadcast', unit: 'µs for a message to one receiver', results },
      'us',
    ),
    ms('p50', 'Delivery to all, p50'),
    ms('p99', 'Delivery to all, p99'),
    metricTable(
      {
        title: 'Receivers that do not read',
        unit: 'growth of the resident memory of the server, in MiB',
        note: 'Less is better. Ours drops messages above maxBufferedAmount; ws keeps all.',
        results: slow,
      },
      'growth',
    ),
  ].filter(({ labels }) => labels.length > 0);
}
