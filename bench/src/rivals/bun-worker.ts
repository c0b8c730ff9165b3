// An echo server for Bun, with its own API. Its first line of output is its port,
// and `/cpu` returns its CPU time. It exits at the end of its standard input, which ends with the
// process that started it.

/** The used parts of Bun. */
interface BunLike {
  serve(options: object): { port: number };
}

interface WebSocketLike {
  send(data: unknown): void;
}

interface Upgrading {
  upgrade(request: Request): boolean;
}

const LIMIT = 64 * 1024 * 1024;
const ADDRESS = { port: 0, hostname: '127.0.0.1' };
const { Bun } = globalThis as unknown as { Bun: BunLike };

function isQuestion(request: Request): boolean {
  return new URL(request.url).pathname === '/cpu';
}

function usage(): Response {
  const { user, system } = process.cpuUsage();
  return Response.json(user + system);
}

function listenBun(bun: BunLike): number {
  const { port } = bun.serve({
    ...ADDRESS,
    fetch(request: Request, server: Upgrading): Response | undefined {
      if (isQuestion(request)) return usage();
      return server.upgrade(request) ? undefined : new Response(null, { status: 400 });
    },
    websocket: {
      maxPayloadLength: LIMIT,
      perMessageDeflate: false,
      message: (socket: WebSocketLike, data: unknown) => void socket.send(data),
    },
  });
  return port;
}

process.stdin.once('end', () => process.exit()).resume();
console.log(listenBun(Bun));
