import { setTimeout as wait } from 'node:timers/promises';
import { type Dialer } from '@ws/node-client';
import { abusiveClients } from './abusive-clients.ts';
import { answer } from './child.ts';
import { normalClient } from './normal-client.ts';
import { type Address, nearlyAll, type Plan } from './options.ts';
import { dialers, ownClients } from './own-clients.ts';
import { Population } from './population.ts';
import { ProcessMonitor, type Sample, type Snapshot } from './process-monitor.ts';
import { RunState } from './run-state.ts';
import { wsClients } from './ws-clients.ts';

// The client process of the soak.

export interface ClientSample extends Sample {
  readonly open: number;
  readonly opened: number;
  readonly ended: number;
  readonly messages: number;
  readonly faults: number;
}

export interface ClientSnapshot extends Snapshot {
  readonly open: number;
  /** Count of each unexpected event. */
  readonly faults: ReadonlyMap<string, number>;
}

export interface ClientPlan extends Plan {
  readonly addresses: readonly Address[];
  readonly ca: string | undefined;
}

/** Longest time in ms for all clients to connect or to leave, on a busy machine. */
const LONGEST = 300_000;

const monitor = new ProcessMonitor();
let plan: ClientPlan;
let state: RunState;
let population: Population;
let ours: readonly Dialer[];
let allLeft: Promise<void>;

function start(given: ClientPlan): void {
  plan = given;
  state = new RunState(plan.addresses, plan.ca);
  ours = dialers(plan.ca);
  population = new Population(
    state,
    normalClient,
    [...ownClients(ours), ...wsClients, ...abusiveClients],
    plan.seed,
  );
}

/** Long enough for compression: the pool of engines starts its timer before the first snapshot. */
const HELLO = 'hello'.repeat(500);

/** One echo of each server for each dialer. */
async function greet(): Promise<void> {
  for (const { url } of plan.addresses) {
    for (const dialer of ours) {
      const conn = await dialer.dial(`${url}/echo/lent`);
      await conn.send(HELLO);
      if ((await conn.readMessage()).text() !== HELLO) throw new Error('wrong echo');
      await conn.close();
    }
  }
}

/** Connects the planned clients. Resolves to the seconds until nearly all were open; undefined: too slow. */
async function connectAll(): Promise<number | undefined> {
  state.begin();
  const began = performance.now();
  allLeft = population.fill(plan.connections);
  while (performance.now() < began + LONGEST) {
    if (state.open >= nearlyAll(plan)) return (performance.now() - began) / 1_000;
    await wait(100);
  }
  return undefined;
}

/** Stops new clients and disconnects all. */
async function leave(): Promise<void> {
  state.stop();
  if (!(await state.within(LONGEST, allLeft)))
    state.fault(`still connected: ${population.present}`);
}

answer({
  start,
  greet,
  connectAll,
  stay: (seconds: number) => wait(seconds * 1_000),
  leave,
  sample: (): ClientSample => {
    const { open, opened, ended, messages } = state;
    const faults = [...state.faults.values()].reduce((sum, count) => sum + count, 0);
    return { ...monitor.sample(), open, opened, ended, messages, faults };
  },
  snapshot: async (before?: Snapshot): Promise<ClientSnapshot> => ({
    ...(await monitor.snapshot(before)),
    open: state.open,
    faults: state.faults,
  }),
});
