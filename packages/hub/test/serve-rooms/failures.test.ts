// Joins and publications that fail: refused, later, or a mistake of the application.
import { connPair } from '@ws/conn';
import { RoomRefusedError } from '@ws/hub';
import { type RoomTable, serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { RpcError } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nextOf, startClient, startNode, startRaw, TABLE, Text, turns } from './setup.ts';

const REFUSED = { code: -32_001, message: 'room refused' };
const LATER = { code: -32_000 };
const ID = 'A'.repeat(22);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const advance = async (ms: number): Promise<void> => {
  await vi.advanceTimersByTimeAsync(ms);
  await turns();
};

const close = async (hub: { close(options: object): Promise<unknown> }): Promise<void> => {
  const closed = hub.close({ timeout: 1 });
  await advance(10_000);
  await closed;
};

const fails = (error: Error) => ({
  throws: () => {
    throw error;
  },
  rejects: async () => {
    throw error;
  },
});

describe('a function that admits clients', () => {
  const refusals = {
    'answers false': () => false,
    'answers an object': () => ({}) as never,
    'rejects with a RoomRefusedError': fails(new RoomRefusedError('r', 'no')).rejects,
    'throws an RpcError': fails(new RpcError(7, 'no')).throws,
    'throws an RpcError of another copy': fails(
      Object.assign(new Error('no'), { '@ws/rpc-error': true }),
    ).throws,
    'throws a RoomRefusedError of another copy': fails(
      Object.assign(new Error('no'), { code: 'WS_ERR_ROOM_REFUSED' }),
    ).throws,
  };
  const failures = {
    throws: fails(new Error('db')).throws,
    rejects: fails(new Error('db')).rejects,
    'throws a Proxy': fails(
      new Proxy(new Error('db'), {
        get: (target, name) => {
          if (name === 'code') throw new Error('trap');
          return Reflect.get(target, name) as unknown;
        },
      }),
    ).throws,
    'has not answered in time': () => new Promise<never>(() => {}),
  };

  it.each(Object.entries(refusals))('refuses the client when it %s', async (_, may) => {
    const { node } = startNode({
      r: { mayJoin: may },
      s: { mayJoin: true, mayPublish: may },
    });
    const { ask } = startRaw(node);
    expect((await ask('room.join', { room: 'r' })).error).toEqual(REFUSED);
    await ask('room.join', { room: 's' });
    expect((await ask('room.publish', { room: 's', id: ID, data: 1 })).error).toEqual(REFUSED);
  });

  it.each(Object.entries(failures))('lets the client ask again when it %s', async (_, may) => {
    const { node, errors } = startNode({
      r: { mayJoin: may },
      s: { mayJoin: true, mayPublish: may },
    });
    const { ask } = startRaw(node);
    const join = ask('room.join', { room: 'r' });
    await turns();
    await advance(10_000);
    expect((await join).error).toMatchObject(LATER);
    await ask('room.join', { room: 's' });
    const published = ask('room.publish', { room: 's', id: ID, data: 1 });
    await turns();
    await advance(10_000);
    expect((await published).error).toMatchObject(LATER);
    expect(errors.map(String)).toEqual([
      expect.stringMatching(/db|mayJoin of "r" within 10000 ms/),
      expect.stringMatching(/db|mayPublish of "s" within 10000 ms/),
    ]);
  });

  it('is reported once a second', async () => {
    const { node, errors } = startNode({ r: { mayJoin: fails(new Error('db')).rejects } });
    const { ask } = startRaw(node);
    for (let i = 0; i < 20; i++) await ask('room.join', { room: 'r' });
    await advance(1_000);
    expect(errors.map(String)).toEqual(['Error: db', 'Error: 19 calls of mayJoin failed']);
  });
});

describe('N1 errors that throw when they are touched', () => {
  it('are reported once a second too', async () => {
    const thrower = (): never => {
      throw new Error('touched');
    };
    const hostile = new Proxy(new Error('db'), { get: thrower, getPrototypeOf: thrower });
    const { node, errors } = startNode({ r: { mayJoin: fails(hostile).throws } });
    const { ask } = startRaw(node);
    for (let i = 0; i < 3; i++) await ask('room.join', { room: 'r' });
    await advance(1_000);
    expect(errors).toHaveLength(2);
    expect(String(errors[1])).toBe('Error: 2 calls of mayJoin failed');
    const state = { mayJoin: true, history: true, state: fails(hostile).rejects } as const;
    const other = startNode({ s: state });
    expect((await startRaw(other.node).ask('room.join', { room: 's' })).error).toMatchObject(LATER);
    expect(other.errors).toHaveLength(1);
    // Of a listener, it closes its session alone.
    const last = startNode();
    last.hub.on('message', () => {
      throw hostile;
    });
    const [raw, next] = [startRaw(last.node), startRaw(last.node)];
    raw.client.receive(() => {}).catch(() => {});
    await raw.client.send('x');
    expect(await raw.client.closed).toMatchObject({ code: 1011 });
    expect(last.errors).toHaveLength(1);
    expect(next.client.state).toBe('open');
  });
});

