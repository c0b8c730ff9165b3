import process from 'node:process';
import { kind } from '@ws/conn/internal';
import { type ClusterCloseOptions, longestClose } from './wire.ts';

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

  /** Closes it once. A close that fails, or does not settle, is printed, and sets the exit code 1. */
  close(options: ClusterCloseOptions): Promise<void> {
    return (this.#closing ??= this.#close(options));
  }

  async #close(options: ClusterCloseOptions): Promise<void> {
    const ms = longestClose(options);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`close has not settled for ${ms} ms`);
      timer = setTimeout(() => reject(error), ms);
    });
    try {
      await Promise.race([this.#app?.close(options), late]);
    } catch (error) {
      console.error(error);
      process.exitCode = 1;
    } finally {
      clearTimeout(timer);
    }
  }
}
