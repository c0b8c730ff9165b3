import { portablePlatform } from '@ws/conn';
import { kind } from '@ws/conn/internal';
import { ANSWER_MS, CHECK_MS, setAnswerTimer } from '../backplane/with-timeout.ts';
import type { Driver, DriverEvents, RedisClient } from './driver.ts';
import { ioredisDriver } from './ioredis.ts';
import { nodeRedisDriver } from './node-redis.ts';

/** Receives the reports of a {@link Connection}. */
type ConnectionEvents = Omit<DriverEvents, 'broken' | 'lost'> & {
  lost(error: Error, lostSubscriptions: boolean): void;
  /** The server has become a replica, or still is one. Called after `lost`. */
  demoted(error: Error): void;
};

/** Message of the error for a command that was not sent. */
const NOT_CONNECTED = 'Redis is not connected';
/** Message of the error for a server that answers, but passes no message to the nodes of its primary. */
const REPLICA = 'the server is a replica; the hub needs the primary';

/** A connection to Redis. While the connection is lost, commands reject at once. */
export class Connection {
  readonly #create: () => Driver;
  #driver: Driver;
  /** The `reject` functions of the commands that Redis has not answered. */
  readonly #unanswered = new Set<(error: Error) => void>();
  /** When Redis last answered a command, in ms. */
  #answeredAt = -Infinity;
  #cancelSilenceTimer = (): void => {};
  readonly #asksRole: boolean;
  /** The driver of the last server that reported the role primary. */
  #wasPrimary: Driver | undefined;
  /** Whether the server of the driver is a replica. */
  #isReplica = false;
  readonly #events: ConnectionEvents;
  #checkTimer: unknown;
  /** Whether the last check found the client ready, or replaced one that was not ready twice. */
  #wasReady = true;

  /**
   * @param asksRole - Whether {@link ping} asks for the role of the server: a replica answers a ping too.
   */
  constructor(client: RedisClient, sharded: boolean, asksRole: boolean, events: ConnectionEvents) {
    const createDriver = driverCreatorOf(client);
    this.#asksRole = asksRole;
    this.#events = events;
    this.#create = () => {
      // Drops the events of a driver that was replaced.
      const isCurrent = (): boolean => driver === this.#driver;
      const driver: Driver = createDriver(client, sharded, {
        ready: () => isCurrent() && events.ready(),
        message: (channel, frame) => isCurrent() && events.message(channel, frame),
        broken: (error) => isCurrent() && this.replace(error),
        moved: (channel) => isCurrent() && events.moved(channel),
        lost: (error, lostSubscriptions) => isCurrent() && this.#lost(error, lostSubscriptions),
      });
      return driver;
    };
    this.#driver = this.#create();
  }

  get ready(): boolean {
    return this.#driver.ready && !this.#isReplica;
  }

  /** Connects, and keeps the connection alive until {@link destroy}. */
  connect(): void {
    // The event `lost` reports a failure.
    this.#driver.connect().catch(() => {});
    this.#checkTimer ??= setInterval(() => this.#check(), CHECK_MS);
  }

  /**
   * Runs a command. Rejects when the connection is lost: `ioredis` itself would leave the promise pending.
   */
  async run(command: (driver: Driver) => Promise<unknown>): Promise<unknown> {
    if (!this.ready) throw new Error(NOT_CONNECTED);
    let rejectLost!: (error: Error) => void;
    try {
      return await new Promise((resolve, reject) => {
        rejectLost = reject;
        if (this.#unanswered.size === 0) this.#watchSilence(ANSWER_MS);
        this.#unanswered.add(rejectLost);
        const driver = this.#driver;
        command(driver).then(resolve, (error: Error) => {
          reject(error);
          if (error.message.startsWith('READONLY')) this.#foundReplica(driver, error);
        });
      });
    } finally {
      this.#unanswered.delete(rejectLost);
      this.#answeredAt = portablePlatform.now();
      if (this.#unanswered.size === 0) this.#cancelSilenceTimer();
    }
  }

  /**
   * Replaces the driver when Redis has answered no command at all for {@link ANSWER_MS}. A single command
   * may take longer, for example after thousands of others.
   */
  #watchSilence(ms: number): void {
    this.#cancelSilenceTimer();
    this.#cancelSilenceTimer = setAnswerTimer(portablePlatform, ms, () => {
      const left = this.#answeredAt + ANSWER_MS - portablePlatform.now();
      if (left > 0) this.#watchSilence(left);
      else this.replace(new Error(`Redis has not answered for ${ANSWER_MS} ms`));
    });
  }

  /** Resolves when Redis has answered all earlier commands. */
  async ping(): Promise<void> {
    if (!this.#asksRole) return void (await this.run((driver) => driver.ping()));
    const driver = this.#driver;
    const role = String(await this.run(() => driver.call('INFO', 'replication')));
    if (/^role:slave\b/m.test(role)) this.#foundReplica(driver, new Error(REPLICA));
    else this.#wasPrimary = driver;
  }

  /**
   * The server is a replica. The address may lead to the new primary by now, so replaces the driver at once.
   * If it leads to a replica again, the next check replaces the driver.
   */
  #foundReplica(driver: Driver, error: Error): void {
    if (driver !== this.#driver || this.#isReplica) return;
    if (driver === this.#wasPrimary) this.replace(error);
    else {
      this.#isReplica = true;
      this.#lost(error, false);
    }
    this.#events.demoted(error);
  }

  /** Ends the connection at once. */
  destroy(): void {
    clearInterval(this.#checkTimer);
    this.#cancelSilenceTimer();
    this.#rejectAll(new Error('the connection to Redis was closed'));
    this.#driver.destroy();
  }

  /**
   * Sends a ping, which notices a silent network. Replaces a client of a replica, a client that no longer
   * reconnects, and a client that is not ready at two checks in a row: a client of the package `redis` is
   * never ready while the server refuses one of its subscriptions.
   */
  #check(): void {
    const { ready } = this;
    if (ready) {
      this.#driver.check?.();
      this.ping().catch(() => {});
    } else if (this.#isReplica || this.#driver.ended || !this.#wasReady) this.replace(undefined);
    this.#wasReady = ready || !this.#wasReady;
  }

  /** Connects again, by a new driver. */
  replace(error: Error | undefined): void {
    this.#cancelSilenceTimer();
    this.#isReplica = false;
    const old = this.#driver;
    this.#driver = this.#create();
    old.destroy();
    this.#lost(error, true);
    this.connect();
  }

  #lost(error = new Error('the connection to Redis has ended'), lostSubscriptions: boolean): void {
    this.#rejectAll(error);
    this.#events.lost(error, lostSubscriptions);
  }

  #rejectAll(error: Error): void {
    for (const reject of this.#unanswered) reject(error);
  }
}

/** Recognizes a client by a method or property that the other package lacks. */
function driverCreatorOf(client: RedisClient): typeof ioredisDriver {
  const { evalBuffer, isPubSubActive } = Object(client) as Partial<Record<string, unknown>>;
  if (typeof evalBuffer === 'function') return ioredisDriver;
  if (typeof isPubSubActive === 'boolean') return nodeRedisDriver;
  throw new TypeError(
    `client: expected one of the packages redis or ioredis, version 5 or later, got ${kind(client)}`,
  );
}
