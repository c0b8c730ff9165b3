// A node, the clients, or the sender of other messages in a storm, each in its own process.
import { EventEmitter, once } from 'node:events';
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
  /** Ms from the sender to the handler: the 99th of 100. */
  readonly p99: number;
  /** Ms by which the latest turn of the event loop was late. */
  readonly late: number;
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

/** Clients that do not have their connection of this phase yet. */
let waiting = 0;
/** Dials that have failed, also those of pages and those that ended before TLS. */
let refusals = 0;
let lastAt = 0;
const clients = new EventEmitter<{ there: [] }>();

function connect(url: () => string, isPage: boolean): void {
  let opened = 0;
  const options = {
    onOpen: () => {
      // A connection may end once more: that is no other client.
      if (++opened > 2) return;
      lastAt = now();
      if (--waiting === 0) clients.emit('there');
    },
    retry: () => void refusals++,
    report: () => {},
  };
  const conn = isPage
    ? new PageConn(({ signal }) => dial(url(), { tls, signal, heartbeat: false }), options)
    : new ReconnectingConn(url, { ...options, tls, heartbeat: false });
  // Without a reader, an idle object does not dial again. An error ends the process.
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
    return { p99: percentile(sorted, 0.99), late };
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
    if (waiting > 0) await once(clients, 'there');
    waiting = count;
    refusals = 0;
  },
  back: async () => {
    const start = now();
    if (waiting > 0) await once(clients, 'there');
    return { ms: lastAt - start, refusals };
  },
} satisfies StormAnswers);
