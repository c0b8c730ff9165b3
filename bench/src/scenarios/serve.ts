import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { CloseCode, serve as serveOurs } from '@ws/node-server';
import { WebSocketServer } from 'ws';
import type { Command, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';

/** Time for the close handshakes after Ctrl-C, in ms. */
const CLOSE_TIMEOUT_MS = 2000;
/** Limit of a message in bytes, more than `load` sends. */
const LONGEST = 2 ** 28;

const SUMMARY = 'an echo server as a target for load: ours, that of ws, or bare TCP';

const HELP = `ws-bench serve: ${SUMMARY}

usage: ws-bench serve [options]

Echoes every message of up to 256 MiB. Prints its URL, and ends with Ctrl-C.

options
  --port N        default: a free port
  --host NAME     address to listen on; default: 127.0.0.1, which only this machine can connect to
  --library NAME  ours, ws, or raw for bytes without WebSocket; default: ours
  --compression   accept an offer of permessage-deflate
`;

/** `ws-bench serve`. */
export const serve: Command = {
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

async function run(values: Values): Promise<number> {
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
    throw new UsageError('--compression: raw has no compression');
  }
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  const server = await listen(plan);
  process.stdout.write(`${server.url}\n`);
  await stopped;
  await server.close();
  return 0;
}

/** The address and the options of an echo server. */
export interface EchoPlan {
  readonly port: number;
  readonly host: string;
  readonly compression: boolean;
}

/** A running echo server. */
export interface RunningEcho {
  readonly url: string;
  close(): Promise<void>;
}

/** The servers by name. */
export const LIBRARIES: Readonly<Record<string, (plan: EchoPlan) => Promise<RunningEcho>>> = {
  ours: listenOurs,
  ws: listenWs,
  raw: listenRaw,
};

async function listenOurs(plan: EchoPlan): Promise<RunningEcho> {
  const server = await serveOurs({ ...plan, readLimit: LONGEST }, async (conn) => {
    // The load reports the end of a connection.
    await conn.receive((message) => conn.send(message)).catch(() => {});
  });
  const close = async () => void (await server.close({ timeout: CLOSE_TIMEOUT_MS }));
  return { url: server.url, close };
}

async function listenWs({ port, host, compression }: EchoPlan): Promise<RunningEcho> {
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
      for (const client of server.clients) client.close(CloseCode.GoingAway);
      const timer = setTimeout(() => {
        for (const client of server.clients) client.terminate();
      }, CLOSE_TIMEOUT_MS);
      await closed;
      clearTimeout(timer);
    },
  };
}

async function listenRaw({ port, host }: EchoPlan): Promise<RunningEcho> {
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
