// An echo server for Bun and for Deno, each by its own means. Its first line of output is its port; `/cpu` tells what it
// took. It leaves when its standard input ends, as that does with the process that started it.

/** The parts of Bun that are used. */
interface BunLike {
  serve(options: object): { port: number };
}

/** The parts of Deno that are used. */
interface DenoLike {
  serve(options: object, handler: (request: Request) => Response): { addr: { port: number } };
  upgradeWebSocket(
    request: Request,
    options: object,
  ): { socket: WebSocketLike; response: Response };
}

interface WebSocketLike {
  binaryType: string;
  onmessage: (event: { data: unknown }) => void;
  send(data: unknown): void;
}

interface Upgrading {
  upgrade(request: Request): boolean;
}

const LIMIT = 64 * 1024 * 1024;
const ADDRESS = { port: 0, hostname: '127.0.0.1' };
const { Bun, Deno } = globalThis as unknown as { Bun?: BunLike; Deno?: DenoLike };

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

function listenDeno(deno: DenoLike): number {
  const { addr } = deno.serve({ ...ADDRESS, onListen() {} }, (request) => {
    if (isQuestion(request)) return usage();
    const { socket, response } = deno.upgradeWebSocket(request, { idleTimeout: 0 });
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => socket.send(data);
    return response;
  });
  return addr.port;
}

// Deno tells no 'close' of it.
process.stdin.once('end', () => process.exit()).resume();
console.log(Bun ? listenBun(Bun) : listenDeno(Deno!));
