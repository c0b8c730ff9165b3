import { packageVersion } from '../harness/optional-package.ts';
import { redisVersion } from '../harness/redis.ts';
import { type ContestResult, spreadOver } from '../harness/runner.ts';
import { contenderTable, metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { BASE } from '../rivals/contenders.ts';
import { CLUSTER_CONTEST, clusterContest } from './hub-cluster.ts';
import {
  CLIENT_ROOMS_CONTEST,
  clientRoomsContest,
  IN_MEMORY_CONTEST,
  inMemoryContest,
  MEMBERSHIP_CONTEST,
  membershipContest,
  OPENING_CONTEST,
  openingContest,
  RESUME_CONTEST,
  resumeContest,
} from './hub-in-memory.ts';
import { NODES_CONTEST, nodesContest, THREE_NODES } from './hub-nodes.ts';
import {
  PRESENCE_CONTEST,
  PRESENCE_MEMORY_CONTEST,
  presenceContest,
  presenceMemoryContest,
} from './hub-presence.ts';
import { byTurn, roomContests } from './hub-rooms.ts';
import {
  SLOW_MEMBERS_CONTEST,
  slowMembersContest,
  UNREAD_CONTEST,
  unreadContest,
} from './hub-slow-members.ts';
import type { Scenario } from './scenario.ts';

/** `ws-bench hub`. */
export const hub: Scenario = {
  name: 'hub',
  summary:
    'a message to a room of a hub, next to broadcast, ws, socket.io and Bun; members that do not read,\nmemberships, openings, resumes, nodes over Redis, who is there on all of them',
  help: `A member requests a number of messages. The server sends them to all members of the room in that turn.
The next request follows when every member that reads has all messages. Every received byte is
compared with the expected one.

  hub         room.publish of our hub
  broadcast   broadcast(conns, data) of ours
  ws          the loop of its documentation; 'corked': its application corks each socket for a turn
  socket.io   io.to(room).emit, websocket only, text instead of bytes, no heartbeat
  bun         server.publish

For 100,000 members, the limit of open files (ulimit -n) must be 100,100 or more. Under a lower limit
they are measured without sockets only, and the report says so. The three nodes need redis-server on
the PATH, which shares the core of the server with them.
`,
  minutes: 12,
  full: { processes: 3, rounds: 3, ms: 400, warmUpMs: 400 },
  quick: { processes: 1, rounds: 2, ms: 200, warmUpMs: 200 },
  contests: (environment) => [
    ...roomContests(environment),
    slowMembersContest(environment),
    unreadContest(environment),
    inMemoryContest(environment),
    clientRoomsContest(environment),
    membershipContest(environment),
    openingContest(environment),
    resumeContest(environment),
    nodesContest(environment),
    clusterContest(environment),
    presenceContest(environment),
    presenceMemoryContest(environment),
  ],
  tables,
  versions: (contenders) => ({
    ...(contenders.has('socket.io') && { 'socket.io': packageVersion('socket.io') }),
    ...(contenders.has(THREE_NODES) && { redis: redisVersion() ?? 'unknown' }),
  }),
};

/** The rows of a room whose members do not all read. */
const SLOW_ROWS = [
  ['each', 'delivery to a member that reads, p99 in ms'],
  ['us', 'CPU for a member that reads, µs'],
  ['growth', 'growth of the resident memory, MiB'],
] as const;

function tables(results: readonly ContestResult[]): Table[] {
  const named = (name: string): ContestResult[] => results.filter((one) => one.name === name);
  const rooms = byTurn(results);
  return [
    ratioTable(
      {
        title: 'A room: 100 B to each member',
        unit: 'messages to a member per CPU second of the server, relative to ws, corked',
        note: 'More is better.',
        results: rooms,
      },
      BASE,
      'us',
    ),
    metricTable(
      { title: 'CPU of a message to a room', unit: 'µs for one member', results: rooms },
      'us',
    ),
    metricTable(
      {
        title: 'Delay of the event loop, p99',
        unit: 'ms that other connections of the server wait',
        note: 'Less is better.',
        results: rooms,
      },
      'delay',
    ),
    metricTable(
      {
        title: 'Delivery to the room, p99',
        unit: 'ms from the request to the last member that reads',
        note: 'Less is better.',
        results: rooms,
      },
      'p99',
    ),
    rowsTable(
      {
        title: 'Members that do not read',
        unit: 'the members that read, next to the same members alone',
        note: 'Less is better.',
        results: named(SLOW_MEMBERS_CONTEST),
      },
      SLOW_ROWS,
    ),
    rowsTable(
      {
        title: 'Members that do not read, next to other servers',
        unit: '1,500 messages to members of which some do not read',
        note: 'Less is better. The messages that wait share their memory. hub drops messages above maxQueuedBytes, broadcast above maxBufferedAmount; ws keeps all.',
        results: named(UNREAD_CONTEST),
      },
      SLOW_ROWS,
    ),
    rowsTable(
      {
        title: 'A large room without sockets',
        unit: 'each write is a system call to the null device',
        note: 'Less is better.',
        results: named(IN_MEMORY_CONTEST),
      },
      [
        ['message', 'CPU of one message to all, s'],
        ['delay', 'delay of the event loop, p99 in ms'],
      ],
    ),
    ratioTable(
      {
        title: 'Rooms for clients',
        unit: 'messages per CPU second, relative to publish with a form that makes the same text',
        note: 'More is better. 100 B of JSON, without sockets.',
        results: named(CLIENT_ROOMS_CONTEST),
      },
      'form',
      'us',
    ),
    rowsTable(
      {
        title: 'Memberships',
        unit: 'rooms that exist, sessions without sockets',
        note: 'Less is better.',
        results: named(MEMBERSHIP_CONTEST),
      },
      [
        ['us', 'join and leave, µs'],
        ['bytes', 'heap bytes of a membership'],
      ],
    ),
    rowsTable(
      {
        title: 'Openings of a hub',
        unit: 'connections without sockets; a listener of connect joins a room',
        note: 'Less is better. The listener of hub, async returns the promise of the join.',
        results: named(OPENING_CONTEST),
      },
      [
        ['us', 'hub.add, µs'],
        ['bytes', 'heap bytes of a session'],
      ],
    ),
    rowsTable(
      {
        title: 'Resumes',
        unit: 'clients without sockets, each has missed 1,000 messages of 100 B',
        note: 'Less is better. The most memory meanwhile.',
        results: named(RESUME_CONTEST),
      },
      [
        ['cpu', 'CPU of the node, s'],
        ['growth', 'growth of the resident memory, MiB'],
      ],
    ),
    rowsTable(
      {
        title: 'Nodes over Redis',
        unit: 'ms from the planned moment to each of 15 members',
        note: 'Less is better. The delay of the load is part of each latency.',
        results: named(NODES_CONTEST),
      },
      [
        ['p50', 'p50'],
        ['p99', 'p99'],
        ['late', 'delay of the load, p99'],
      ],
    ),
    rowsTable(
      {
        title: 'Two processes of one machine',
        unit: 'a room of 100 members on all processes, 16 messages of 100 B a turn',
        note: 'Less is better. The CPU of all processes counts: of the primary, and of Redis.',
        results: named(CLUSTER_CONTEST),
      },
      [
        ['us', 'CPU for one member, µs'],
        ['p99', 'delivery to the room, p99 in ms'],
      ],
    ),
    rowsTable(
      {
        title: 'Who is there, on three nodes over Redis',
        unit: 'sessions without sockets; the node with the largest value',
        note: 'Less is better.',
        results: named(PRESENCE_CONTEST),
      },
      [
        ['p50', 'a join is seen on other nodes, p50 in ms'],
        ['p99', 'a join is seen on other nodes, p99 in ms'],
        ['cpu', 'CPU of a node, % of a core'],
      ],
    ),
    rowsTable(
      {
        title: 'A large room of other nodes',
        unit: 'live heap of a node',
        note: 'Less is better.',
        results: named(PRESENCE_MEMORY_CONTEST),
      },
      [['memory', 'MiB']],
    ),
  ].filter(({ labels }) => labels.length > 0);
}

/** A table with a row for each metric. */
function rowsTable(
  columns: Omit<Parameters<typeof contenderTable>[0], 'labels'>,
  metrics: readonly (readonly [metric: string, label: string])[],
): Table {
  const rows = columns.results.flatMap((result) =>
    metrics.map(([metric, label]) => ({ result: { ...result }, metric, label })),
  );
  const metricOf = new Map(rows.map(({ result, metric }) => [result, metric]));
  return contenderTable(
    {
      ...columns,
      results: rows.map(({ result }) => result),
      labels: rows.map(({ result, label }) => `${result.name}: ${label}`),
    },
    (result, name) => spreadOver(result, name, metricOf.get(result)!),
  );
}
