import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { becomes, natsPair, reconnect, texts } from './setup.ts';

// A tenth of the real times.
vi.mock('../../src/backplane/with-timeout.ts', async (original) => ({
  ...(await original<object>()),
  ANSWER_MS: 400,
  CHECK_MS: 500,
}));

describe.skipIf(lacksDaemon('nats-server'))('natsBackplane', () => {
  nothingLeft();

  it('delivers to its own members only when the network is silent', async () => {
    const { a, b } = await natsPair();
    const { client } = await a.enter('r');
    a.relay.freeze();
    await a.hub.room('r').publish('1');
    await becomes(a, 'down');
    await a.hub.room('r').publish('2');
    await reconnect(a);
    await b.hub.room('r').publish('3');
    expect(await texts(client, 3)).toEqual(['1', '2', '3']);
    expect(a.gaps).toEqual(['r']);
  });

  it('notices a silent network on a node that only receives', async () => {
    const { a, b } = await natsPair();
    const { client } = await a.enter('r');
    a.relay.freeze();
    await becomes(a, 'down');
    await b.hub.room('r').publish('lost');
    await reconnect(a);
    await b.hub.room('r').publish('next');
    expect(await texts(client, 1)).toEqual(['next']);
    expect(a.gaps).toEqual(['r']);
  });
});
