import { Random } from '@ws/tests';
import type { Relay } from '../nats/relay.ts';
import { Fleet, roomOf } from './fleet.ts';
import { checkLog, checkOffsets, checkOrder, type Totals } from './history-checker.ts';

export const FAULTS = ['engine', 'node', 'cut', 'blackhole'] as const;
export type Fault = (typeof FAULTS)[number];

/** An engine that the killer kills and starts again. */
export interface Engine {
  readonly name: 'redis' | 'nats';
  /** Rooms whose messages all nodes receive in the same order. */
  readonly ordered: readonly string[];
  relay(): Promise<Relay>;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** The result of {@link kill}. */
export interface Result extends Totals {
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly clients: number;
  readonly published: number;
  readonly outages: number;
  readonly gaps: number;
  /** Gaps beyond one for each node, room and outage, and gaps without an outage. */
  readonly wrongGaps: readonly string[];
}

/**
 * Three nodes and 200 clients, while a seeded sequence of `count` faults of these `kinds` kills the
 * engine or a node, cuts a node off, or freezes its network.
 *
 * @throws Error for a duplicate or a wrong order.
 */
export async function kill(
  engine: Engine,
  seed: number,
  kinds: readonly Fault[],
  count: number,
): Promise<Result> {
  const random = new Random(seed);
  const relays = [await engine.relay(), await engine.relay(), await engine.relay()];
  const fleet = new Fleet(engine.name, relays);
  const clients = 200;
  const faults: Fault[] = [];
  /** By fault: the number of outages before it. */
  const outages: number[] = [];
  try {
    await fleet.start(clients, new Random(seed));
    await fleet.more(5);
    // Each kind of fault occurs, in a random order.
    let left: Fault[] = [];
    for (let i = 0; i < count; i++) {
      if (left.length === 0) left = [...kinds];
      const fault = random.pick(left);
      left = left.filter((other) => other !== fault);
      faults.push(fault);
      outages.push(fleet.outage);
      fleet.fault++;
      await strike(engine, fleet, relays, fault, random.pick([0, 1, 2]));
      await fleet.allUp();
      await fleet.more(5);
    }
    await fleet.finish();
  } finally {
    fleet.close();
  }
  const totals: Totals = { received: 0, holes: 0, unreported: [] };
  for (const log of fleet.logs) checkLog(log, fleet.accepted.get(roomOf(log))!, totals);
  for (const room of engine.ordered) {
    const logs = fleet.logs.filter((log) => roomOf(log) === room);
    checkOrder(room, logs);
    for (const log of logs) checkOffsets(log, fleet.accepted.get(room)!);
  }
  return {
    seed,
    faults,
    clients,
    published: publishedBy(fleet),
    ...totals,
    gaps: fleet.gaps.length,
    wrongGaps: wrongGaps(fleet, faults, outages),
    outages: fleet.outage,
  };
}

async function strike(
  engine: Engine,
  fleet: Fleet,
  relays: readonly Relay[],
  fault: Fault,
  index: number,
): Promise<void> {
  if (fault === 'node') return fleet.killNode(index);
  if (fault === 'engine') {
    await engine.stop();
    for (const node of relays.keys()) await fleet.isDown(node);
    await engine.start();
    return;
  }
  if (fault === 'cut') relays[index]!.cut();
  else relays[index]!.freeze();
  await fleet.isDown(index);
  relays[index]!.mend();
}

function publishedBy({ accepted }: Fleet): number {
  let sum = 0;
  for (const nodes of accepted.values()) for (const { size } of nodes.values()) sum += size;
  return sum;
}

/**
 * The gaps that the promise forbids: a second one for a node, room and outage, and one while the
 * engine is up. A new subscription may cause one more: a message that the network has delayed looks
 * as if the message before it came after the subscription.
 */
function wrongGaps(
  { gaps }: Fleet,
  faults: readonly Fault[],
  outages: readonly number[],
): string[] {
  const seen = new Set<string>();
  return gaps.flatMap(({ run, room, fault, outage, downs, rejoins }) => {
    const before = outages[fault - 1] ?? 0;
    const outageKey = `${run} ${room}: outage ${outage}.${downs}`;
    const rejoinKey = `${run} ${room}: rejoin ${rejoins}`;
    // Another fault may cause a gap before its outage is reported.
    const isCalm = outage === before && (fault === 0 || faults[fault - 1] === 'node');
    const key = isCalm || seen.has(outageKey) ? rejoinKey : outageKey;
    // On a busy machine there are more outages than faults, and nodes return one after the other.
    const isChecked = isCalm || (fault > 0 && outage === before + 1);
    const isWrong = seen.has(key) || (key === rejoinKey && rejoins === 0);
    seen.add(key);
    return isChecked && isWrong ? [`${faults[fault - 1] ?? 'no fault'} ${fault}, ${key}`] : [];
  });
}
