import cluster, { type Worker } from 'node:cluster';
import type { Client } from './broker.ts';
import { localBroker } from './process-link.ts';
import { contentOf, marked, type Question } from './wire.ts';

let isRunning = false;

/**
 * Makes the primary of `node:cluster` the engine of the hubs in its workers, and of its own hubs. Call
 * it before the first `cluster.fork()`: it sets `serialization: 'advanced'`. The messages of the
 * application, by `process.send`, pass beside those of the broker. {@link runCluster} calls it.
 *
 * The broker lives as long as its process. A second call does nothing.
 *
 * @throws TypeError in a worker, and if workers with another serialization run.
 *
 * @example
 * ```ts no-run
 * import cluster from 'node:cluster';
 * import { clusterBroker } from '@ws/hub/cluster';
 *
 * if (cluster.isPrimary) {
 *   clusterBroker();
 *   cluster.fork();
 *   cluster.fork();
 * }
 * ```
 */
export function clusterBroker(): void {
  if (!cluster.isPrimary) throw new TypeError('clusterBroker: call it in the primary');
  if (isRunning) return;
  const hasWorkers = Object.keys(cluster.workers ?? {}).length > 0;
  if (hasWorkers && cluster.settings.serialization !== 'advanced') {
    throw new TypeError('clusterBroker: call it before the first cluster.fork()');
  }
  isRunning = true;
  cluster.setupPrimary({ serialization: 'advanced' });
  const broker = localBroker();
  const clients = new Map<Worker, Client>();
  cluster.on('message', (worker, message) => {
    const questions = contentOf('@ws/hub', message) as readonly Question[] | undefined;
    if (questions === undefined) return;
    let client = clients.get(worker);
    if (client === undefined) {
      client = broker.connect((batch, sent) => void worker.send(marked('@ws/hub', batch), sent));
      clients.set(worker, client);
    }
    client.take(questions);
  });
  // All messages of the worker have arrived before.
  cluster.on('disconnect', (worker) => {
    clients.get(worker)?.ended();
    clients.delete(worker);
  });
}
