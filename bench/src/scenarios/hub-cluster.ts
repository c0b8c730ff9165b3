import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../harness/child.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import { RedisServer, redisVersion } from '../harness/redis.ts';
import type { Contest, Running } from '../harness/runner.ts';
import type { RoomLoadAnswers } from '../load/room-load-worker.ts';
import type { RoomClusterAnswers } from '../rivals/room-cluster-worker.ts';
import type { RoomServerAnswers } from '../rivals/room-server-worker.ts';
import { deliveryReading } from './hub-rooms.ts';
import { type Environment, startChild, startProcesses } from './scenario.ts';

/** Members of all processes together. */
const MEMBERS = 100;
const PER_TURN = 16;
const SIZE = 100;
const PROCESSES = 2;
const SUBSCRIBED_MS = 500;
/** A window is so many times as long as that of other contests: the CPU of Redis is known in steps of 10 ms. */
const LONGER = 4;

/** The contest, and its contenders. */
export const CLUSTER_CONTEST = '100 members on one machine';
const ONE = 'hub, one process';
const WORKERS = 'hub, two workers';
const REDIS = 'hub, two over Redis';

/** A room on two processes of one machine, next to one process. The CPU of all processes counts. */
export function clusterContest(environment: Environment): Contest {
  return {
    name: CLUSTER_CONTEST,
    contenders: [ONE, WORKERS, REDIS],
    lacks: redisVersion() === undefined ? 'redis-server is not installed' : lackOfPackage('redis'),
    start: (contender) => startContender(environment, contender),
  };
}

function startContender(environment: Environment, contender: string): Promise<Running> {
  const { cores } = environment;
  return startProcesses(async (ends) => {
    const load = new Child<RoomLoadAnswers>('./room-load-worker.js', cores.load);
    ends.push(() => load.end());
    const cpus: (() => Promise<number>)[] = [];
    const open = (port: number, members: number): Promise<void> =>
      load.ask('open', { port, protocol: 'plain', members, size: SIZE });
    if (contender.startsWith(WORKERS)) {
      const script = './room-cluster-worker.js';
      const { child } = startChild<RoomClusterAnswers>(
        script,
        contender,
        CLUSTER_CONTEST,
        environment,
      );
      ends.push(() => child.end());
      // The workers take turns with the connections.
      await open(
        await child.ask('listen', { contender: 'hub', size: SIZE, isCluster: true }),
        MEMBERS,
      );
      // The broker has the subscriptions of the workers then.
      await sleep(SUBSCRIBED_MS);
      cpus.push(async () => (await child.ask('usage', undefined)).cpu);
    } else {
      const redis = contender.startsWith(REDIS) ? await RedisServer.start(cores.server) : undefined;
      if (redis !== undefined) {
        ends.push(() => redis.end());
        cpus.push(async () => redis.cpu());
      }
      const processes = redis === undefined ? 1 : PROCESSES;
      for (let i = 0; i < processes; i++) {
        const label = `${CLUSTER_CONTEST}, process ${i}`;
        const script = './room-server-worker.js';
        const { child } = startChild<RoomServerAnswers>(script, contender, label, environment);
        ends.push(() => child.end());
        const plan = { contender: 'hub', size: SIZE, redis: redis?.port } as const;
        await open(await child.ask('listen', plan), MEMBERS / processes);
        cpus.push(async () => (await child.ask('usage', undefined)).cpu);
      }
      await redis?.subscribed(PROCESSES);
    }
    const cpu = async (): Promise<number> => {
      const all = await Promise.all(cpus.map((each) => each()));
      return all.reduce((sum, each) => sum + each, 0);
    };
    await load.ask('publish', { perTurn: PER_TURN, ms: 100 });
    return {
      async window(ms) {
        const before = await cpu();
        const ran = await load.ask('publish', { perTurn: PER_TURN, ms: LONGER * ms });
        return deliveryReading(ran, (await cpu()) - before);
      },
    };
  });
}
