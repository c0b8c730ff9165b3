import cluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import type { Server, Socket } from 'node:net';
import process from 'node:process';
import { inspect } from 'node:util';
import { Deferred, isError, kind, onRejection } from '@ws/conn/internal';
import { loneHubs } from '../lone-hubs.ts';
import {
  type Act,
  actOf,
  type ClusterCloseOptions,
  type Control,
  type DrainOptions,
  longestClose,
  TIMEOUT_MS,
} from './wire.ts';

/** The result of `start` of {@link runCluster}. */
export interface ClusterApp {
  /**
   * Closes the hub first, then the server. Called again, with other options, when the cluster closes during
   * a replacement: it may then close sooner, as a hub does.
   */
  close(options: ClusterCloseOptions): unknown;
}

/** The application of one process. */
export class RunningApp<App extends ClusterApp> {
  #app: App | undefined;
  #closing: Promise<void> | undefined;
  #exitAt = Infinity;
  #exitTimer: NodeJS.Timeout | undefined;
  /** While the application still serves before its close: ends that. */
  #endDrain: ((options: ClusterCloseOptions) => void) | undefined;

  /** @throws (rejects) The error of `start`; TypeError for a result without `close`. */
  async start(start: () => App | PromiseLike<App>): Promise<App> {
    const app = await start();
    if (typeof (app as ClusterApp | undefined)?.close !== 'function') {
      throw new TypeError(`runCluster: start must return an object with close, got ${kind(app)}`);
    }
    this.#app = app;
    return app;
  }

  /**
   * Closes the application. A later call can only shorten the close. Sets the exit code 1 if the close fails
   * or takes too long.
   */
  close({ drain = 0, ...options }: DrainOptions = {}): Promise<void> {
    const ms = longestClose({ drain, ...options });
    const at = performance.now() + ms;
    if (at < this.#exitAt) {
      clearTimeout(this.#exitTimer);
      this.#exitAt = at;
      this.#exitTimer = setTimeout(() => process.exit(1), ms);
      if (this.#closing !== undefined)
        this.#closeSooner({ timeout: TIMEOUT_MS, over: 0, ...options });
    }
    return (this.#closing ??= this.#close(drain, options));
  }

  #closeSooner(options: ClusterCloseOptions): void {
    if (this.#endDrain !== undefined) this.#endDrain(options);
    // The first call has the result.
    else onRejection(this.#closeApp(options), () => {});
  }

  async #close(drain: number, options: ClusterCloseOptions): Promise<void> {
    // Read by the servers of @ws/node-server. Children inherit it, and have another pid.
    const draining = `WS_DRAINING_${process.pid}`;
    process.env[draining] = '1';
    try {
      await this.#closeApp(drain > 0 ? await this.#serveFor(drain, options) : options);
      const open = acceptedConnections();
      // The process ends now. The clients of these connections get 1006 instead of 1001.
      if (open > 0) {
        console.error(
          `runCluster: close has settled while ${open} connections are open; let it await hub.close(how), then server.close(how)`,
        );
      }
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    }
    delete process.env[draining];
    clearTimeout(this.#exitTimer);
  }

  /** @returns how to close after that: `options`, or those of a later call that has ended the drain. */
  async #serveFor(ms: number, options: ClusterCloseOptions): Promise<ClusterCloseOptions> {
    const how = new Deferred<ClusterCloseOptions>();
    const timer = setTimeout(() => how.resolve(options), ms);
    this.#endDrain = (sooner) => how.resolve(sooner);
    try {
      return await how.promise;
    } finally {
      this.#endDrain = undefined;
      clearTimeout(timer);
    }
  }

  async #closeApp(options: ClusterCloseOptions): Promise<void> {
    await this.#app?.close(options);
  }
}

/** The open connections that servers of this process have accepted. Node has no public list. */
function acceptedConnections(): number {
  const { _getActiveHandles: handles } = process as { _getActiveHandles?: () => object[] };
  const isAccepted = (handle: Partial<Socket & { server: object }>): boolean =>
    handle.server !== undefined && handle.server !== null && handle.destroyed === false;
  return (handles?.call(process) ?? []).filter(isAccepted).length;
}

/** Runs the application in a worker of a primary that has called `runCluster`. */
export async function runWorker<App extends ClusterApp>(
  start: () => App | PromiseLike<App>,
  signals: false | DrainOptions,
): Promise<App> {
  const app = new RunningApp<App>();
  const close = (options?: DrainOptions): unknown => app.close(options).then(() => process.exit());
  // Runs before Node's own listener, which would end the process with exit code 0.
  cluster.worker!.on('disconnect', () => process.exit(1));
  process.on('message', (message) => {
    const act = actOf(message);
    if (act?.[0] !== 'close') return;
    if (act[2]) refuseConnections();
    void close(act[1]);
  });
  if (signals) process.on('SIGTERM', () => void close(signals));
  // A terminal sends these signals to all processes. The worker ignores them: the primary acts.
  process.on('SIGINT', () => {}).on('SIGUSR2', () => {});
  try {
    const result = await app.start(start);
    warnOfLoneHubs();
    send(['ready']);
    return result;
  } catch (reason) {
    reportFailure(reason);
    return new Promise(() => {});
  }
}

/**
 * Makes the servers of this worker refuse new connections. Node's primary then gives these to another
 * worker. Without this, a server gets its share of new connections while its hub closes. A server
 * refuses connections above `maxConnections` (`lib/internal/cluster/child.js` and
 * `round_robin_handle.js` of Node 20, 22 and 24).
 */
function refuseConnections(): void {
  subscribe('net.server.socket', (message) => {
    // In Node 20, 0 means no limit.
    (message as { socket: { server: Server } }).socket.server.maxConnections = -1;
  });
}

/**
 * Warns once of a hub without a backplane in this worker: its rooms have only the clients of this
 * worker, and no call fails.
 */
function warnOfLoneHubs(): void {
  const lone = loneHubs();
  lone.added = () => {
    lone.added = () => {};
    process.emitWarning(
      'runCluster: a hub of this worker has no backplane, so its rooms have only the clients of this worker; pass backplane: clusterBackplane()',
    );
  };
  if (lone.count > 0) lone.added();
}

/** Sends the error of `start` to the primary, and ends the process. */
function reportFailure(reason: unknown): void {
  const end = (): void => process.exit(1);
  const error = isError(reason) ? reason : new Error(inspect(reason));
  try {
    // Sends the fields of the error too: between processes an error loses its fields, such as `code`.
    send(['failed', error, Object.assign({}, error)], end);
  } catch {
    // Sends texts only, because a field or the cause cannot be copied.
    send(['failed', new Error(error.message), { stack: inspect(error) }], end);
  }
}

function send(control: Act, sent?: () => void): void {
  process.send!({ '@ws/hub/cluster': control } satisfies Control, undefined, undefined, sent);
}
