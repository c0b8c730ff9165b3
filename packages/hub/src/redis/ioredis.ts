import {
  type Argument,
  type Driver,
  type DriverEvents,
  type RedisClient,
  reportMoved,
} from './driver.ts';
import type { RedisBytes } from './frame.ts';

/** The part of the package `ioredis` that this package uses. */
interface IoRedis {
  readonly status: string;
  on(event: string, listener: (...args: never[]) => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
  ping(): Promise<unknown>;
  evalBuffer(script: string, keyCount: number, ...args: Argument[]): Promise<unknown>;
  publish(channel: string, message: Uint8Array): Promise<unknown>;
  spublish(channel: string, message: Uint8Array): Promise<unknown>;
  subscribe(channel: string): Promise<unknown>;
  ssubscribe(channel: string): Promise<unknown>;
  unsubscribe(channel: string): Promise<unknown>;
  sunsubscribe(channel: string): Promise<unknown>;
}

/** A command without an answer must not run again, and no command may wait for a connection. */
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
  client.on('close', () => events.lost(failure, true));
  client.on('moved', () => reportMoved(events));
  const s = sharded ? 's' : '';
  client.on(`${s}messageBuffer`, (channel: RedisBytes, frame: RedisBytes) => {
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
    eval: (script, keys, args) => client.evalBuffer(script, keys.length, ...keys, ...args),
    publish: (channel, frame) => client[`${s}publish`](channel, frame),
    subscribe: (channel) => client[`${s}subscribe`](channel),
    unsubscribe: (channel) => client[`${s}unsubscribe`](channel),
  };
}
