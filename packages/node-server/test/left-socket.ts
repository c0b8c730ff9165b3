import { once } from 'node:events';
import { linkSync, utimesSync } from 'node:fs';
import { createServer } from 'node:net';

/** Leaves the file of a Unix socket on which nothing listens, as a killed process does. */
export async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.live`);
  await once(server, 'listening');
  linkSync(`${path}.live`, path);
  // Left a while ago: else each start waits whether it is about to listen.
  utimesSync(path, 1, 1);
  // Removes the name that it listened on.
  server.close();
  await once(server, 'close');
}
