import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { checked, checkOptionNames, kind, whole } from '@ws/conn/internal';
import { clusterBroker, localBroker } from './cluster-broker.ts';
import { type ClusterCloseOptions, longestClose } from './wire.ts';
import { type ClusterApp, RunningApp, runWorker } from './worker.ts';
import { WorkerPool, workersVariable } from './worker-pool.ts';

/** npm sends a signal twice, and so does a terminal with it. Later ones are meant, after so many ms. */
const REPEAT_MS = 2_000;

/** The options of {@link runCluster}. */
export interface RunClusterOptions {
  /** Number of processes. With 1 there is no other process. Default: `availableParallelism()`. */
  readonly workers?: number | undefined;
  /** Whether SIGTERM and SIGINT close all, and SIGUSR2 replaces the workers. Default: true. */
  readonly signals?: boolean | undefined;
}

/** What {@link runCluster} returns in the primary. */
export interface RunningCluster {
  /** Number of workers. */
  readonly workers: number;
  /**
   * Replaces the workers one by one: a new one starts, then the old one closes its connections over 10 s.
   * Resolves after the last one. A call during a replacement waits for the next one, which begins after it.
   *
   * With one worker it does nothing, and warns once.
   *
   * @throws (rejects) The error of a new worker that does not start. The old one goes on.
   */
  replace(): Promise<void>;
  /** Closes all workers. Resolves when they have ended. Then nothing keeps the process alive. */
  close(options?: ClusterCloseOptions): Promise<void>;
}

let isRunning = false;

/**
 * Runs a server on all cores of one machine: in each worker of `node:cluster`, on the same port. The
 * primary connects the hubs with a {@link clusterBackplane}, replaces workers that end, and closes all on
 * SIGTERM and SIGINT, with exit code 0. A second signal more than 2 s after the first ends all at once.
 *
 * What stands outside of `start`, a hub or a pool too, runs in the primary as well. When the primary dies,
 * the workers end. `process.on('message')` also gets the batches of the hubs.
 *
 * A worker that ends is replaced after 100 ms, then 200, up to 5 s; after 100 ms again when one has lived
 * for 10 s. Before the first worker has started, one that ends ends all. Later five in a row that end before
 * they start do, with exit code 1 and the last error. In a replacement,
 * a start of more than 30 s is killed.
 *
 * @param start - Runs in each worker. Its result has `close`, which closes the hub first, then the server.
 * @returns In a worker the result of `start`, in the primary a {@link RunningCluster}, when `start` has
 *   resolved in all workers: `if ('replace' in running) await running.replace()`. With one worker, this
 *   process is the primary.
 * @throws TypeError, RangeError that names the option. (rejects) The error of `start`; TypeError for a result
 *   without `close`.
 *
 * @example
 * ```ts no-run
 * import { clusterBackplane, runCluster } from '@ws/hub/cluster';
 * import { serveRooms } from '@ws/hub/rooms';
 * import { serve } from '@ws/node-server';
 *
 * await runCluster({ workers: 4 }, async () => {
 *   const table = { 'chat/*': { history: true, mayJoin: true, mayPublish: true } } as const;
 *   const rooms = serveRooms(table, { hub: { backplane: clusterBackplane() } });
 *   const server = await serve({ port: 8080 }, rooms.handler);
 *   return {
 *     close: async (how) => {
 *       await rooms.hub.close(how);
 *       await server.close(how);
 *     },
 *   };
 * });
 * ```
 */
export function runCluster<App extends ClusterApp>(
  options: RunClusterOptions,
  start: () => App | PromiseLike<App>,
): Promise<RunningCluster | App> {
  const { workers, signals } = checked(() => checkOptions(options, start), runCluster);
  isRunning = true;
  if (process.env[workersVariable(process.ppid)] !== undefined) return runWorker(start, signals);
  // Under another primary, such as PM2, the hub reports that it has no broker.
  return cluster.isWorker || workers === 1 ? runHere(start, signals) : runPrimary(workers, signals);
}

function checkOptions(
  options: RunClusterOptions,
  start: unknown,
): { workers: number; signals: boolean } {
  checkOptionNames('runCluster', options, ['workers', 'signals'], 'ignore');
  const { workers = availableParallelism(), signals = true } = options;
  whole('workers', workers);
  if (typeof signals !== 'boolean') {
    throw new TypeError(`signals: expected true or false, got ${kind(signals)}`);
  }
  if (typeof start !== 'function') {
    throw new TypeError(`runCluster: expected a function start, got ${kind(start)}`);
  }
  if (isRunning) throw new TypeError('runCluster: a process calls it once');
  return { workers, signals };
}

async function runPrimary(workers: number, signals: boolean): Promise<RunningCluster> {
  clusterBroker();
  const pool = new WorkerPool(workers);
  const close = (options?: ClusterCloseOptions): Promise<void> => pool.close(options);
  const running = runningCluster(workers, close, () => pool.replace(), signals);
  await pool.run();
  return running;
}

/** One process, which is the primary and the worker. */
async function runHere<App extends ClusterApp>(
  start: () => App | PromiseLike<App>,
  signals: boolean,
): Promise<RunningCluster> {
  if (cluster.isPrimary) localBroker();
  const app = new RunningApp<App>();
  let hasWarned = false;
  const replace = async (): Promise<void> => {
    if (!hasWarned) process.emitWarning('runCluster: one worker is not replaced; use two or more');
    hasWarned = true;
  };
  const running = runningCluster(1, (options) => app.close(options), replace, signals);
  await app.start(start);
  return running;
}

function runningCluster(
  workers: number,
  end: RunningCluster['close'],
  replace: RunningCluster['replace'],
  signals: boolean,
): RunningCluster {
  const close = async (options: ClusterCloseOptions = {}): Promise<void> => {
    longestClose(options);
    await end(options);
  };
  const running = { workers, replace, close };
  if (signals) onSignals(running);
  return running;
}

/** Installs the signals of the process that the user has started. */
function onSignals(running: RunningCluster): void {
  let first: number | undefined;
  const end = (): void => {
    if (first !== undefined && performance.now() - first > REPEAT_MS) process.exit(1);
    first ??= performance.now();
    void running.close().then(() => process.exit());
  };
  process.on('SIGTERM', end).on('SIGINT', end);
  if (process.platform === 'win32') return;
  process.on('SIGUSR2', () => void running.replace().catch((error) => console.error(error)));
}
