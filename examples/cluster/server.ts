// One port, a process for each core. What one client says reaches all, whichever process they are connected to.
import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { broadcast, serve } from '@ws/node-server';

/** How long a worker may take to say goodbye, in ms. */
const PATIENCE_MS = 5_000;

try {
  if (cluster.isPrimary) await primary(workerCount(process.env['WORKERS']));
  else await worker();
} catch (error) {
  // A port that is in use, or a number that is none: the reason is enough.
  console.error(String(error));
  process.exit(1);
}

function workerCount(text: string | undefined): number {
  const count = Number(text ?? availableParallelism());
  if (Number.isInteger(count) && count >= 1) return count;
  throw new RangeError(`WORKERS: expected a number from 1 on, got ${JSON.stringify(text)}`);
}

async function primary(workers: number): Promise<void> {
  let ending = false;
  // Every worker hears what one of them has heard, itself too: so all clients see the same order.
  cluster.on('message', (_from, text: string) => {
    // The callback is where it hears of one that has just died; without it, the error would end the primary.
    for (const each of Object.values(cluster.workers ?? {})) each?.send(text, () => {});
  });
  const served = new Set<number>();
  cluster.on('listening', ({ id }) => served.add(id));
  const end = (): void => {
    ending = true;
    for (const each of Object.values(cluster.workers ?? {})) each?.kill('SIGTERM');
  };
  cluster.on('exit', (dead, code) => {
    if (ending) return;
    // One that could not even listen will not do it the next time: a port that is in use, for example.
    if (!served.delete(dead.id)) {
      console.error(`worker ${dead.id} could not start`);
      process.exitCode = 1;
      return end();
    }
    console.error(`worker ${dead.id} has ended with ${code}; another takes its place`);
    cluster.fork();
  });
  // `on`, not `once`: Ctrl-C may come twice, from the terminal and from npm. The workers get SIGTERM from here.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, end);
  }
  for (let i = 0; i < workers; i++) cluster.fork();
  const [url] = await new Promise<string[]>((resolve) => {
    const urls: string[] = [];
    cluster.on('listening', (_worker, { port }) => {
      if (urls.push(`ws://127.0.0.1:${port}`) === workers) resolve(urls);
    });
  });
  console.log(`${url} by ${workers} processes`);
}

async function worker(): Promise<void> {
  // Port 0 is the same free port in all workers of a cluster.
  const server = await serve(
    { port: Number(process.env['PORT'] ?? 0), host: '127.0.0.1', readLimit: 4096 },
    async (conn) => {
      await conn.send(`you are with process ${process.pid}`);
      // Awaited: a client that floods waits for the primary, and no queue grows.
      await conn.receive((message) => toPrimary(message.text()));
    },
  );
  process.on('message', (text: string) => void broadcast(server.connections, text));
  // A terminal's Ctrl-C reaches the workers too: they wait for the primary's word.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {
    void server.close({ timeout: PATIENCE_MS }).then(() => process.disconnect());
  });
}

function toPrimary(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(text, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
