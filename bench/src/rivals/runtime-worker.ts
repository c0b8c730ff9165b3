// An echo server for Bun and for Deno, each with its own API. Its first line of output is its port,
// and `/cpu` returns its CPU time. It exits at the end of its standard input, which ends with the
// process that started it.

/** The used parts of Bun. */
interface BunLike {
  serve(options: object): { port: number };
}

/** The used parts of Deno. */
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

// Deno emits no 'close' here.
process.stdin.once('end', () => process.exit()).resume();
console.log(Bun ? listenBun(Bun) : listenDeno(Deno!));