describe('a question without an answer', () => {
  it('is not asked again, and its late answer is taken', async () => {
    const answers: ((value: boolean) => void)[] = [];
    const mayJoin = vi.fn(() => new Promise<boolean>((resolve) => answers.push(resolve)));
    const node = serveRooms({ r: { mayJoin } }, { timeout: 100 });
    node.hub.on('error', () => {});
    const { ask, session } = startRaw(node as never);
    const first = ask('room.join', { room: 'r' });
    await advance(100);
    expect((await first).error).toMatchObject(LATER);
    const second = ask('room.join', { room: 'r' });
    await turns();
    expect(mayJoin).toHaveBeenCalledTimes(1);
    answers[0]!(true);
    expect((await second).result).toMatchObject({ complete: true });
    expect(session.rooms.has('r')).toBe(true);
    await close(node.hub);
  });

  it.each(['mayJoin', 'mayPublish', 'schema'])(
    'B6-2 is asked anew after 60 s: %s',
    async (name) => {
      const answers: ((value: boolean) => void)[] = [];
      const ask = vi.fn(() => new Promise<boolean>((resolve) => answers.push(resolve)));
      const validate = async (value: unknown) => ((await ask()) ? { value } : { issues: [] });
      const schema = { '~standard': { version: 1, vendor: 'test', validate } } as never;
      const rules = {
        mayJoin: { mayJoin: ask },
        mayPublish: { mayJoin: true, mayPublish: ask },
        schema: { mayJoin: true, mayPublish: true, schema },
      }[name]!;
      const node = serveRooms({ r: { history: true, ...rules } }, { timeout: 1_000 });
      node.hub.on('error', () => {});
      const raw = startRaw(node as never);
      const request = (): ReturnType<typeof raw.ask> =>
        name === 'mayJoin'
          ? raw.ask('room.join', { room: 'r' })
          : raw.ask('room.publish', { room: 'r', id: ID, data: { text: '1' } });
      if (name !== 'mayJoin') await raw.ask('room.join', { room: 'r' });
      for (let second = 0; second < 59; second += 10) {
        const late = request();
        await turns();
        await advance(10_000);
        expect((await late).error).toMatchObject(LATER);
        expect(ask).toHaveBeenCalledTimes(1);
      }
      const anew = request();
      await turns();
      expect(ask).toHaveBeenCalledTimes(2);
      // The late question is thrown away.
      answers[0]!(false);
      await turns();
      answers[1]!(true);
      expect((await anew).error).toBeUndefined();
      await close(node.hub);
    },
  );

  it('B6-2 gives a request that waits for it no answer after 60 s', async () => {
    const answers: ((value: boolean) => void)[] = [];
    const mayJoin = vi.fn(() => new Promise<boolean>((resolve) => answers.push(resolve)));
    const { node, hub } = startNode({ r: { mayJoin } });
    const { ask, session } = startRaw(node);
    for (let second = 0; second < 50; second += 10) {
      const late = ask('room.join', { room: 'r' });
      await turns();
      await advance(10_000);
      expect((await late).error).toMatchObject(LATER);
    }
    await advance(5_000);
    const second = ask('room.join', { room: 'r' });
    await turns();
    await advance(5_000);
    answers[0]!(true);
    expect((await second).error).toMatchObject(LATER);
    expect(session.rooms.has('r')).toBe(false);
    await close(hub);
  });

  it('B6-2 keeps its place: a client has at most 256 questions without an answer', async () => {
    const mayJoin = vi.fn(() => new Promise<boolean>(() => {}));
    const node = serveRooms(
      { 'r/*': { mayJoin } },
      { timeout: 1_000, hub: { maxRoomsPerSession: 999 } },
    );
    node.hub.on('error', () => {});
    const { client, send } = startRaw(node as never);
    client.receive(() => {}).catch(() => {});
    let id = 0;
    for (let minute = 0; minute < 20; minute++) {
      for (let i = 0; i < 16; i++) await send('room.join', { room: `r/${i}` }, ++id);
      for (let second = 0; second < 70; second += 10) await advance(10_000);
    }
    expect(mayJoin).toHaveBeenCalledTimes(256);
    await close(node.hub);
  });

  it('B6-2 is asked anew after 60 s when its request was canceled', async () => {
    const answers: ((value: boolean) => void)[] = [];
    const mayJoin = vi.fn(() => new Promise<boolean>((resolve) => answers.push(resolve)));
    const { node, hub } = startNode({ r: { mayJoin } });
    const { client, send, session } = startRaw(node);
    client.receive(() => {}).catch(() => {});
    await send('room.join', { room: 'r' }, 1);
    await turns();
    await send('$/cancelRequest', { id: 1 });
    for (let second = 0; second <= 60; second += 10) await advance(10_000);
    await send('room.join', { room: 'r' }, 2);
    await turns();
    expect(mayJoin).toHaveBeenCalledTimes(2);
    answers[0]!(true);
    await turns();
    expect(session.isIn('r')).toBe(false);
    answers[1]!(true);
    await turns();
    expect(session.isIn('r')).toBe(true);
    await close(hub);
  });

  it('B6-2 keeps its place when its request was canceled', async () => {
    const mayJoin = vi.fn(() => new Promise<boolean>(() => {}));
    const node = serveRooms({ 'r/*': { mayJoin } }, { hub: { maxRoomsPerSession: 999 } });
    node.hub.on('error', () => {});
    const { client, send } = startRaw(node as never);
    client.receive(() => {}).catch(() => {});
    for (let id = 1; id <= 300; id++) {
      await send('room.join', { room: `r/${id}` }, id);
      await turns();
      await send('$/cancelRequest', { id });
      await turns();
    }
    expect(mayJoin).toHaveBeenCalledTimes(256);
    await close(node.hub);
  });

  it('gives up the requests that wait behind it together', async () => {
    const { node, hub } = startNode({
      r: { mayJoin: true, mayPublish: () => new Promise<never>(() => {}) },
    });
    const { ask, client, send } = startRaw(node);
    await ask('room.join', { room: 'r' });
    const codes: unknown[] = [];
    const read = client.receive((message) => {
      codes.push((message.json() as { error: { code: number } }).error.code);
    });
    for (let id = 10; id < 30; id++) {
      await send('room.publish', { room: 'r', id: ID, data: 1 }, id);
    }
    await turns();
    await advance(10_000);
    expect(codes).toEqual(Array.from({ length: 20 }, () => -32_000));
    await close(hub);
    await read.catch(() => {});
  });
});

