// The cost of one client, one call or one node for the others.

import { AsyncLocalStorage } from 'node:async_hooks';
import { connPair } from '@ws/conn';
import { Hub, type Position } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { nodePlatform } from '@ws/node-io';
import { contract } from '@ws/rpc';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Channel } from '../src/backplane/channel.ts';
import { alone, enter, entered, node, send, turns, wait } from './nodes.ts';
import { hangingMayJoin, startRaw } from './serve-rooms/setup.ts';

afterEach(() => void vi.useRealTimers());

describe('the option maxRooms', () => {
  it('leaves a place for members, although rooms without members have histories', async () => {
    const hub = new Hub({ maxRooms: 3, rooms: { '*': { history: true } } });
    const positions: Position[] = [];
    for (const name of ['a', 'b', 'c']) positions.push((await hub.room(name).publish(name))!);
    await hub.room('a').publish('again');
    const { session } = enter(hub, 'd');
    expect([...session.rooms]).toEqual(['d']);
    expect(hub.stats.rooms).toBe(3);
    // The room that has been quiet longest has lost its history, and says so.
    expect((await hub.room('b').history()).messages).toHaveLength(0);
    expect((await hub.room('b').history({ since: positions[1]! })).complete).toBe(false);
    expect((await hub.room('a').history()).messages).toHaveLength(2);
    await hub.room('e').publish('e');
    expect(hub.stats.rooms).toBe(3);
    await expect(session.join('f')).resolves.toBeDefined();
    await expect(session.join('g')).resolves.toBeDefined();
    await expect(session.join('h')).rejects.toThrow(/maxRooms/);
    await expect(hub.room('i').publish('i')).rejects.toThrow(/maxRooms/);
  });
});

describe('the contexts of AsyncLocalStorage', () => {
  it('of form is that of the hub', async () => {
    const store = new AsyncLocalStorage<string>();
    const seen = new Set<string | undefined>();
    const hub = store.run('hub', () => {
      return new Hub({
        maxQueuedMessages: 1,
        overflow: 'latest',
        rooms: {
          r: {
            history: true,
            form: (message) => {
              seen.add(store.getStore());
              return message.text();
            },
          },
        },
      });
    });
    const [, conn] = connPair({ readAhead: 1, highWaterMark: 1, platform: nodePlatform });
    const session = hub.add(conn);
    const joined = store.run('join', () => session.join('r', { since: { epoch: '', offset: 0 } }));
    await joined;
    for (let i = 0; i < 10; i++) {
      await store.run('publish', () => hub.room('r').publish('x'.repeat(10_000)));
    }
    expect(session.queued.messages).toBe(1);
    expect([...seen]).toEqual(['hub']);
  });
});

describe('a logout', () => {
  it('reaches a session that waits for mayJoin', async () => {
    let decide: (may: boolean) => void = () => {};
    const hub = new Hub({ mayJoin: () => new Promise((resolve) => (decide = resolve)) });
    const { session, client } = enter(hub, 'user/ada');
    expect(await hub.everywhere.close({ room: 'user/ada' }, 1008)).toMatchObject({ sessions: 1 });
    decide(true);
    expect(await client.closed).toMatchObject({ code: 1008 });
    expect(session.rooms.size).toBe(0);
    expect(await hub.everywhere.close({ room: 'user/ada' }, 1008)).toMatchObject({ sessions: 0 });
  });

  it('reaches a client of serveRooms that waits for mayJoin', async () => {
    const { mayJoin, asked } = hangingMayJoin();
    const server = serveRooms<string>({ 'user/*': { mayJoin } });
    const { client, send } = startRaw(server);
    await send('room.join', { room: 'user/ada' }, 1);
    await asked;
    const { hub } = server;
    expect(await hub.everywhere.close({ room: 'user/ada' }, 1008)).toMatchObject({ sessions: 1 });
    void client.discardReads();
    expect(await client.closed).toMatchObject({ code: 1008 });
  });
});

