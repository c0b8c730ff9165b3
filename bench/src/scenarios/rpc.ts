import { lackOfPackage, packageVersion } from '../harness/optional-package.ts';
import { ratioTable } from '../report/contest-tables.ts';
import { ECHO_WARM_UP, echoContest, QUICK_ECHO_WARM_UP, type Workload } from './echo.ts';
import type { Scenario } from './scenario.ts';

const BY_HAND = 'by hand';

const REQUESTS: Workload = {
  connections: 64,
  depth: 16,
  sizes: [60],
  content: 'ascii',
  session: (contender) => (contender === 'socket.io' ? 'socket.io acks' : 'JSON-RPC'),
};

/** `ws-bench rpc`. */
export const rpc: Scenario = {
  name: 'rpc',
  summary: 'requests and answers: @ws/rpc, the same by hand, and acknowledgements of socket.io',
  help: `Servers answer requests with their text of 60 bytes.

  rpc        @ws/rpc: a contract with a schema for input and answer
  by hand    receive, json() and send, without checks
  socket.io  acknowledgements, over WebSockets alone
`,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: ECHO_WARM_UP },
  minutes: 1,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: QUICK_ECHO_WARM_UP },
  contests: (environment) => [
    echoContest(environment, '64 x 16 x 60 B', REQUESTS, ['rpc', BY_HAND, 'socket.io']),
  ],
  tables: (results) => [
    ratioTable(
      {
        title: 'Requests',
        unit: `requests per CPU second of the server, relative to ${BY_HAND}`,
        note: 'More is better.',
        results,
      },
      BY_HAND,
      'us',
    ),
  ],
  versions: () =>
    lackOfPackage('socket.io') === undefined ? { 'socket.io': packageVersion('socket.io') } : {},
};
