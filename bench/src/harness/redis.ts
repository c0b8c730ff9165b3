import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pinned } from './child.ts';
import { atExit } from './ends.ts';
import { freePort } from './free-port.ts';

/** Limit for the start, in ms. */
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** The version of the installed `redis-server`; undefined without one. */
export function redisVersion(): string | undefined {
  try {
    const output = execFileSync('redis-server', ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return /v=([\d.]+)/.exec(output)?.[1];
  } catch {
    return undefined;
  }
}

/** A `redis-server` on a free port of this machine, without a disk. */
export class RedisServer {
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #client: Client;

  private constructor(port: number, process: ChildProcess, client: Client) {
    this.port = port;
    this.#process = process;
    this.#client = client;
    process.once(
      'exit',
      atExit(() => process.kill('SIGKILL')),
    );
  }

  /** Microseconds of CPU since its start, in steps of 10 ms. Linux only. */
  cpu(): number {
    const stat = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')')).split(' ');
    return (Number(fields[12]) + Number(fields[13])) * 10_000;
  }

  static async start(core: number | undefined): Promise<RedisServer> {
    const port = await freePort();
    const client = await clientOf(port);
    const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''];
    const [command, ...args] = pinned(core, ['redis-server', ...settings]);
    const server = new RedisServer(port, spawn(command!, args, { stdio: 'ignore' }), client);
    const timer = setTimeout(() => server.#process.kill('SIGKILL'), START_TIMEOUT_MS);
    const exited = once(server.#process, 'exit').then(() => {
      throw new Error('redis-server exited early');
    });
    exited.catch(() => {});
    try {
      await Promise.race([server.#client.connect(), exited]);
    } catch (error) {
      await server.end();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return server;
  }

  /** Resolves when a channel has so many subscribers. */
  async subscribed(count: number): Promise<void> {
    const until = performance.now() + START_TIMEOUT_MS;
    while (performance.now() < until) {
      const channels = await this.#client.pubSubChannels();
      const subscribers = Object.values(await this.#client.pubSubNumSub(channels));
      if (subscribers.includes(count)) return;
      await sleep(POLL_MS);
    }
    throw new Error(`no channel of Redis has ${count} subscribers`);
  }

  /** Kills the process and waits for its exit. */
  async end(): Promise<void> {
    this.#client.destroy();
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
  }
}

type Client = Awaited<ReturnType<typeof clientOf>>;

/** The package loads slowly, so only a command that needs it loads it. */
async function clientOf(port: number) {
  const { createClient } = await import('redis');
  const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: POLL_MS } });
  // The client connects again while the server starts.
  client.on('error', () => {});
  return client;
}
