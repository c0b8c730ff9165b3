// Messages that do not fit: of the server, of another node, and events.
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, event, method } from '@ws/rpc';
import { roomsOf, START } from '@ws/rpc/rooms';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { nextOf, read, startClient, startNode, startRaw, TABLE, Text, turns } from './setup.ts';

const chat = contract({ client: { said: event(z.object({ n: z.number() })) } });
const said = chat.client.said.encode({ n: 1 });

describe('a listener that publishes what does not fit', () => {
  it('is refused, also while the publication of a client fails', async () => {
    let isFull = false;
    const mayPublish = (_: unknown, room: string): boolean => {
      // The members get no more in this turn.
      for (let i = 0; isFull && i < 10_000; i++) void hub.room(room).publish('{"text":"0"}');
      return true;
    };
    const { node, hub, errors } = startNode({ 'chat/*': { ...TABLE['chat/*']!, mayPublish } });
    const refused: unknown[] = [];
    hub.on('error', (_, error) => {
      if (!/wait for delivery/.test(String(error))) return;
      const bad = hub.room('chat/log').publishJSON({ text: 7 });
      bad.catch((reason: unknown) => void refused.push(String(reason)));
    });
    const { session, ask } = startRaw(node);
    await ask('room.join', { room: 'chat/main' });
    isFull = true;
    const input = { room: 'chat/main', id: 'A'.repeat(22), data: { text: '1' } };
    // So many messages end the connection too.
    await ask('room.publish', input).catch(() => {});
    expect(errors.map(String)).toContainEqual(expect.stringMatching(/wait for delivery/));
    expect(refused).toEqual([expect.stringMatching(/does not fit its schema/)]);
    session.conn.terminate();
  });
});

