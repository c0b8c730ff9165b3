import type { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { sharedSlabPool } from '@ws/codec';
import { type Refusal, serve, type WsServer } from '@ws/node-server';
import type { SelfSigned } from '../kit/self-signed.ts';
import { answer } from './child.ts';
import { handlers, Intended, Rooms } from './handlers.ts';
import type { Address, CompressionMode, Plan } from './options.ts';
import { ProcessMonitor, type Sample, type Snapshot } from './process-monitor.ts';

// The server process of the soak.

export interface ServerSample extends Sample {
  readonly open: number;
  readonly opened: number;
}

export interface ServerSnapshot extends Snapshot {
  readonly open: number;
  /** Unintended errors of its handlers. */
  readonly reported: readonly string[];
}

export interface ServerPlan {
  readonly plan: Plan;
  readonly tls: SelfSigned | undefined;
}

const monitor = new ProcessMonitor();
const lasting = new AbortController().signal;
const rooms = new Rooms();
const servers: WsServer[] = [];
const reported: string[] = [];
/** Leaks of a faulty server. */
const planted: unknown[] = [];
let opened = 0;

monitor.watch(lasting);

/** Accepts every client except `?forbidden`; `?slow` after a delay. */
async function authenticate(
  req: IncomingMessage,
  { signal }: { signal: AbortSignal },
): Promise<Refusal | string> {
  const { server } = req.socket as unknown as { server: EventEmitter };
  monitor.watch(server);
  if (req.url?.endsWith('?forbidden')) return { refuse: 403, body: 'no access' };
  if (req.url?.endsWith('?slow')) await wait(300, undefined, { signal });
  return 'user';
}

function report(error: unknown): void {
  if (error instanceof Intended || (error as Error).name === 'AbortError') return;
  reported.push(error instanceof Error ? String(error.stack) : String(error));
}

/** Leaks one object of each kind. */
function leak(conn: object): void {
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

/** Paths that a faulty server closes at once. */
const WRONG: ReadonlySet<string> = new Set(['/echo/eager', '/echo/read', '/values', '/room/:name']);

async function start({ plan, tls }: ServerPlan): Promise<Address[]> {
  const { compression, faulty = false } = plan;
  const routes = Object.entries(handlers(rooms, lasting)).map(([path, handler]) => [
    path,
    (...[conn, req, context]: Parameters<typeof handler>) => {
      opened++;
      if (faulty) leak(conn);
      // Not the path of idle clients, who would not notice, nor that of the first and last echoes.
      if (faulty && WRONG.has(path)) return conn.close(1013);
      return handler(conn, req, context);
    },
  ]);
  const addresses: Address[] = [];
  for (const mode of MODES[compression]) {
    const server = await serve(
      {
        host: '127.0.0.1',
        tls: tls && { key: tls.key, cert: tls.cert },
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
      },
      Object.fromEntries(routes) as ReturnType<typeof handlers>,
    );
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
  sample: (): ServerSample => ({ ...monitor.sample(), open: open(), opened }),
  snapshot: async (before?: Snapshot): Promise<ServerSnapshot> => ({
    ...(await monitor.snapshot(before)),
    open: open(),
    reported,
  }),
  close: async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()));
    rooms.close();
  },
});
