import cluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:net';
import process from 'node:process';
import { kind } from '@ws/conn/internal';
import {
  type ClusterCloseOptions,
  type Control,
  checkClose,
  contentOf,
  longestClose,
  marked,
} from './wire.ts';

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
  async close(options: ClusterCloseOptions = {}): Promise<void> {
    checkClose(options);
    await (this.#closing ??= this.#close(options));
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

/**
 * Runs the application in a worker.
 *
 * @param isOurs - The primary has called `runCluster`.
 */
export async function runWorker<App extends ClusterApp>(
  start: () => App | PromiseLike<App>,
  signals: boolean,
  isOurs: boolean,
): Promise<App> {
  const app = new RunningApp<App>();
  const close = async (options?: ClusterCloseOptions): Promise<void> => {
    await app.close(options);
    process.exit();
  };
  // Before the listener of Node, which would end the process with 0.
  cluster.worker!.on('disconnect', () => process.exit(1));
  process.on('message', (message) => {
    const control = contentOf('@ws/hub/cluster', message) as Control | undefined;
    if (control?.[0] !== 'close') return;
    if (control[2]) refuseConnections();
    void close(control[1]);
  });
  // The terminal, and systemd, send signals to all processes. The primary says what to do.
  if (signals) process.on('SIGTERM', () => void close());
  if (isOurs) process.on('SIGINT', () => {});
  else if (signals) process.on('SIGINT', () => void close());
  if ((isOurs || signals) && process.platform !== 'win32') process.on('SIGUSR2', () => {});
  send(['hears']);
  try {
    const result = await app.start(start);
    send(['ready']);
    return result;
  } catch (error) {
    if (!isOurs) throw error;
    return fail(error);
  }
}

/** The primary gives the connections after the next one to the other workers. */
function refuseConnections(): void {
  subscribe('net.server.socket', (message) => {
    const { server } = (message as { socket: { server?: Server } }).socket;
    // With 0, Node 20 takes all.
    if (server !== undefined) server.maxConnections = -1;
  });
}

/** Gives the error to the primary, which reports it, and ends the process. */
function fail(error: unknown): Promise<never> {
  const exit = (): never => process.exit(1);
  try {
    send(['failed', error], exit);
  } catch {
    // An error with a part that no other process can have.
    send(['failed', new Error(String(error))], exit);
  }
  return new Promise(() => {});
}

function send(control: Control, sent?: () => void): void {
  process.send!(marked('@ws/hub/cluster', control), undefined, undefined, sent);
}
