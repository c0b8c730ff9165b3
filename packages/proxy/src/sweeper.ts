import type { ProxiedConnection } from './proxied.ts';
import type { TunnelPlan } from './tunnel/tunnel.ts';

/** Milliseconds between two rounds, at most and at least. */
const SLOWEST = 1_000;
const FASTEST = 10;

/**
 * One timer for the idle timeouts and heartbeats of all connections: none of them has its own. It
 * runs while there are connections.
 */
export class Sweeper {
  readonly #interval: number;
  readonly #proxied: ReadonlySet<ProxiedConnection>;
  #timer: NodeJS.Timeout | undefined;

  constructor({ idleTimeout, heartbeat }: TunnelPlan, proxied: ReadonlySet<ProxiedConnection>) {
    const times = [idleTimeout, heartbeat?.interval ?? Infinity, heartbeat?.timeout ?? Infinity];
    const shortest = Math.min(...times) / 4;
    this.#interval = Math.max(FASTEST, Math.min(SLOWEST, shortest));
    this.#proxied = proxied;
  }

  start(): void {
    this.#timer ??= setInterval(this.#sweep, this.#interval).unref();
  }

  readonly #sweep = (): void => {
    if (this.#proxied.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    const now = performance.now();
    for (const { link } of this.#proxied) link?.tick(now);
  };
}
