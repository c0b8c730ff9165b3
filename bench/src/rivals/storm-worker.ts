// A node, the clients, or the sender of other messages in a storm, each in its own process.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createSecureContext } from 'node:tls';
import { dial, ReconnectingConn } from '@ws/node-client';
import { serve, type WsServer } from '@ws/node-server';
import { ReconnectingConn as PageConn } from '@ws/reconnect';
import { answer } from '../harness/child.ts';
import { percentile } from '../harness/statistics.ts';

/** Ms of work for each message of the sender. */
const WORK_MS = 1;
/** Share of the clients that are pages: they see no Retry-After. */
const PAGES = 0.1;
const RESOLUTION_MS = 5;

export interface Node {
  readonly handshakes: { readonly perSecond: number; readonly burst: number } | undefined;
  readonly tls: { readonly key: string; readonly cert: string } | undefined;
}

/** What a node has measured since the last call. */
export interface NodeFigures {
  /** Ms from the sender to the handler: the 99th of 100, and the most. */
  readonly p99: number;
  readonly worst: number;
  /** Ms by which the latest turn of the event loop was late. */
  readonly late: number;
  readonly opened: number;
  readonly refused: number;
}

/** The requests that the process answers. */
export type StormAnswers = {
  listen: (node: Node) => Promise<number>;
  figures: (nothing?: undefined) => NodeFigures;
  /** Sends so many messages a second to each port. */
  send: (plan: { ports: readonly number[]; perSecond: number; secure: boolean }) => Promise<void>;
  /** Connects so many clients to the first port; later to the others. */
  open: (plan: {
    count: number;
    first: number;
    ports: readonly number[];
    secure: boolean;
  }) => Promise<void>;
  /** Waits until each client has its second connection. */
  back: (nothing?: undefined) => Promise<{ ms: number; refusals: number }>;
};

let server: WsServer;
let delays: number[] = [];
const turns = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const tls = { secureContext: createSecureContext(), rejectUnauthorized: false };
const now = (): number => performance.timeOrigin + performance.now();

function work(): void {
  const start = performance.now();
  while (performance.now() - start < WORK_MS);
}

const clients: { readonly opened: number }[] = [];
let waiting = 0;
let refusals = 0;
let lastAt = 0;
let settled: (() => void) | undefined;

function connect(url: () => string, isPage: boolean): void {
  const client = { opened: 0 };
  clients.push(client);
  const options = {
    onOpen: () => {
      client.opened++;
      lastAt = now();
      if (--waiting === 0) settled?.();
    },
    retry: (error: unknown) => {
      if ((error as { status?: number }).status === 503) refusals++;
    },
    report: () => {},
    heartbeat: false,
  } as const;
  const { onOpen, retry, report } = options;
  const conn = isPage
    ? new PageConn(({ signal }) => dial(url(), { tls, signal, heartbeat: false }), {
        onOpen,
        retry,
        report,
      })
    : new ReconnectingConn(url, { ...options, tls });
  // Without a reader, an idle object does not dial again.
  void conn.receive(() => {});
}

answer({
  listen: async ({ handshakes, tls: own }) => {
    turns.enable();
    server = await serve(
      { port: 0, host: '127.0.0.1', handshakes, tls: own, heartbeat: false, maxHandshakes: 20_000 },
      {
        '/': () => {},
        '/other': (conn) =>
          conn.receive((message) => {
            delays.push(now() - Number(message.text()));
            work();
          }),
      },
    );
    return Number(new URL(server.url).port);
  },
  figures: () => {
    const sorted = delays.toSorted((a, b) => a - b);
    const late = Math.max(0, turns.max / 1e6 - RESOLUTION_MS);
    delays = [];
    turns.reset();
    const { opened, refused } = server.stats;
    const worst = sorted.at(-1) ?? 0;
    return { p99: percentile(sorted, 0.99), worst, late, opened, refused: refused[503] ?? 0 };
  },
  send: async ({ ports, perSecond, secure }) => {
    const scheme = secure ? 'wss' : 'ws';
    const conns = await Promise.all(
      ports.map((port) => dial(`${scheme}://127.0.0.1:${port}/other`, { tls, heartbeat: false })),
    );
    const start = performance.now();
    let sent = 0;
    setInterval(() => {
      const due = Math.floor(((performance.now() - start) * perSecond) / 1_000);
      for (; sent < due; sent++) for (const conn of conns) void conn.send(`${now()}`);
    }, 1);
  },
  open: async ({ count, first, ports, secure }) => {
    let dials = 0;
    waiting = count;
    const scheme = secure ? 'wss' : 'ws';
    for (let i = 0; i < count; i++) {
      let isFirst = true;
      connect(
        () => {
          // Before the storm all have one node, which is not measured.
          if (isFirst) {
            isFirst = false;
            return `ws://127.0.0.1:${first}/`;
          }
          return `${scheme}://127.0.0.1:${ports[dials++ % ports.length]}/`;
        },
        i < count * PAGES,
      );
      if (i % 200 === 199) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (waiting > 0) await new Promise<void>((resolve) => (settled = resolve));
    waiting = count;
    refusals = 0;
  },
  back: async () => {
    const start = now();
    if (waiting > 0) await new Promise<void>((resolve) => (settled = resolve));
    return { ms: lastAt - start, refusals };
  },
} satisfies StormAnswers);
