// As too-long.test.ts, with engines that keep the history.
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { natsBackplane } from '@ws/hub/nats';
import { redisBackplane } from '@ws/hub/redis';
import { lacksDaemon, nothingLeft, whenOver } from '@ws/tests';
import { afterEach, describe, it } from 'vitest';
import { natsServer } from '../nats/setup.ts';
import { clients, endAll, startRedis } from '../redis/setup.ts';
import { returnToTooLong } from './too-long.ts';

describe('a client that returns to a message above its readLimit', () => {
  nothingLeft();
  afterEach(endAll);

  it.skipIf(lacksDaemon('redis-server'))('has a gap in that room: Redis', async () => {
    const { port } = await startRedis();
    await returnToTooLong(redisBackplane(clients['redis']!({ port })));
  });

  it.skipIf(lacksDaemon('nats-server'))('has a gap in that room: JetStream', async () => {
    const server = await natsServer();
    const { port } = await server.relay();
    const connection = await connect({ servers: `127.0.0.1:${port}` });
    whenOver(() => connection.close());
    await returnToTooLong(natsBackplane(connection, { jetstream: jetstream(connection) }));
  });
});
