import { createServer } from 'node:http';
import { type Backplane, Hub } from '@ws/hub';
import { clusterBackplane } from '@ws/hub/cluster';
import { redisBackplane } from '@ws/hub/redis';
import { serve } from '@ws/node-server';
import { MESSAGE_EVENT, REQUEST_EVENT, roomPayloads, roomTexts } from '../load/room-messages.ts';
import { listen, listening } from './echo-servers.ts';
import { IO_OPTIONS, socketIo, swapWs } from './socket-io.ts';

const ROOM = 'all';
/** Path of the members that {@link RoomServer.fill} fills. */
export const SLOW = '/slow';
/** `maxQueuedBytes` of the hub, its default. */
export const MAX_QUEUED_BYTES = 1024 * 1024;
/** Bytes of a message that fills the queues of slow members. */
const FILLER = 16 * 1024;
/** Limit of such messages. They also have to fill the buffers of the kernel. */
const MOST_FILLERS = 2000;

/** The servers of a room. Bun has its own process. */
export type RoomContender =
  | 'hub'
  | 'broadcast'
  | 'ws'
  | 'ws, corked'
  | 'compat'
  | 'socket.io'
  | 'socket.io, compat';

/** The settings of a server. */
export interface RoomPlan {
  readonly contender: RoomContender;
  /** Bytes of a message. */
  readonly size: number;
  /** Port of Redis, which connects the hubs of several processes. */
  readonly redis?: number | undefined;
  /** The process is a worker, and its primary connects the hubs. */
  readonly isCluster?: boolean;
}

/** A server in this process. All its connections are members of one room. */
export interface RoomServer {
  readonly port: number;
  /** Only a hub has it: fills the queues of the members that connected to {@link SLOW}. */
  fill?(): Promise<void>;
}

/** Starts a server. A member requests a number of messages, which are sent in that turn. */
export async function listenRoom(plan: RoomPlan): Promise<RoomServer> {
  const { contender, size } = plan;
  if (contender === 'hub') return listenHub(plan);
  if (contender === 'socket.io, compat') swapWs();
  if (contender.startsWith('socket.io')) return { port: await listenSocketIo(size) };
  const server =
    contender === 'broadcast' ? 'receive' : (contender as 'ws' | 'ws, corked' | 'compat');
  return { port: await listen({ contender: server, task: { size } }) };
}

async function listenHub({ size, redis, isCluster }: RoomPlan): Promise<RoomServer> {
  const next = inTurn(roomPayloads(size));
  // With the default policy a slow member would be gone.
  const hub = new Hub({
    overflow: 'latest',
    maxQueuedBytes: MAX_QUEUED_BYTES,
    backplane: isCluster
      ? clusterBackplane()
      : redis === undefined
        ? undefined
        : await backplaneOf(redis),
  });
  const room = hub.room(ROOM);
  hub.on('connect', (session) => {
    void session.join(ROOM);
    if ((session.request as { url?: string }).url === SLOW) void session.join(SLOW);
  });
  hub.on('message', (_, message) => {
    for (let left = Number(message.text()); left > 0; left--) {
      // New memory, as an application's would be.
      void room.publish(Buffer.from(next()));
    }
  });
  const { url } = await serve({ port: 0, host: '127.0.0.1' }, hub.handler);
  return {
    port: Number(new URL(url).port),
    fill: () => fill(hub),
  };
}

/** The backplane of a node over Redis on this machine. */
export async function backplaneOf(port: number): Promise<Backplane> {
  const { createClient } = await import('redis');
  return redisBackplane(createClient({ socket: { host: '127.0.0.1', port } }));
}

async function fill(hub: Hub): Promise<void> {
  const slow = hub.room(SLOW);
  const filler = Buffer.alloc(FILLER);
  const full = (): boolean =>
    [...slow.members].every(({ queued }) => queued.bytes > MAX_QUEUED_BYTES - FILLER);
  for (let sent = 0; !full(); sent++) {
    if (sent === MOST_FILLERS) throw new Error(`the queues are not full after ${sent} messages`);
    await slow.publish(filler);
  }
}

async function listenSocketIo(size: number): Promise<number> {
  const next = inTurn(roomTexts(size));
  const http = createServer();
  const Server = await socketIo();
  const io = new Server(http, { ...IO_OPTIONS, serveClient: false });
  io.on('connection', (socket) => {
    void socket.join(ROOM);
    socket.on(REQUEST_EVENT, (count: number) => {
      for (let left = count; left > 0; left--) io.to(ROOM).emit(MESSAGE_EVENT, next());
    });
  });
  return listening(http);
}

function inTurn<T>(values: readonly T[]): () => T {
  let next = 0;
  return () => values[next++ % values.length]!;
}