describe.each([
  ['of one node', () => undefined],
  ['of two nodes', () => new MemoryBroker()],
])('a publication of the server in a room %s', (_, start) => {
  const startRoom = () => {
    const broker = start();
    const backplane = broker && memoryBackplane(broker);
    const { node, hub, errors } = startNode(undefined, { backplane });
    return { node, hub, errors, room: hub.room('chat/main') };
  };

  it.each<[string, RegExp, (room: ReturnType<Hub<string>['room']>) => Promise<unknown>]>([
    ['another type', /its schema: text/, (room) => room.publishJSON({ text: 7 })],
    ['text of another type', /its schema: text/, (room) => room.publish('{"text":7}')],
    ['no JSON', /publish JSON: /, (room) => room.publish('hello')],
    ['the form of a client', /publish JSON: /, (room) => room.publish(`@${'A'.repeat(22)}:{}`)],
    ['bytes', /it has got bytes/, (room) => room.publish(new Uint8Array(2))],
    ['the text of an event', /write rooms\.emit\(/, (room) => room.publish(said)],
  ])('reaches nobody when it is %s', async (_, message, publish) => {
    const { node, room } = startRoom();
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    const results = await Promise.allSettled([
      room.publishJSON({ text: '2', more: 1 }),
      publish(room),
      room.publish('{"text":"3"}'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(String((results[1] as PromiseRejectedResult).reason)).toMatch(message);
    expect(await read(loop, 3)).toEqual(['1', '2', '3']);
    const late = startClient(node);
    const all = late.rooms.join('chat/main', { since: START });
    expect(await read(all, 4)).toEqual(['gap', '1', '2', '3']);
  });

  it('is not checked by an asynchronous schema', async () => {
    const validate = async () => ({ issues: [{ message: 'never' }] });
    const schema = { '~standard': { version: 1, vendor: 'slow', validate } } as const;
    const broker = start();
    const { node, hub } = startNode(
      { r: { mayJoin: true, mayPublish: true, schema } },
      { backplane: broker && memoryBackplane(broker) },
    );
    const { rooms } = startClient(node);
    const loop = rooms.join('r');
    await expect(rooms.publish('r', 1)).rejects.toMatchObject({ code: -32_602 });
    await hub.room('r').publishJSON(2);
    expect(await nextOf(loop)).toMatchObject({ data: 2 });
  });
});

describe('a message of another node that is no JSON', () => {
  it('is a gap, and is reported, live and in the history', async () => {
    const broker = new MemoryBroker();
    const { node, hub, errors } = startNode(TABLE, { backplane: memoryBackplane(broker) });
    const other = new Hub({
      backplane: memoryBackplane(broker),
      rooms: { 'chat/*': { history: true, delivery: 'through' } },
    });
    const { rooms, live } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    await other.room('chat/main').publish('hello');
    await other.room('chat/main').publish('{"text":"2"}');
    expect(await read(loop, 3)).toEqual(['1', 'gap', '2']);
    expect(String(errors[0])).toMatch(/JSON/);
    const late = startClient(node);
    const all = late.rooms.join('chat/main', { since: START });
    expect(await read(all, 3)).toEqual(['gap', '1', '2']);
    await live.close();
    await late.live.close();
    await Promise.all([hub.close(), other.close()]);
  });
});

describe('info of a member', () => {
  it('is typed and checked by the schema of its key', async () => {
    const warn = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { node, hub } = startNode({
      r: { mayJoin: true, presence: ({ data }) => ({ name: data }), members: true },
    });
    const live = new ReconnectingConn(async () => {
      const [client, conn] = connPair();
      hub.add(conn as never, { data: 'ann' });
      return client;
    });
    const info = z.object({ name: z.string().min(2) });
    const rooms = roomsOf(live, { schemas: { r: { info, message: Text } } });
    rooms.join('r');
    const other = startRaw(node, 'x');
    await other.ask('room.join', { room: 'r' });
    await expect.poll(() => rooms.members('r').count).toBe(2);
    const names: string[] = [...rooms.members('r').values()].map((member) => member.info.name);
    expect(names).toEqual(['ann']);
    warn.mockRestore();
    await live.close();
  });
});

describe('emit', () => {
  it.each([
    ['on one node', undefined],
    ['on all nodes', new MemoryBroker()],
  ])(
    'sends an event to the members of a room %s, in order, and keeps it not',
    async (_, broker) => {
      const start = () =>
        serveRooms(TABLE, {
          contract: chat,
          hub: { backplane: broker && memoryBackplane(broker) },
        });
      const one = start();
      const two = broker === undefined ? one : start();
      const { ask, next } = startRaw(one);
      await ask('room.join', { room: 'chat/main' });
      void two.hub.room('chat/main').publishJSON({ text: '1' });
      void two.emit('chat/main', chat.client.said, { n: 1 });
      await two.hub.room('chat/main').publishJSON({ text: '2' });
      const got = [await next(), await next(), await next()];
      expect(got.map(({ method, params }) => [method, params])).toEqual([
        ['room.message', expect.objectContaining({ data: { text: '1' } })],
        ['said', { n: 1 }],
        ['room.message', expect.objectContaining({ data: { text: '2' } })],
      ]);
      expect((await two.hub.room('chat/main').history()).messages).toHaveLength(2);
      const { events } = await ask('room.join', { room: 'chat/main', since: START });
      expect(events.map((each) => each['method'])).toEqual([
        'room.gap',
        'room.message',
        'room.message',
      ]);
      await one.hub.close({ timeout: 1 });
      await two.hub.close({ timeout: 1 });
    },
  );

  it('refuses another event, and a value that does not fit', async () => {
    const node = serveRooms(TABLE, { contract: chat });
    const other = contract({ client: { said: event(z.object({ n: z.number() })) } });
    await expect(node.emit('chat/a', other.client.said, { n: 1 })).rejects.toThrow(
      /an event of the contract/,
    );
    await expect(node.emit('chat/a', chat.client.said, { n: '1' } as never)).rejects.toThrow(/n: /);
    await node.hub.close();
  });
});

describe('publishJSON', () => {
  it('refuses the text of an event of a contract that listens', async () => {
    const hub = new Hub();
    hub.on('error', () => {});
    await hub.room('r').publishJSON(said);
    const both = contract({ server: { ask: method(z.undefined(), z.null()) } }, chat);
    hub.on('message', both.listener({ ask: () => null }));
    await expect(hub.room('r').publishJSON(said)).rejects.toThrow(/the text of the event said/);
    await hub.room('r').publishJSON('{"jsonrpc":"2.0","method":"other"}');
    await hub.close();
  });
});

describe('a gap', () => {
  it('comes after the messages before it', async () => {
    const broker = new MemoryBroker();
    const start = (id: string) =>
      startNode({ r: { mayJoin: true } }, { id, backplane: memoryBackplane(broker) });
    const [one, two] = [start('a'), start('b')];
    const { ask, next } = startRaw(one.node);
    await ask('room.join', { room: 'r' });
    const room = two.hub.room('r');
    for (let i = 0; i < 3; i++) await room.publishJSON('before');
    for (let i = 0; i < 3; i++) await next();
    broker.delay();
    void room.publishJSON(1);
    await turns();
    broker.release();
    // A message that no node can read.
    broker.inject('room/r', Uint8Array.of(0));
    void room.publishJSON(3);
    const got = [await next(), await next(), await next()];
    expect(got.map(({ method, params }) => (params as { data?: number }).data ?? method)).toEqual([
      1,
      'room.gap',
      3,
    ]);
  });
});
