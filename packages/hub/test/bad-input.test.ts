import vm from 'node:vm';
import { connPair } from '@ws/conn';
import { Hub, type HubOptions, RoomRefusedError } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';

const session = (hub: Hub) => hub.add(connPair()[1]);

describe('a room', () => {
  it.each([
    ['', '1 to 256 bytes, got 0'],
    ['x'.repeat(257), '1 to 256 bytes, got 257'],
    ['€'.repeat(86), '1 to 256 bytes, got 258'],
  ])('refuses the name %j', async (name, message) => {
    const hub = new Hub();
    expect(() => hub.room(name)).toThrow(message);
    await expect(session(hub).join(name)).rejects.toThrow(RangeError);
    expect(hub.room('€'.repeat(85)).name).toHaveLength(85);
  });

  it('refuses a name that is not a string', () => {
    const hub = new Hub();
    expect(() => hub.room(7 as never)).toThrow('room: expected a string, got number');
  });

  it.each([
    [{ maxRooms: 1 }, 'the hub has 1 rooms (option maxRooms)'],
    [{ maxRoomsPerSession: 1 }, 'the session has 1 rooms (option maxRoomsPerSession)'],
  ])('refuses a join beyond %j', async (options, message) => {
    const hub = new Hub(options);
    const one = session(hub);
    await one.join('a');
    await one.join('a');
    await expect(one.join('b')).rejects.toThrow(RoomRefusedError);
    await expect(one.join('b')).rejects.toThrow(message);
    one.leave('a');
    expect((await one.join('b')).room.name).toBe('b');
  });

  it('refuses a key that has no effect', async () => {
    const hub = new Hub({ overflow: 'close' });
    const text = "key: needs the option overflow: 'latest'";
    await expect(hub.room('a').publish('x', { key: 'k' })).rejects.toThrow(text);
    expect(() => session(hub).send('x', { key: 'k' })).toThrow(text);
  });

  it('refuses to start a history beyond maxRooms', async () => {
    const hub = new Hub({ maxRooms: 1, rooms: { '*': { history: true } } });
    await hub.add(connPair()[1]).join('a');
    await hub.room('a').publish('x');
    await expect(hub.room('b').publish('x')).rejects.toMatchObject({ code: 'WS_ERR_OVERFLOW' });
    expect(hub.stats.published).toBe(1);
  });

  it.each([
    [{ filter: () => true }, "filter: not allowed in a room with delivery 'through'"],
    [{ filter: 1 }, 'filter: expected a function, got number'],
    [{ except: 1 }, 'except: expected a Session or several, got number'],
    [{ except: ['id'] }, 'except: expected sessions, got string'],
    [{ key: 1 }, 'key: expected a string, got number'],
  ])('refuses to publish with %j', async (options, message) => {
    const hub = new Hub({ rooms: { r: { delivery: 'through' } } });
    await expect(hub.room('r').publish('x', options as never)).rejects.toThrow(message);
  });

  it.each<[string, () => unknown]>([
    ['a promise', () => Promise.reject(new Error('ignored'))],
    ['a promise of another realm', () => vm.runInNewContext('Promise.resolve(false)')],
    // oxlint-disable-next-line unicorn/no-thenable -- a query of a database
    ['a query', () => ({ then: (done: (value: boolean) => void) => done(false) })],
  ])('refuses a filter that returns %s', async (_, returns) => {
    const hub = new Hub();
    void session(hub).join('r');
    const filter = returns as never;
    await expect(hub.room('r').publish('x', { filter })).rejects.toThrow('must be synchronous');
    expect(() => hub.broadcast('x', { filter })).toThrow('must be synchronous');
    expect(hub.stats.delivered).toBe(0);
  });
});

describe('new Hub', () => {
  it.each<[object, string]>([
    [{ overflow: 'wait' }, 'overflow: expected one of close, latest, got "wait"'],
    [{ overflow: 'drop-new' }, 'overflow: "drop-new" is gone; write '],
    [{ overflow: 'drop-old' }, 'overflow: "drop-old" is gone; write '],
    [{ overflow: () => 'close' }, 'or skip messages while session.queued is large'],
    [{ maxQueuedMessages: -1 }, 'maxQueuedMessages'],
    [{ id: '' }, 'id: expected 1 to 200 bytes, got 0'],
    [{ id: 'a\ud800' }, 'id: it has a lone surrogate'],
    [{ id: 'é'.repeat(128) }, 'id: expected 1 to 200 bytes, got 256'],
    [
      { backplane: {} },
      'backplane: expected a Backplane such as redisBackplane(client), got Object',
    ],
    [{ backplane: null }, 'backplane: expected a Backplane'],
    [{ rooms: { 'a*b': {} } }, 'a prefix with one * at its end'],
    [
      { rooms: { a: { delivery: 'fast' } } },
      `rooms["a"].delivery: expected one of local-first, through, got "fast"`,
    ],
    [{ rooms: { a: { history: { size: 0.5 } } } }, 'rooms["a"].history.size'],
  ])('refuses %j', (options, message) => {
    expect(() => new Hub(options as HubOptions)).toThrow(message);
  });

  it('refuses the backplane of another hub, which would receive no more messages', async () => {
    const backplane = memoryBackplane(new MemoryBroker());
    await using hub = new Hub({ backplane });
    expect(() => new Hub({ backplane })).toThrow('another hub has it; create one for each hub');
    await expect.poll(() => hub.stats.backplane).toBe('up');
  });
});

describe('hub.add', () => {
  it('refuses another value than a Conn, a known connection, and the id of another session', () => {
    const hub = new Hub();
    const [, conn] = connPair();
    hub.add(conn, { id: 'one' });
    expect(() => hub.add({} as never)).toThrow('expected a Conn, got Object');
    expect(() => hub.add(conn)).toThrow('the connection already has a session');
    const [, other] = connPair();
    other.data = 'mine';
    const add = () => hub.add(other, { id: 'one', data: 'theirs' });
    expect(add).toThrow('another session has the id "one"');
    expect(other.data).toBe('mine');
  });
});

describe('new Hub', () => {
  it.each([
    [{ adapter: {} }, 'use backplane'],
    [{ rateLimit: 5 }, 'use rate'],
    [{ authenticate: () => true }, 'it is an option of serve'],
  ])('says what to write instead of the options %j', (options, cure) => {
    expect(() => new Hub(options as object)).toThrow(
      `new Hub: unknown option ${Object.keys(options)[0]}; ${cure}`,
    );
  });
});

describe('hub.close', () => {
  it('refuses close code 1005, which no frame may contain, and stays open', async () => {
    const hub = new Hub();
    await expect(hub.close({ code: 1005 })).rejects.toThrow('close code 1005 must not be sent');
    expect(hub.closed).toBe(false);
  });
});

describe('hub.broadcast', () => {
  it('refuses a key', () => {
    const options = { key: 'a' } as object;
    expect(() => new Hub().broadcast('x', options)).toThrow('unknown option key');
  });
});

describe('session.send', () => {
  it.each([
    [{ kye: 'a' }, 'session.send: unknown option kye'],
    [{ key: 1 }, 'key: expected a string, got number'],
  ])('refuses %j', (options, message) => {
    expect(() => session(new Hub()).send('x', options as object)).toThrow(message);
  });
});
