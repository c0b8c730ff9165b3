// Rooms of clients with connections that break.

import { connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, event, method, RpcError } from '@ws/rpc';
import { type MembersChange, roomsOf, START } from '@ws/rpc/rooms';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { nextOf as nextMessageOf } from '../../../rpc/test/pairs.ts';
import { nextOf, read, startClient, startNode, startRaw, TABLE, Text, turns } from './setup.ts';

describe('a loop over a room', () => {
  it('begins after since, with all messages after START, and live without it', async () => {
    const { node, hub } = startNode();
    const first = await hub.room('chat/main').publish('{"text":"1"}');
    await hub.room('chat/main').publish('{"text":"2"}');
    const { rooms, live } = startClient(node);
    const loops = [first, START, undefined].map((since) => rooms.join('chat/main', { since }));
    await rooms.publish('chat/main', { text: '3' });
    expect(await read(loops[0]!, 2)).toEqual(['2', '3']);
    expect(await read(loops[1]!, 4)).toEqual(['gap', '1', '2', '3']);
    expect(await read(loops[2]!, 1)).toEqual(['3']);
    const late = rooms.join('chat/main', { since: first });
    expect(await read(late, 2)).toEqual(['2', '3']);
    const last = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '4' });
    for (const loop of [...loops.slice(0, 2), late, last])
      expect(await read(loop, 1)).toEqual(['4']);
    await live.close();
    expect(await read(late, 1)).toEqual(['end']);
  });

  it('begins with the next message while another loop gets those of the past', async () => {
    const [client, server] = connPair();
    const live = new ReconnectingConn(async () => client);
    const rooms = roomsOf(live);
    const at = (offset: number) => ({ epoch: 'e', offset });
    const publish = (offset: number): Promise<void> =>
      server.writeJSON({
        jsonrpc: '2.0',
        method: 'room.message',
        params: { room: 'r', position: at(offset), data: offset },
      });
    const answer = async (): Promise<void> => {
      const { id } = (await server.readMessage()).json() as { id: number };
      const result = { complete: true, missed: 0, position: at(3) };
      await server.writeJSON({ jsonrpc: '2.0', id, result });
      await turns();
    };
    void rooms.join('r');
    await answer();
    void rooms.join('r', { since: at(0) });
    await publish(1);
    await turns();
    const loop = rooms.join('r');
    await publish(2);
    await publish(3);
    await answer();
    await publish(4);
    expect(await nextOf(loop)).toMatchObject({ data: 4 });
    server.terminate();
    await live.close();
  });

  it('has a gap after a break of a room without history', async () => {
    const { node } = startNode({ r: { schema: Text, mayJoin: true, mayPublish: true } });
    const { rooms, live, cut } = startClient(node);
    const loop = rooms.join('r');
    await rooms.publish('r', { text: '1' });
    cut();
    await new Promise((resolve) => live.on('open', () => resolve(undefined)));
    await rooms.publish('r', { text: '2' });
    expect(await read(loop as never, 3)).toEqual(['1', 'gap', '2']);
  });

  it('ends with the error of a refusal, also after a break', async () => {
    let may = true;
    const { node } = startNode({ 'chat/*': { mayJoin: () => may } });
    const { rooms, cut } = startClient(node);
    const loop = rooms.join('chat/main');
    const other = rooms.join('private');
    await expect(other.next()).rejects.toMatchObject({ code: -32_001, message: 'room refused' });
    await turns();
    may = false;
    cut();
    await expect(nextOf(loop)).rejects.toBeInstanceOf(RpcError);
    expect(await loop.next()).toEqual({ done: true, value: undefined });
  });

  it('ends with the error of a refusal after the server has ended the membership', async () => {
    const banned = new Set<string>();
    const { node, hub } = startNode({ 'chat/*': { mayJoin: ({ data }) => !banned.has(data) } });
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await expect.poll(() => hub.room('chat/main').members.size).toBe(1);
    await hub.room('chat/main').publishJSON({ text: '1' });
    // The client has the answer of its join.
    expect(await read(loop, 1)).toEqual(['1']);
    banned.add('ann');
    for (const session of hub.room('chat/main').members) session.leave('chat/main');
    // A room without history.
    expect(await nextOf(loop)).toMatchObject({ kind: 'gap' });
    await expect(loop.next()).rejects.toMatchObject({ code: -32_001 });
  });

  it('has no gap when its history has all, after a membership or a gap of the hub', async () => {
    const { node, hub } = startNode();
    const room = hub.room('chat/main');
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    const [session] = room.members;
    // The session gets nothing while it is no member.
    session!.leave('chat/main');
    await room.publish('{"text":"2"}');
    expect(await read(loop, 2)).toEqual(['1', '2']);
    session!.send('{"jsonrpc":"2.0","method":"room.gap","params":{"room":"chat/main"}}');
    await room.publish('{"text":"3"}');
    expect(await read(loop, 1)).toEqual(['3']);
  });

  it('has one gap when the membership ends and the history has not all', async () => {
    const { node, hub } = startNode({ 'chat/*': { history: { size: 1 }, mayJoin: true } });
    const room = hub.room('chat/main');
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await expect.poll(() => room.members.size).toBe(1);
    await room.publish('{"text":"1"}');
    for (const session of room.members) session.leave('chat/main');
    for (const text of ['2', '3']) await room.publish(`{"text":"${text}"}`);
    expect(await read(loop, 3)).toEqual(['1', 'gap', '3']);
  });

  it('leaves the room with the last loop', async () => {
    const { node, hub } = startNode();
    const { rooms } = startClient(node);
    const loops = [rooms.join('chat/main'), rooms.join('chat/main')];
    await expect.poll(() => hub.room('chat/main').members.size).toBe(1);
    await loops[0]!.return!();
    await rooms.publish('chat/main', { text: '1' });
    expect(await nextOf(loops[1]!)).toMatchObject({ data: { text: '1' } });
    const waiting = loops[1]!.next();
    await loops[1]!.return!();
    expect(await waiting).toEqual({ done: true, value: undefined });
    await expect.poll(() => hub.room('chat/main').members.size).toBe(0);
  });

  it('joins and leaves again while the server is busy', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const [client, server] = connPair();
      const live = new ReconnectingConn(async () => client);
      const loop = roomsOf(live).join('r');
      const answer = async (method: string, outcome: object): Promise<void> => {
        const request = await nextMessageOf(server);
        expect(request).toMatchObject({ method });
        await server.writeJSON({ jsonrpc: '2.0', id: (request as { id: number }).id, ...outcome });
        await turns();
      };
      const busy = { error: { code: -32_000, message: 'too many requests wait' } };
      await answer('room.join', busy);
      await vi.advanceTimersByTimeAsync(1_000);
      await answer('room.join', { result: { complete: true, missed: 0 } });
      await loop.return?.();
      await answer('room.leave', busy);
      await vi.advanceTimersByTimeAsync(1_000);
      await answer('room.leave', { result: null });
      server.terminate();
      await live.close();
    } finally {
      vi.useRealTimers();
    }
  });

  it('has a gap when the history has not all that it did not take', async () => {
    const { node, hub } = startNode({ 'chat/*': { history: { size: 5 }, mayJoin: true } });
    const { rooms } = startClient(node);
    const slow = rooms.join('chat/main');
    await expect.poll(() => hub.room('chat/main').members.size).toBe(1);
    for (let i = 0; i < 1_020; i++) await hub.room('chat/main').publish(`{"text":"${i}"}`);
    const items = await read(slow, 1_006);
    expect(items.slice(998)).toEqual(['998', '999', 'gap', '1015', '1016', '1017', '1018', '1019']);
  });

  it('dials again with another ticket when its login has expired', async () => {
    const { node, hub } = startNode();
    const tickets = ['one', 'two'];
    const { rooms } = startClient(node, () => tickets.shift()!);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    for (const session of hub.sessions.values()) void session.close(4401, 'expired');
    await hub.room('chat/main').publishJSON({ text: '2' });
    expect(await read(loop, 2)).toEqual(['1', '2']);
    expect([...hub.sessions.values()].map(({ data }) => data)).toEqual(['two']);
  });

  it.each([
    ['a name without bytes', (join: (...args: never[]) => unknown) => join('' as never)],
    [
      'a name of more than 256 bytes',
      (join: (...args: never[]) => unknown) => join('é'.repeat(129) as never),
    ],
    ['a name that is no text', (join: (...args: never[]) => unknown) => join(1 as never)],
    [
      'a position that is none',
      (join: (...args: never[]) => unknown) => join('r' as never, { since: 1 } as never),
    ],
    [
      'an unknown option',
      (join: (...args: never[]) => unknown) => join('r' as never, { limit: 1 } as never),
    ],
  ])('refuses %s', async (_, call) => {
    const { node } = startNode();
    const { rooms } = startClient(node);
    expect(() => call(rooms.join.bind(rooms) as never)).toThrow(TypeError);
  });
});