describe('17 hub.close in a listener', () => {
  it.each([
    ['awaits it', (hub: Hub) => hub.close()],
    ['awaits it after another promise', (hub: Hub) => Promise.resolve().then(() => hub.close())],
  ])('is reported by the name of the event, when the listener %s', async (_, listener) => {
    const hub = new Hub();
    const errors: string[] = [];
    hub.on('error', (_session, error) => void errors.push(String(error)));
    hub.on('message', () => listener(hub));
    const { client } = enter(hub);
    await client.send('x');
    const text = /hub.close\(\) waits for .* \(1 of message\).* write void hub.close\(\)/;
    await expect.poll(() => errors).toEqual([expect.stringMatching(text)]);
    client.terminate();
  });

  it('is not reported when it is not awaited', async () => {
    const hub = new Hub();
    const errors: unknown[] = [];
    hub.on('error', (_, error) => void errors.push(error));
    hub.on('message', () => void hub.close());
    const { client } = enter(hub);
    await client.send('x');
    await client.closed;
    expect(await hub.close()).toMatchObject({ handlersPending: 0 });
    expect(errors).toEqual([]);
  });

  it('is reported after 1 s for other listeners, when it is not awaited', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const hub = new Hub();
    const errors: unknown[] = [];
    hub.on('error', (_, error) => void errors.push(error));
    let finish = (): void => {};
    hub.on('message', () => new Promise<void>((resolve) => (finish = resolve)));
    hub.on('message', () => void hub.close());
    const { client } = enter(hub);
    await client.send('x');
    await vi.advanceTimersByTimeAsync(900);
    expect(errors).toEqual([]);
    await vi.advanceTimersByTimeAsync(100);
    expect(errors).toEqual([expect.objectContaining({ message: expect.any(String) })]);
    finish();
    await vi.advanceTimersByTimeAsync(100);
    expect(await hub.close()).toMatchObject({ handlersPending: 0 });
  });

  it('is not reported for listeners that hear of the end', async () => {
    const hub = new Hub();
    const errors: unknown[] = [];
    hub.on('error', (_, error) => void errors.push(error));
    hub.on('disconnect', () => turns());
    enter(hub);
    expect(await hub.close()).toMatchObject({ handlersPending: 0 });
    expect(errors).toEqual([]);
  });
});

describe('info of presence', () => {
  it.each<[string, () => unknown, string]>([
    ['a promise', async () => 1, 'presence: expected a value, got a promise'],
    ['a Map', () => new Map([['a', 1]]), 'presence: expected a value that JSON has, got a Map'],
    ['a Set', () => new Set(), 'presence: expected a value that JSON has, got a Set'],
  ])('is not %s', async (_, presence, message) => {
    const hub = new Hub({ rooms: { a: { presence } } });
    hub.on('error', () => {});
    const session = hub.add(connPair()[1]);
    await expect(session.join('a')).rejects.toThrow(message);
  });
});

describe('the counters of a node', () => {
  it('are forgotten after it has ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const forgotten = vi.spyOn(Channel.prototype, 'forgetNode');
    onTestFinished(() => forgotten.mockRestore());
    const { broker, hub: a } = alone();
    const { hub: b } = node(broker, 'b');
    const { received } = await entered(a, 'r');
    await b.room('r').publish('1');
    await b.close();
    await wait(30_000);
    expect(forgotten).not.toHaveBeenCalled();
    await wait(60_000);
    expect(forgotten).toHaveBeenCalled();
    const { hub: again } = node(broker, 'b');
    await turns();
    await send(again, '2');
    expect(received).toEqual(['1', '2']);
    await again.close();
    await a.close();
  });
});

describe('17 a listener of a contract', () => {
  it('is a TypeError at `on` when it is not called', () => {
    const chat = contract({ server: {}, client: {} });
    expect(() => new Hub().on('message', Reflect.get(chat, 'listener') as never)).toThrow(
      new TypeError('hub.on: listener is not called; write listener(handlers)'),
    );
  });
});
