// The primary of the workers of the killer, which forwards commands and texts.
import cluster, { type Worker } from 'node:cluster';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { clusterBroker } from '@ws/hub/cluster';

/** Starts a script in a worker, or gives it a command. */
export type ToPrimary =
  | { readonly worker: number; readonly script: string; readonly args: readonly string[] }
  | { readonly worker: number; readonly command: unknown };

/** An event of a worker. */
export interface FromPrimary {
  readonly worker: number;
  readonly event: 'pid' | 'message' | 'exit';
  readonly value?: unknown;
}

clusterBroker();
const workers = new Map<number, Worker>();

function report(event: FromPrimary): void {
  process.send!(event);
}

process.on('message', (message: ToPrimary) => {
  const { worker: index } = message;
  if ('command' in message)
    return void workers.get(index)!.send(message.command as never, () => {});
  const exec = fileURLToPath(new URL(message.script, import.meta.url));
  cluster.setupPrimary({ exec, args: [...message.args] });
  const worker = cluster.fork();
  workers.set(index, worker);
  report({ worker: index, event: 'pid', value: worker.process.pid });
  worker.on('message', (text: unknown) => {
    // The other messages are those of the hubs.
    if (typeof text === 'string') report({ worker: index, event: 'message', value: text });
  });
  worker.on('exit', () => report({ worker: index, event: 'exit' }));
});
process.on('disconnect', () => process.exit());
