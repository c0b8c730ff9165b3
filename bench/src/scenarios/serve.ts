import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { serve as serveOurs } from '@ws/node-server';
import { WebSocketServer } from 'ws';
import { wholeNumber } from '../option-values.ts';
import { UsageError } from '../usage-error.ts';
import type { Scenario, Values } from './scenario.ts';

/** How long open connections have when the command is told to end, in ms. */
const FAREWELL = 2000;
/** What `ws` and we take as the longest message here: more than `load` sends. */
const LONGEST = 2 ** 28;

const SUMMARY = `an echo server for others to load: ours, that of ws, or bare TCP`;

const HELP = `ws-bench serve: ${SUMMARY}

usage: ws-bench serve [options]

Sends every message back, prints its URL, and ends with Ctrl-C. Messages of up to 256 MiB.

options
  --port N        default: one that is free
  --host NAME     where to listen; 127.0.0.1, so that only this machine can connect
  --library NAME  ours, ws or raw: bytes back as they came, without WebSocket; ours
  --compression   agree to permessage-deflate where a client offers it
`;

/** `ws-bench serve`. */
export const serve: Scenario = {
  summary: SUMMARY,
  help: HELP,
  options: {
    port: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    library: { type: 'string', default: 'ours' },
    compression: { type: 'boolean', default: false },
  },
  common: [],
  run,
};

async function run(values: Values): Promise<undefined> {
  const plan: EchoPlan = {
    port: wholeNumber(values, 'port', 0, { least: 0, most: 65_535 }),
    host: String(values['host']),
    compression: values['compression'] === true,
  };
  const library = String(values['library']);
  const listen = Object.hasOwn(LIBRARIES, library) ? LIBRARIES[library] : undefined;
  if (listen === undefined) {
    const names = Object.keys(LIBRARIES).join(', ');
    throw new UsageError(`--library: expected one of ${names}, got '${library}'`);
  }
  if (plan.compression && listen === listenRaw) {
    throw new UsageError('--compression: bare TCP has none');
  }
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const server = await listen(plan);
  process.stdout.write(`${server.url}\n`);
  await stopped;
  await server.close();
  return undefined;
}

/** Where and how to echo. */
export interface EchoPlan {
  readonly port: number;
  readonly host: string;
  readonly compression: boolean;
}

/** A server that echoes. */
export interface Echoing {
  readonly url: string;
  close(): Promise<void>;
}

/** The servers by name. */
export const LIBRARIES: Readonly<Record<string, (plan: EchoPlan) => Promise<Echoing>>> = {
  ours: listenOurs,
  ws: listenWs,
  raw: listenRaw,
};

async function listenOurs(plan: EchoPlan): Promise<Echoing> {
  const server = await serveOurs({ ...plan, readLimit: LONGEST }, async (conn) => {
    // However a connection ends: whoever loads the server tells.
    await conn.receive((message) => conn.send(message)).catch(() => {});
  });
  return { url: server.url, close: () => server.close({ timeout: FAREWELL }) };
}

async function listenWs({ port, host, compression }: EchoPlan): Promise<Echoing> {
  const server = new WebSocketServer({
    port,
    host,
    perMessageDeflate: compression,
    maxPayload: LONGEST,
  });
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('error', () => {});
  });
  await once(server, 'listening');
  return {
    url: urlOf('ws', server.address()),
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const client of server.clients) client.close(1001);
      const timer = setTimeout(() => {
        for (const client of server.clients) client.terminate();
      }, FAREWELL);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function listenRaw({ port, host }: EchoPlan): Promise<Echoing> {
  const server = createServer({ noDelay: true });
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    url: urlOf('tcp', server.address()),
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function urlOf(scheme: string, address: ReturnType<Server['address']>): string {
  if (address === null || typeof address === 'string') throw new Error('no address to listen on');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `${scheme}://${host}:${address.port}`;
}
