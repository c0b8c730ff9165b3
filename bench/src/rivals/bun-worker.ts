// A server for Bun, with its own API, in its own process: it echoes, or publishes to a room.
import { setTimeout as sleep } from 'node:timers/promises';
import { answer } from '../harness/child.ts';
import { delay } from '../harness/delay.ts';
import type { Memory, Usage } from '../harness/usage.ts';
import { jsonReply } from '../load/echo-corpus.ts';
import { roomPayloads } from '../load/room-messages.ts';
import type { ServerPlan } from './echo-servers.ts';
import type { RoomServerAnswers } from './room-server-worker.ts';
import type { RoomPlan } from './room-servers.ts';
import type { ServerAnswers } from './server-worker.ts';
import { certificate } from './tls.ts';

/** The used parts of Bun. */
interface BunLike {
  serve(options: object): ServerLike;
  gc(force: boolean): void;
}

interface ServerLike {
  readonly port: number;
  upgrade(request: Request): boolean;
  publish(topic: string, data: Buffer): number;
}

interface WebSocketLike {
  send(data: unknown, compress?: boolean): void;
  subscribe(topic: string): void;
}

/** The events of a socket. */
interface Events {
  open?(socket: WebSocketLike): void;
  message(socket: WebSocketLike, data: string | Buffer): void;
}

/** Limit of a message and of the bytes that wait for a peer: more than any row sends. */
const LIMIT = 64 * 1024 * 1024;
const ROOM = 'all';
const { Bun } = globalThis as unknown as { Bun: BunLike };

let server: ServerLike;

async function listen(plan: ServerPlan | RoomPlan): Promise<number> {
  const { tls, compression } = plan as ServerPlan;
  server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request: Request) =>
      server.upgrade(request) ? undefined : new Response(null, { status: 400 }),
    websocket: {
      maxPayloadLength: LIMIT,
      perMessageDeflate: compressionOf(compression),
      // Most connections are idle. By default Bun closes them.
      idleTimeout: 0,
      ...('size' in plan ? roomOf(plan) : { backpressureLimit: LIMIT, ...echoOf(plan) }),
    },
    ...(tls === true && { tls: await certificate() }),
  });
  return server.port;
}

function echoOf({ task, compression }: ServerPlan): Events {
  const compress = compression !== undefined;
  return {
    message:
      task === 'json'
        ? (socket, data) => socket.send(jsonReply(data as string))
        : (socket, data) => socket.send(data, compress),
  };
}

/** A member sends a number; the server then publishes that number of messages in one turn. */
function roomOf({ size }: RoomPlan): Events {
  const payloads = roomPayloads(size);
  let next = 0;
  return {
    open: (socket) => socket.subscribe(ROOM),
    message: (_, data) => {
      for (let left = Number(data); left > 0; left--) {
        server.publish(ROOM, Buffer.from(payloads[next++ % payloads.length]!));
      }
    },
  };
}

function compressionOf(compression: ServerPlan['compression']): object | false {
  if (compression === undefined) return false;
  return compression.mode === 'shared'
    ? { compress: 'shared', decompress: 'shared' }
    : { compress: 'dedicated', decompress: 'dedicated' };
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { cpu: user + system };
}

async function memory(collect: boolean): Promise<Memory> {
  for (let i = 0; collect && i < 4; i++) {
    Bun.gc(true);
    await sleep(50);
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { resident: rss, heap: heapUsed };
}

answer({ listen, usage, memory, delay } satisfies Pick<ServerAnswers, 'usage' | 'memory'> &
  Pick<RoomServerAnswers, 'delay'> & { listen: typeof listen });
