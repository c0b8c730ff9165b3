// Two workers with a room, and their primary. See `RoomClusterAnswers`.
import cluster, { type Worker } from 'node:cluster';
import { clusterBroker } from '@ws/hub/cluster';
import { answer } from '../harness/child.ts';
import { type Usage, usage } from '../harness/usage.ts';
import { listenRoom, type RoomPlan } from './room-servers.ts';

/** The requests that the primary answers. */
export type RoomClusterAnswers = {
  /** Starts the workers. Returns their port. */
  listen: (plan: RoomPlan) => Promise<number>;
  /** Of the primary and its workers together. */
  usage: (nothing?: undefined) => Promise<Usage>;
};

/** What a worker sends. */
interface FromWorker {
  readonly port?: number;
  readonly usage?: Usage;
  readonly hears?: true;
}

const WORKERS = 2;

if (cluster.isPrimary) {
  clusterBroker();
  const workers: Worker[] = [];
  answer({
    async listen(plan) {
      const ports: (number | undefined)[] = [];
      while (workers.length < WORKERS) {
        const worker = cluster.fork();
        workers.push(worker);
        // Node loses a message that is sent before.
        await told(worker, 'hears');
        worker.send(plan);
        ports.push((await told(worker, 'port')) as number);
      }
      return ports[0]!;
    },
    async usage() {
      const all = await Promise.all(
        workers.map(async (worker) => {
          worker.send('usage');
          return (await told(worker, 'usage')) as Usage;
        }),
      );
      return { cpu: all.reduce((sum, { cpu }) => sum + cpu, usage().cpu) };
    },
  } satisfies RoomClusterAnswers);
} else {
  process.on('message', (message: RoomPlan | 'usage') => {
    if (message === 'usage') process.send!({ usage: usage() });
    else if ('contender' in message) {
      void listenRoom(message).then(({ port }) => process.send!({ port }));
    }
  });
  process.send!({ hears: true });
}

/** Resolves to the next word of this kind. The messages of the broker pass beside it. */
function told(worker: Worker, kind: keyof FromWorker): Promise<FromWorker[keyof FromWorker]> {
  return new Promise((resolve) => {
    const hear = (message: FromWorker): void => {
      if (message[kind] === undefined) return;
      worker.off('message', hear);
      resolve(message[kind]);
    };
    worker.on('message', hear);
  });
}