describe('a loop', () => {
  it.each<[string, () => RoomTable<string>[string]]>([
    ['mayJoin rejects', () => ({ mayJoin: async () => Promise.reject(new Error('db')) })],
    ['presence throws', () => ({ mayJoin: true, presence: fails(new Error('presence')).throws })],
  ])('joins again after 1 s, doubling to 30 s, while %s', async (_, rules) => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    let isBroken = true;
    const broken = rules();
    const { node, hub } = startNode({
      'chat/*': {
        mayJoin: async (session, room) =>
          isBroken && typeof broken.mayJoin === 'function' ? broken.mayJoin(session, room) : true,
        presence: (session) => (isBroken ? broken.presence?.(session) : 1),
      },
    });
    const { rooms, conns } = startClient(node);
    const loop = rooms.join('chat/main');
    await turns();
    // The first message is the hello.
    const joins = (): number => conns[0]!.stats.messagesOut - 1;
    const counts: number[] = [];
    for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      await advance(ms - 1);
      counts.push(joins());
      await advance(1);
    }
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7]);
    isBroken = false;
    await advance(30_000);
    await hub.room('chat/main').publishJSON({ text: '1' });
    expect(await nextOf(loop)).toMatchObject({ data: { text: '1' } });
  });

  it('joins again when the server ends its membership while it joins', async () => {
    const { node, hub } = startNode({
      'chat/*': { ...TABLE['chat/*']!, mayJoin: async () => true },
    });
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    const [session] = hub.sessions.values();
    session!.leave('chat/main');
    const published = rooms.publish('chat/main', { text: '2' });
    await turns(3);
    session!.leave('chat/main');
    await advance(3_000);
    await published;
    expect(await nextOf(loop)).toMatchObject({ data: { text: '1' } });
    expect(await nextOf(loop)).toMatchObject({ data: { text: '2' } });
  });

  it('joins again when the end of its membership comes before the answer of its join', async () => {
    const [client, server] = connPair();
    const live = new ReconnectingConn(async () => client);
    void roomsOf(live).join('r').next();
    const next = async () => (await server.readMessage()).json() as { id: number; method: string };
    const { id } = await next();
    await server.writeJSON({ jsonrpc: '2.0', method: 'room.gap', params: { room: 'r' } });
    await server.writeJSON({ jsonrpc: '2.0', id, result: { complete: true, missed: 0 } });
    expect(await next()).toMatchObject({ method: 'room.join' });
    server.terminate();
    await live.close();
  });

  it('ends its join when it ends', async () => {
    let asked = 0;
    let may: (value: boolean) => void = () => {};
    const { node, hub } = startNode({
      'chat/*': {
        schema: Text,
        mayJoin: () => {
          asked++;
          return new Promise<boolean>((resolve) => (may = resolve));
        },
      },
    });
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main');
    await turns();
    await loop.return!();
    const other = rooms.join('chat/main');
    await turns();
    expect(asked).toBe(1);
    may(true);
    await turns();
    await hub.room('chat/main').publishJSON({ text: '1' });
    expect(await nextOf(other)).toMatchObject({ data: { text: '1' } });
  });
});

