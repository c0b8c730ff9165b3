// Requests of one client: the requests of a room are in order, and wait for nothing else.
import { connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, method } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { nextOf, startClient, startNode, startRaw, turns } from './setup.ts';

const ID = 'A'.repeat(22);

afterEach(() => vi.useRealTimers());

describe('a request of a room', () => {
  it('waits neither for another room nor for a method', async () => {
    const never = () => new Promise<never>(() => {});
    const own = contract({ server: { think: method(z.undefined(), z.string()) } });
    const node = serveRooms(
      {
        'chat/*': { mayJoin: true, mayPublish: true },
        'slow/*': { mayJoin: never },
      },
      { contract: own, handlers: { think: never } },
    );
    const live = new ReconnectingConn(async () => {
      const [client, conn] = connPair({ report: () => {} });
      node.hub.add(conn);
      return client;
    });
    const rooms = roomsOf(live, { contract: own });
    const thought = rooms.peer.think(undefined, { timeout: false });
    thought.catch(() => {});
    rooms.join('slow/a');
    const loop = rooms.join('chat/a');
    await rooms.publish('chat/a', 1);
    expect(await nextOf(loop)).toMatchObject({ data: 1 });
    await Promise.all([live.close(), node.hub.close({ timeout: 1 })]);
  });

  it('asks about 16 rooms of a client at a time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    let asking = 0;
    let most = 0;
    const { node, hub } = startNode({
      'chat/*': {
        mayJoin: async () => {
          most = Math.max(most, ++asking);
          await new Promise((resolve) => setTimeout(resolve, 100));
          asking--;
          return true;
        },
      },
    });
    const { rooms, cut } = startClient(node);
    for (let i = 0; i < 50; i++) rooms.join(`chat/${i}`);
    const joined = (): number => [...hub.sessions.values()].at(-1)?.rooms.size ?? 0;
    const advance = async (ms: number): Promise<void> => {
      await vi.advanceTimersByTimeAsync(ms);
      await turns();
    };
    for (let i = 0; i < 5; i++) await advance(100);
    expect(joined()).toBe(50);
    cut();
    await advance(5);
    for (let i = 0; i < 4; i++) await advance(100);
    expect(joined()).toBe(50);
    expect(most).toBe(16);
  });

  it('waits for no decision about a join of the server', async () => {
    let isFirst = true;
    const { node } = startNode({
      r: {
        mayJoin: () => {
          if (!isFirst) return true;
          isFirst = false;
          return new Promise(() => {});
        },
      },
    });
    const { ask, session } = startRaw(node);
    const joined = session.join('r');
    expect((await ask('room.join', { room: 'r' })).result).toMatchObject({ complete: true });
    expect(await joined).toMatchObject({ complete: true });
    await ask('room.leave', { room: 'r' });
    expect(session.rooms.size).toBe(0);
  });

  it('comes after the earlier ones of its room', async () => {
    const decide: ((may: boolean) => void)[] = [];
    const { node } = startNode({
      r: {
        mayJoin: () => new Promise<boolean>((resolve) => decide.push(resolve)),
        mayPublish: true,
      },
    });
    const { client, session, send } = startRaw(node);
    const call = (id: number, name: string, more: object = {}) =>
      send(`room.${name}`, { room: 'r', ...more }, id);
    await call(1, 'join');
    await call(2, 'publish', { id: ID, data: 1 });
    await call(3, 'leave');
    await call(4, 'publish', { id: ID, data: 2 });
    await turns();
    decide[0]!(true);
    const answers = new Map<number, unknown>();
    while (answers.size < 4) {
      const { id, result, error, params } = (await client.readMessage()).json() as {
        id?: number;
        result?: unknown;
        error?: { code: number };
        params?: { data: unknown };
      };
      if (params !== undefined) expect(params.data).toBe(1);
      else answers.set(id!, error?.code ?? (result === null ? null : 'joined'));
    }
    expect(Object.fromEntries(answers)).toEqual({ 1: 'joined', 2: null, 3: null, 4: -32_001 });
    expect(session.rooms.size).toBe(0);
  });
});
