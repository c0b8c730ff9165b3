// The answer of a contract's handler, and what the handler has published before.
import { connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { turns } from './serve-rooms/setup.ts';

const own = contract({
  server: {
    at: method(z.number(), z.number()),
    later: method(z.number(), z.number()),
    awaited: method(z.number(), z.number()),
  },
  client: { said: event(z.number()) },
});
const COUNT = 20;

async function order(hub: Hub, method: string): Promise<string[]> {
  hub.on('connect', (session) => session.join('r'));
  const say = (n: number) => hub.room('r').publish(own.client.said.encode(n));
  hub.on(
    'message',
    own.listener<Session>({
      at: (n) => {
        void say(n);
        return n;
      },
      later: async (n) => {
        void say(n);
        return n;
      },
      awaited: async (n) => {
        await say(n);
        return n;
      },
    }),
  );
  const [client, server] = connPair();
  hub.add(server);
  await turns();
  const got: string[] = [];
  const reading = client.receive((message) => {
    const { id, params } = message.json() as { id?: number; params?: number[] };
    got.push(id === undefined ? `said ${params?.[0]}` : `answer ${id}`);
  });
  for (let id = 0; id < COUNT; id++) {
    await client.writeJSON({ jsonrpc: '2.0', id, method, params: [id] });
  }
  while (got.length < 2 * COUNT) await turns(1);
  await client.close();
  await reading;
  await hub.close();
  return got;
}

const expected = Array.from({ length: COUNT }, (_, id) => [`said ${id}`, `answer ${id}`]).flat();

function expectOrder(got: readonly string[]): void {
  for (let id = 0; id < COUNT; id++) {
    expect(got.indexOf(`said ${id}`)).toBeLessThan(got.indexOf(`answer ${id}`));
  }
  expect(got.toSorted()).toEqual(expected.toSorted());
}

describe('an answer', () => {
  it.each(['at', 'later', 'awaited'])(
    'comes after what its handler has published: %s',
    async (method) => {
      expectOrder(await order(new Hub(), method));
    },
  );

  it('comes after what its handler has awaited in a through room', async () => {
    const hub = new Hub({
      backplane: memoryBackplane(new MemoryBroker()),
      rooms: { r: { delivery: 'through' } },
    });
    expectOrder(await order(hub, 'awaited'));
  });
});
