// Mistakes that the application makes once: each is told, none is silent.
import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/node-client';
import { ReconnectingConn as LiveConn } from '@ws/reconnect';
import { contract, event, method, stream } from '@ws/rpc';
import { type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';

// oxlint-disable-next-line typescript/no-explicit-any -- what callers without types pass
type Untyped = any;

let errors: unknown[] = [];
const said = (): string => errors.map((error) => (error as Error).message).join('\n');

function start(table: Untyped, options: Untyped = {}) {
  const own: unknown[] = [];
  errors = own;
  const rooms = serveRooms<Untyped>(table, options);
  rooms.hub.on('error', (_, error) => void own.push(error));
  const live = new LiveConn(async () => {
    const [client, conn] = connPair();
    rooms.hub.add(conn);
    return client;
  });
  onTestFinished(() => void live.close());
  return { rooms, live };
}

async function firstError(): Promise<void> {
  await expect.poll(() => errors.length).toBeGreaterThan(0);
}

describe('N6 a publication of the server to a room that no key fits', () => {
  const table = { 'chat/*': { mayJoin: true, history: true } };

  it.each(['chatt/main', 'chat', 'chat*', 'Chat/main'])('rejects: %s', async (name) => {
    const { rooms } = start(table);
    const room = rooms.hub.room(name);
    const words = `no key of the table fits "${name}"`;
    await expect(room.publishJSON({ text: 'hi' })).rejects.toThrow(words);
    await expect(room.publish('hi')).rejects.toThrow(words);
    expect(said()).toContain(words);
  });

  it('resolves when the application has joined a session to the room', async () => {
    const { rooms } = start(table);
    const [client, conn] = connPair();
    const session = rooms.hub.add(conn);
    await session.join('staff');
    await rooms.hub.room('staff').publish('hello');
    expect((await client.readMessage()).text()).toBe('hello');
  });

  it('resolves for an event of the contract', async () => {
    const own = contract({ server: {}, client: { said: event(z.string()) } });
    const { rooms } = start(table, { contract: own, handlers: {} });
    await (rooms as Untyped).emit('nobody', own.client.said, 'hi');
    expect(errors).toEqual([]);
  });
});

describe('N12 a retry that is async', () => {
  it('is reported', async () => {
    const reports: string[] = [];
    const live = new ReconnectingConn('ws://127.0.0.1:9', {
      retry: (async () => true) as Untyped,
      report: (error, { where }) => void reports.push(`${where}: ${(error as Error).message}`),
    });
    await live.closed;
    expect(reports).toContain(
      'retry: retry: expected true, false or undefined, got a promise; it must be synchronous',
    );
  });
});

describe('N16 a Map or Set', () => {
  const values: [string, () => unknown][] = [
    ['a Map', () => new Map([['a', 1]])],
    ['a Set', () => new Set([1])],
    ['a Map in an object', () => ({ version: 1, notes: new Map([['a', 1]]) })],
    ['a Set in an array in an object', () => ({ list: [1, new Set([1])] })],
    ['an empty Map beside an empty object', () => ({ a: {}, b: new Map() })],
  ];

  it.each(values)('as state is an error with the key of the table: %s', async (_, value) => {
    const { live } = start({ 'chat/*': { mayJoin: true, history: true, state: value } });
    void roomsOf(live)
      .join('chat/main')
      .next()
      .catch(() => {});
    await firstError();
    expect(said()).toMatch(/rooms\["chat\/\*"\]\.state: .*(Map|Set)/);
  });

  it.each(values)('as stamp is an error with the key of the table: %s', async (_, value) => {
    const rules = { mayJoin: true, mayPublish: true, stamp: value };
    const { live } = start({ 'chat/*': rules });
    const rooms = roomsOf(live);
    const loop = rooms.join('chat/main');
    await loop.next();
    await expect(rooms.publish('chat/main', 1)).rejects.toThrow('Internal error');
    expect(said()).toMatch(/rooms\["chat\/\*"\]\.stamp: .*(Map|Set)/);
  });

  it.each(values)('as an answer or an item is an error: %s', async (_, value) => {
    const api = contract({
      server: { get: method(z.void(), z.any()), list: stream(z.void(), z.any()) } as Untyped,
    }) as Untyped;
    const [client, server] = connPair({ server: { report: () => {} } });
    const handlers = {
      get: value,
      async *list() {
        yield value();
      },
    };
    void api
      .serve(handlers)(server)
      .catch(() => {});
    const peer = api.connect(client, {});
    await expect(peer.get()).rejects.toThrow('Internal error');
    await expect(peer.list().next()).rejects.toThrow('Internal error');
  });

  it('says nothing of empty objects, dates and values with toJSON', async () => {
    const value = { a: {}, at: new Date(0), own: Object.assign(new Map(), { toJSON: () => ({}) }) };
    const state = (): unknown => value;
    const { live } = start({ 'chat/*': { mayJoin: true, history: true, state } });
    const { value: item } = await roomsOf(live).join('chat/main').next();
    expect((item as RoomMessage<unknown>).kind).toBe('state');
    expect(errors).toEqual([]);
  });
});

describe('N16 writeJSON', () => {
  it.each<[string, unknown, string]>([
    ['a Set in an array of objects', [{ a: 1 }, { b: [new Set()] }], '"0" is a Set'],
    ['a Map of toJSON', { a: { toJSON: () => ({ b: new Map() }) } }, '"b" is a Map'],
  ])('rejects %s', async (_, value, says) => {
    const [client] = connPair({ client: { report: () => {} } });
    await expect(client.writeJSON(value)).rejects.toThrow(says);
  });

  it('looks at no inherited property, which JSON does not write either', async () => {
    const [client, server] = connPair();
    const value: object = Object.create(
      { cache: new Map() },
      { a: { value: {}, enumerable: true } },
    );
    await client.writeJSON(value);
    expect((await server.readMessage()).text()).toBe('{"a":{}}');
  });
});

describe('N16 reader.text()', () => {
  it.each(['text', 'bytes', 'json'] as const)('rejects a second time: %s', async (name) => {
    const [client, server] = connPair({ server: { report: () => {} } });
    await client.send('{"a":1}');
    const reader = await server.nextReader();
    await reader[name]();
    await expect(reader[name]()).rejects.toThrow('the message was read before');
    await expect(reader.text()).rejects.toThrow('the message was read before');
  });

  it('reads the rest after read', async () => {
    const [client, server] = connPair();
    await client.send('abc');
    const reader = await server.nextReader();
    await reader.read(new Uint8Array(1));
    expect(await reader.text()).toBe('bc');
  });
});

describe('a mistake in a table', () => {
  it.each<[string, Untyped, RegExp]>([
    ['rooms as an option', { rooms: { 'chat/*': { mayJoin: true } } }, /is the table itself/],
    ['a list', [{ name: 'chat', mayJoin: true }], /is the table itself/],
    ['last', { 'chat/*': { mayJoin: true, last: 10 } }, /option of join/],
    ['from', { 'chat/*': { mayJoin: true, from: () => 1 } }, /use stamp/],
    ['ttl', { 'chat/*': { mayJoin: true, ttl: 10 } }, /history: \{ ttl \}/],
  ])('says what to write: %s', (_, table, words) => {
    expect(() => serveRooms(table)).toThrow(words);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'a backplane as options',
      () => serveRooms({}, { start() {} } as Untyped),
      /hub: \{ backplane/,
    ],
    ['peer without a contract', () => start({}).rooms.peer({} as Untyped), /write the contract/],
    [
      'handlers without a contract',
      () => roomsOf(start({}).live, { handlers: {} } as Untyped),
      /write the contract/,
    ],
    ['a key as a room', () => roomsOf(start({}).live).join('chat/*'), /is a key of the table/],
    [
      'a room as an event',
      () => (roomsOf(start({}).live) as Untyped).on('message', () => {}),
      /for await/,
    ],
    [
      'two schemas of an event',
      () => (event as Untyped)(z.string(), z.string()),
      /method\(input, output\)/,
    ],
    [
      'timeout of connect',
      () => (contract({ server: {} }) as Untyped).connect(connPair()[0], {}, { timeout: 5 }),
      /option of each call/,
    ],
    [
      'presence of a Hub',
      () => new Hub({ presence: true } as Untyped),
      /rooms: \{ 'chat\/\*': \{ presence \} \}/,
    ],
    ['history of a Hub', () => new Hub({ history: true } as Untyped), /history: true \} \}/],
    ['redis of a Hub', () => new Hub({ redis: {} } as Untyped), /redisBackplane\(client\)/],
  ])('%s', (_, call, words) => {
    expect(call).toThrow(words);
  });

  it('a generator as the handler of a method', async () => {
    const api = contract({ server: { add: method(z.number(), z.number()) } });
    const reports: string[] = [];
    const [client, server] = connPair({
      server: { report: (error) => void reports.push((error as Error).message) },
    });
    void api.serve({ add: async function* () {} as Untyped })(server);
    await expect(api.connect(client, {}).add(1)).rejects.toThrow('Internal error');
    expect(reports.join()).toContain('write stream(input, item) in the contract');
  });
});
