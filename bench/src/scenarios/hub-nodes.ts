import { Child } from '../harness/child.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import { RedisServer, redisVersion } from '../harness/redis.ts';
import type { Contest, Running } from '../harness/runner.ts';
import type { RoomLoadAnswers } from '../load/room-load-worker.ts';
import type { RoomServerAnswers } from '../rivals/room-server-worker.ts';
import { type Environment, startChild, startProcesses } from './scenario.ts';

const NODES = 3;
const RATE = 1000;
/** Members on all nodes together. */
const MEMBERS = 15;
const SIZE = 100;
/** A window is so many times as long as that of other contests: its result is a high percentile. */
const LONGER = 4;

/** The contest, and its contenders. */
export const NODES_CONTEST = '1,000 messages a second';
const ONE_NODE = 'hub, one node';
export const THREE_NODES = 'hub, three nodes';

/** The latency of messages that cross nodes, next to that of one node without a backplane. */
export function nodesContest(environment: Environment): Contest {
  return {
    name: NODES_CONTEST,
    contenders: [ONE_NODE, THREE_NODES],
    lacks: redisVersion() === undefined ? 'redis-server is not installed' : lackOfPackage('redis'),
    start: (contender) => startNodes(environment, contender),
  };
}

function startNodes(environment: Environment, contender: string): Promise<Running> {
  const { cores } = environment;
  return startProcesses(async (ends) => {
    const many = contender.startsWith(THREE_NODES);
    const redis = many ? await RedisServer.start(cores.server) : undefined;
    if (redis !== undefined) ends.push(() => redis.end());
    const load = new Child<RoomLoadAnswers>('./room-load-worker.js', cores.load);
    ends.push(() => load.end());
    const nodes = many ? NODES : 1;
    for (let node = 0; node < nodes; node++) {
      const label = `${NODES_CONTEST}, node ${node}`;
      const script = './room-server-worker.js';
      const { child } = startChild<RoomServerAnswers>(script, contender, label, environment);
      ends.push(() => child.end());
      const port = await child.ask('listen', { contender: 'hub', size: SIZE, redis: redis?.port });
      await load.ask('open', { port, protocol: 'plain', members: MEMBERS / nodes, size: SIZE });
    }
    await redis?.subscribed(NODES);
    return {
      async window(ms) {
        const { each, late } = await load.ask('pace', { rate: RATE, ms: LONGER * ms });
        return { p50: each.p50, p99: each.p99, late: late.p99 };
      },
    };
  });
}
