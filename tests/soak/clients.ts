import { setTimeout as wait } from 'node:timers/promises';
import { type Dialer } from '@ws/node-client';
import { calmLife } from './calm-life.ts';
import { type Census, Observer, type Sample } from './census.ts';
import { answer } from './child.ts';
import { Crowd } from './crowd.ts';
import { dialers, ourLives } from './our-lives.ts';
import { type Address, nearlyAll, type Plan } from './plan.ts';
import { rudeLives } from './rude-lives.ts';
import { Scene } from './scene.ts';
import { wsLives } from './ws-lives.ts';

// The process of the soak that dials.

/** What {@link Sample} is of the clients. */
export interface ClientSample extends Sample {
  readonly open: number;
  readonly opened: number;
  readonly ended: number;
  readonly messages: number;
  /** How often something went otherwise than it should. */
  readonly faults: number;
}

/** What {@link Census} is of the clients. */
export interface ClientCensus extends Census {
  readonly open: number;
  /** What went otherwise than it should, and how often. */
  readonly faults: ReadonlyMap<string, number>;
}

/** What {@link Plan} is to the clients. */
export interface ClientPlan extends Plan {
  readonly addresses: readonly Address[];
  readonly ca: string | undefined;
}

/** The longest that all may take to come, or to leave, in ms: for a machine that has little time for us. */
const LONGEST = 300_000;

const observer = new Observer();
let plan: ClientPlan;
let scene: Scene;
let crowd: Crowd;
let ours: readonly Dialer[];
let gone: Promise<void>;

function start(given: ClientPlan): void {
  plan = given;
  scene = new Scene(plan.addresses, plan.ca);
  ours = dialers(plan.ca);
  crowd = new Crowd(scene, calmLife, [...ourLives(ours), ...wsLives, ...rudeLives], plan.seed);
}

/** Long enough to be compressed: a pool of engines has a timer from the first one on, for a minute. */
const HELLO = 'hello'.repeat(500);

/** One echo from every server, by every dialer. */
async function greet(): Promise<void> {
  for (const { url } of plan.addresses) {
    for (const dialer of ours) {
      const { conn } = await dialer.dial(`${url}/echo/lent`);
      await conn.send(HELLO);
      if ((await conn.readMessage()).text() !== HELLO) throw new Error('another echo');
      await conn.close();
    }
  }
}

/** Keeps as many here as the plan says; gives after how many seconds nearly all were here, undefined when they never are. */
async function come(): Promise<number | undefined> {
  scene.begin();
  const began = performance.now();
  gone = crowd.fill(plan.connections);
  while (performance.now() < began + LONGEST) {
    if (scene.open >= nearlyAll(plan)) return (performance.now() - began) / 1_000;
    await wait(100);
  }
  return undefined;
}

/** Nobody comes any more, and all leave. */
async function leave(): Promise<void> {
  scene.stop();
  if (!(await scene.within(LONGEST, gone))) scene.fault(`still there: ${crowd.present}`);
}

answer({
  start,
  greet,
  come,
  stay: (seconds: number) => wait(seconds * 1_000),
  leave,
  sample: (): ClientSample => {
    const { open, opened, ended, messages } = scene;
    const faults = [...scene.faults.values()].reduce((sum, count) => sum + count, 0);
    return { ...observer.sample(), open, opened, ended, messages, faults };
  },
  census: async (before?: Census): Promise<ClientCensus> => ({
    ...(await observer.census(before)),
    open: scene.open,
    faults: scene.faults,
  }),
});
