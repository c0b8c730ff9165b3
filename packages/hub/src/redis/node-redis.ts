import type { Driver, DriverEvents, RedisClient } from './driver.ts';
import type { RedisBytes } from './frame.ts';

type Listener = (message: RedisBytes, channel: RedisBytes) => void;

/** The part of the package `redis` that this package uses. */
interface NodeRedis {
  readonly isOpen: boolean;
  readonly isReady: boolean;
  on(event: string, listener: (...args: never[]) => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
  ping(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  eval(script: string, options: object): Promise<unknown>;
  publish(channel: string, message: Uint8Array): Promise<unknown>;
  sPublish(channel: string, message: Uint8Array): Promise<unknown>;
  subscribe(channel: string, listener: Listener, buffers: true): Promise<void>;
  sSubscribe(channel: string, listener: Listener, buffers: true): Promise<void>;
  getPubSubListeners(type: 'SHARDED'): Map<string, unknown>;
  unsubscribe(channel: string): Promise<void>;
  sUnsubscribe(channel: string): Promise<void>;
}

/** The type of bulk strings in RESP. */
const BULK_STRING = 36;

const OVERRIDES = {
  keyPrefix: '',
  disableOfflineQueue: true,
  commandOptions: { typeMapping: { [BULK_STRING]: Buffer } },
};

export function nodeRedisDriver(app: RedisClient, sharded: boolean, events: DriverEvents): Driver {
  const client = app.duplicate(OVERRIDES) as NodeRedis;
  const onErrorOrEnd = (error?: Error): void => {
    if (!client.isReady) {
      // A client that reconnects subscribes again before it is ready. It sends at most 16 KiB of these
      // commands, and would wait forever for the answers to the others. So it forgets its subscriptions.
      if (sharded) client.getPubSubListeners('SHARDED').clear();
      events.lost(error, sharded);
    }
    // When the server ends a subscription, the client mistakes the report for the answer to a command,
    // and drops messages later.
    else if (sharded && error !== undefined) events.broken(error);
  };
  client.on('ready', () => events.ready());
  client.on('error', onErrorOrEnd);
  client.on('end', onErrorOrEnd);
  client.on('sharded-channel-moved', (channel: string) => events.moved(channel));
  const receive: Listener = (message, channel) => events.message(channel.toString(), message);
  return {
    get ready() {
      return client.isReady;
    },
    get ended() {
      return !client.isOpen;
    },
    connect: () => client.connect(),
    destroy: () => {
      if (client.isOpen) client.destroy();
    },
    ping: () => client.ping(),
    eval(script, keys, args, asking) {
      if (asking) client.sendCommand(['ASKING']).catch(() => {});
      return client.eval(script, { keys, arguments: args });
    },
    call: (...args) => client.sendCommand(args),
    publish: (channel, frame) => client[sharded ? 'sPublish' : 'publish'](channel, frame),
    subscribe: (channel) => client[sharded ? 'sSubscribe' : 'subscribe'](channel, receive, true),
    unsubscribe: (channel) => client[sharded ? 'sUnsubscribe' : 'unsubscribe'](channel),
  };
}
