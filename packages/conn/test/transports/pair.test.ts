import { nodePlatform } from '@ws/node-io';
import { retryUntilTimer, transportContract } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { portablePlatform } from '../../src/platform/portable-platform.ts';
import { connPair, transportPair } from '../../src/transports/pair.ts';

transportContract('the memory transport of connPair', () => {
  const [near, far] = transportPair(portablePlatform);
  return { near, far };
});

describe('connPair', () => {
  it.each([
    ['connPair', { host: 'example.org' }],
    ['connPair', { role: 'client' }],
    ['client', { client: { readlimit: 5 } }],
    ['server', { server: { subprotocol: 'x' } }],
  ])('rejects an unknown option of %s: %j', (owner, options) => {
    expect(() => connPair(options as never)).toThrow(new RegExp(`^${owner}: unknown option `));
  });
});

it('a pair on the platform of Node.js lets timers run between two messages', async () => {
  const [client, server] = connPair({ platform: nodePlatform });
  void server.receive((message) => void server.send(message));
  const roundTrip = async (): Promise<void> => {
    await client.send('x');
    await client.readMessage();
  };
  await expect(retryUntilTimer(roundTrip)).resolves.toBeUndefined();
  client.terminate();
});
