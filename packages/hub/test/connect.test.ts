import { Deferred } from '@ws/conn/internal';
import { Hub } from '@ws/hub';
import { describe, expect, it } from 'vitest';
import { enter, turns, useFakeTime, wait } from './nodes.ts';

function setUp() {
  const hub = new Hub();
  const login = new Deferred<void>();
  const log: string[] = [];
  hub.on('error', () => {});
  hub.on('connect', async (session) => {
    await login.promise;
    await session.join('r');
    log.push('connect');
  });
  hub.on(
    'message',
    ({ rooms }, message) => void log.push(`${message.text()} ${[...rooms].join()}`),
  );
  hub.on('disconnect', () => void log.push('disconnect'));
  return { hub, login, log };
}

describe('messages that arrive while a listener of connect is pending', () => {
  useFakeTime();

  it('wait for its promise, and keep their order', async () => {
    const { hub, login, log } = setUp();
    const { client } = enter(hub);
    for (const text of ['1', '2', '3']) await client.send(text);
    await turns();
    expect(log).toEqual([]);
    login.resolve();
    await turns();
    await client.send('4');
    await turns();
    expect(log).toEqual(['connect', '1 r', '2 r', '3 r', '4 r']);
  });

  it('wait for the slowest of several listeners', async () => {
    const { hub, login, log } = setUp();
    const second = new Deferred<void>();
    hub.on('connect', () => second.promise);
    const { client } = enter(hub);
    await client.send('1');
    login.resolve();
    await turns();
    expect(log).toEqual(['connect']);
    second.resolve();
    await turns();
    expect(log).toEqual(['connect', '1 r']);
  });

  it('leave pings answered', async () => {
    const { hub, login } = setUp();
    const { client } = enter(hub);
    await client.send('1');
    await expect(client.ping()).resolves.toEqual(expect.any(Number));
    login.resolve();
  });

  it.each<[string, (login: Deferred<void>, hub: Hub) => void]>([
    ['the listener rejects', (login) => login.reject(new Error('unknown user'))],
    [
      'the session is closed with 4401',
      (login, hub) => {
        for (const session of hub.sessions.values()) void session.close(4401);
        login.resolve();
      },
    ],
    [
      'the connection is closed with discard',
      (login, hub) => {
        for (const { conn } of hub.sessions.values()) void conn.close(4401, '', { discard: true });
        login.resolve();
      },
    ],
  ])('are dropped when %s', async (_, end) => {
    const { hub, login, log } = setUp();
    const { client } = enter(hub);
    await client.send('1');
    await turns();
    end(login, hub);
    await client.closed;
    await turns();
    expect(log.filter((line) => line !== 'connect')).toEqual(['disconnect']);
  });

  it('reach the listeners of message before disconnect when the client closes', async () => {
    const { hub, login, log } = setUp();
    const { client } = enter(hub);
    await client.send('1');
    void client.close();
    await turns();
    login.resolve();
    await client.closed;
    await turns();
    expect(log.map((line) => line.split(' ')[0])).toEqual(['connect', '1', 'disconnect']);
  });

  it('count in handlersPending of hub.close', async () => {
    const { hub } = setUp();
    const { client } = enter(hub);
    await client.send('1');
    await turns();
    const closed = hub.close({ timeout: 1_000 });
    for (let i = 0; i < 3; i++) await wait(1_000);
    expect(await closed).toMatchObject({ handlersPending: 1 });
  });
});