describe('members of a room', () => {
  it('reach the clients, as changes of at most one a second', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { node, hub } = startNode({
      'chat/*': { ...TABLE['chat/*']!, presence: ({ data }) => ({ name: data }), members: true },
    });
    const [ann, bob] = [startClient(node, 'ann'), startClient(node, 'bob')];
    const changes: MembersChange[] = [];
    ann.rooms.on('members', (_, change) => void changes.push(change));
    ann.rooms.join('chat/main');
    const names = (): unknown[] =>
      [...ann.rooms.members('chat/main').values()].map(
        ({ info }) => (info as { name: string }).name,
      );
    await expect.poll(() => names()).toEqual(['ann']);
    bob.rooms.join('chat/main');
    await expect.poll(() => hub.room('chat/main').members.size).toBe(2);
    await vi.advanceTimersByTimeAsync(500);
    expect(names()).toEqual(['ann']);
    await vi.advanceTimersByTimeAsync(600);
    await turns();
    expect(names()).toEqual(['ann', 'bob']);
    expect(ann.rooms.members('chat/main')).toMatchObject({ count: 2, complete: true });
    // One for the join, one for the other client: none of them is empty.
    expect(changes.map(({ joined }) => joined.size)).toEqual([1, 1]);
    expect(ann.rooms.members('chat/other').size).toBe(0);
    vi.useRealTimers();
  });
});

