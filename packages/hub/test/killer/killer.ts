import { Random } from '@ws/tests';
import type { Relay } from '../nats/relay.ts';
import type { Engine } from './engines.ts';
import { Fleet } from './fleet.ts';
import { judgedGaps, type Totals, totalsOf } from './fleet-checker.ts';
import type { Differences } from './presence-checker.ts';
import { POLICIES } from './visits.ts';

/**
 * A killed or stopped (SIGSTOP) server of the engine, a killed or stopped node, a node that is cut
 * off, whose connection tears in the middle of a message, or whose network is silent, and a cut
 * route between two servers.
 */
export type Fault =
  | 'engine'
  | 'engine-stop'
  | 'node'
  | 'node-stop'
  | 'cut'
  | 'tear'
  | 'blackhole'
  | 'route';

/** A fault of one node, or of its server. */
interface Strike {
  readonly fault: Fault;
  readonly node: number;
  /** How long it lasts. A killed or disconnected node counts from the time at which it notices. */
  readonly ms: number;
}

/** The result of {@link kill}. */
export interface Result extends Totals {
  readonly seed: number;
  /** The overflow policy for the visitors. */
  readonly policy: string;
  /** The results of the visitors. */
  readonly visits: {
    readonly resumes: number;
    readonly complete: number;
    readonly received: number;
    /** Connections that have lost messages by an overflow. */
    readonly overflows: number;
    /** Messages that are missing, with a word. */
    readonly told: number;
  };
  /** The faults of each step: one, or two at the same time. */
  readonly steps: readonly string[];
  readonly members: number;
  readonly published: number;
  readonly outages: number;
  /** Members that nodes know and that are not there, or that they do not know. */
  readonly presence: Differences;
  readonly gaps: number;
  /** Gaps without a lost message, beyond one for each node, room and outage. */
  readonly wrongGaps: readonly string[];
  /** The times in s of faults, outages and errors. */
  readonly notes: readonly string[];
}

const NODES = 3;
const DURATIONS = [0, 500, 2_000, 5_500];
/** Faults of the same server or route, which end each other. */
const SAME: Partial<Record<Fault, Fault>> = { engine: 'engine-stop', 'engine-stop': 'engine' };

/**
 * Three nodes and their members, some of which read slowly or lose their connection, and visitors that
 * come and go with positions, while a seeded
 * sequence of `count` faults of these `kinds` strikes the engine, the nodes, and what is between them.
 */
export async function kill(
  engine: Engine,
  seed: number,
  kinds: readonly Fault[],
  count: number,
  members: number,
  visitors: number,
): Promise<Result> {
  const isAlone = (fault: Fault): boolean => fault === 'engine' && engine.launch !== undefined;
  const steps = plan(new Random(seed), kinds, count, isAlone);
  const { servers } = engine;
  const relays: Relay[] = [];
  while (relays.length < NODES) {
    relays.push(await servers[relays.length % servers.length]!.relay());
  }
  const policy = POLICIES[seed % POLICIES.length]!;
  const fleet = new Fleet(engine.name, relays, policy, engine.launch);
  let presence: Differences;
  try {
    await fleet.start(members, visitors, seed);
    await fleet.more(3);
    for (const step of steps) {
      fleet.step++;
      fleet.note(`step ${fleet.step}: ${textOf(step)}`);
      await Promise.all(step.map((each) => strike(engine, fleet, relays, each)));
      fleet.stepEnded();
      await fleet.allUp();
      await fleet.more(3);
    }
    await fleet.finish();
    presence = await fleet.presence();
  } finally {
    fleet.close();
  }
  const totals = totalsOf(fleet, engine.ordered);
  const judged = fleet.visitors.map((each) =>
    each.judge(fleet.accepted.get(each.room)!, fleet.published.get(each.room)!, fleet.killed),
  );
  totals.doubles.push(...judged.flatMap(({ doubles }) => doubles));
  totals.unreported.push(...judged.flatMap(({ lost }) => lost));
  const events = fleet.visitors.flatMap((each) => each.events);
  return {
    seed,
    policy,
    visits: {
      resumes: events.filter((event) => 'complete' in event).length,
      complete: events.filter((event) => 'complete' in event && event.complete).length,
      received: events.filter((event) => 'run' in event).length,
      overflows: fleet.visitors.reduce((sum, { dropped }) => sum + dropped.size, 0),
      told: judged.reduce((sum, { told }) => sum + told, 0),
    },
    steps: steps.map(textOf),
    members,
    published: publishedBy(fleet),
    ...totals,
    presence,
    gaps: fleet.gaps.length,
    wrongGaps: wrongGaps(fleet, steps.map(textOf)),
    outages: fleet.outage,
    notes: fleet.notes,
  };
}

