import type { Argument, Driver, DriverEvents, RedisClient } from './driver.ts';
import type { RedisBytes } from './frame.ts';

/** The part of the package `ioredis` that this package uses. */
interface IoRedis {
  readonly status: string;
  /** The confirmed subscriptions, without those that the server has ended. */
  readonly condition?: { readonly subscriber: false | { channels(kind: 'ssubscribe'): string[] } };
  on(event: string, listener: (...args: never[]) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
  ping(): Promise<unknown>;
  call(...args: string[]): Promise<unknown>;
  evalBuffer(script: string, keyCount: number, ...args: Argument[]): Promise<unknown>;
  publish(channel: string, message: Uint8Array): Promise<unknown>;
  spublish(channel: string, message: Uint8Array): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  ssubscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  sunsubscribe(channel: string): Promise<unknown>;
}

/** With these options, the client never sends a command again on the next connection. */
const OVERRIDES = {
  keyPrefix: '',
  stringNumbers: false,
  lazyConnect: true,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
};

export function ioredisDriver(app: RedisClient, sharded: boolean, events: DriverEvents): Driver {
  const client = app.duplicate(OVERRIDES) as IoRedis;
  let failure: Error | undefined;
  client.on('ready', () => {
    failure = undefined;
    events.ready();
  });
  client.on('error', (error: Error) => {
    failure = error;
  });
  const subscribed = new Set<string>();
  client.on('close', () => {
    subscribed.clear();
    events.lost(failure, true);
  });
  const shardPrefix = sharded ? 's' : '';
  /** Finds the subscriptions that the server has ended. The event of version 6 does not name them. */
  const reportEnded = (): void => {
    if (subscribed.size === 0 || !sharded) return;
    const { subscriber = false } = client.condition ?? {};
    const current = new Set(subscriber === false ? [] : subscriber.channels('ssubscribe'));
    for (const channel of subscribed) {
      if (!current.has(channel) && subscribed.delete(channel)) events.moved(channel);
    }
  };
  let isReportDue = false;
  client.on('moved', () => {
    if (isReportDue) return;
    // A moved slot causes an event for each of its channels. One report covers all of them.
    isReportDue = true;
    setTimeout(() => {
      isReportDue = false;
      reportEnded();
    }, 0);
  });
  client.on(`${shardPrefix}messageBuffer`, (channel: RedisBytes, frame: RedisBytes) => {
    events.message(channel.toString(), frame);
  });
  return {
    get ready() {
      return client.status === 'ready';
    },
    get ended() {
      return client.status === 'end';
    },
    connect: () => client.connect(),
    destroy: () => client.disconnect(),
    ping: () => client.ping(),
    check: reportEnded,
    eval(script, keys, args, asking) {
      if (asking) client.call('ASKING').catch(() => {});
      return client.evalBuffer(script, keys.length, ...keys, ...args);
    },
    call: (...args) => client.call(...args),
    publish: (channel, frame) => client[`${shardPrefix}publish`](channel, frame),
    async subscribe(channel) {
      await client[`${shardPrefix}subscribe`](channel);
      subscribed.add(channel);
    },
    unsubscribe(channel) {
      subscribed.delete(channel);
      return client[`${shardPrefix}unsubscribe`](channel);
    },
  };
}
