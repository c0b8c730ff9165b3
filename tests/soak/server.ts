import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { sharedSlabPool } from '@ws/codec';
import { type Refusal, serve, type WebSocketServer } from '@ws/node-server';
import type { SelfSigned } from '../self-signed.ts';
import { type Census, Observer, type Sample } from './census.ts';
import { answer } from './child.ts';
import { handlers, Intended, Rooms } from './handlers.ts';
import type { Address, CompressionMode, Plan } from './plan.ts';

// The process of the soak that serves.

/** What {@link Sample} is of the server. */
export interface ServerSample extends Sample {
  readonly open: number;
  readonly opened: number;
}

/** What {@link Census} is of the server. */
export interface ServerCensus extends Census {
  readonly open: number;
  /** What its handlers threw, and nobody meant. */
  readonly reported: readonly string[];
}

/** What {@link Plan} is to the server. */
export interface ServerPlan {
  readonly plan: Plan;
  readonly tls: SelfSigned | undefined;
}

const observer = new Observer();
const lasting = new AbortController().signal;
const rooms = new Rooms();
const servers: WebSocketServer[] = [];
const reported: string[] = [];
/** What is never let go of, where a fault was asked for. */
const planted: unknown[] = [];
let opened = 0;

observer.watch(lasting);

/** Lets all in but those who ask not to be, some of them after a while. */
async function authenticate(
  req: IncomingMessage,
  { signal }: { signal: AbortSignal },
): Promise<Refusal | string> {
  const { server } = req.socket as unknown as { server: EventEmitter };
  observer.watch(server);
  if (req.url?.endsWith('?nobody')) return { refuse: 403, body: 'nobody comes in here' };
  if (req.url?.endsWith('?slow')) await wait(300, undefined, { signal });
  return 'somebody';
}

function report(error: unknown): void {
  if (error instanceof Intended || (error as Error).name === 'AbortError') return;
  reported.push(error instanceof Error ? String(error.stack) : String(error));
}

/** What a server should not do, at every connection. */
function err(conn: object): void {
  planted.push(conn, Buffer.alloc(256 * 1024));
  setTimeout(() => {}, 3_600_000);
  lasting.addEventListener('abort', () => {});
  sharedSlabPool().take(1);
  void Promise.reject(new Error('planted'));
}

const MODES: { readonly [M in CompressionMode]: readonly (false | 'shared' | 'takeover')[] } = {
  off: [false],
  shared: ['shared'],
  takeover: ['takeover'],
  mixed: [false, 'shared', 'takeover'],
};

/** What a faulty server closes at once, in place of an answer. */
const WRONG: ReadonlySet<string> = new Set(['/echo/eager', '/echo/read', '/values', '/room/:name']);

async function start({ plan, tls }: ServerPlan): Promise<Address[]> {
  const { compression, faulty = false } = plan;
  const routes = Object.entries(handlers(rooms, lasting)).map(([path, handler]) => [
    path,
    (...[conn, req, context]: Parameters<typeof handler>) => {
      opened++;
      if (faulty) err(conn);
      // Neither what the calm ones ask for, which would not notice, nor what is asked before and after all.
      if (faulty && WRONG.has(path)) return conn.close(1013);
      return handler(conn, req, context);
    },
  ]);
  const addresses: Address[] = [];
  for (const mode of MODES[compression]) {
    const server = await serve({
      host: '127.0.0.1',
      tls: tls && { key: tls.key, cert: tls.cert },
      routes: Object.fromEntries(routes) as ReturnType<typeof handlers>,
      authenticate,
      report,
      subprotocols: ['soak.2', 'soak.1'],
      compression: mode,
      handshakeTimeout: 20_000,
      heartbeat: { interval: 6_000, timeout: 20_000 },
      idleReadTimeout: 5_000,
      closeTimeout: 2_000,
      readLimit: 256 * 1024,
      maxBufferedAmount: 1024 * 1024,
      maxHandshakes: 4_096,
    });
    servers.push(server);
    addresses.push({ url: server.url, compresses: mode !== false });
  }
  return addresses;
}

function open(): number {
  return servers.reduce((sum, { connections }) => sum + connections.size, 0);
}

answer({
  start,
  sample: (): ServerSample => ({ ...observer.sample(), open: open(), opened }),
  census: async (before?: Census): Promise<ServerCensus> => ({
    ...(await observer.census(before)),
    open: open(),
    reported,
  }),
  close: async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()));
    rooms.close();
  },
});
