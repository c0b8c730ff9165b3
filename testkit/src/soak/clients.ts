import { setTimeout as wait } from 'node:timers/promises';
import { type Dialer } from '@ws/node-client';
import { type Census, Observer, type Sample } from './census.ts';
import { answer } from './child.ts';
import { Crowd } from './crowd.ts';
import { dialers, ourLives } from './our-lives.ts';
import type { Address, Plan } from './plan.ts';
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

/** The longest that all may take to come, or to leave, in ms. */
const LONGEST = 180_000;
/** How long the first wave stays once all are there, in ms. */
const STAY = 1_000;

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
  crowd = new Crowd(scene, [...ourLives(ours), ...wsLives, ...rudeLives], plan.seed);
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

/** Keeps as many here as the plan says; resolves once nearly all have come, or after so long that they never will. */
async function come(): Promise<void> {
  scene.begin();
  gone = crowd.fill(plan.connections);
  const enough = Math.floor(plan.connections * 0.9);
  const until = performance.now() + Math.min(LONGEST, Math.max(30_000, plan.seconds * 1_000));
  while (scene.open < enough && performance.now() < until) await wait(100);
}

/** Nobody comes any more, and all leave. */
async function leave(): Promise<void> {
  scene.stop();
  if (!(await scene.within(LONGEST, gone))) throw new Error(`still there: ${crowd.present}`);
}

/** All come, stay for a moment, and leave. */
async function wave(): Promise<void> {
  await come();
  await wait(STAY);
  await leave();
}

/** All come, and are replaced when they leave. */
async function churn(): Promise<void> {
  const until = performance.now() + plan.seconds * 1_000;
  await come();
  await wait(Math.max(0, until - performance.now()));
}

answer({
  start,
  greet,
  wave,
  churn,
  leave,
  sample: (): ClientSample => {
    const { open, opened, ended, messages } = scene;
    return { ...observer.sample(), open, opened, ended, messages };
  },
  census: async (before?: Census): Promise<ClientCensus> => ({
    ...(await observer.census(before)),
    open: scene.open,
    faults: scene.faults,
  }),
});
