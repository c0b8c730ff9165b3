// The events about members of a room: their cost, and their sum.

import { connPair, type PreparedMessage } from '@ws/conn';
import type { Session } from '@ws/hub';
import type { MembersChange, RoomMember } from '@ws/rpc/rooms';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { forgetPrintedErrors } from '../../../../tests/kit/printed-errors.ts';
import { startClient, startNode, startRaw, turns } from './setup.ts';

const ROOM = 'chat/main';

function startMembers(presence: (session: Session<string>) => unknown = ({ data }) => data) {
  const started = startNode({ 'chat/*': { mayJoin: true, presence, members: true } });
  onTestFinished(async () => {
    vi.useRealTimers();
    await started.hub.close({ timeout: 1 });
  });
  return started;
}

/** Joins `count` clients that speak JSON-RPC by hand. */
async function joinMany(node: Parameters<typeof startRaw>[0], count: number) {
  const clients = Array.from({ length: count }, (_, i) => startRaw(node, `${i}`));
  for (const { client, send } of clients) {
    void client.discardReads();
    await send('room.join', { room: ROOM }, 0);
  }
  await turns();
  return clients;
}

/** Counts the events `room.members` that clients get, and their bytes. */
function countEvents(hub: ReturnType<typeof startMembers>['hub']) {
  const sent = { events: 0, lists: 0, bytes: 0 };
  hub.on('sent', (_, { bytes }: PreparedMessage) => {
    const text = new TextDecoder().decode(bytes);
    if (!text.includes('"room.members"')) return;
    sent.events++;
    sent.bytes += bytes.length;
    if (text.includes('"members":{"')) sent.lists++;
  });
  return sent;
}

const second = async (): Promise<void> => {
  await vi.advanceTimersByTimeAsync(1_000);
  await turns();
};

describe('the members of a room of serveRooms', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  it('have no member that came and left within a turn', async () => {
    const { node, hub } = startMembers();
    const ghost = startRaw(node, 'ghost').session;
    const ann = startRaw(node, 'ann');
    hub.on('entered', async (session) => {
      if (session !== ann.session) return;
      void ghost.join(ROOM);
      // As long as a join takes, within the turn.
      for (let i = 0; i < 100; i++) await Promise.resolve();
      ghost.leave(ROOM);
    });
    await ann.ask('room.join', { room: ROOM });
    const { params } = (await ann.next()) as { params: { count: number; members: object } };
    expect(params.count).toBe(1);
    expect(Object.keys(params.members)).toEqual([`${hub.id}/${ann.session.id}`]);
  });

  it('get no list each time that a client crosses the largest number', async () => {
    const { node, hub } = startMembers();
    await joinMany(node, 1_000);
    const toggler = startRaw(node, 'toggler');
    await second();
    const sent = countEvents(hub);
    for (let i = 0; i < 4; i++) {
      await toggler.ask('room.join', { room: ROOM });
      await second();
      await toggler.ask('room.leave', { room: ROOM });
      await second();
    }
    expect(sent.lists).toBe(0);
    expect(sent.bytes).toBeLessThan(9 * 1_001 * 200);
  });

  it('get all again, in parts, when the room is well below the largest number', async () => {
    const { node, hub } = startMembers(({ data }) => data.padEnd(20));
    const clients = await joinMany(node, 1_001);
    await second();
    const sent = countEvents(hub);
    for (const { session } of clients.slice(0, 90)) session.leave(ROOM);
    await second();
    expect(sent.lists).toBe(0);
    for (const { session } of clients.slice(90, 110)) session.leave(ROOM);
    await second();
    expect(sent.lists).toBeGreaterThan(0);
    expect(sent.bytes).toBeLessThan(40 * 1_048_576);
    for (let i = 0; i < 20; i++) await second();
    expect(sent.lists).toBe(891);
  });

  it('get their number only when the list is long', async () => {
    const { node, hub } = startMembers(() => 'x'.repeat(1_000));
    await joinMany(node, 300);
    const sent = countEvents(hub);
    const ann = startRaw(node, 'ann');
    await ann.ask('room.join', { room: ROOM });
    expect(await ann.next()).toMatchObject({ params: { count: 301, members: {} } });
    await second();
    expect(sent.bytes).toBeLessThan(302 * 200);
  });

  it('get the list at most once a second each, however often they join', async () => {
    const { node, hub } = startMembers();
    await joinMany(node, 300);
    const ann = startRaw(node, 'ann');
    await second();
    const sent = countEvents(hub);
    for (let i = 0; i < 100; i++) await ann.ask('room.join', { room: ROOM });
    await second();
    // The change for the others, and two lists for this client.
    expect(sent.lists).toBeLessThanOrEqual(2);
    expect(sent.events).toBeLessThanOrEqual(303);
  });

  it('get the list once a second, however often they leave and return', async () => {
    const { node, hub } = startMembers();
    await joinMany(node, 300);
    await second();
    const sent = countEvents(hub);
    const ann = startRaw(node, 'ann');
    for (let i = 0; i < 20; i++) {
      await ann.ask('room.join', { room: ROOM });
      await turns();
      await ann.ask('room.leave', { room: ROOM });
    }
    expect(sent.lists).toBe(1);
  });

  it('get the list instead of a change that is longer', async () => {
    const { node, hub } = startMembers(() => 1);
    const ann = startRaw(node, 'ann');
    await ann.ask('room.join', { room: ROOM });
    await second();
    const texts: string[] = [];
    hub.on('sent', (_, { bytes }) => void texts.push(new TextDecoder().decode(bytes)));
    for (let i = 0; i < 300; i++) {
      const [, conn] = connPair({ report: () => {} });
      const session = hub.add(conn, { id: `${i}`.padEnd(1_000, '.') });
      void session.join(ROOM);
      await turns(1);
      session.leave(ROOM);
    }
    await second();
    await second();
    const last = JSON.parse(texts.at(-1)!) as { params: { members: object } };
    expect(Object.keys(last.params.members)).toEqual([`${hub.id}/${ann.session.id}`]);
    expect(Math.max(...texts.map(({ length }) => length))).toBeLessThan(262_144);
  });

  it('get the list in the next second when too many messages wait in the hub', async () => {
    const { node, hub } = startMembers();
    const ann = startRaw(node, 'ann');
    const bytes = new Uint8Array(66 * 1_048_576);
    const remove = hub.on('entered', async (session) => {
      // As long as the answer of the join takes, within the turn.
      for (let i = 0; i < 5; i++) await Promise.resolve();
      hub.broadcast(bytes, { except: session, local: true });
    });
    await ann.ask('room.join', { room: ROOM });
    remove();
    await second();
    expect(await ann.next()).toMatchObject({ method: 'room.members', params: { count: 1 } });
  });

  it('reach a client of many rooms, whose lists are longer than what may wait for it', async () => {
    const { node, hub } = startMembers(() => 'x'.repeat(1_000));
    const names = Array.from({ length: 8 }, (_, i) => `chat/${i}`);
    for (let i = 0; i < 200; i++) {
      const { client, session } = startRaw(node, `${i}`);
      void client.discardReads();
      for (const name of names) void session.join(name);
    }
    await second();
    const left = vi.fn();
    hub.on('left', left);
    const ann = startRaw(node, 'ann');
    const rooms = new Set<string>();
    void ann.client.receive((message) => {
      const { method, params } = message.json() as {
        method?: string;
        params: { room: string; members?: object };
      };
      if (method === 'room.members' && params.members !== undefined) rooms.add(params.room);
    });
    for (const [id, room] of names.entries()) await ann.send('room.join', { room }, id);
    for (let i = 0; i < 10; i++) await second();
    expect([...rooms].toSorted()).toEqual(names);
    expect(left).not.toHaveBeenCalled();
  });

  it('are made to text once for the clients of a turn', async () => {
    const { node, hub } = startMembers();
    await joinMany(node, 500);
    await second();
    const texts = new Set<Uint8Array>();
    hub.on('sent', (_, { bytes }) => {
      if (bytes.length > 10_000) texts.add(bytes);
    });
    await joinMany(node, 100);
    await second();
    expect(texts.size).toBeLessThan(10);
  });
});

