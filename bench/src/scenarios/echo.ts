import type { Child } from '../harness/child.ts';
import { lackOfPackage } from '../harness/optional-package.ts';
import type { Contest, Reading, Running } from '../harness/runner.ts';
import type { CorpusPlan } from '../load/corpus.ts';
import type { EchoPlan } from '../load/echo-corpus.ts';
import type { Target } from '../load/handshake.ts';
import type { LoadAnswers, RunResult } from '../load/load-worker.ts';
import type { SessionName } from '../load/session.ts';
import { keepsMemory, serverOf } from '../rivals/contenders.ts';
import type { EchoCompression, ServerPlan } from '../rivals/echo-servers.ts';
import type { ServerAnswers } from '../rivals/server-worker.ts';
import { type Environment, maskOf, startChild } from './scenario.ts';

/** Limit of a corpus, in bytes. */
const CORPUS = 4 * 1024 * 1024;
/** Our default limit of a message, in bytes. */
const DEFAULT_LIMIT = 1024 * 1024;

/** One kind of traffic. */
export interface Workload {
  readonly connections: number;
  /** Messages in flight on each connection. */
  readonly depth: number;
  /** Bytes of the messages, in turn. */
  readonly sizes: readonly number[];
  readonly content: EchoPlan['content'];
  /** Number of frames of a message. Default: 1. */
  readonly fragments?: number;
  /** Connections that are open and send nothing. Default: none. */
  readonly idle?: number;
  readonly tls?: boolean;
  /** The protocol over the messages of a contender, which are ASCII then. Default: none. */
  readonly session?: (contender: string) => SessionName;
  /** The compression of a contender, for JSON-like text. Default: none. */
  readonly compression?: (contender: string) => EchoCompression;
  /** Messages per second. Default: a closed loop. */
  readonly rate?: () => Promise<number>;
  /** Flags for node. */
  readonly flags?: readonly string[];
}

/**
 * Ms of a warm-up. V8 compiles on other threads for the first 1.4 s of an echo of 16 bytes. In the
 * first 0.7 s they took a quarter of the CPU of our server, and 3 % of that of `mini` (Node 20).
 */
export const ECHO_WARM_UP = 1500;
/** The same with `--quick`. */
export const QUICK_ECHO_WARM_UP = 500;

/** A window of large messages lasts longer than its time: until it has so many. */
const LEAST_MESSAGES = 200;

/** The offers for each mode of compression. */
const OFFERS: Readonly<Record<EchoCompression['mode'], string>> = {
  shared: 'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
  takeover: 'permessage-deflate',
};

/** A server, and its connections in the load. */
export interface EchoServer {
  readonly child: Child<ServerAnswers>;
  readonly port: number;
  readonly mask: string | undefined;
  readonly group: number;
  /** Opens another group of connections. Returns its number. */
  readonly openMore: (connections: number) => Promise<number>;
  readonly end: () => Promise<unknown>;
}

/** A contest of echo servers by CPU for a message. */
export function echoContest(
  environment: Environment,
  name: string,
  workload: Workload,
  contenders: readonly string[],
): Contest {
  return {
    name,
    contenders,
    lacks: lackOfTraffic(workload),
    async start(contender): Promise<Running> {
      const server = await startEcho(environment, name, contender, workload);
      return {
        mask: server.mask,
        window: (ms) => echoWindow(environment.load, server, workload, ms),
        end: () => server.end(),
      };
    },
  };
}

/** Why this machine cannot have the traffic; undefined when it can. */
function lackOfTraffic({ tls, session }: Workload): string | undefined {
  if (tls === true) return lackOfPackage('selfsigned');
  return session === undefined || session('') === 'JSON-RPC'
    ? undefined
    : lackOfPackage('socket.io');
}