describe('members of a room on several nodes', () => {
  it('are complete once the node knows the others, without a change', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const broker = new MemoryBroker();
    const { node } = startNode(
      { 'chat/*': { mayJoin: true, presence: ({ data }) => data, members: true } },
      { backplane: memoryBackplane(broker) },
    );
    const { rooms } = startClient(node);
    const changes: MembersChange[] = [];
    rooms.on('members', (_, change) => void changes.push(change));
    rooms.join('chat/main');
    const members = () => rooms.members('chat/main');
    await expect.poll(() => members().count).toBe(1);
    expect(members().complete).toBe(false);
    await vi.advanceTimersByTimeAsync(8_000);
    await turns();
    expect(members()).toMatchObject({ size: 1, count: 1, complete: true });
    expect(changes.map(({ left }) => left.size)).toEqual([0, 0]);
    vi.useRealTimers();
  });
});

describe('a client that reads slowly', () => {
  it('is served while it gets what it has missed', async () => {
    const { node, hub } = startNode();
    const room = hub.room('chat/main');
    const text = 'x'.repeat(1_000);
    for (let i = 0; i < 500; i++) await room.publish(JSON.stringify({ text }));
    const { client, send } = startRaw(node);
    const call = (id: number, method: string, params: object) =>
      send(method, { room: 'chat/main', ...params }, id);
    await call(1, 'room.join', { since: START });
    await call(2, 'room.publish', { id: 'a'.repeat(22), data: { text: 'mine' } });
    await expect
      .poll(async () => (await room.history()).messages.at(-1)!.message.text())
      .toContain('mine');
    const read = async (): Promise<{ id?: number; params?: { data: unknown } }> =>
      (await client.readMessage()).json() as object;
    const ids: number[] = [];
    let count = 0;
    while (ids.length < 2 || count < 501) {
      const { id, params } = await read();
      if (id !== undefined) ids.push(id);
      else if (params?.data !== undefined) count++;
    }
    expect(ids).toContain(1);
    await client.close();
  });
});

