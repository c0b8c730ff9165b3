import { Child } from '../harness/child.ts';
import { lackOfPackage, packageVersion } from '../harness/optional-package.ts';
import type { Contest, Running } from '../harness/runner.ts';
import { ratioTable } from '../report/contest-tables.ts';
import type { ItemsAnswers, ItemsName } from '../rivals/items-worker.ts';
import { ECHO_WARM_UP, echoContest, QUICK_ECHO_WARM_UP, type Workload } from './echo.ts';
import { type Environment, type Scenario, startChild } from './scenario.ts';

const BY_HAND = 'by hand';

const REQUESTS: Workload = {
  connections: 64,
  depth: 16,
  sizes: [60],
  content: 'ascii',
  session: (contender) => (contender === 'socket.io' ? 'socket.io acks' : 'JSON-RPC'),
};

const PLAIN: ItemsName = 'conn.send';
const WAYS: readonly ItemsName[] = ['rpc stream', PLAIN, 'socket.io, events'];
/** Items of one call. */
const RUN = 5_000;

/** A contest of servers by CPU for an item that one reader takes. */
function itemsContest(environment: Environment): Contest {
  const name = 'items of 100 B';
  return {
    name,
    contenders: WAYS,
    lacks: lackOfPackage('socket.io'),
    async start(contender): Promise<Running> {
      const script = './items-worker.js';
      const started = startChild<ItemsAnswers>(script, contender, name, environment);
      const { child } = started;
      const folder = started.name === contender ? undefined : environment.before;
      const reader = new Child<ItemsAnswers>(script, environment.cores.load, { folder });
      const way = started.name as ItemsName;
      await reader.ask('connect', { name: way, port: await child.ask('listen', way) });
      return {
        async window(ms) {
          const [end, before] = [performance.now() + ms, await child.ask('usage', undefined)];
          let items = 0;
          for (; performance.now() < end; items += RUN) await reader.ask('read', RUN);
          const after = await child.ask('usage', undefined);
          return { us: (after.cpu - before.cpu) / items };
        },
        end: () => Promise.all([child.end(), reader.end()]),
      };
    },
  };
}

/** `ws-bench rpc`. */
export const rpc: Scenario = {
  name: 'rpc',
  summary: 'requests, answers and items: @ws/rpc, the same by hand, and socket.io',
  help: `Servers answer requests with their text of 60 bytes.

  rpc        @ws/rpc: a contract with a schema for input and answer
  by hand    receive, json() and send, without checks
  socket.io  acknowledgements, over WebSockets alone

Then one client reads items of 100 bytes, as fast as it can.

  rpc stream         a stream of a contract
  conn.send          an awaited message for each item
  socket.io, events  an event for each item, 64 in a turn
`,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: ECHO_WARM_UP },
  minutes: 1,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: QUICK_ECHO_WARM_UP },
  contests: (environment) => [
    echoContest(environment, '64 x 16 x 60 B', REQUESTS, ['rpc', BY_HAND, 'socket.io']),
    itemsContest(environment),
  ],
  tables: (results) =>
    [
      ratioTable(
        {
          title: 'Requests',
          unit: `requests per CPU second of the server, relative to ${BY_HAND}`,
          note: 'More is better.',
          results: results.filter(({ readings }) => BY_HAND in readings),
        },
        BY_HAND,
        'us',
      ),
      ratioTable(
        {
          title: 'Items',
          unit: `items per CPU second of the server, relative to ${PLAIN}`,
          note: 'More is better.',
          results: results.filter(({ readings }) => PLAIN in readings),
        },
        PLAIN,
        'us',
      ),
    ].filter(({ labels }) => labels.length > 0),
  versions: () =>
    lackOfPackage('socket.io') === undefined ? { 'socket.io': packageVersion('socket.io') } : {},
};