/** Starts a server and opens its connections. */
export async function startEcho(
  environment: Environment,
  contest: string,
  contender: string,
  workload: Workload,
): Promise<EchoServer> {
  const { load } = environment;
  const started = await startServer(environment, contest, contender, workload);
  const groups: number[] = [];
  const end = async (): Promise<unknown> => {
    for (const group of groups) await load.ask('drop', group);
    return started.end();
  };
  try {
    const compression = workload.compression?.(contender);
    const offer = compression === undefined ? '' : OFFERS[compression.mode];
    const { tls, session } = workload;
    const target: Target = {
      port: started.port,
      tls: tls === true,
      offer,
      session: session?.(contender),
    };
    const open = async (connections: number): Promise<number> => {
      const corpus = corpusOf(contender, workload, compression);
      const { group, agreed } = await load.ask('open', { target, connections, corpus });
      if (agreed !== sorted(offer)) {
        throw new Error(`${contender} agreed to '${agreed}' for the offer '${offer}'`);
      }
      groups.push(group);
      return group;
    };
    if (workload.idle !== undefined) await open(workload.idle);
    return { ...started, group: await open(workload.connections), openMore: open, end };
  } catch (error) {
    await end();
    throw error;
  }
}

type StartedServer = Omit<EchoServer, 'group' | 'openMore'>;

async function startServer(
  environment: Environment,
  contest: string,
  contender: string,
  workload: Workload,
): Promise<StartedServer> {
  const { child, name } = startChild<ServerAnswers>(
    './server-worker.js',
    contender,
    contest,
    environment,
    { ...(workload.flags && { flags: workload.flags }), kept: keepsMemory(workload.sizes) },
  );
  try {
    const port = await child.ask('listen', serverPlan(name, contender, workload));
    const mask = await maskOf(name, child);
    return { child, port, mask, end: () => child.end() };
  } catch (error) {
    await child.end();
    throw error;
  }
}

function serverPlan(name: string, contender: string, workload: Workload): ServerPlan {
  const { content, sizes, compression, tls, session } = workload;
  const most = Math.max(...sizes);
  const task = content === 'binary' ? undefined : content === 'json' ? 'json' : 'text';
  return {
    contender: serverOf(name),
    // Compressed text is echoed as it is.
    task: compression === undefined ? task : undefined,
    limit: most > DEFAULT_LIMIT ? most : undefined,
    compression: compression?.(contender),
    tls,
    session: session?.(contender),
  };
}

function corpusOf(
  contender: string,
  { sizes, content, fragments = 1, depth, session }: Workload,
  compression: EchoCompression | undefined,
): CorpusPlan | EchoPlan {
  const most = Math.max(...sizes);
  if (compression !== undefined) {
    // None repeats within a window of 32 KiB. A message of 64 KiB exceeds the window.
    const count = most > 32 * 1024 ? 32 : Math.max(256, Math.ceil((2 * 32 * 1024) / most));
    return { size: most, count, context: compression.mode, windowBits: 15 };
  }
  return {
    content,
    sizes,
    // More messages than are in flight, so that a lost or doubled one is detected.
    count: Math.max(depth + 1, Math.min(64, Math.floor(CORPUS / most))),
    fragments,
    raw: contender === 'raw1' || contender === 'bare',
    session: session?.(contender),
  };
}

function sorted(offer: string): string {
  const [name = '', ...parameters] = offer.split('; ');
  return [name, ...parameters.toSorted()].join('; ');
}

/**
 * Measures one window. No message is in flight before or after it, so the CPU belongs to these
 * messages alone.
 */
async function echoWindow(
  load: Child<LoadAnswers>,
  { group, child }: EchoServer,
  { depth, rate }: Workload,
  ms: number,
): Promise<Reading> {
  const asked = await rate?.();
  const before = await child.ask('usage', undefined);
  const ran = await load.ask('run', { group, depth, ms, rate: asked, least: LEAST_MESSAGES });
  const after = await child.ask('usage', undefined);
  const { resident } = await child.ask('memory', false);
  const { messages, compressed } = await load.ask('check', group);
  if (messages !== ran.messages) {
    throw new Error(`${ran.messages} echoes were counted, but ${messages} verified`);
  }
  return {
    us: (after.cpu - before.cpu) / messages,
    rate: (1000 * messages) / ran.ms,
    wire: ran.bytes / messages,
    compressed: compressed / messages,
    resident,
    ...(before.gc !== undefined && {
      gc: (100 * (after.gc! - before.gc)) / ran.ms,
      pause: after.pause!,
    }),
    ...(asked === undefined ? { busy: ran.cpu / 1000 / ran.ms } : latencyOf(ran)),
  };
}

/** At a fixed rate the load polls, so its CPU says nothing; its delay does. */
function latencyOf({ latency, late }: RunResult): Reading {
  const { p50, p99, p999 } = latency!;
  return { p50, p99, p999, late: late!.p99 };
}
