import { createServer } from 'node:net';
import { type ClientConn, dial } from '@ws/node-client';
import { listening } from '../kit/listening.ts';
import { switchingProtocols } from '../kit/raw-peer.ts';

/** What a flood of pings to clients came to. */
export interface ClientFlood {
  readonly pings: number;
  /** Highest growth of the resident memory of this process, in bytes. The servers are part of it. */
  readonly growth: number;
  readonly open: number;
}

const SERVERS = 14;
/** Milliseconds without a ping after which a flood has stopped. */
const QUIET = 1_000;
const ping = Buffer.concat([Buffer.of(0x89, 125), Buffer.alloc(125, 7)]);
const chunk = Buffer.concat(Array.from({ length: 512 }, () => ping));

/** Starts a server that floods each client with pings as fast as TCP takes them, and never reads. */
async function startServer(): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => {
      socket.write(switchingProtocols(request.toString('latin1')));
      socket.pause();
      const flood = (): void => {
        while (socket.write(chunk));
      };
      socket.on('drain', flood);
      flood();
    });
  });
  return `ws://127.0.0.1:${await listening(server)}/`;
}

/** Dials the servers. With `reads`, the clients read messages, of which there are none. */
async function flood(reads: boolean, count: number): Promise<ClientFlood> {
  const urls = await Promise.all(Array.from({ length: SERVERS }, startServer));
  const start = process.memoryUsage.rss();
  const conns: ClientConn[] = [];
  for (const url of urls) {
    const conn = await dial(url);
    if (reads) conn.receive(() => {}).catch(() => {});
    conns.push(conn);
  }
  const received = (): number => conns.reduce((sum, { stats }) => sum + stats.pingsIn, 0);
  let growth = 0;
  let pings = 0;
  for (let quiet = 0; pings < count && quiet < QUIET; quiet += 10) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    growth = Math.max(growth, process.memoryUsage.rss() - start);
    if (received() > pings) quiet = 0;
    pings = received();
  }
  return { pings, growth, open: conns.filter(({ state }) => state === 'open').length };
}

const [, , reads, count] = process.argv;
process.stdout.write(JSON.stringify(await flood(reads === 'reads', Number(count))), () => {
  process.exit();
});
