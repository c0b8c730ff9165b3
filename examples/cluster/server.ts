// One port, one process for each core. A message of one client reaches the clients of all processes.
import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { broadcast, serve } from '@ws/node-server';

/** Time in ms for a worker to close its connections. */
const CLOSE_TIMEOUT_MS = 5_000;

try {
  if (cluster.isPrimary) await primary(workerCount(process.env['WORKERS']));
  else await worker();
} catch (error) {
  // The message is enough, for example when the port is in use.
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
  // Every worker gets every message, also its own: so all clients see the same order.
  cluster.on('message', (_from, text: string) => {
    // The callback gets the error of a worker that has just died. Without it, the error would end
    // the primary.
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
    // A worker that could not listen would fail again, for example when the port is in use.
    if (!served.delete(dead.id)) {
      console.error(`worker ${dead.id} could not start`);
      process.exitCode = 1;
      return end();
    }
    console.error(`worker ${dead.id} ended with ${code}; starting another`);
    cluster.fork();
  });
  // `on`, not `once`: the terminal and npm may both send the signal. The primary sends SIGTERM to
  // the workers.
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
      // Awaited, so a client that floods waits for the primary, and no queue grows.
      await conn.receive((message) => toPrimary(message.text()));
    },
  );
  process.on('message', (text: string) => void broadcast(server.connections, text));
  // Ctrl-C in a terminal reaches the workers too. They wait for SIGTERM from the primary.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {
    void server.close({ timeout: CLOSE_TIMEOUT_MS }).then(() => process.disconnect());
  });
}

function toPrimary(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send!(text, undefined, undefined, (error) => (error ? reject(error) : resolve()));
  });
}
