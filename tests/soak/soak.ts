import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { sharedSlabPool } from '@ws/codec';
import { type Conn, type Refusal, serve, type WsServer } from '@ws/node-server';
import { chaos, type RunResult } from '../chaos/run.ts';
import { selfSigned } from '../kit/self-signed.ts';
import { abusiveClients, idleClient } from './abusive-clients.ts';
import { type Address, Crowd } from './crowd.ts';
import { type Memory, memory, ProcessMonitor, type Snapshot } from './process-monitor.ts';

/** What a soak does. */
export interface Plan {
  /** Open connections of the crowd at a time. */
  readonly connections: number;
  /** How long clients come and leave after the first wave. */
  readonly seconds: number;
  /** Of all random decisions. */
  readonly seed: number;
  /** The crowd connects over TLS. */
  readonly secure: boolean;
  /** The server gets one fault of each kind, to test the verdict. Default: false. */
  readonly faulty?: boolean;
}

/** All observations of a soak. */
export interface Observed {
  readonly plan: Plan;
  /** Before the first client, after the first wave, after all have left, and after the servers' close. */
  readonly fresh: Snapshot;
  readonly start: Snapshot;
  readonly end: Snapshot;
  readonly closed: Snapshot;
  readonly samples: readonly Sample[];
  readonly crowd: Crowd;
  /** The checked messages of this library and of `ws`. */
  readonly talk: RunResult;
  /** Errors that the servers reported. */
  readonly reported: readonly string[];
}

/** The process at a moment of the run. */
interface Sample {
  readonly open: number;
  readonly memory: Memory;
}

/** Time between two samples in ms. */
const SAMPLE_EVERY = 5_000;
/** Longest time in ms for all clients to connect, on a busy machine. */
const LONGEST = 300_000;
const FLOOD = Buffer.alloc(64 * 1024, 'flood');
const MODES = [false, 'shared', 'takeover'] as const;

/** The connections that have to be open for a verdict: at any time some are being opened. */
export function nearlyAll({ connections }: Pick<Plan, 'connections'>): number {
  return Math.floor(connections * 0.9);
}

/**
 * A crowd of idle and of abusive clients, and beside it the endpoints of `tests/chaos`, which check each message, in
 * one process. `log` gets the progress.
 */
export async function soak(plan: Plan, log: (line: string) => void): Promise<Observed> {
  const { connections, seconds, seed, secure, faulty = false } = plan;
  const monitor = new ProcessMonitor();
  const lasting = new AbortController().signal;
  monitor.watch(lasting);
  const reported: string[] = [];
  const leak = faulty ? leaks(lasting) : () => false;
  const tls = secure ? await selfSigned() : undefined;
  const servers = await Promise.all(
    MODES.map((compression) => start({ compression, tls }, monitor, reported, leak)),
  );
  const addresses = servers.map<Address>(({ url }, i) => ({
    port: Number(new URL(url).port),
    compresses: MODES[i] !== false,
  }));
  const crowd = new Crowd(addresses, tls?.cert, seed);
  const come = async (count: number): Promise<void> => {
    crowd.start(count, idleClient, abusiveClients);
    const until = performance.now() + LONGEST;
    while (crowd.open < 0.9 * count && performance.now() < until) await wait(100);
    log(`${crowd.open} open`);
  };

  log('a few clients, for what each process creates once');
  await chaos({ seed, messages: 1, round: 40 });
  await come(20);
  await crowd.leave();
  const fresh = await monitor.snapshot();
  log('first wave, all connect and leave');
  await come(connections);
  await wait(Math.min(10, seconds) * 1_000);
  await crowd.leave();
  const first = await monitor.snapshot(fresh);
  log(`clients come and leave for ${seconds} s`);
  await come(connections);
  const samples: Sample[] = [];
  const talk = await watch(plan, () => {
    const taken = { open: crowd.open, memory: memory() };
    samples.push(taken);
    log(`${taken.open} open, ${crowd.opened} opened; ${textOf(taken.memory)}`);
  });
  log('all leave');
  await crowd.leave();
  const end = await monitor.snapshot(fresh);
  await Promise.all(servers.map((server) => server.close()));
  const closed = await monitor.snapshot(fresh);
  return { plan, fresh, start: first, end, closed, samples, crowd, talk, reported };
}

/** Messages of this library and of `ws`. A separate function, so its timer is collected before the count. */
async function watch({ seed, seconds }: Plan, sample: () => void): Promise<RunResult> {
  const sampling = setInterval(sample, SAMPLE_EVERY);
  const until = performance.now() + seconds * 1_000;
  const talk = await chaos({ seed, round: 40, until: () => performance.now() >= until });
  clearInterval(sampling);
  sample();
  return talk;
}

function start(
  { compression, tls }: { compression: (typeof MODES)[number]; tls: object | undefined },
  monitor: ProcessMonitor,
  reported: string[],
  leak: (conn: Conn) => boolean,
): Promise<WsServer> {
  const handle = (handler: (conn: Conn) => unknown) => (conn: Conn) =>
    leak(conn) ? conn.close(1013) : handler(conn);
  return serve(
    {
      host: '127.0.0.1',
      tls,
      authenticate: (req, { signal }) => authenticate(req, signal, monitor),
      report: (error) => {
        if ((error as Error).name !== 'AbortError') reported.push(String((error as Error).stack));
      },
      compression,
      handshakeTimeout: 20_000,
      heartbeat: { interval: 6_000, timeout: 20_000 },
      idleReadTimeout: 5_000,
      closeTimeout: 2_000,
      readLimit: 256 * 1024,
      maxBufferedAmount: 1024 * 1024,
      maxHandshakes: 4_096,
    },
    {
      '/echo': handle((conn) => conn.receive((message) => conn.send(message))),
      '/quiet': handle((conn) => conn.discardReads()),
      '/flood': handle(flood),
    },
  );
}

/** Accepts every client except `?forbidden`; `?slow` after a delay. */
async function authenticate(
  req: IncomingMessage,
  signal: AbortSignal,
  monitor: ProcessMonitor,
): Promise<Refusal | true> {
  monitor.watch((req.socket as unknown as { server: EventEmitter }).server);
  if (req.url?.endsWith('?forbidden')) return { refuse: 403, body: 'no access' };
  if (req.url?.endsWith('?slow')) await wait(300, undefined, { signal });
  return true;
}

/** Writes until the peer does not read for two seconds. */
async function flood(conn: Conn): Promise<void> {
  void conn.discardReads();
  for (;;) {
    conn.setWriteDeadline(Date.now() + 2_000);
    await conn.send(FLOOD);
  }
}

/** Leaks one object of each kind for each connection. Tells the server to close some at once. */
function leaks(lasting: AbortSignal): (conn: Conn) => boolean {
  const planted: unknown[] = [];
  return (conn) => {
    planted.push(conn, Buffer.alloc(256 * 1024));
    setTimeout(() => {}, 3_600_000);
    lasting.addEventListener('abort', () => {});
    sharedSlabPool().take(1);
    void Promise.reject(new Error('planted'));
    return planted.length % 20 === 0;
  };
}

/** Bytes in MiB as text. */
export function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}

function textOf({ rss, heap, external }: Memory): string {
  return `rss ${mib(rss)}, heap ${mib(heap)}, external ${mib(external)} MiB`;
}
