import { lackOfPackage, packageVersion } from '../harness/optional-package.ts';
import type { ContestResult } from '../harness/runner.ts';
import { spreadOf } from '../harness/statistics.ts';
import type { SessionName } from '../load/session.ts';
import { contenderTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { NATIVE } from '../rivals/contenders.ts';
import { ECHO_WARM_UP, echoContest, QUICK_ECHO_WARM_UP, type Workload } from './echo.ts';
import { byTurn, roomContest } from './hub-rooms.ts';
import { memoryContest } from './memory.ts';
import type { Environment, Scenario } from './scenario.ts';

const KIB = 1024;
const CONTENDERS: readonly string[] = ['compat', 'ws', NATIVE];
const PAIR: readonly string[] = ['compat', 'ws'];
const MEMBERS = 1000;
const IDLE = 5000;

function binary(connections: number, depth: number, size: number): Workload {
  return { connections, depth, sizes: [size], content: 'binary' };
}

function session(name: SessionName): Workload {
  return { connections: 64, depth: 16, sizes: [16], content: 'ascii', session: () => name };
}

const WORKLOADS: Readonly<Record<string, Workload>> = {
  '64 x 1 x 16 B': binary(64, 1, 16),
  '64 x 16 x 16 B': binary(64, 16, 16),
  '64 x 16 x 1 KiB': binary(64, 16, KIB),
  '16 x 1 x 64 KiB': binary(16, 1, 64 * KIB),
};
const SESSIONS: Readonly<Record<string, Workload>> = {
  'engine.io 64 x 16 x 16 B': session('engine.io'),
  'socket.io 64 x 16 x 16 B': session('socket.io'),
};

/** `ws-bench compat`. */
export const compat: Scenario = {
  name: 'compat',
  summary:
    'the same servers with @ws/compat and with ws: echo, broadcast, engine.io, socket.io, memory',
  help: `Servers of one program run with @ws/compat, with ws as it is installed, and some with ws and bufferutil.
The load uses bare sockets and compares every received byte.

  workload   connections x messages in flight on each x bytes of a message
  broadcast  a loop over all clients; a room: io.to(room).emit of socket.io to all members
  idle       memory of a connection that has echoed one message
`,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: ECHO_WARM_UP },
  minutes: 5,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: QUICK_ECHO_WARM_UP },
  contests: (environment) => [
    ...echoes(environment, WORKLOADS, CONTENDERS),
    ...echoes(environment, SESSIONS, PAIR),
    { ...roomContest(environment, MEMBERS, PAIR), name: 'broadcast to 1,000' },
    {
      ...roomContest(environment, MEMBERS, ['socket.io, compat', 'socket.io']),
      name: 'socket.io room of 1,000',
    },
    memoryContest(environment, `${IDLE} idle connections`, PAIR, IDLE, { content: 'ascii' }),
  ],
  tables,
  versions: () =>
    lackOfPackage('socket.io') === undefined ? { 'socket.io': packageVersion('socket.io') } : {},
};

function echoes(
  environment: Environment,
  workloads: Readonly<Record<string, Workload>>,
  contenders: readonly string[],
): ReturnType<typeof echoContest>[] {
  return Object.entries(workloads).map(([name, workload]) =>
    echoContest(environment, name, workload, contenders),
  );
}

function tables(results: readonly ContestResult[]): Table[] {
  const all = [...results, ...byTurn(results)];
  const have = (metric: string, contender: string): ContestResult[] =>
    all.filter(({ readings }) => readings[contender]?.[metric] !== undefined);
  const unit = 'messages per CPU second of the server, relative to ws';
  const note = 'More is better.';
  return [
    ratioTable({ title: 'By code of ws', unit, note, results: have('us', 'ws') }, 'ws', 'us'),
    ratioTable(
      { title: 'A room of socket.io', unit, note, results: have('us', 'socket.io') },
      'socket.io',
      'us',
    ),
    contenderTable(
      {
        title: 'Resident memory of an idle connection after collections, as times that of ws',
        unit: 'ratio within a generation of processes',
        note: 'Less is better.',
        results: have('collected', 'ws'),
      },
      timesWs,
    ),
  ].filter(({ labels }) => labels.length > 0);
}

function timesWs({ readings }: ContestResult, name: string) {
  const own = readings[name]?.['collected'];
  const base = readings['ws']?.['collected'];
  return own && base && spreadOf(own.map(([bytes], process) => bytes! / base[process]![0]!));
}
