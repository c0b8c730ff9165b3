import type { Child } from '../harness/child.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import {
  type Contender,
  type ContenderName,
  type Ground,
  HEAP_FLAGS,
  startContender,
} from '../rivals/contenders.ts';
import { turns } from '../statistics.ts';

/** How patient a run is: it gives itself up when nothing moves. */
const RUN_PATIENCE = 3_600_000;
/** Bytes of messages that differ, at most. */
const CORPUS = 4 * 1024 * 1024;
/** How often everything is done before the heap counts. */
const HEAP_WARM_UPS = 20;

/** One kind of traffic. */
export interface Workload {
  readonly connections: number;
  /** Messages in flight on each connection. */
  readonly depth: number;
  /** Bytes of a message. */
  readonly size: number;
  readonly content: EchoPlan['content'];
  /** How many frames a message is sent in. Default: 1. */
  readonly fragments?: number;
}

/** Who echoes what. */
export interface Entry {
  readonly name: string;
  readonly contender: ContenderName;
  readonly workload: Workload;
}

/** How long everything takes. */
export interface TurnPlan {
  readonly rounds: number;
  /** Of each round and entry. */
  readonly ms: number;
  readonly warmUpMs: number;
}

/** Readings of one entry: a value for each round. */
export interface Readings {
  readonly name: string;
  readonly contender: ContenderName;
  /** Microseconds of the server process's CPU for a message. */
  readonly cpu: number[];
  /** Messages in a second of the clock. */
  readonly rate: number[];
  /** How much of the clock's time the load process was busy, 0 to 1. */
  readonly loadBusy: number[];
}

interface Running {
  readonly server: Contender;
  readonly group: number;
  readonly depth: number;
  readonly readings: Readings;
}

/** Measures entries side by side: each a fresh server, all in turns, round by round. */
export async function measureInTurns(
  load: Child<LoadAnswers>,
  ground: Ground,
  entries: readonly Entry[],
  plan: TurnPlan,
): Promise<Readings[]> {
  const running: Running[] = [];
  const servers: Contender[] = [];
  try {
    for (const { name, contender, workload } of entries) {
      const server = await startContender(contender, taskOf(workload), ground, name);
      servers.push(server);
      const group = await openGroup(load, server.port, contender, workload);
      const readings = { name, contender, cpu: [], rate: [], loadBusy: [] };
      running.push({ server, group, depth: workload.depth, readings });
    }
    for (const one of running) await oneWindow(load, one, plan.warmUpMs, false);
    for (let round = 0; round < plan.rounds; round++) {
      for (const one of turns(running, round)) await oneWindow(load, one, plan.ms, true);
    }
    for (const { group } of running) await load.ask('close', group);
    return running.map(({ readings }) => readings);
  } finally {
    await Promise.all(servers.map((server) => server.end()));
  }
}

/** What the server is told about it: the limit of ours is 1 MiB, of `ws` and others far more. */
function taskOf({ content, size }: Workload): { text: boolean; limit?: number } {
  return { text: content !== 'binary', ...(size > 1024 * 1024 && { limit: size }) };
}

async function openGroup(
  load: Child<LoadAnswers>,
  port: number,
  contender: ContenderName,
  workload: Workload,
): Promise<number> {
  const { connections, size, content, depth, fragments = 1 } = workload;
  const corpus: EchoPlan = {
    content,
    size,
    // More than are in flight, so that a lost or doubled one shows.
    count: Math.max(depth + 1, Math.min(64, Math.floor(CORPUS / size))),
    fragments,
    raw: contender === 'raw',
  };
  const opened = await load.ask('open', { port, connections, offer: '', corpus }, RUN_PATIENCE);
  if (opened.agreed !== '') throw new Error(`nobody offered ${opened.agreed}`);
  return opened.group;
}

/** Nothing is under way before and after it, so that the CPU taken is that of these messages and no others. */
async function oneWindow(
  load: Child<LoadAnswers>,
  { server, group, depth, readings }: Running,
  ms: number,
  counts: boolean,
): Promise<void> {
  const before = await server.cpu();
  const ran = await load.ask('run', { group, depth, ms }, RUN_PATIENCE);
  const cpu = (await server.cpu()) - before;
  const { messages } = await load.ask('check', group, RUN_PATIENCE);
  if (messages !== ran.messages) {
    throw new Error(`${ran.messages} echoes were counted and ${messages} verified`);
  }
  if (!counts) return;
  readings.cpu.push(cpu / messages);
  readings.rate.push((1000 * messages) / ran.ms);
  readings.loadBusy.push(ran.cpu / 1000 / ran.ms);
}

/** How the garbage is counted. */
export interface HeapPlan {
  readonly rounds: number;
  /** Messages on each connection, in each round. */
  readonly each: number;
}

/** Whose garbage is counted. */
const HEAP_CONTENDERS = ['receive', 'ws', 'raw'] as const;
/** Heap bytes for a message: by contender, a value for each round. */
export type HeapReadings = Readonly<Record<(typeof HEAP_CONTENDERS)[number], readonly number[]>>;

/** Counts garbage side by side: each a fresh server, all in turns, round by round. */
export async function measureHeap(
  load: Child<LoadAnswers>,
  ground: Ground,
  name: string,
  workload: Workload,
  { rounds, each }: HeapPlan,
): Promise<HeapReadings> {
  const readings = { receive: [] as number[], ws: [] as number[], raw: [] as number[] };
  const running: { contender: keyof HeapReadings; server: Contender; group: number }[] = [];
  const servers: Contender[] = [];
  try {
    for (const contender of HEAP_CONTENDERS) {
      const server = await startContender(contender, {}, ground, `heap ${name}`, HEAP_FLAGS);
      servers.push(server);
      const group = await openGroup(load, server.port, contender, workload);
      running.push({ contender, server, group });
    }
    const echo = async (group: number): Promise<void> => {
      await load.ask('run', { group, depth: workload.depth, each }, RUN_PATIENCE);
      await load.ask('check', group);
    };
    // Compiled code and what was learned for it lie on the heap as well.
    for (const { group } of running) for (let i = 0; i < HEAP_WARM_UPS; i++) await echo(group);
    for (let round = 0; round < rounds; round++) {
      for (const { contender, server, group } of turns(running, round)) {
        const first = await server.heap(true);
        const before = await server.heap(false);
        await echo(group);
        const after = await server.heap(false);
        // What a question costs is in both differences.
        const bytes = (after - before - (before - first)) / (workload.connections * each);
        readings[contender].push(bytes);
      }
    }
    for (const { group } of running) await load.ask('close', group);
    return readings;
  } finally {
    await Promise.all(servers.map((server) => server.end()));
  }
}
