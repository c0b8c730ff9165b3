import { Dialer } from '@ws/node-client';
import {
  type AdmitOrRefuse,
  type Conn,
  type ConnHandler,
  type Routes,
  type ServeOptions,
  serve,
  type WsServer,
} from '@ws/node-server';
import { selfSigned } from '@ws/tests';
import { type ProxyName, type ReverseProxy, startReverseProxy } from '@ws/tests/examples';

/** Our server behind a reverse proxy. */
export interface Setup {
  readonly proxy: ReverseProxy;
  readonly server: WsServer;
  /** Trusts the certificate of the proxy. */
  readonly dialer: Dialer;
  /** URLs of the proxy. */
  readonly urls: { readonly ws: string; readonly wss: string };
  /** Certificate of the proxy, for other clients. */
  readonly ca: string;
}

const open: { close(): Promise<void> }[] = [];

/** Starts a server and a proxy. `handler` runs each connection. */
export async function behind(
  name: ProxyName,
  options: ServeOptions<AdmitOrRefuse> = {},
  handler: ConnHandler<unknown> | Routes<string, unknown> = echo,
  silence?: string,
): Promise<Setup> {
  const server = await serve({ port: 0, host: '127.0.0.1', ...options }, handler);
  open.push({ close: async () => void (await server.close({ timeout: 1_000 })) });
  const proxy = await startReverseProxy(name, Number(new URL(server.url).port), silence);
  open.push(proxy);
  const { cert: ca } = await selfSigned();
  const dialer = new Dialer({ tls: { ca } });
  const urls = { ws: `ws://${proxy.host}`, wss: `wss://${proxy.tlsHost}` };
  return { proxy, server, dialer, urls, ca };
}

/** Stops the servers and proxies of the test. */
export async function stop(): Promise<void> {
  await Promise.all(open.splice(0).map((started) => started.close()));
}

export function echo(conn: Conn): Promise<unknown> {
  return conn.receive((message) => conn.send(message));
}

/** A handler and the first connection that it receives. */
export function firstConn(): { handler: (conn: Conn) => void; conn: Promise<Conn> } {
  let handler!: (conn: Conn) => void;
  const conn = new Promise<Conn>((resolve) => {
    handler = resolve;
  });
  return { handler, conn };
}