describe('the members that a client knows', () => {
  /** The sum of the changes. */
  function sumOf({ rooms }: ReturnType<typeof startClient>) {
    const sum = new Map<string, RoomMember>();
    const changes: MembersChange[] = [];
    rooms.on('members', (_, change) => {
      changes.push(change);
      for (const [key, member] of [...change.joined, ...change.changed]) sum.set(key, member);
      for (const key of change.left.keys()) sum.delete(key);
    });
    return { sum, changes };
  }

  it('are not complete without a connection, and are again after it', async () => {
    const { node } = startMembers();
    const ann = startClient(node, 'ann');
    const { changes } = sumOf(ann);
    ann.rooms.join(ROOM);
    const members = () => ann.rooms.members(ROOM);
    await expect.poll(() => members().complete).toBe(true);
    const closed = new Promise<[boolean, number]>((resolve) => {
      ann.live.on('close', () => resolve([members().complete, members().size]));
    });
    ann.cut();
    expect(await closed).toEqual([false, 1]);
    expect(changes.at(-1)!.left.size).toBe(0);
    await expect.poll(() => members().complete).toBe(true);
    await ann.live.close();
    expect(members().complete).toBe(false);
  });

  it('have left when its last loop ends, in the sum of the events too', async () => {
    const { node } = startMembers();
    const ann = startClient(node, 'ann');
    const { sum } = sumOf(ann);
    const loop = ann.rooms.join(ROOM);
    await expect.poll(() => sum.size).toBe(1);
    await loop.return!();
    await expect.poll(() => sum.size).toBe(0);
    expect(ann.rooms.members(ROOM)).toMatchObject({ size: 0, count: 0, complete: false });
    ann.rooms.join(ROOM);
    await expect.poll(() => sum.size).toBe(1);
    await ann.live.close();
    await expect.poll(() => sum.size).toBe(0);
  });
});

describe('rooms.members of a key without members', () => {
  it('is empty, and reported once, before and after the join', async () => {
    // The client prints at most one error of a kind each second.
    vi.useFakeTimers({ toFake: ['performance'] });
    forgetPrintedErrors();
    const { node, hub } = startNode({ 'chat/*': { mayJoin: true } });
    const reports = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { rooms, cut } = startClient(node);
    const said = expect.stringContaining('members: true');
    for (const room of ['chat/before', 'chat/after']) {
      vi.advanceTimersByTime(1_000);
      void rooms.join(room);
      if (room === 'chat/before') rooms.members(room);
      await expect.poll(() => hub.room(room).members.size).toBe(1);
      await turns();
      expect(rooms.members(room).count + rooms.members(room).size).toBe(0);
      expect(reports.mock.calls.splice(0).map(String)).toEqual([said]);
    }
    vi.advanceTimersByTime(1_000);
    cut();
    await expect.poll(() => hub.room('chat/after').members.size).toBe(1);
    await turns();
    expect(reports).not.toHaveBeenCalled();
    reports.mockRestore();
    vi.useRealTimers();
  });
});
