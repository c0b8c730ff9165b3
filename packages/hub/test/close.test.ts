import { once } from 'node:events';
import { connPair, portablePlatform } from '@ws/conn';
import { Hub } from '@ws/hub';
import { serve } from '@ws/node-server';
import { describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { enter, entered, turns, useFakeTime, wait } from './nodes.ts';

describe('hub.close', () => {
  useFakeTime();

  it('lets sessions that are still open publish', async () => {
    const hub = new Hub();
    const errors = vi.fn();
    hub.on('error', errors);
    hub.on('message', (_, message) => hub.room('r').publish(message.text()));
    const members = [enter(hub, 'r'), enter(hub, 'r'), enter(hub, 'r')];
    const closed = hub.close({ over: 3_000 });
    await wait(300);
    const last = members[2]!;
    expect([members[0]!.session.state, last.session.state]).toEqual(['closed', 'open']);
    await last.client.send('during the drain');
    await turns();
    hub.broadcast('all');
    await wait(3_000);
    await closed;
    expect(last.received).toEqual(['during the drain', 'all']);
    expect(errors).not.toHaveBeenCalled();
    await expect(hub.room('r').publish('late')).rejects.toMatchObject({
      code: 'WS_ERR_HUB_CLOSED',
    });
  });

  it('B6 closes sooner by a later call', async () => {
    const hub = new Hub();
    const errors = vi.fn();
    hub.on('error', errors);
    for (let i = 0; i < 3; i++) {
      const [client, server] = connPair();
      // The client reads no close frame while it handles this message.
      client.receive(() => new Promise(() => {})).catch(() => {});
      hub.add(server).send('x');
    }
    await turns();
    const states = (): string[] => Array.from(hub.sessions.values(), ({ state }) => state);
    let isOver = false;
    const closed = hub.close({ over: 60_000 });
    void closed.then(() => {
      isOver = true;
    });
    await wait(100);
    expect(states()).toEqual(['closed', 'open', 'open']);
    // Without these options a call changes nothing.
    expect(hub.close({})).toBe(closed);
    await wait(1_000);
    expect(states()).toEqual(['closed', 'open', 'open']);
    expect(hub.close({ timeout: 1_000, over: 0 })).toBe(closed);
    await wait(1);
    expect(states()).not.toContain('open');
    await wait(900);
    expect(isOver).toBe(false);
    // A later call never gives more time.
    void hub.close({ timeout: 90_000, over: 90_000 });
    await wait(200);
    expect(await closed).toEqual({ closed: 0, terminated: 3, handlersPending: 0 });
    await expect(hub.close({ timeout: -1 })).rejects.toThrow('timeout');
  });

  it('B6 waits no longer for listeners than a later call says', async () => {
    const hub = new Hub();
    hub.on('message', () => new Promise(() => {}));
    const { client } = enter(hub);
    await client.send('x');
    await turns();
    const closed = hub.close();
    await wait(500);
    void hub.close({ timeout: 1_000 });
    await wait(1_100);
    expect(await closed).toMatchObject({ handlersPending: 1 });
  });

  it('refuses a new session at once', () => {
    const hub = new Hub();
    enter(hub);
    void hub.close({ over: 200 });
    expect(() => hub.add(connPair()[1])).toThrow('the hub is closed');
  });

  it('waits for the listeners of the last messages, which may publish', async () => {
    const hub = new Hub();
    const published: Promise<unknown>[] = [];
    hub.on('message', async (_, message) => {
      const text = message.text();
      await turns();
      published.push(hub.room('r').publish(text));
    });
    const { client } = enter(hub, 'r');
    await client.send('last');
    await turns();
    expect(await hub.close()).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    await expect(Promise.all(published)).resolves.toEqual([undefined]);
  });

  it.each([
    [false, ['1', '2', '3']],
    [true, []],
  ])(
    'gives the listeners what a client sends before it sees the close (discard: %s)',
    async (discard, texts) => {
      const hub = new Hub();
      const received: string[] = [];
      hub.on('message', (_, message) => void received.push(message.text()));
      const { client } = await entered(hub);
      const closed = hub.close({ discard });
      for (const text of ['1', '2', '3']) void client.send(text);
      await turns();
      expect(await closed).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
      expect(received).toEqual(texts);
    },
  );

  it('counts sessions and listeners that do not end in time', async () => {
    const hub = new Hub();
    hub.on('message', () => new Promise(() => {}));
    const { client } = enter(hub);
    await client.send('x');
    // The client does not read the close frame while it handles this message.
    const [busy, server] = connPair();
    busy.receive(() => new Promise(() => {})).catch(() => {});
    hub.add(server).send('x');
    await turns();
    const closed = hub.close({ timeout: 1_000 });
    for (let i = 0; i < 3; i++) await wait(1_000);
    expect(await closed).toEqual({ closed: 1, terminated: 1, handlersPending: 1 });
  });
});

describe('a hub that closes', () => {
  it('keeps the process alive until its sessions have ended', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const hub = new Hub();
      // With its own timer: waits of earlier files keep that of the default platform.
      const [busy, server] = connPair({ platform: { ...portablePlatform } });
      busy.receive(() => new Promise(() => {})).catch(() => {});
      hub.add(server).send('x');
      await turns();
      const timers = vi.spyOn(globalThis, 'setTimeout');
      const cleared = vi.spyOn(globalThis, 'clearTimeout');
      const closed = hub.close({ timeout: 20 });
      await turns();
      const keeping = () => timers.mock.results.filter(({ value }) => value.hasRef());
      expect(keeping()).not.toHaveLength(0);
      await wait(20);
      expect(await closed).toMatchObject({ terminated: 1 });
      await wait(20);
      const fired = timers.mock.results.filter((_, i) => timers.mock.calls[i]![1]! <= 20);
      const ended = new Set(cleared.mock.calls.map(([timer]) => timer));
      for (const result of keeping()) {
        expect(fired.includes(result) || ended.has(result.value)).toBe(true);
      }
    } finally {
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
  });
});

describe('the event connect', () => {
  it('has the parameters of the route', async () => {
    const hub = new Hub();
    hub.on('connect', (session, ctx) => session.join(`room/${ctx?.params?.['name']}`));
    await using server = await serve(
      { host: '127.0.0.1', port: 0 },
      { '/rooms/:name': hub.handler },
    );
    const socket = new WebSocket(`${server.url}/rooms/lobby`);
    await once(socket, 'open');
    await expect.poll(() => hub.room('room/lobby').members.size).toBe(1);
    socket.close();
    expect(await hub.close()).toMatchObject({ terminated: 0 });
  });

  it('has no context after hub.add', () => {
    const hub = new Hub();
    const connected = vi.fn();
    hub.on('connect', connected);
    const session = hub.add(connPair()[1]);
    expect(connected.mock.calls).toEqual([[session, undefined]]);
  });
});