describe('a contract beside the rooms', () => {
  const own = contract({
    server: { who: method(z.undefined(), z.string()) },
    client: { told: event(z.string()) },
  });

  it('runs on the same connection, with the session', async () => {
    const node = serveRooms(
      { r: { mayJoin: true } },
      {
        contract: own,
        handlers: {
          who: (_, { session, peer }) => {
            void peer.told('by handler');
            void node.peer(session).told('by peer');
            return String(session.data);
          },
        },
      },
    );
    const live = new ReconnectingConn(async () => {
      const [client, conn] = connPair();
      node.hub.add(conn, { data: 'ann' });
      return client;
    });
    const told: string[] = [];
    const rooms = roomsOf(live, {
      contract: own,
      handlers: { told: (text) => void told.push(text) },
    });
    expect(await rooms.peer.who()).toBe('ann');
    expect(Object.keys(rooms.peer)).toEqual(['who']);
    expect(told).toEqual(['by handler', 'by peer']);
    await live.close();
    await node.hub.close();
  });

  it('has no name that begins with room.', () => {
    const taken = contract({ client: { 'room.x': event(z.string()) } });
    expect(() => serveRooms({}, { contract: taken })).toThrow(
      /room\.x; names that begin with room\./,
    );
    const live = { receive() {}, reconnect() {}, on() {} };
    expect(() => roomsOf(live as never, { contract: taken, handlers: {} as never })).toThrow(
      /names that begin with room\./,
    );
    expect(() => serveRooms({}, { contract: own, handlers: {} as never })).toThrow(
      /who: expected a function/,
    );
    expect(() => roomsOf({} as never)).toThrow(/expected a ReconnectingConn/);
    expect(() => roomsOf(connPair()[0] as never)).toThrow(/got a Conn; write new Reconn/);
    const former = roomsOf as (...args: unknown[]) => unknown;
    expect(() => former(live, own)).toThrow(/write roomsOf\(live, \{ contract, handlers, schemas/);
    expect(() => former(live, undefined, undefined, {})).toThrow(/write roomsOf\(live, \{/);
    expect(() => former(live, { contract: own })).toThrow(/told: expected a function/);
    expect(() => former(live, { schemas: { r: { inof: z.string() } } })).toThrow(/inof/);
  });
});

describe('rooms of two clients', () => {
  it('gives each message to all loops, after a break too', async () => {
    const { node, hub } = startNode();
    const ann = startClient(node);
    const bob = startClient(node);
    const loop = ann.rooms.join('chat/main');
    const other = bob.rooms.join('chat/main');
    await ann.rooms.publish('chat/main', { text: '1' });
    expect(await read(loop, 1)).toEqual(['1']);
    await bob.rooms.publish('chat/main', { text: '2' });
    expect(await read(loop, 1)).toEqual(['2']);
    ann.cut();
    await bob.rooms.publish('chat/main', { text: '3' });
    await hub.room('chat/main').publishJSON({ text: '4' });
    await ann.rooms.publish('chat/main', { text: '5' });
    expect(await read(loop, 3)).toEqual(['3', '4', '5']);
    expect(await read(other, 5)).toEqual(['1', '2', '3', '4', '5']);
  });
});
