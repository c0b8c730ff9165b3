import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../harness/child.ts';
import type { Contest, ContestResult, Reading } from '../harness/runner.ts';
import type { PeersAnswers } from '../load/peers-worker.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { ContenderName } from '../rivals/contenders.ts';
import type { EndsAnswers } from '../rivals/ends-worker.ts';
import {
  allowedConnections,
  type Environment,
  maskOf,
  type Scenario,
  startChild,
  startProcesses,
} from './scenario.ts';

const CONNECTIONS = 15_000;
/** No mask is written, so native masks change nothing. */
const BASE = 'ws';
/** Between two questions for the connections that are left, in ms. */
const POLL_MS = 50;
/** The last connections end some turns before the server is quiet, in ms. */
const QUIET_MS = 500;
/** Time for the connections to become idle, in ms. */
const IDLE_MS = 1500;
/** The most ms until no connection is left. */
const TIMEOUT_MS = 120_000;

type Server = Child<EndsAnswers>;

/** `ws-bench ends`. */
export const ends: Scenario = {
  name: 'ends',
  summary: 'all connections end at once: CPU and longest turn, next to ws and to a bare socket',
  help: `Opens connections to a fresh server. Each echoes one message. Then all of them end at once.

  vanish  the process of the clients is ended: the kernel closes its sockets
  close   the server closes: server.close(), and for ws a close frame of code 1001 to each client

  turn    the longest turn of the server's event loop: other connections wait so long. It also counts
          the time in which other processes have the core
  bare    a socket from the 'upgrade' event of Node's http server: it parses no frame
`,
  connections: CONNECTIONS,
  full: { processes: 5, rounds: 1, ms: 0, warmUpMs: 0 },
  minutes: 8,
  quick: { processes: 1, rounds: 1, ms: 0, warmUpMs: 0 },
  contests(environment) {
    const connections = allowedConnections(environment.connections ?? CONNECTIONS);
    return [
      endsContest(
        environment,
        `${connections} vanish`,
        ['receive', 'loop', 'serveRaw', BASE, 'bare'],
        connections,
        vanish,
      ),
      endsContest(
        environment,
        `close of ${connections}`,
        ['receive', 'loop', 'serveRaw', BASE],
        connections,
        (server) => server.ask('shut', undefined),
      ),
    ];
  },
  tables,
};

/** @param act - Ends all connections. Resolves when none is left. */
function endsContest(
  environment: Environment,
  name: string,
  contenders: readonly ContenderName[],
  connections: number,
  act: (server: Server, peers: Child<PeersAnswers>) => Promise<void>,
): Contest {
  return {
    name,
    contenders,
    alone: true,
    once: true,
    start: (contender) =>
      startProcesses(async (stops) => {
        const started = startChild<EndsAnswers>('./ends-worker.js', contender, name, environment);
        const server = started.child;
        stops.push(() => server.end());
        const peers = new Child<PeersAnswers>('./peers-worker.js', environment.cores.load);
        stops.push(() => peers.end());
        const port = await server.ask('listen', started.name as ContenderName);
        await peers.ask('open', { target: { port }, connections });
        return {
          mask: await maskOf(started.name, server),
          window: () => measured(server, connections, () => act(server, peers)),
        };
      }),
  };
}

async function measured(
  server: Server,
  connections: number,
  act: () => Promise<void>,
): Promise<Reading> {
  await sleep(IDLE_MS);
  const open = await server.ask('open', undefined);
  if (open !== connections) throw new Error(`${open} of ${connections} connections are open`);
  await server.ask('longestTurn', undefined);
  const before = await server.ask('usage', undefined);
  await act();
  await sleep(QUIET_MS);
  const after = await server.ask('usage', undefined);
  const turn = await server.ask('longestTurn', undefined);
  return { us: (after.cpu - before.cpu) / connections, turn };
}

async function vanish(server: Server, peers: Child<PeersAnswers>): Promise<void> {
  await peers.end();
  const late = performance.now() + TIMEOUT_MS;
  for (;;) {
    const left = await server.ask('open', undefined);
    if (left === 0) return;
    if (performance.now() > late) throw new Error(`${left} connections are left`);
    await sleep(POLL_MS);
  }
}

function tables(results: readonly ContestResult[]): Table[] {
  return [
    ratioTable(
      {
        title: 'Ends',
        unit: `ends per CPU second of the server, relative to ${BASE}`,
        note: 'More is better.',
        results,
      },
      BASE,
      'us',
    ),
    metricTable(
      { title: 'CPU of an end', unit: 'µs of the server', note: 'Less is better.', results },
      'us',
    ),
    metricTable(
      {
        title: 'Longest turn',
        unit: 'ms of the event loop of the server',
        note: 'Less is better.',
        results,
      },
      'turn',
    ),
  ];
}
