import { Dialer } from '@ws/node-client';
import { type Conn, type ServeOptions, serve, type WebSocketServer } from '@ws/node-server';
import { selfSigned } from '@ws/testkit';
import { type ProxyName, type ReverseProxy, startReverseProxy } from '@ws/testkit/examples';

/** A server of ours with a reverse proxy before it. */
export interface Stage {
  readonly proxy: ReverseProxy;
  readonly server: WebSocketServer;
  /** Trusts the proxy's certificate. */
  readonly dialer: Dialer;
  /** Of the proxy, by its scheme: ws or wss. */
  readonly urls: { readonly ws: string; readonly wss: string };
  /** That certificate, for other clients. */
  readonly ca: string;
}

const open: { close(): Promise<void> }[] = [];

/** Starts both; `handler` runs each connection that has no route. */
export async function stage(
  name: ProxyName,
  options: ServeOptions<unknown> = {},
  handler: (conn: Conn) => unknown = echo,
  silence?: string,
): Promise<Stage> {
  const server = await serve({ port: 0, host: '127.0.0.1', ...options }, handler);
  open.push({ close: () => server.close({ timeout: 1_000 }) });
  const proxy = await startReverseProxy(name, Number(new URL(server.url).port), silence);
  open.push(proxy);
  const { cert: ca } = await selfSigned();
  const dialer = new Dialer({ tls: { ca } });
  const urls = { ws: `ws://${proxy.host}`, wss: `wss://${proxy.tlsHost}` };
  return { proxy, server, dialer, urls, ca };
}

/** Ends what the test has started. */
export async function leave(): Promise<void> {
  await Promise.all(open.splice(0).map((started) => started.close()));
}

export function echo(conn: Conn): Promise<unknown> {
  return conn.receive((message) => conn.send(message));
}

/** The only connection that comes. */
export function firstConn(): { handler: (conn: Conn) => void; conn: Promise<Conn> } {
  let handler!: (conn: Conn) => void;
  const conn = new Promise<Conn>((resolve) => {
    handler = resolve;
  });
  return { handler, conn };
}
