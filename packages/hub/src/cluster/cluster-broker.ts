import cluster from 'node:cluster';
import process from 'node:process';
import type { Send } from './batches.ts';
import { Broker, BrokerClient } from './broker.ts';
import { closeUnaccepted } from './unaccepted.ts';
import { type Link, type LinkedHub, packetOf, type Reply, type Request } from './wire.ts';

let broker: Broker | undefined;
let isRunning = false;
/** The hubs of this process that are connected to the primary, by their ids. */
const hubs = new Map<string, LinkedHub>();

/** The broker of this process, a primary. Hubs in the primary use it without IPC. */
export function localBroker(): Broker {
  return (broker ??= new Broker());
}

/**
 * Starts an engine in the primary of `node:cluster`, for its hubs and the hubs of its workers. Call
 * it before the first `cluster.fork()`: it sets `serialization: 'advanced'`. The application may still use
 * `process.send` and `worker.send`. {@link runCluster} calls this function.
 *
 * The broker exists until the process ends. A second call does nothing.
 *
 * @throws TypeError in a worker, and after the first `cluster.fork()`.
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
  if (Object.keys(cluster.workers ?? {}).length > 0) {
    throw new TypeError('clusterBroker: call it before the first cluster.fork()');
  }
  isRunning = true;
  cluster.setupPrimary({ serialization: 'advanced' });
  const local = localBroker();
  cluster.on('fork', (worker) => {
    closeUnaccepted(worker.process);
    const clients = new Map<string, BrokerClient>();
    worker.on('message', (message) => {
      const packet = packetOf<Request>(message);
      if (packet === undefined) return;
      const { hub } = packet;
      const client =
        clients.get(hub) ??
        new BrokerClient(local, (batch, sent) => void worker.send({ '@ws/hub': batch, hub }, sent));
      clients.set(hub, client);
      client.take(packet['@ws/hub']);
      if (!local.clients.has(client)) clients.delete(hub);
    });
    // Node has emitted all messages of the worker before this event.
    worker.on('disconnect', () => {
      for (const client of clients.values()) client.ended();
    });
  });
}

/**
 * Connects a hub to the broker of this process, or of the primary.
 *
 * @returns Undefined in a process that cannot reach a broker.
 */
export function connect(hub: LinkedHub): Link | undefined {
  if (broker !== undefined) {
    const client = new BrokerClient(broker, sendWithin(hub));
    return { send: sendWithin(client), disconnect() {} };
  }
  if (process.send === undefined) return undefined;
  const id = crypto.randomUUID();
  if (hubs.size === 0) process.on('message', receive).on('disconnect', disconnected);
  hubs.set(id, hub);
  return {
    send: (batch, sent) => process.send!({ '@ws/hub': batch, hub: id }, undefined, undefined, sent),
    disconnect() {
      hubs.delete(id);
      // A listener for messages keeps the process alive.
      if (hubs.size === 0) process.off('message', receive).off('disconnect', disconnected);
    },
  };
}

/** Returns a function that sends batches to `receiver`, in this process. */
function sendWithin<Item>(receiver: { take(batch: readonly Item[]): void }): Send<Item> {
  return (batch, sent) => {
    sent();
    receiver.take(batch);
  };
}

function receive(message: unknown): void {
  const packet = packetOf<Reply>(message);
  if (packet !== undefined) hubs.get(packet.hub)?.take(packet['@ws/hub']);
}

function disconnected(): void {
  for (const hub of hubs.values()) hub.ended(new Error('the connection to the primary has ended'));
}
