import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import { createProxy } from '@ws/proxy';

/**
 * The proxies that run in Node. Without the mode `messages`: it may send a message in other frames,
 * and the load compares frames.
 */
export const PROXIES = ['pipe', 'bytes', 'frames', 'httpxy', 'http-proxy-3'] as const;
export type ProxyName = (typeof PROXIES)[number];

/** Starts a proxy to a port of 127.0.0.1. Returns its own port. */
export async function startProxy(name: ProxyName, target: number): Promise<number> {
  const server = await makeProxy(name, target);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function makeProxy(name: ProxyName, target: number): Promise<Server> {
  const url = `http://127.0.0.1:${target}`;
  switch (name) {
    case 'pipe':
      return pipeServer(target);
    case 'httpxy': {
      const { createProxyServer } = await import('httpxy');
      const proxy = createProxyServer({ target: url, ws: true });
      const server = createServer();
      server.on('upgrade', (req, socket, head) => {
        void proxy.ws(req, socket as never, { target: url }, head);
      });
      return server;
    }
    case 'http-proxy-3': {
      const { createProxyServer } = await import('http-proxy-3');
      const proxy = createProxyServer({ target: url, ws: true });
      const server = createServer();
      server.on('upgrade', (req, socket, head) => proxy.ws(req, socket, head));
      return server;
    }
    case 'bytes':
    case 'frames':
      return createServer().on('upgrade', createProxy(url, { mode: name }).handler);
  }
}

/** The least in Node: no handshake is read. */
function pipeServer(target: number): Server {
  return createTcpServer({ noDelay: true }, (client) => {
    const backend = connect({ port: target, host: '127.0.0.1', noDelay: true });
    client.pipe(backend).pipe(client);
    for (const socket of [client, backend]) {
      socket.on('error', () => {
        client.destroy();
        backend.destroy();
      });
    }
  });
}
