import type { Child } from '../harness/child.ts';
import { rotated } from '../harness/statistics.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import {
  type Contender,
  type ContenderName,
  type Environment,
  HEAP_FLAGS,
  startContender,
} from '../rivals/contenders.ts';

/** Limit for a request, in ms. A run without progress fails by itself. */
const RUN_TIMEOUT_MS = 3_600_000;
/** Limit of a corpus, in bytes. */
const CORPUS = 4 * 1024 * 1024;
/** Number of runs before the heap is measured. */
const HEAP_WARM_UPS = 20;

/** One kind of traffic. */
export interface Workload {
  readonly connections: number;
  /** Messages in flight on each connection. */
  readonly depth: number;
  /** Bytes of a message. */
  readonly size: number;
  readonly content: EchoPlan['content'];
  /** Number of frames of a message. Default: 1. */
  readonly fragments?: number;
}

/** One contender with one kind of traffic. */
export interface Entry {
  readonly name: string;
  readonly contender: ContenderName;
  readonly workload: Workload;
}

/** The duration of a measurement. */
export interface RoundPlan {
  readonly rounds: number;
  /** Window of each entry in each round. */
  readonly ms: number;
  readonly warmUpMs: number;
}

/** Readings of one entry, one value for each round. */
export interface Readings {
  readonly name: string;
  readonly contender: ContenderName;
  /** Microseconds of the server's CPU for a message. */
  readonly cpu: number[];
  /** Messages per second. */
  readonly rate: number[];
  /** Share of the time that the load used CPU, 0 to 1. */
  readonly loadBusy: number[];
}

interface Running {
  readonly server: Contender;
  readonly group: number;
  readonly depth: number;
  readonly readings: Readings;
}

/** Measures entries side by side, round by round, each with a fresh server. */
export async function measureInterleaved(
  load: Child<LoadAnswers>,
  environment: Environment,
  entries: readonly Entry[],
  plan: RoundPlan,
): Promise<Readings[]> {
  const running: Running[] = [];
  const servers: Contender[] = [];
  try {
    for (const { name, contender, workload } of entries) {
      const server = await startContender(contender, taskOf(workload), environment, name);
      servers.push(server);
      const group = await openGroup(load, server.port, contender, workload);
      const readings = { name, contender, cpu: [], rate: [], loadBusy: [] };
      running.push({ server, group, depth: workload.depth, readings });
    }
    for (const one of running) await oneWindow(load, one, plan.warmUpMs, false);
    for (let round = 0; round < plan.rounds; round++) {
      for (const one of rotated(running, round)) await oneWindow(load, one, plan.ms, true);
    }
    for (const { group } of running) await load.ask('close', group);
    return running.map(({ readings }) => readings);
  } finally {
    await Promise.all(servers.map((server) => server.end()));
  }
}

/** Options for the server. Our default limit is 1 MiB; other defaults are higher. */
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
    // More messages than are in flight, so that a lost or doubled one is detected.
    count: Math.max(depth + 1, Math.min(64, Math.floor(CORPUS / size))),
    fragments,
    raw: contender === 'raw',
  };
  const opened = await load.ask('open', { port, connections, offer: '', corpus }, RUN_TIMEOUT_MS);
  if (opened.agreed !== '')
    throw new Error(`the server agreed to ${opened.agreed} without an offer`);
  return opened.group;
}

/**
 * Measures one window. No message is in flight before or after it, so the CPU belongs to these
 * messages alone.
 */
async function oneWindow(
  load: Child<LoadAnswers>,
  { server, group, depth, readings }: Running,
  ms: number,
  counts: boolean,
): Promise<void> {
  const before = await server.cpu();
  const ran = await load.ask('run', { group, depth, ms }, RUN_TIMEOUT_MS);
  const cpu = (await server.cpu()) - before;
  const { messages } = await load.ask('check', group, RUN_TIMEOUT_MS);
  if (messages !== ran.messages) {
    throw new Error(`${ran.messages} echoes were counted, but ${messages} verified`);
  }
  if (!counts) return;
  readings.cpu.push(cpu / messages);
  readings.rate.push((1000 * messages) / ran.ms);
  readings.loadBusy.push(ran.cpu / 1000 / ran.ms);
}

/** The size of a heap measurement. */
export interface HeapPlan {
  readonly rounds: number;
  /** Messages on each connection in each round. */
  readonly each: number;
}

/** The contenders whose garbage is counted. */
const HEAP_CONTENDERS = ['receive', 'ws', 'raw'] as const;
/** Heap bytes for a message by contender, one value for each round. */
export type HeapReadings = Readonly<Record<(typeof HEAP_CONTENDERS)[number], readonly number[]>>;

/** Counts garbage side by side, round by round, each with a fresh server. */
export async function measureHeap(
  load: Child<LoadAnswers>,
  environment: Environment,
  name: string,
  workload: Workload,
  { rounds, each }: HeapPlan,
): Promise<HeapReadings> {
  const readings = { receive: [] as number[], ws: [] as number[], raw: [] as number[] };
  const running: { contender: keyof HeapReadings; server: Contender; group: number }[] = [];
  const servers: Contender[] = [];
  try {
    for (const contender of HEAP_CONTENDERS) {
      const server = await startContender(contender, {}, environment, `heap ${name}`, HEAP_FLAGS);
      servers.push(server);
      const group = await openGroup(load, server.port, contender, workload);
      running.push({ contender, server, group });
    }
    const echo = async (group: number): Promise<void> => {
      await load.ask('run', { group, depth: workload.depth, each }, RUN_TIMEOUT_MS);
      await load.ask('check', group);
    };
    // Compiled code and type feedback are on the heap too.
    for (const { group } of running) for (let i = 0; i < HEAP_WARM_UPS; i++) await echo(group);
    for (let round = 0; round < rounds; round++) {
      for (const { contender, server, group } of rotated(running, round)) {
        const first = await server.heap(true);
        const before = await server.heap(false);
        await echo(group);
        const after = await server.heap(false);
        // Both differences contain the cost of a request.
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
