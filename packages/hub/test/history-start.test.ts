// A room with history has a position before its first message.

import { Hub, type Joined, type Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { alone, enter, node, send, turns, useFakeTime, wait } from './nodes.ts';
import { nextOf, startClient, startNode, TABLE } from './serve-rooms/setup.ts';

const TTL = 60_000;
const rooms = { '*': { history: { ttl: TTL }, delivery: 'through' } } as const;
const first = ({ complete }: Joined): string => `complete ${complete}`;

useFakeTime();

describe.each([
  ['this node', () => new Hub({ rooms: { '*': { history: { ttl: TTL } } } })],
  ['an engine', () => alone({ rooms }).hub],
] as const)('a history of %s', (_, start) => {
  async function visit(hub: Hub, since?: Position) {
    const { client, received, session } = enter(hub);
    const { position } = await session.join('r', { since, first });
    await turns();
    return { client, received, session, position: position! };
  }

  it('has a position before the first message, after which a client misses nothing', async () => {
    const hub = start();
    const { client, position } = await visit(hub);
    expect(position).toMatchObject({ epoch: expect.stringMatching(/./), offset: 0 });
    client.terminate();
    await turns();
    expect((await visit(hub, position)).received).toEqual(['complete true']);
    for (let i = 0; i < 5; i++) await hub.room('r').publish(`${i}`);
    const { received } = await visit(hub, position);
    expect(received).toEqual(['complete true', '0', '1', '2', '3', '4']);
  });

  it('keeps that position while the room has a member, and for ttl after the last one', async () => {
    const hub = start();
    const { client, session, position } = await visit(hub);
    for (let i = 0; i < 18; i++) await wait(TTL / 6);
    client.terminate();
    await turns();
    await wait(TTL - 1_000);
    const again = await visit(hub, position);
    expect(again.received).toEqual(['complete true']);
    expect(again.position).toEqual(position);
    again.session.leave('r');
    session.leave('r');
    await wait(3 * TTL);
    expect((await visit(hub, position)).received).toEqual(['complete false']);
  });

  it('begins before all messages for a client without a position', async () => {
    const hub = start();
    const { received } = await visit(hub, { epoch: '', offset: 0 });
    expect(received).toEqual(['complete false']);
  });
});

describe('the epochs of 10,000 ended rooms', () => {
  it('go first, if the rooms had no message', async () => {
    const hub = new Hub({ maxRoomsPerSession: false, rooms: { '*': { history: { ttl: TTL } } } });
    const since = await hub.room('r').publish('old');
    await wait(TTL + 10_000);
    expect(hub.stats.rooms).toBe(0);
    const { session } = enter(hub);
    for (let i = 0; i < 10_001; i++) {
      void session.join(`r${i}`);
      session.leave(`r${i}`);
    }
    await hub.room('r').publish('new');
    expect(await hub.room('r').history({ since: since! })).toMatchObject({ complete: true });
  });
});

describe('a blink of the engine', () => {
  it.each([5, 1_000])('tells no gap in rooms that have had no message (%i ms)', async (ms) => {
    const broker = new MemoryBroker();
    const [a, b] = ['a', 'b'].map((id) => node(broker, id, { rooms })) as [
      ReturnType<typeof node>,
      ReturnType<typeof node>,
    ];
    const { received } = enter(a.hub, 'r', 'x');
    await wait(100);
    broker.disconnect('a');
    if (ms > 5) await b.hub.room('x').publish('missed');
    await wait(ms);
    broker.reconnect('a');
    await wait(300);
    await send(b.hub, '2');
    expect(a.gaps).toEqual([]);
    expect(received).toEqual(ms > 5 ? ['missed', '2'] : ['2']);
  });

  it('tells a gap when the engine has lost its memory meanwhile', async () => {
    const broker = new MemoryBroker();
    const a = node(broker, 'a', { rooms });
    enter(a.hub, 'r');
    await wait(100);
    broker.disconnect('a');
    broker.forget();
    broker.reconnect('a');
    await wait(300);
    expect(a.gaps).toEqual(['r']);
  });
});

describe('a client of serveRooms', () => {
  it('has no gap after a break in a room that had no message before', async () => {
    vi.useRealTimers();
    const { node: server, hub } = startNode(TABLE);
    const { rooms: client, live, cut } = startClient(server);
    const loop = client.join('chat/main');
    await expect.poll(() => hub.room('chat/main').members.size).toBe(1);
    await turns();
    cut();
    for (let i = 0; i < 3; i++) await hub.room('chat/main').publishJSON({ text: `${i}` });
    const items: unknown[] = [];
    for (let i = 0; i < 3; i++) items.push(await nextOf(loop));
    expect(items).toMatchObject(
      [0, 1, 2].map((i) => ({ kind: 'message', data: { text: `${i}` } })),
    );
    await live.close();
  });
});
