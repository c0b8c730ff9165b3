import cluster from 'node:cluster';
import process from 'node:process';
import { kind } from '@ws/conn/internal';
import { type ClusterCloseOptions, type Control, contentOf, marked } from './wire.ts';

/** What `start` of {@link runCluster} returns. */
export interface ClusterApp {
  /** Closes the hub first, then the server. */
  close(options: ClusterCloseOptions): unknown;
}

/** @throws TypeError for a result of `start` without `close`. */
export function checkApp(app: unknown): asserts app is ClusterApp {
  if (typeof (app as ClusterApp | undefined)?.close === 'function') return;
  throw new TypeError(`runCluster: start must return an object with close, got ${kind(app)}`);
}

/** Runs the application in a worker. */
export class ClusterWorker<App extends ClusterApp> {
  #app: App | undefined;
  #closing = false;

  /** @param isOurs - The primary has called `runCluster`. */
  async run(start: () => App | PromiseLike<App>, signals: boolean, isOurs: boolean): Promise<App> {
    // Before the listener of Node, which would end the process with 0.
    cluster.worker!.on('disconnect', () => process.exit(1));
    process.on('message', (message) => this.#receive(message));
    if (signals) this.#onSignals(isOurs);
    send(['hears']);
    try {
      const app = await start();
      checkApp(app);
      this.#app = app;
      send(['ready']);
      return app;
    } catch (error) {
      if (!isOurs) throw error;
      return fail(error);
    }
  }

  /** The terminal, and systemd, send signals to all processes. The primary says what to do. */
  #onSignals(isOurs: boolean): void {
    const close = (): void => void this.#close({});
    process.on('SIGTERM', close);
    process.on('SIGINT', isOurs ? () => {} : close);
    if (process.platform !== 'win32') process.on('SIGUSR2', () => {});
  }

  #receive(message: unknown): void {
    const control = contentOf('@ws/hub/cluster', message) as Control | undefined;
    if (control?.[0] === 'close') void this.#close(control[1]);
  }

  async #close(options: ClusterCloseOptions): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    try {
      await this.#app?.close(options);
      process.exit(0);
    } catch (error) {
      console.error(error);
      process.exit(1);
    }
  }
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
