import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import process from 'node:process';
import { checked, checkOptionNames, kind, whole } from '@ws/conn/internal';
import { clusterBroker, localBroker } from './cluster-broker.ts';
import { type DrainOptions, longestClose } from './wire.ts';
import { type ClusterApp, RunningApp, runWorker } from './worker.ts';
import { WorkerPool, workersVariable } from './worker-pool.ts';

/** Ms after the first signal in which a second one is ignored: npm sends each signal twice. */
const REPEAT_MS = 2_000;

/** The options of {@link runCluster}. */
export interface RunClusterOptions {
  /** Number of workers. With 1, this process is the only one. Default: `availableParallelism()`. */
  readonly workers?: number | undefined;
  /** Whether SIGTERM and SIGINT close all workers, and SIGUSR2 replaces them. Default: true. */
  readonly signals?: boolean | undefined;
  /** How SIGTERM and SIGINT close the workers. Default: as {@link RunningCluster.close}. */
  readonly close?: DrainOptions | undefined;
}

/** The result of {@link runCluster} in the primary. */
export interface RunningCluster {
  /** Number of workers. */
  readonly workers: number;
  /**
   * Replaces the workers one by one: a new worker starts, then the old one closes its connections over
   * 10 s. Resolves when all are replaced. All calls during a replacement start one more afterwards.
   *
   * With one worker, the call does nothing and warns once.
   *
   * @throws (rejects) The error of a new worker that does not start. The old worker continues. A new worker
   *   whose `start` takes more than 2 minutes is killed.
   */
  replace(): Promise<void>;
  /**
   * Closes all workers, also one that is being replaced. Resolves when they have ended. This process can
   * then exit.
   */
  close(options?: DrainOptions): Promise<void>;
}

type Processes = Pick<RunningCluster, 'replace' | 'close'>;

let isRunning = false;

/**
 * Runs a server on all cores of one machine: in each worker of `node:cluster`, on the same port. The
 * primary connects the hubs that have a {@link clusterBackplane}, and replaces workers that end. On SIGTERM
 * and SIGINT it closes all workers, and exits with code 0. A second signal more than 2 s after the first
 * ends all processes at once.
 *
 * Code outside of `start` also runs in the primary, so create hubs and pools in `start`. When the primary
 * dies, the workers end. Listeners of `process.on('message')` also get the batches of the hubs.
 *
 * A worker that ends is replaced after 100 ms. The delay doubles each time, up to 5 s, until a worker has
 * lived for 10 s. All processes end with exit code 1 when a worker ends before any worker has started. Once
 * one has started, they end when five workers in a row end before they have started.
 *
 * @param start - Runs in each worker. Its result has `close`, which closes the hub first, then the server.
 * @returns In a worker the result of `start`. In the primary a {@link RunningCluster}, when `start` has
 *   resolved in all workers: `if ('replace' in running) await running.replace()`. With one worker, the
 *   same process is the primary and the worker.
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
  const { workers, signals, close } = checked(() => checkOptions(options, start), runCluster);
  isRunning = true;
  if (process.env[workersVariable(process.ppid)] !== undefined)
    return runWorker(start, signals && close);
  // A worker of another primary, such as PM2, runs here: its hub reports that it has no broker.
  return cluster.isWorker || workers === 1
    ? runHere(start, signals && close)
    : runPrimary(workers, signals && close);
}

function checkOptions(options: RunClusterOptions, start: unknown) {
  if (typeof options === 'function') throw new TypeError('runCluster: write runCluster({}, start)');
  checkOptionNames('runCluster', options, ['workers', 'signals', 'close'], 'ignore');
  const { workers = availableParallelism(), signals = true, close = {} } = options;
  longestClose(close);
  whole('workers', workers);
  if (typeof signals !== 'boolean') {
    throw new TypeError(`signals: expected true or false, got ${kind(signals)}`);
  }
  if (typeof start !== 'function') {
    throw new TypeError(`runCluster: expected a function start, got ${kind(start)}`);
  }
  if (isRunning) throw new TypeError('runCluster: a process calls it once');
  return { workers, signals, close };
}

/** @param signals - How signals close all workers; false without signals. */
async function runPrimary(workers: number, signals: false | DrainOptions): Promise<RunningCluster> {
  clusterBroker();
  const pool = new WorkerPool(workers);
  const running = runningCluster(workers, pool, signals);
  await pool.run();
  return running;
}

/** Runs the application in this process, without workers. */
async function runHere<App extends ClusterApp>(
  start: () => App | PromiseLike<App>,
  signals: false | DrainOptions,
): Promise<RunningCluster> {
  if (cluster.isPrimary) localBroker();
  const app = new RunningApp<App>();
  let hasWarned = false;
  const replace = async (): Promise<void> => {
    if (!hasWarned) process.emitWarning('runCluster: one worker is not replaced; use two or more');
    hasWarned = true;
  };
  const running = runningCluster(1, { close: (how) => app.close(how), replace }, signals);
  await app.start(start);
  return running;
}

function runningCluster(
  workers: number,
  processes: Processes,
  signals: false | DrainOptions,
): RunningCluster {
  const running: RunningCluster = {
    workers,
    replace: () => processes.replace(),
    async close(options = {}) {
      longestClose(options);
      await processes.close(options);
    },
  };
  if (signals) onSignals(running, signals);
  return running;
}

/** Handles the signals in the process that the user has started. */
function onSignals(running: RunningCluster, options: DrainOptions): void {
  let first: number | undefined;
  const closeAll = (): void => {
    if (first !== undefined && performance.now() - first > REPEAT_MS) process.exit(1);
    first ??= performance.now();
    void running.close(options).then(() => process.exit());
  };
  process.on('SIGTERM', closeAll).on('SIGINT', closeAll);
  process.on('SIGUSR2', () => void running.replace().catch((error) => console.error(error)));
}
