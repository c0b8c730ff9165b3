import { Child } from '../harness/child.ts';
import type { Contest, Running } from '../harness/runner.ts';
import type { RoomLoadAnswers } from '../load/room-load-worker.ts';
import type { RoomServerAnswers } from '../rivals/room-server-worker.ts';
import { MAX_QUEUED_BYTES, SLOW } from '../rivals/room-servers.ts';
import { deliveryReading, startRoom } from './hub-rooms.ts';
import { type Environment, lackOfFiles, startChild, startProcesses } from './scenario.ts';

const FAST = 9000;
const SLOW_MEMBERS = 1000;
const SIZE = 100;

/** The contest, and its contenders. */
export const SLOW_MEMBERS_CONTEST = '10,000 members, 1,000 do not read';
const WITH_SLOW = 'hub';
const WITHOUT_SLOW = 'hub, without them';

/** The members that read, next to as many members in a room without slow ones. */
export function slowMembersContest(environment: Environment): Contest {
  return {
    name: SLOW_MEMBERS_CONTEST,
    contenders: [WITH_SLOW, WITHOUT_SLOW],
    lacks: lackOfFiles(FAST + SLOW_MEMBERS),
    start: (contender) => startProcesses((ends) => startMembers(environment, contender, ends)),
  };
}

/** The contest of members that do not read, next to other servers. */
export const UNREAD_CONTEST = '100 members, 16 KiB, 10 do not read';
const UNREAD = { members: 100, slow: 10, size: 16 * 1024 };
/** 23 MiB for each member: more than the bound of `broadcast`, 16 MiB. */
const UNREAD_TURNS = 1500;

/** Members that do not read, beside members that do, with a fixed number of messages. */
export function unreadContest(environment: Environment): Contest {
  return {
    name: UNREAD_CONTEST,
    contenders: ['hub', 'broadcast', 'ws', 'ws, corked', 'bun'],
    // A member that does not read is slow for good: its server serves one window.
    once: true,
    start: (contender) =>
      startProcesses(async (ends) => {
        const room = await startRoom(environment, UNREAD_CONTEST, contender, UNREAD, ends);
        await room.load.ask('pause', UNREAD.slow);
        return {
          async window() {
            const memory = await room.server.ask('memory', false);
            const before = await room.cpu();
            const ran = await room.load.ask('publish', { perTurn: 1, turns: UNREAD_TURNS });
            const cpu = (await room.cpu()) - before;
            const { resident } = await room.server.ask('memory', false);
            return { ...deliveryReading(ran, cpu), growth: (resident - memory.resident) / 2 ** 20 };
          },
        };
      }),
  };
}

async function startMembers(
  environment: Environment,
  contender: string,
  ends: (() => Promise<unknown>)[],
): Promise<Pick<Running, 'window'>> {
  const load = new Child<RoomLoadAnswers>('./room-load-worker.js', environment.cores.load);
  ends.push(() => load.end());
  const script = './room-server-worker.js';
  const { child, name } = startChild<RoomServerAnswers>(
    script,
    contender,
    SLOW_MEMBERS_CONTEST,
    environment,
    { flags: ['--expose-gc'] },
  );
  ends.push(() => child.end());
  const port = await child.ask('listen', { contender: 'hub', size: SIZE });
  const members = { port, protocol: 'plain', size: SIZE } as const;
  await load.ask('open', { ...members, members: FAST });
  let growth: number | undefined;
  if (name === WITH_SLOW) {
    await load.ask('open', { ...members, members: SLOW_MEMBERS, path: SLOW });
    await load.ask('pause', SLOW_MEMBERS);
    const before = await child.ask('memory', true);
    await child.ask('fill', undefined);
    growth = (await child.ask('memory', true)).resident - before.resident;
  }
  return {
    async window(ms) {
      const before = await child.ask('usage', undefined);
      const ran = await load.ask('publish', { perTurn: 1, ms });
      const after = await child.ask('usage', undefined);
      return {
        ...deliveryReading(ran, after.cpu - before.cpu),
        ...(growth !== undefined && {
          growth: growth / 2 ** 20,
          /** Of the bound that `maxQueuedBytes` sets for these sessions. */
          share: growth / (SLOW_MEMBERS * MAX_QUEUED_BYTES),
        }),
      };
    },
  };
}
