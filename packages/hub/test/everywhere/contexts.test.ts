import { AsyncLocalStorage } from 'node:async_hooks';
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { serve } from '@ws/node-server';
import { expect, it } from 'vitest';
import { turns } from '../nodes.ts';

it('listeners of onAsk and presence run in the context in which they were added', async () => {
  const store = new AsyncLocalStorage<string>();
  const hub = new Hub({ rooms: { r: { presence: () => 1 } } });
  const server = await serve({ host: '127.0.0.1' }, hub.handler);
  const seen: unknown[] = [];
  store.run('added', () => {
    hub.onAsk('x', () => void seen.push(store.getStore()));
    hub.on('presence', () => void seen.push(store.getStore()));
  });
  await store.run('other', () => hub.everywhere.ask('x'));
  await store.run('other', () => hub.add(connPair()[1]).join('r'));
  await turns();
  expect(seen).toEqual(['added', 'added']);
  await hub.close({ timeout: 50 });
  await server.close();
});

it('a connection that refuses the code spoils no other, and is reported', async () => {
  const hub = new Hub();
  const errors: unknown[] = [];
  hub.on('error', (_, error) => void errors.push(error));
  const [first, second] = [hub.add(connPair()[1]), hub.add(connPair()[1])];
  for (const session of [first, second]) await session.join('r');
  first.conn.close = () => {
    throw new RangeError('not here');
  };
  expect(await hub.everywhere.close({ room: 'r' })).toEqual({ sessions: 1, silent: [] });
  expect(second.state).toBe('closed');
  expect(errors.map(String)).toEqual(['RangeError: not here']);
});