describe('L6 a client that changes all its rooms', () => {
  const later = (ms: number) => new Promise<true>((resolve) => setTimeout(() => resolve(true), ms));

  it.each([
    ['at once', true, 0],
    ['after its joins', true, 500],
    ['after its joins, with a slow mayJoin', () => later(50), 500],
    ['at once, with a slow mayJoin', () => later(50), 0],
    ['during its joins', () => later(50), 5],
  ] as const)('is let in when the count allows it: %s', async (_, mayJoin, ms) => {
    const { node, hub } = startNode(
      { 'chat/*': { history: true, mayJoin, mayPublish: true } },
      { maxRoomsPerSession: 100 },
    );
    const { live, rooms } = startClient(node);
    await turns();
    const screen = (name: string) =>
      Array.from({ length: 60 }, (_each, i) => rooms.join(`chat/${name}${i}`));
    const first = screen('a');
    if (ms > 0) await advance(ms);
    for (const loop of first) void loop.return!();
    const second = screen('b');
    const items = second.map((loop) => loop.next());
    // The delays are 1 s, doubled after each refusal.
    for (let s = 0; s < 10; s++) await advance(1_000);
    for (const item of await Promise.all(items)) expect(item.value).toEqual({ kind: 'live' });
    expect([...hub.sessions.values()].map(({ rooms: { size } }) => size)).toEqual([60]);
    // Otherwise the client dials the closed hub in each of the 10,000 ms.
    void live.close();
    await close(hub);
  });
});

describe('a mistake of the application', () => {
  it('is reported once for each kind, and refused', async () => {
    const { node, errors } = startNode({ 'chat/*': { mayJoin: true } }, { maxRoomsPerSession: 2 });
    const { ask } = startRaw(node);
    for (let i = 0; i < 4; i++) {
      for (const room of ['chat', `chat/${i}`, 'x'.repeat(300)]) {
        await ask('room.join', { room });
        const { error } = await ask('room.publish', { room, id: ID, data: 1 });
        expect(error).toEqual(REFUSED);
      }
    }
    expect((await ask('room.join', { room: 'chat/9' })).error).toMatchObject({ code: -32_000 });
    expect(errors.map(String)).toEqual([
      expect.stringContaining('asks for "chat": no key of the table fits'),
      expect.stringContaining('in "chat/0": the key "chat/*" has no mayPublish'),
      expect.stringContaining('256 bytes'),
      expect.stringContaining('more than 2 rooms (option hub.maxRoomsPerSession)'),
    ]);
  });

  it('a20 is reported when clients want the last messages of a room without history', async () => {
    const table = { 'chat/*': { mayJoin: true }, kept: { mayJoin: true, history: true } } as const;
    const { node, errors } = startNode(table);
    const { ask } = startRaw(node);
    for (const room of ['chat/1', 'chat/2', 'kept']) {
      expect((await ask('room.join', { room, last: 5 })).error).toBeUndefined();
    }
    await ask('room.join', { room: 'chat/3' });
    expect(errors.map(String)).toEqual([
      'Error: serveRooms: a client asks for the last messages of "chat/1": the key "chat/*" has no history',
    ]);
  });

  it('is told at the client when it knows', async () => {
    const { node } = startNode();
    const { rooms } = startClient(node);
    await expect(rooms.publish('chat/main', { text: '1' })).rejects.toThrow(
      /join "chat\/main" first/,
    );
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    await loop.return!();
    await expect(rooms.publish('chat/main', { text: '1' })).rejects.toThrow(TypeError);
    await expect(rooms.publish('chat/é'.repeat(50), { text: '1' })).rejects.toThrow(/256 bytes/);
    expect(() => rooms.members('')).toThrow(/1 to 256 bytes/);
  });
});
