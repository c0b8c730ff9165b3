import { once } from 'node:events';
import { createServer } from 'node:net';
import process from 'node:process';

/**
 * Below the ports that systems give to servers on port 0 and to connections: Linux begins at 32768. Above 10080, which
 * browsers refuse.
 */
const FIRST = 11_000;
const COUNT = 20_000;

/** The process that runs another test begins far away, although its id is near. */
let next = (process.pid * 12_361) % COUNT;

/**
 * A port of 127.0.0.1 on which nothing listens, and which no other test gets: for a server that starts later, or
 * again, and for a client that finds no server. A port of a closed server may belong to a server of another test.
 */
export async function ownPort(): Promise<number> {
  for (;;) {
    const port = FIRST + next;
    next = (next + 1) % COUNT;
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  const listens = await once(server, 'listening').then(
    () => true,
    () => false,
  );
  if (listens) await once(server.close(), 'close');
  return listens;
}
