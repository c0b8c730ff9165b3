import { spreadOver } from '../harness/runner.ts';
import { type Spread, spreadOf } from '../harness/statistics.ts';
import { IN_MEMORY_CONTEST, MEMBERSHIP_CONTEST } from '../scenarios/hub-in-memory.ts';
import { NODES_CONTEST, ONE_NODE, THREE_NODES } from '../scenarios/hub-nodes.ts';
import { SLOW_MEMBERS_CONTEST, WITH_SLOW, WITHOUT_SLOW } from '../scenarios/hub-slow-members.ts';
import type { Results } from './documents.ts';
import { contestOf, type Goal, type Measure, times } from './goals-table.ts';

const LARGE = '100,000 members';
const TEN_THOUSAND = '10,000 members';

/** `room.publish` to 1,000 members, as times that of another contender. */
function publish(perTurn: number, base: string, must: number, aim: number): Goal {
  return {
    name: `publish to 1,000 members, ${perTurn} a turn, of ${base}`,
    must,
    aim,
    measure: times('hub', '1,000 members', 'hub', base, `${perTurn} us`),
  };
}

/** A figure of the hub. */
function figure(contest: string, metric: string, contender = 'hub'): Measure {
  return (results) => {
    const found = contestOf(results, 'hub', contest);
    return found && spreadOver(found, contender, metric);
  };
}

/** A figure that must not exceed a bound. */
function most(name: string, must: number, aim: number, measure: Measure): Goal {
  return { name, must, aim, less: true, measure };
}

/** The goals of issue 20. */
export const HUB_GOALS: readonly Goal[] = [
  publish(1, 'broadcast', 0.95, 0.98),
  publish(1, 'bun', 0.5, 0.8),
  publish(16, 'ws', 10, 12),
  publish(16, 'socket.io', 15, 30),
  publish(16, 'bun', 0.7, 1),
  most(`${TEN_THOUSAND}: delay of the event loop, p99, ms`, 12, 9, figure(TEN_THOUSAND, '1 delay')),
  most(`${LARGE}: CPU of one message to all, s`, 0.6, 0.45, figure(LARGE, '1 message')),
  most(`${LARGE}: delay of the event loop, p99, ms`, 12, 9, figure(LARGE, '1 delay')),
  most(
    `${IN_MEMORY_CONTEST}: delay of the event loop, p99, ms`,
    12,
    9,
    figure(IN_MEMORY_CONTEST, 'delay'),
  ),
  { name: 'join and leave, million a CPU second', must: 1, aim: 1.6, measure: joins },
  most('heap bytes of a membership', 110, 60, figure(MEMBERSHIP_CONTEST, 'bytes')),
  most(
    '1,000 of 10,000 do not read: p99 of the others, as times that without them',
    1.2,
    1.05,
    times('hub', SLOW_MEMBERS_CONTEST, WITHOUT_SLOW, WITH_SLOW, 'each'),
  ),
  most(
    'the same: growth of the resident memory, as a share of maxQueuedBytes of the 1,000',
    1,
    1,
    figure(SLOW_MEMBERS_CONTEST, 'share'),
  ),
  most('three nodes over Redis, 1,000 messages a second: added p99, ms', 5, 2, addedByNodes),
  {
    name: 'the same while Redis is killed every 10 s: losses that are not reported',
    must: 0,
    aim: 0,
    less: true,
    elsewhere: '`pnpm long hub`',
  },
];

function joins(results: Results): Spread | undefined {
  const us = figure(MEMBERSHIP_CONTEST, 'us')(results);
  return us && { median: 1 / us.median, least: 1 / us.most, most: 1 / us.least };
}

/** Subtracts within each round. */
function addedByNodes(results: Results): Spread | undefined {
  const readings = contestOf(results, 'hub', NODES_CONTEST)?.readings;
  const [one, three] = [ONE_NODE, THREE_NODES].map((name) => readings?.[name]?.['p99']);
  return (
    one &&
    three &&
    spreadOf(
      three.map(
        (windows, process) =>
          spreadOf(windows.map((p99, round) => p99 - one[process]![round]!)).median,
      ),
    )
  );
}