/**
 * Each kind of fault occurs, in a random order. A third of the steps has two faults.
 *
 * @param isAlone - The fault ends all nodes, so no other is at the same time.
 */
function plan(
  random: Random,
  kinds: readonly Fault[],
  count: number,
  isAlone: (fault: Fault) => boolean,
): Strike[][] {
  const steps: Strike[][] = [];
  let left: Fault[] = [];
  for (let i = 0; i < count; i++) {
    if (left.length === 0) left = [...kinds];
    const fault = random.pick(left);
    left = left.filter((other) => other !== fault);
    const next = { fault, node: random.below(NODES), ms: random.pick(DURATIONS) };
    const [last] = steps.slice(-1);
    const pairs = random.once(3) && last?.length === 1;
    const isSole = isAlone(fault) || (last !== undefined && isAlone(last[0]!.fault));
    if (pairs && !isSole && last[0]!.fault !== fault && last[0]!.fault !== SAME[fault])
      last.push(next);
    else steps.push([next]);
  }
  return steps;
}

function textOf(step: readonly Strike[]): string {
  return step.map(({ fault, node, ms }) => `${fault} ${node} ${ms}`).join(' + ');
}

async function strike(
  { servers, route, launch }: Engine,
  fleet: Fleet,
  relays: readonly Relay[],
  { fault, node, ms }: Strike,
): Promise<void> {
  const server = servers[node % servers.length]!;
  const relay = relays[node]!;
  switch (fault) {
    case 'engine':
      await server.stop();
      if (launch !== undefined) {
        await server.start();
        return fleet.restartAll();
      }
      for (let i = node % servers.length; i < NODES; i += servers.length) await fleet.isDown(i);
      await sleep(ms);
      return server.start();
    case 'engine-stop':
      server.signal('SIGSTOP');
      await sleep(ms);
      return server.signal('SIGCONT');
    case 'node':
      return fleet.killNode(node);
    case 'node-stop':
      return fleet.stopNode(node, ms);
    case 'cut':
    case 'blackhole':
      if (fault === 'cut') relay.cut();
      else relay.freeze();
      await fleet.isDown(node);
      await sleep(ms);
      return relay.mend();
    case 'tear':
      return relay.tear();
    case 'route':
      route!.cut();
      await sleep(ms);
      return route!.mend();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function publishedBy({ accepted }: Fleet): number {
  let sum = 0;
  for (const nodes of accepted.values()) for (const { size } of nodes.values()) sum += size;
  return sum;
}

/**
 * The gaps that the promise forbids. A gap is right in the place of a lost message, and once in each
 * room after an outage of its node.
 */
function wrongGaps(fleet: Fleet, steps: readonly string[]): string[] {
  const { needed, unneeded } = judgedGaps(fleet);
  const outages = new Set<string>();
  return fleet.gaps.flatMap(({ run, room, number, step, downs }) => {
    const name = `${run} ${number}`;
    const outage = `${run} ${room}: outage ${downs}`;
    const isFirst = downs > 0 && !outages.has(outage);
    outages.add(outage);
    if (isFirst || needed.has(name) || !unneeded.has(name)) return [];
    return [`${outage}, gap ${number}, ${steps[step - 1] ?? 'no fault'} (step ${step})`];
  });
}
