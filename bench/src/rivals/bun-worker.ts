// A server for Bun, with its own API: it echoes, or publishes to a room. Its first line of output is
// its port. It exits at the end of its standard input, which ends with the process that started it.
import { delay } from '../harness/delay.ts';
import { roomPayloads } from '../load/room-messages.ts';

/** The used parts of Bun. */
interface BunLike {
  serve(options: object): ServerLike;
}

interface ServerLike {
  readonly port: number;
  upgrade(request: Request, options: { data: Data }): boolean;
  publish(topic: string, data: Buffer): number;
}

/** Bytes of a message of the room; undefined for an echo. */
type Data = { readonly size: number | undefined };

interface WebSocketLike {
  readonly data: Data;
  send(data: unknown): void;
  subscribe(topic: string): void;
}

const LIMIT = 64 * 1024 * 1024;
const ADDRESS = { port: 0, hostname: '127.0.0.1' };
const { Bun } = globalThis as unknown as { Bun: BunLike };

const ROOM = 'all';
/** A member of a room with messages of so many bytes. */
const ROOM_PATH = /^\/room\/(\d+)$/;

/** Answers to GET requests, as JSON. */
const ANSWERS: Readonly<Record<string, () => number>> = {
  /** Microseconds of CPU. */
  '/cpu': () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  },
  '/delay': delay,
};

const server: ServerLike = Bun.serve({
  ...ADDRESS,
  fetch(request: Request): Response | undefined {
    const { pathname } = new URL(request.url);
    const answer = ANSWERS[pathname];
    if (answer !== undefined) return Response.json(answer());
    const size = ROOM_PATH.exec(pathname)?.[1];
    const data = { size: size === undefined ? undefined : Number(size) };
    return server.upgrade(request, { data }) ? undefined : new Response(null, { status: 400 });
  },
  websocket: {
    maxPayloadLength: LIMIT,
    perMessageDeflate: false,
    // Most members only receive. By default Bun closes them.
    idleTimeout: 0,
    open: (socket: WebSocketLike) => {
      if (socket.data.size !== undefined) socket.subscribe(ROOM);
    },
    message: (socket: WebSocketLike, data: unknown) => {
      const { size } = socket.data;
      if (size === undefined) socket.send(data);
      else publish(size, Number(data));
    },
  },
});

let payloads: readonly Buffer[] | undefined;
let next = 0;

function publish(size: number, count: number): void {
  payloads ??= roomPayloads(size);
  for (let left = count; left > 0; left--) {
    server.publish(ROOM, Buffer.from(payloads[next++ % payloads.length]!));
  }
}

process.stdin.once('end', () => process.exit()).resume();
console.log(server.port);
