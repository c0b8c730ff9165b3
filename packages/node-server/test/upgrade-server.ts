import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach } from 'vitest';
import type { HeadersInput, Upgrader } from '../src/index.ts';
import { connectRaw, type RawPeer, TestServer, trapLeftovers } from './raw.ts';

export const servers: TestServer[] = [];

export const clients: RawPeer[] = [];

/** Ends the clients and servers of each test, and makes a file fail that leaves something behind. */
export function endAfterEach(): void {
  trapLeftovers();
  afterEach(async () => {
    for (const client of clients.splice(0)) client.stream.destroy();
    for (const server of servers.splice(0)) await server.close();
  });
}

export async function listening(
  listener: ConstructorParameters<typeof TestServer>[0],
): Promise<TestServer> {
  const server = await new TestServer(listener).listen();
  servers.push(server);
  return server;
}

export async function connected(server: TestServer): Promise<RawPeer> {
  const client = await connectRaw(server.port);
  clients.push(client);
  return client;
}

/** Starts a server that adds `headers` to each 101. */
export function withHeaders(upgrader: Upgrader, headers: unknown): Promise<TestServer> {
  const listener = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    void upgrader.upgrade(req, socket, head, { headers: headers as HeadersInput }).then(
      (conn) => server.settled(conn),
      (error: unknown) => server.settled(error),
    );
  };
  let server: TestServer;
  return listening(listener as () => void).then((made) => {
    server = made;
    return made;
  });
}
