import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import {
  type RawPeer,
  type RequestChange,
  rawClient,
  rawServer,
  request,
  selfSigned,
  switchingProtocols,
  whenOver,
} from '@ws/tests';
import { onTestFinished, vi } from 'vitest';
import { createProxy, type Proxied, type Proxy, type ProxyOptions } from '../src/index.ts';

/** A server whose upgrades go through a proxy. It ends with the test. */
export interface Front {
  readonly proxy: Proxy;
  readonly server: Server;
  readonly port: number;
  readonly url: string;
  /** Errors that `report` got. */
  readonly reported: unknown[];
  /** Waits for the next request through the proxy. */
  readonly next: () => Promise<Proxied>;
}

type ProxyTarget = Parameters<typeof createProxy>[0];

/** Gives each item to one call of `next`, in order. */
function queue<T>() {
  const waiting: ((item: T) => void)[] = [];
  const early: T[] = [];
  return {
    add: (item: T): void => {
      const taker = waiting.shift();
      if (taker === undefined) early.push(item);
      else taker(item);
    },
    next: async (): Promise<T> =>
      early.shift() ?? new Promise((resolve) => void waiting.push(resolve)),
  };
}

export async function front(
  target: ProxyTarget,
  options: ProxyOptions = {},
  secure = false,
): Promise<Front> {
  const reported: unknown[] = [];
  const proxy = createProxy(target, { report: (error) => void reported.push(error), ...options });
  const server = secure ? createTlsServer(await selfSigned()) : createServer();
  const { add, next } = queue<Proxied>();
  server.on('upgrade', (req, socket, head) => {
    void proxy.upgrade(req, socket, head).then(add);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  whenOver(async () => {
    await proxy.close({ timeout: 1 });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`;
  return { proxy, server, port, url, reported, next };
}

/** A raw target. */
export interface RawTarget {
  readonly url: string;
  /** The requests, with their heads. */
  readonly heads: string[];
  /** Waits for the next connection, after its answer. */
  readonly next: () => Promise<RawPeer>;
}

/** Starts a target that answers each request with `answer`; by default with a valid 101. */
export async function rawTarget(
  answer: (head: string) => string | Uint8Array | undefined = (head) => switchingProtocols(head),
  secure = false,
): Promise<RawTarget> {
  const heads: string[] = [];
  const { add, next } = queue<RawPeer>();
  const { url } = await rawServer(secure, async (peer) => {
    const head = await peer.head();
    heads.push(head);
    const text = answer(head);
    if (text !== undefined) await peer.write(text);
    add(peer);
  });
  return { url, heads, next };
}

/** A proxy in front of a raw target, and a raw client that has sent nothing yet. */
export async function withClient(
  answer?: Parameters<typeof rawTarget>[0],
  options: ProxyOptions = {},
): Promise<{ backend: RawTarget; between: Front; client: RawPeer }> {
  const backend = await rawTarget(answer);
  const between = await front(backend.url, options);
  return { backend, between, client: await rawClient(between.port) };
}

/** Sends a request, and returns all bytes until the proxy ends the connection. */
export async function lastAnswer(client: RawPeer, change: RequestChange = {}): Promise<string> {
  await client.write(request(change));
  const text = String(await client.untilEnd());
  client.end();
  return text;
}

/** A raw client and a raw target with a proxy between them, all open. */
export interface Pair {
  readonly client: RawPeer;
  readonly target: RawPeer;
  readonly proxied: Proxied;
  readonly front: Front;
  /** The peer on a side, and the other one. */
  readonly from: (side: 'client' | 'target') => readonly [RawPeer, RawPeer];
  /** Ends both sides after what comes from the proxy. */
  readonly finish: () => Promise<unknown>;
}

export async function pair(options: ProxyOptions = {}): Promise<Pair> {
  const backend = await rawTarget();
  return openPair(await front(backend.url, options), backend);
}

export async function openPair(between: Front, backend: RawTarget): Promise<Pair> {
  const client = await rawClient(between.port);
  const answer = await client.upgrade();
  if (answer.status !== 101) throw new Error(answer.raw);
  const [target, proxied] = await Promise.all([backend.next(), between.next()]);
  client.startFrames();
  target.startFrames();
  return {
    client,
    target,
    proxied,
    front: between,
    from: (side) => (side === 'client' ? [client, target] : [target, client]),
    finish: () => Promise.all([client.finish(), target.finish()]),
  };
}

/** The clock stands from now to the end of the test. */
export function stopClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
}
