import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import net, { type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Answer, nothingUnhandled, parseAnswer, RawPeer, turn } from '@ws/tests';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import {
  type AdmitOrRefuse,
  type AuthOf,
  type HandlerOrRoutes,
  type ServeOptions,
  serve,
  type Upgrader,
  type WsServer,
} from '../src/index.ts';

export {
  ACCEPT,
  type Answer,
  KEY,
  masked,
  nothingUnhandled,
  parseAnswer,
  RawPeer,
  type RequestChange,
  request,
} from '@ws/tests';

/** Sends bytes and gives all that comes back until the server ends. */
export async function exchange(port: number, bytes: Uint8Array): Promise<Answer> {
  const socket = net.connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(bytes);
  await once(socket, 'end');
  socket.destroy();
  return parseAnswer(Buffer.concat(chunks).toString('latin1'));
}

/** `serve` on 127.0.0.1, closed after the test. */
export async function serving<
  Result extends AdmitOrRefuse = undefined,
  Pattern extends string = string,
>(
  options: ServeOptions<Result>,
  handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
): Promise<WsServer<AuthOf<Result>> & { readonly port: number }> {
  const server = await serve<Result, Pattern>({ host: '127.0.0.1', ...options }, handlerOrRoutes);
  onTestFinished(async () => void (await server.close({ timeout: 1 })));
  return Object.assign(server, { port: Number(new URL(server.url).port) });
}

/** Connects a raw client. It answers a FIN with a FIN. */
export async function connectRaw(port: number): Promise<RawPeer> {
  const socket = net.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return new RawPeer(socket);
}

/** A node:http server whose upgrades are an Upgrader's, or a listener's. */
export class TestServer {
  readonly http: Server;
  /** What `upgrade` came to, in the order of the requests. */
  readonly outcomes: unknown[] = [];
  /** Requests that Node served as plain ones. */
  readonly served: string[] = [];
  port = 0;
  readonly #sockets = new Set<Duplex>();
  #wake: (() => void) | undefined;

  constructor(
    listener: Pick<Upgrader<AdmitOrRefuse>, 'upgrade'> | Parameters<Server['on']>[1],
    onRequest?: RequestListener,
  ) {
    this.http = createServer((req, res) => {
      this.served.push(`${req.method} ${req.url}`);
      if (onRequest === undefined) res.end('served');
      else onRequest(req, res);
    });
    this.http.on('connection', (socket) => this.#sockets.add(socket));
    if (typeof listener === 'function') this.http.on('upgrade', listener as () => void);
    else {
      this.http.on('upgrade', (req, socket, head) => {
        void listener.upgrade(req, socket, head).then(
          (conn) => this.settled(conn),
          (error: unknown) => this.settled(error),
        );
      });
    }
  }

  settled(outcome: unknown): void {
    this.outcomes.push(outcome);
    this.#wake?.();
  }

  /** The n-th outcome, when it is there. */
  async outcome(n = 0): Promise<unknown> {
    while (this.outcomes.length <= n) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.outcomes[n];
  }

  async listen(): Promise<this> {
    this.http.listen(0, '127.0.0.1');
    await once(this.http, 'listening');
    this.port = (this.http.address() as AddressInfo).port;
    return this;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.http.close();
    await once(this.http, 'close');
  }
}

/** The sockets, servers and timers that this process holds, by kind. */
function held(): Record<string, number> {
  const kinds: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (/TCP|TLS|Pipe|Timeout/.test(kind)) kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/**
 * Makes a file fail that leaves a socket, a server or a timer behind, and a test that leaves an error
 * unhandled. To be called before the other hooks of the file.
 */
export function trapLeftovers(): void {
  nothingUnhandled();
  let before: Record<string, number>;
  beforeAll(() => {
    before = held();
  });
  afterAll(async () => {
    // What was there before may be gone: a timer of the runner, for example.
    const left = (): string[] => {
      return Object.entries(held()).flatMap(([kind, n]) => (n > (before[kind] ?? 0) ? kind : []));
    };
    // A refused socket lingers for two seconds, and longer on a busy machine. Turns, because a wait
    // would hold a timer itself.
    const end = performance.now() + 60_000;
    while (left().length > 0 && performance.now() < end) await turn();
    expect(left()).toEqual([]);
  });
}
