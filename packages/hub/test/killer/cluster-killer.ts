import { Random } from '@ws/tests';
import type { Relay } from '../nats/relay.ts';
import type { TestCluster } from '../redis/cluster.ts';
import { Fleet } from './fleet.ts';
import { judgedGaps, type Totals, totalsOf } from './fleet-checker.ts';
import type { Differences } from './presence-checker.ts';
import { LARGE, NAMES } from './protocol.ts';

/** The replica of a primary takes over; a primary dies; slots move; a primary is stopped by SIGSTOP. */
type Fault = 'failover' | 'kill' | 'move' | 'stop';

export const FAULTS: readonly Fault[] = ['failover', 'kill', 'move', 'stop'];
const NODES = 3;
const STOPS = [500, 2_000, 5_500];

/** The result of {@link killCluster}. */
export interface Result extends Totals {
  readonly steps: readonly string[];
  readonly gaps: number;
  /** Gaps of rooms without a fault of their slot and without a missing message. */
  readonly strangeGaps: readonly string[];
  readonly presence: Differences;
  readonly notes: readonly string[];
}

/** A seeded sequence of faults of a cluster, under the messages of three nodes and their members. */
export async function killCluster(
  cluster: TestCluster,
  seed: number,
  count: number,
  members: number,
): Promise<Result> {
  const random = new Random(seed);
  const root = { port: cluster.ports[0]! } as Relay;
  const fleet = new Fleet(
    'cluster',
    Array.from({ length: NODES }, () => root),
    'close',
  );
  const steps: string[] = [];
  /** By step, the rooms of the slots that it concerns. */
  const concerned: ReadonlySet<string>[] = [new Set()];
  let left: readonly Fault[] = [];
  let presence: Differences;
  try {
    await fleet.start(members, 0, seed);
    await fleet.more(3);
    for (let i = 0; i < count; i++) {
      if (left.length === 0) left = FAULTS;
      const fault = random.pick(left);
      left = left.filter((other) => other !== fault);
      const primary = random.pick(await cluster.primaries());
      const rooms = await roomsOf(cluster, primary);
      fleet.step++;
      concerned.push(new Set(rooms));
      steps.push(`${fault} ${primary}: ${rooms.join(' ')}`);
      fleet.note(`step ${fleet.step}: ${steps.at(-1)}`);
      await strike(cluster, fault, primary, rooms, random);
      fleet.stepEnded();
      await fleet.allUp();
      await fleet.more(3);
    }
    await fleet.finish();
    presence = await fleet.presence();
  } finally {
    fleet.close();
  }
  const totals = totalsOf(fleet, ['through', 'ordered']);
  const strangeGaps = strange(fleet, concerned);
  return { ...totals, steps, gaps: fleet.gaps.length, strangeGaps, presence, notes: fleet.notes };
}

async function roomsOf(cluster: TestCluster, primary: number): Promise<string[]> {
  const rooms: string[] = [];
  for (const room of [...NAMES, ...LARGE]) {
    if ((await cluster.ownerOf(`room/${room}`)) === primary) rooms.push(room);
  }
  return rooms;
}

/** @param rooms - Those whose slots move. */
export async function strike(
  cluster: TestCluster,
  fault: Fault,
  primary: number,
  rooms: readonly string[],
  random: Random,
): Promise<void> {
  switch (fault) {
    case 'failover':
      return void (await cluster.failover(primary));
    case 'kill':
      await cluster.kill(primary);
      return cluster.refill();
    case 'move': {
      const others = (await cluster.primaries()).filter((port) => port !== primary);
      for (const room of rooms.slice(0, 4)) {
        await cluster.moveSlot(await cluster.slotOf(`room/${room}`), random.pick(others));
      }
      return;
    }
    case 'stop':
      cluster.daemon(primary).process.kill('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, random.pick(STOPS)));
      cluster.daemon(primary).process.kill('SIGCONT');
      return cluster.settled();
  }
}

/** A gap may come a digest later than its fault, in the next step. */
function strange(fleet: Fleet, concerned: readonly ReadonlySet<string>[]): string[] {
  const { needed } = judgedGaps(fleet);
  return fleet.gaps.flatMap(({ run, room, number, step }) => {
    const isConcerned = [concerned[step], concerned[step - 1]].some((rooms) => rooms?.has(room));
    if (isConcerned || needed.has(`${run} ${number}`)) return [];
    return [`${run} ${room}: gap ${number} in step ${step}`];
  });
}
