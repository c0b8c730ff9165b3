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

export async function front(
  target: ProxyTarget,
  options: ProxyOptions = {},
  secure = false,
): Promise<Front> {
  const reported: unknown[] = [];
  const proxy = createProxy(target, { report: (error) => void reported.push(error), ...options });
  const server = secure ? createTlsServer(await selfSigned()) : createServer();
  const waiting: ((proxied: Proxied) => void)[] = [];
  const early: Proxied[] = [];
  server.on('upgrade', (req, socket, head) => {
    void proxy.upgrade(req, socket, head).then((proxied) => {
      const taker = waiting.shift();
      if (taker === undefined) early.push(proxied);
      else taker(proxied);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  whenOver(async () => {
    await proxy.close({ timeout: 1 });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const next = async (): Promise<Proxied> => {
    const first = early.shift();
    return first ?? new Promise((resolve) => void waiting.push(resolve));
  };
  return {
    proxy,
    server,
    port,
    url: `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`,
    reported,
    next,
  };
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
  const waiting: ((peer: RawPeer) => void)[] = [];
  const early: RawPeer[] = [];
  const { url } = await rawServer(secure, async (peer) => {
    const head = await peer.head();
    heads.push(head);
    const text = answer(head);
    if (text !== undefined) await peer.write(text);
    const taker = waiting.shift();
    if (taker === undefined) early.push(peer);
    else taker(peer);
  });
  const next = async (): Promise<RawPeer> => {
    const first = early.shift();
    return first ?? new Promise((resolve) => void waiting.push(resolve));
  };
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
}

export async function pair(options: ProxyOptions = {}): Promise<Pair> {
  const backend = await rawTarget();
  const between = await front(backend.url, options);
  return { front: between, ...(await openPair(between, backend)) };
}

export async function openPair(
  between: Front,
  backend: RawTarget,
): Promise<{ client: RawPeer; target: RawPeer; proxied: Proxied }> {
  const client = await rawClient(between.port);
  const answer = await client.upgrade();
  if (answer.status !== 101) throw new Error(answer.raw);
  const [target, proxied] = await Promise.all([backend.next(), between.next()]);
  client.startFrames();
  target.startFrames();
  return { client, target, proxied };
}
