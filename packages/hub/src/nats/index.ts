/**
 * Connects hubs over NATS. The application creates the client; this package imports none.
 *
 * @module
 */
import { checked, checkOptionNames, kind } from '@ws/conn/internal';
import type { Backplane } from '../backplane/backplane.ts';
import type { JetStreamClient, NatsConnection } from './client.ts';
import { NatsBackplane } from './nats-backplane.ts';
import type { StreamLog } from './stream-log.ts';

export type { Backplane } from '../backplane/backplane.ts';
export type { Position } from '../position.ts';

export type {
  Consumer,
  ConsumerInfo,
  JetStreamClient,
  JetStreamManager,
  NatsConnection,
  NatsMessage,
  NatsStatus,
  NatsSubscription,
  StoredMessage,
  StreamConfig,
  StreamInfo,
} from './client.ts';

/** The options of {@link natsBackplane}. */
export interface NatsBackplaneOptions {
  /**
   * Words of letters, digits, `-` and `_`, separated by dots. All subjects begin with the prefix. The
   * stream has it as its name, with `_` for a dot. Nodes with the same prefix share their rooms.
   * Default: `hub`.
   */
  readonly prefix?: string | undefined;
  /**
   * The result of `jetstream(connection)` of `@nats-io/jetstream`. With it NATS keeps the history
   * of rooms, and all nodes receive the messages of a room with history in the same order. Default:
   * none, and no room has a history.
   */
  readonly jetstream?: JetStreamClient | undefined;
}

/**
 * Connects a hub to NATS over a connection of `@nats-io/transport-node` 3. The application owns the
 * connection: `hub.close()` drains only the subscriptions of the hub. Connect without `noEcho`, and
 * with `maxReconnectAttempts: -1`: the hub cannot reopen a closed connection.
 *
 * Without JetStream NATS delivers each message at most once, in the order of each publisher. The
 * hub detects missing messages. With JetStream the messages of rooms with history go through one
 * stream. The bounds of the stream are the largest `size` and `ttl` of all rooms. You may change
 * its other settings, such as replicas, with the `nats` command.
 *
 * @example
 * ```ts no-run
 * import { Hub } from '@ws/hub';
 * import { natsBackplane, type NatsConnection } from '@ws/hub/nats';
 *
 * // await connect({ servers, maxReconnectAttempts: -1 }) of @nats-io/transport-node.
 * declare const connection: NatsConnection;
 * const hub = new Hub({ backplane: natsBackplane(connection) });
 * ```
 *
 * @throws TypeError that names the option.
 */
export function natsBackplane(
  connection: NatsConnection,
  options: NatsBackplaneOptions = {},
): Backplane {
  return checked(() => backplaneOf(connection, options), natsBackplane);
}

function backplaneOf(connection: NatsConnection, options: NatsBackplaneOptions): Backplane {
  if (typeof connection?.subscribe !== 'function' || typeof connection.status !== 'function') {
    throw new TypeError(
      `natsBackplane: expected a connection of @nats-io/transport-node, got ${kind(connection)}`,
    );
  }
  const { noEcho } = (connection as { options?: { noEcho?: boolean } }).options ?? {};
  if (noEcho === true) {
    throw new TypeError('natsBackplane: the connection has noEcho: true; connect without noEcho');
  }
  checkOptionNames('natsBackplane', options, ['prefix', 'jetstream'], 'ignore');
  const { prefix = 'hub', jetstream } = options;
  if (typeof prefix !== 'string' || !/^[\w-]{1,100}(\.[\w-]{1,100}){0,9}$/.test(prefix)) {
    throw new TypeError(
      'prefix: expected words of letters, digits, - and _, separated by dots, got ' +
        (typeof prefix === 'string' ? JSON.stringify(prefix) : kind(prefix)),
    );
  }
  const live = `${prefix}.live`;
  return new NatsBackplane(connection, live, logOf(jetstream, prefix, live));
}

/** Returns a function that loads the code for JetStream, for the start of the hub. */
function logOf(
  jetstream: JetStreamClient | undefined,
  prefix: string,
  live: string,
): (() => Promise<StreamLog>) | undefined {
  if (jetstream === undefined) return undefined;
  if (typeof jetstream?.jetstreamManager !== 'function') {
    throw new TypeError(
      `jetstream: expected the result of jetstream(connection), got ${kind(jetstream)}`,
    );
  }
  return async () => {
    const { StreamLog } = await import('./stream-log.ts');
    return new StreamLog(jetstream, prefix.replaceAll('.', '_'), `${prefix}.log`, live);
  };
}
