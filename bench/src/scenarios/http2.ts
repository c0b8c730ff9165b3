import type { Child } from '../harness/child.ts';
import { type Contest, type ContestResult, type Reading, timesBase } from '../harness/runner.ts';
import { contenderTable, mapped, metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import type { Http2Answers, Http2Traffic } from '../rivals/http2-worker.ts';
import { type Environment, type Scenario, startChild, startProcesses } from './scenario.ts';

const H2 = 'HTTP/2';
const H1 = 'HTTP/1.1';
const READ = 'all are read';
const UNREAD = 'one is not read';

const CONNECTIONS = 64;
const ECHO: Omit<Http2Traffic, 'ms'> = { depth: 16, size: 16 };
const IDLE = 1_000;
const IDLE_SESSIONS = 10;
const OPENINGS = 100;
/** How often a window opens so many, and closes them. */
const OPENING_TURNS = 5;
/** Openings before the first reading. V8 compiles then. */
const WARM_UP = 4_000;
const READERS = 50;

const NAMES = {
  echo: '64 x 16 x 16 B',
  openings: `${OPENINGS} openings`,
  idle: `${IDLE} idle connections`,
  unread: `${READERS} streams`,
} as const;

/** `ws-bench http2`. */
export const http2: Scenario = {
  name: 'http2',
  summary: 'WebSockets over HTTP/2 next to those over HTTP/1.1 and TLS',
  help: `Our server and our client, each in its own process, over one port with TLS.

  ${NAMES.echo}        connections x messages in flight x bytes; HTTP/2: one session
  ${NAMES.openings}          on a session that is open, next to one TLS handshake for each connection
  ${NAMES.idle}  on ${IDLE_SESSIONS} sessions
  ${NAMES.unread}            the client of one sends as much as it can and reads nothing: delays of the others
`,
  full: { processes: 3, rounds: 3, ms: 1_000, warmUpMs: 1_500 },
  minutes: 5,
  quick: { processes: 1, rounds: 2, ms: 200, warmUpMs: 500 },
  contests: (environment) => [
    echoContest(environment),
    openingContest(environment),
    idleContest(environment),
    unreadContest(environment),
  ],
  tables,
};

/** A server and a client. */
interface Ends {
  readonly server: Child<Http2Answers>;
  readonly client: Child<Http2Answers>;
  readonly port: number;
}

async function startEnds(
  environment: Environment,
  contender: string,
  contest: string,
  ends: (() => Promise<unknown>)[],
): Promise<Ends> {
  const flags = ['--expose-gc'];
  const start = (end: string, besideLoad: boolean): Child<Http2Answers> => {
    const { child } = startChild<Http2Answers>(
      './http2-worker.js',
      contender,
      `${contest} ${end}`,
      environment,
      { flags, besideLoad },
    );
    ends.push(() => child.end());
    return child;
  };
  const server = start('server', false);
  const client = start('client', true);
  return { server, client, port: await server.ask('listen', undefined) };
}

async function cpuOf(child: Child<Http2Answers>): Promise<number> {
  return (await child.ask('usage', undefined)).cpu;
}

function echoContest(environment: Environment): Contest {
  const name = NAMES.echo;
  return {
    name,
    contenders: [H2, H1],
    start: (contender) =>
      startProcesses(async (ends) => {
        const { server, client, port } = await startEnds(environment, contender, name, ends);
        const sessions = contender === H2 ? 1 : 0;
        await client.ask('open', { port, connections: CONNECTIONS, sessions });
        const window = async (ms: number): Promise<Reading> => {
          const before = [await cpuOf(server), await cpuOf(client)] as const;
          const started = performance.now();
          const { messages } = await client.ask('run', { ...ECHO, ms });
          const wall = (performance.now() - started) * 1_000;
          const after = [await cpuOf(server), await cpuOf(client)] as const;
          return {
            server: (after[0] - before[0]) / messages,
            client: (after[1] - before[1]) / messages,
            wall: wall / messages,
          };
        };
        return { window };
      }),
  };
}

function openingContest(environment: Environment): Contest {
  const name = NAMES.openings;
  return {
    name,
    contenders: [H2, H1],
    start: (contender) =>
      startProcesses(async (ends) => {
        const { server, client, port } = await startEnds(environment, contender, name, ends);
        const sessions = contender === H2 ? 1 : 0;
        const spent = { server: 0, client: 0 };
        const openAndClose = async (): Promise<void> => {
          const before = [await cpuOf(server), await cpuOf(client)] as const;
          await client.ask('open', { port, connections: OPENINGS, sessions });
          spent.server += (await cpuOf(server)) - before[0];
          spent.client += (await cpuOf(client)) - before[1];
          await client.ask('close', undefined);
        };
        const window = async (): Promise<Reading> => {
          spent.server = spent.client = 0;
          for (let i = 0; i < OPENING_TURNS; i++) await openAndClose();
          const all = OPENINGS * OPENING_TURNS;
          return { server: spent.server / all, client: spent.client / all };
        };
        for (let opened = 0; opened < WARM_UP; opened += OPENINGS) await openAndClose();
        return { window };
      }),
  };
}

function idleContest(environment: Environment): Contest {
  const name = NAMES.idle;
  return {
    name,
    contenders: [H2, H1],
    alone: true,
    once: true,
    start: (contender) =>
      startProcesses(async (ends) => {
        const { server, client, port } = await startEnds(environment, contender, name, ends);
        const sessions = contender === H2 ? IDLE_SESSIONS : 0;
        const openMore = async (): Promise<void> => {
          await client.ask('open', { port, connections: IDLE, sessions, fresh: true });
          await client.ask('run', { ms: 0, depth: 1, size: 16 });
        };
        const window = async (): Promise<Reading> => {
          // The first ones also pay for compiled code and for the heap's growth.
          await openMore();
          const before = [await server.ask('memory', true), await client.ask('memory', true)];
          await openMore();
          const after = [await server.ask('memory', true), await client.ask('memory', true)];
          return {
            server: (after[0]!.resident - before[0]!.resident) / IDLE,
            client: (after[1]!.resident - before[1]!.resident) / IDLE,
            heap: (after[0]!.heap - before[0]!.heap) / IDLE,
          };
        };
        return { window };
      }),
  };
}

function unreadContest(environment: Environment): Contest {
  const name = NAMES.unread;
  return {
    name,
    contenders: [UNREAD, READ],
    start: (contender) =>
      startProcesses(async (ends) => {
        const { client, port } = await startEnds(environment, contender, name, ends);
        await client.ask('open', { port, connections: READERS, sessions: 1 });
        const unread = contender === UNREAD;
        const window = async (ms: number): Promise<Reading> => {
          const { p99 } = await client.ask('run', { depth: 1, size: 64, ms, unread });
          return { p99 };
        };
        return { window };
      }),
  };
}

function tables(results: readonly ContestResult[]): Table[] {
  const of = (...names: readonly string[]): readonly ContestResult[] =>
    results.filter(({ name }) => names.includes(name));
  const more = 'More is better.';
  const less = 'Less is better.';
  const ratio = (title: string, per: string, rows: readonly string[], metric: string): Table =>
    ratioTable(
      { title, unit: `per ${per}, relative to ${H1}`, note: more, results: of(...rows) },
      H1,
      metric,
    );
  const cost = (title: string, unit: string, rows: readonly string[], metric: string): Table =>
    metricTable({ title, unit, note: less, results: of(...rows) }, metric);
  const apart = [NAMES.echo, NAMES.openings];
  return [
    ratio('Echoes and openings by the server', 'CPU second of the server', apart, 'server'),
    ratio('Echoes and openings by the client', 'CPU second of the client', apart, 'client'),
    ratio('Echoes by the clock', 'second', [NAMES.echo], 'wall'),
    cost('CPU of the server', 'µs for an echo or an opening', apart, 'server'),
    cost('CPU of the client', 'µs for an echo or an opening', apart, 'client'),
    ratio('Connections of the server', 'resident byte after collections', [NAMES.idle], 'server'),
    cost('Memory of the server', 'resident bytes after collections', [NAMES.idle], 'server'),
    cost('Memory of the client', 'resident bytes after collections', [NAMES.idle], 'client'),
    cost('Heap of the server', 'bytes after collections', [NAMES.idle], 'heap'),
    cost('Delay of the streams that are read', 'p99 in ms', [NAMES.unread], 'p99'),
    contenderTable(
      {
        title: 'Delay, as times that without it',
        unit: 'ratio of p99',
        note: less,
        results: of(NAMES.unread),
      },
      (result, name) => mapped(timesBase(result, name, READ, 'p99'), (times) => 1 / times),
    ),
  ].filter(({ labels }) => labels.length > 0);
}
