import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../harness/child.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import { RedisServer, redisVersion } from '../harness/redis.ts';
import type { Contest, Running } from '../harness/runner.ts';
import type { PresenceAnswers } from '../rivals/presence-worker.ts';
import { type Environment, startChild, startProcesses } from './scenario.ts';

const NODES = 3;
/** Joins and leaves of all nodes together, a second. */
const RATE = 1_000;
const LARGE = 10_000;
/** A window is so many times as long as that of other contests: its result is a high percentile. */
const LONGER = 4;
const SECOND_US = 1e6;
const MIB = 1_048_576;

export const PRESENCE_CONTEST = '1,000 joins and leaves a second';
export const PRESENCE_MEMORY_CONTEST = '10,000 members, one of them here';
const CONTENDER = 'hub, three nodes';

/** How fast a join is seen on other nodes, and what it costs each of them. */
export function presenceContest(environment: Environment): Contest {
  return {
    name: PRESENCE_CONTEST,
    contenders: [CONTENDER],
    lacks: lack(),
    start: (contender) => start(environment, contender, PRESENCE_CONTEST, [1, 1, 1], churned),
  };
}

/** The memory of a node that knows a large room. */
export function presenceMemoryContest(environment: Environment): Contest {
  return {
    name: PRESENCE_MEMORY_CONTEST,
    contenders: [CONTENDER],
    lacks: lack(),
    once: true,
    start: (contender) =>
      start(environment, contender, PRESENCE_MEMORY_CONTEST, [1, 0, 0], remembered),
  };
}

type Nodes = readonly Child<PresenceAnswers>[];

function lack(): string | undefined {
  return redisVersion() === undefined ? 'redis-server is not installed' : lackOfPackage('redis');
}

function start(
  environment: Environment,
  contender: string,
  contest: string,
  members: readonly number[],
  window: (nodes: Nodes, redis: number, ms: number) => ReturnType<Running['window']>,
): Promise<Running> {
  return startProcesses(async (ends) => {
    const redis = await RedisServer.start(environment.cores.server);
    ends.push(() => redis.end());
    const nodes: Child<PresenceAnswers>[] = [];
    for (let node = 0; node < NODES; node++) {
      const label = `${contest}, node ${node}`;
      const { child } = startChild<PresenceAnswers>(
        './presence-worker.js',
        contender,
        label,
        environment,
        { flags: ['--expose-gc'] },
      );
      ends.push(() => child.end());
      nodes.push(child);
    }
    const { port } = redis;
    for (const [i, child] of nodes.entries()) {
      await child.ask('start', { redis: port, members: members[i]! });
    }
    await knows(nodes, members[0]! * members.filter((count) => count > 0).length, members);
    return { window: (ms) => window(nodes, port, ms) };
  });
}

/** Resolves when each node with a member knows so many. */
async function knows(nodes: Nodes, count: number, members: readonly number[]): Promise<void> {
  for (const [i, node] of nodes.entries()) {
    while (members[i]! > 0 && (await node.ask('known', undefined)) !== count) await sleep(10);
  }
}

async function churned(nodes: Nodes, _: number, ms: number): ReturnType<Running['window']> {
  for (const node of nodes) await node.ask('seen', undefined);
  const before = await Promise.all(nodes.map((node) => node.ask('usage', undefined)));
  const plan = { rate: RATE / NODES, ms: LONGER * ms };
  await Promise.all(nodes.map((node) => node.ask('churn', plan)));
  const after = await Promise.all(nodes.map((node) => node.ask('usage', undefined)));
  const seen = await Promise.all(nodes.map((node) => node.ask('seen', undefined)));
  const cpu = after.map((usage, i) => usage.cpu - before[i]!.cpu);
  return {
    p50: Math.max(...seen.map(({ p50 }) => p50)),
    p99: Math.max(...seen.map(({ p99 }) => p99)),
    cpu: (100 * Math.max(...cpu)) / ((plan.ms * SECOND_US) / 1_000),
  };
}

async function remembered([first, second]: Nodes, redis: number): ReturnType<Running['window']> {
  const before = await first!.ask('memory', true);
  await second!.ask('start', { redis, members: LARGE - 1 });
  await knows([first!], LARGE, [1]);
  const after = await first!.ask('memory', true);
  return { memory: (after.heap - before.heap) / MIB };
}
