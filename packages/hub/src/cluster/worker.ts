import cluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:net';
import process from 'node:process';
import { inspect } from 'node:util';
import { kind } from '@ws/conn/internal';
import { type Act, actOf, type ClusterCloseOptions, type Control, longestClose } from './wire.ts';

/** What `start` of {@link runCluster} returns. */
export interface ClusterApp {
  /** Closes the hub first, then the server. */
  close(options: ClusterCloseOptions): unknown;
}

/** The application in its process. */
export class RunningApp<App extends ClusterApp> {
  #app: App | undefined;
  #closing: Promise<void> | undefined;

  /** @throws (rejects) The error of `start`; TypeError for a result without `close`. */
  async start(start: () => App | PromiseLike<App>): Promise<App> {
    const app = await start();
    if (typeof (app as ClusterApp | undefined)?.close !== 'function') {
      throw new TypeError(`runCluster: start must return an object with close, got ${kind(app)}`);
    }
    this.#app = app;
    return app;
  }

  /** Closes it once. A close that fails is printed, and sets the exit code; one that hangs ends the process. */
  close(options: ClusterCloseOptions = {}): Promise<void> {
    return (this.#closing ??= this.#close(options));
  }

  async #close(options: ClusterCloseOptions): Promise<void> {
    const timer = setTimeout(() => process.exit(1), longestClose(options));
    try {
      await this.#app?.close(options);
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    }
    clearTimeout(timer);
  }
}

/** Runs the application in a worker of a primary that has called `runCluster`. */
export async function runWorker<App extends ClusterApp>(
  start: () => App | PromiseLike<App>,
  signals: boolean,
): Promise<App> {
  const app = new RunningApp<App>();
  const close = (options?: ClusterCloseOptions): unknown =>
    app.close(options).then(() => process.exit());
  // Before the listener of Node, which would end the process with 0.
  cluster.worker!.on('disconnect', () => process.exit(1));
  process.on('message', (message) => {
    const act = actOf(message);
    if (act?.[0] !== 'close') return;
    if (act[2]) refuseConnections();
    void close(act[1]);
  });
  // The terminal, and systemd, send signals to all processes. The primary says what to do.
  if (signals) process.on('SIGTERM', () => void close());
  process.on('SIGINT', () => {}).on('SIGUSR2', () => {});
  try {
    const result = await app.start(start);
    send(['ready']);
    return result;
  } catch (reason) {
    reportFailure(reason);
    return new Promise(() => {});
  }
}

/**
 * The hub closes before the server, and Node's primary gives each server connections in turn until it has
 * closed. A connection that a worker refuses goes to another one. It refuses those above `maxConnections`
 * (`lib/internal/cluster/child.js` and `round_robin_handle.js` of Node 20, 22 and 24).
 */
function refuseConnections(): void {
  subscribe('net.server.socket', (message) => {
    // With 0, Node 20 takes all.
    (message as { socket: { server: Server } }).socket.server.maxConnections = -1;
  });
}

/** The primary reports the error of `start`. Then this process ends. */
function reportFailure(reason: unknown): void {
  const end = (): void => process.exit(1);
  const error = reason instanceof Error ? reason : new Error(inspect(reason));
  try {
    send(['failed', error, (error as NodeJS.ErrnoException).code], end);
  } catch {
    // Its cause cannot be copied.
    send(['failed', new Error(inspect(error))], end);
  }
}

function send(control: Act, sent?: () => void): void {
  process.send!({ '@ws/hub/cluster': control } satisfies Control, undefined, undefined, sent);
}
