import { Child } from '../harness/child.ts';
import type { Cores } from '../harness/cores.ts';
import { rotated } from '../harness/statistics.ts';
import type { CorpusPlan } from '../load/corpus.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import type { EchoServer, Library } from '../rivals/echo-servers.ts';
import type { EchoAnswers } from '../rivals/echo-worker.ts';

/** Limit for a request, in ms. A run without progress fails by itself. */
const RUN_TIMEOUT_MS = 3_600_000;
const CONNECTIONS = 32;

/** One kind of traffic. */
export interface Cell {
  /** Bytes of plain text. */
  readonly size: number;
  /** Messages in flight on each connection. */
  readonly depth: number;
  readonly mode: 'shared' | 'takeover';
}

/** The duration of a measurement. */
export interface SpeedPlan {
  readonly rounds: number;
  /** Window of each subject in each round. */
  readonly ms: number;
  readonly warmUpMs: number;
  /** Folder for CPU profiles of our servers. */
  readonly profile: string | undefined;
}

/** A library and its compression level. */
export interface Subject {
  readonly library: Library;
  readonly level: number;
}

/** Readings of one subject, one value for each round. */
export interface Readings extends Subject {
  /** Microseconds of the server's CPU for a message. */
  readonly cpu: number[];
  /** Bytes of the server's frames for a message. */
  readonly wire: number[];
  /** Messages per second. */
  readonly rate: number[];
  /** Share of the time that the load used CPU, 0 to 1. */
  readonly loadBusy: number[];
  /** Share of messages that the server compressed, 0 to 1. */
  compressed: number;
}

/** A measured cell. */
export interface CellResult extends Cell {
  /** The extensions that the servers agreed to. */
  readonly agreed: string;
  readonly subjects: readonly Readings[];
}

/** The offers for each mode. */
export const OFFERS: Readonly<Record<Cell['mode'], string>> = {
  shared: 'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
  takeover: 'permessage-deflate',
};

interface Running {
  readonly server: Child<EchoAnswers>;
  readonly group: number;
  readonly readings: Readings;
  messages: number;
  compressed: number;
}

/** The name of a cell. */
export function cellName({ size, depth, mode }: Cell): string {
  return `${size} B x ${depth} ${mode}`;
}

/** Measures the subjects of one cell side by side, round by round, each with a fresh server. */
export async function measureCell(
  load: Child<LoadAnswers>,
  cores: Cores,
  cell: Cell,
  subjects: readonly Subject[],
  plan: SpeedPlan,
): Promise<CellResult> {
  const running: Running[] = [];
  const agreements = new Set<string>();
  const servers: Child<EchoAnswers>[] = [];
  try {
    for (const subject of subjects) {
      const server = startServer(cores, subject, profileFlags(cell, subject, plan));
      servers.push(server);
      const { mode } = cell;
      const { library, level } = subject;
      const port = await server.ask('listen', { library, compression: { mode, level } });
      const { group, agreed } = await load.ask('open', {
        port,
        connections: CONNECTIONS,
        offer: OFFERS[mode],
        corpus: corpusPlan(cell),
      });
      agreements.add(agreed);
      const readings = { ...subject, cpu: [], wire: [], rate: [], loadBusy: [], compressed: 0 };
      running.push({ server, group, readings, messages: 0, compressed: 0 });
    }
    const [agreed, other] = agreements;
    if (agreed === undefined || other !== undefined) {
      throw new Error(`the servers agreed to different extensions: ${[...agreements].join(' | ')}`);
    }
    for (const subject of running) {
      await oneWindow(load, subject, cell.depth, plan.warmUpMs, false);
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const subject of rotated(running, round)) {
        await oneWindow(load, subject, cell.depth, plan.ms, true);
      }
    }
    for (const { group } of running) await load.ask('close', group);
    return { ...cell, agreed, subjects: running.map(({ readings }) => readings) };
  } finally {
    await Promise.all(servers.map((server) => server.end()));
  }
}

/**
 * Measures one window. No message is in flight before or after it, so the CPU belongs to these
 * messages alone.
 */
async function oneWindow(
  load: Child<LoadAnswers>,
  subject: Running,
  depth: number,
  ms: number,
  counts: boolean,
): Promise<void> {
  const { server, group, readings } = subject;
  const before = await server.ask('cpu', undefined);
  const ran = await load.ask('run', { group, depth, ms }, RUN_TIMEOUT_MS);
  const cpu = (await server.ask('cpu', undefined)) - before;
  const checked = await load.ask('check', group, RUN_TIMEOUT_MS);
  if (checked.messages !== ran.messages) {
    throw new Error(`${ran.messages} echoes were counted, but ${checked.messages} verified`);
  }
  if (!counts) return;
  readings.cpu.push(cpu / ran.messages);
  readings.wire.push(ran.bytes / ran.messages);
  readings.rate.push((1000 * ran.messages) / ran.ms);
  readings.loadBusy.push(ran.cpu / 1000 / ran.ms);
  subject.messages += checked.messages;
  subject.compressed += checked.compressed;
  readings.compressed = subject.compressed / subject.messages;
}

/**
 * Starts the process of an echo server, which waits for `listen`. ws runs without bufferutil, as it
 * is installed.
 */
export function startServer(
  cores: Cores,
  { library }: Pick<EchoServer, 'library'>,
  flags: readonly string[],
): Child<EchoAnswers> {
  const env: Record<string, string> = library === 'ws' ? { WS_NO_BUFFER_UTIL: '1' } : {};
  return new Child<EchoAnswers>('./echo-worker.js', flags, cores.server, env);
}

/** Enough messages that none repeats within a window of 32 KiB. */
function corpusPlan({ size, mode }: Cell): CorpusPlan {
  const count = Math.max(256, Math.ceil((2 * 32 * 1024) / size));
  // A message of 64 KiB exceeds the window.
  return { size, count: size > 32 * 1024 ? 32 : count, context: mode, windowBits: 15 };
}

function profileFlags(cell: Cell, { library, level }: Subject, plan: SpeedPlan): string[] {
  if (plan.profile === undefined || library !== 'ours') return [];
  const name = `${cellName(cell).replaceAll(' ', '-')}-level-${level}.cpuprofile`;
  return ['--cpu-prof', `--cpu-prof-dir=${plan.profile}`, `--cpu-prof-name=${name}`];
}
