import { type Conn, connPair } from '@ws/conn';
import { Hub, type HubOptions, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { retryUntilTimer } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';

function node(broker: MemoryBroker, options: HubOptions = {}) {
  const hub = new Hub({ ...options, backplane: memoryBackplane(broker) });
  const [gaps, errors] = [vi.fn(), vi.fn()];
  // A gap without a room is a gap of the broadcasts.
  hub.on('gap', (room) => void (room !== undefined && gaps(room)));
  hub.on('error', (_, error) => errors(String(error)));
  return { hub, gaps, errors };
}

function enter(hub: Hub): { client: Conn; session: Session } {
  const [client, server] = connPair();
  return { client, session: hub.add(server) };
}

async function texts(conn: Conn, count: number): Promise<string[]> {
  const read: string[] = [];
  while (read.length < count) read.push((await conn.readMessage()).text());
  return read;
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe.each([
  ['with history', { rooms: { r: { history: true } } }],
  ['without history', {}],
  ['through', { rooms: { r: { delivery: 'through' } } }],
] as [string, HubOptions][])('two nodes and a room %s', (_, options) => {
  it('deliver the messages of both nodes', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, options), node(broker, options)];
    const [one, two] = [enter(a.hub), enter(b.hub)];
    void one.session.join('r');
    void two.session.join('r');
    await turns();
    await a.hub.room('r').publish('from a');
    await b.hub.room('r').publish('from b');
    expect(await texts(one.client, 2)).toEqual(['from a', 'from b']);
    expect(await texts(two.client, 2)).toEqual(['from a', 'from b']);
    a.hub.broadcast('to all');
    expect(await texts(one.client, 1)).toEqual(['to all']);
    expect(await texts(two.client, 1)).toEqual(['to all']);
    await Promise.all([a, b].map(({ hub }) => hub.close({ timeout: 50 })));
    for (const { gaps, errors } of [a, b]) {
      expect(gaps).not.toHaveBeenCalled();
      expect(errors).not.toHaveBeenCalled();
    }
  });

  it('deliver a doubled message once', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, options), node(broker, options)];
    const two = enter(b.hub);
    void two.session.join('r');
    await turns();
    broker.double();
    await a.hub.room('r').publish('1');
    await a.hub.room('r').publish('2');
    expect(await texts(two.client, 2)).toEqual(['1', '2']);
  });

  it('repair or report a lost message', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, options), node(broker, options)];
    const two = enter(b.hub);
    void two.session.join('r');
    await turns();
    await a.hub.room('r').publish('1');
    await turns();
    broker.drop();
    await a.hub.room('r').publish('2');
    await a.hub.room('r').publish('3');
    const repaired = options.rooms?.['r']?.history === true;
    expect(await texts(two.client, repaired ? 3 : 2)).toEqual(
      repaired ? ['1', '2', '3'] : ['1', '3'],
    );
    expect(b.gaps).toHaveBeenCalledTimes(repaired ? 0 : 1);
  });

  it('send the messages of a short outage after it', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, options), node(broker, options)];
    const two = enter(b.hub);
    void two.session.join('r');
    await turns();
    await a.hub.room('r').publish('1');
    broker.disconnect();
    const published = a.hub.room('r').publish('2');
    expect(b.hub.stats.backplane).toBe('down');
    broker.reconnect();
    await published;
    await a.hub.room('r').publish('3');
    expect(await texts(two.client, 3)).toEqual(['1', '2', '3']);
    const repaired = options.rooms?.['r']?.history === true;
    expect(b.gaps).toHaveBeenCalledTimes(repaired ? 0 : 1);
  });

  it('report the messages of a long outage', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const broker = new MemoryBroker();
      const [a, b] = [node(broker, options), node(broker, options)];
      const [one, two] = [enter(a.hub), enter(b.hub)];
      for (const { session } of [one, two]) void session.join('r');
      await turns();
      await a.hub.room('r').publish('1');
      broker.disconnect();
      const through = options.rooms !== undefined;
      const published = a.hub.room('r').publish('2');
      const settled = vi.fn();
      void published.then(settled, settled);
      await turns();
      expect(settled).toHaveBeenCalledTimes(through ? 0 : 1);
      await vi.advanceTimersByTimeAsync(5_000);
      const outcome = through ? expect.objectContaining({ code: 'WS_ERR_BACKPLANE' }) : undefined;
      expect(settled).toHaveBeenCalledExactlyOnceWith(outcome);
      broker.reconnect();
      await turns();
      await a.hub.room('r').publish('3');
      await turns();
      expect(await texts(one.client, through ? 2 : 3)).toEqual(
        through ? ['1', '3'] : ['1', '2', '3'],
      );
      expect(await texts(two.client, 2)).toEqual(['1', '3']);
      expect(b.gaps).toHaveBeenCalledOnce();
      const reports = a.errors.mock.calls.filter(([text]) => text.includes('this node only'));
      expect(reports).toHaveLength(through ? 0 : 1);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a node', () => {
  it('delivers to its own members until its engine starts', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const backplane = memoryBackplane(new MemoryBroker());
      const cause = new Error('refused');
      const start = vi
        .fn((...args: Parameters<typeof backplane.start>) => backplane.start(...args))
        .mockRejectedValueOnce(cause)
        .mockRejectedValueOnce(cause);
      const hub = new Hub({ backplane: { ...backplane, start } });
      const errors: unknown[] = [];
      hub.on('error', (_, error) => errors.push(error));
      const { client, session } = enter(hub);
      void session.join('r');
      const published = hub.room('r').publish('alone');
      expect(await texts(client, 1)).toEqual(['alone']);
      expect(errors).toEqual([expect.objectContaining({ code: 'WS_ERR_BACKPLANE', cause })]);
      expect(hub.stats.backplane).toBe('down');
      await vi.advanceTimersByTimeAsync(2_000);
      await published;
      expect(hub.stats.backplane).toBe('up');
    } finally {
      vi.useRealTimers();
    }
  });

  it('holds at most 1,000 messages for an engine that is away', async () => {
    const broker = new MemoryBroker();
    const { hub } = node(broker, { rooms: { r: { delivery: 'through' } } });
    void enter(hub).session.join('r');
    await turns();
    broker.disconnect();
    const published = Array.from({ length: 1_001 }, (_, i) => hub.room('r').publish(`${i}`));
    await expect(published.at(-1)).rejects.toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    const retried = await retryUntilTimer(() => hub.room('r').publish('again'));
    expect(retried).toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    broker.reconnect();
    await Promise.all(published.slice(0, -1));
  });

  it.each(['publish', 'history'] as const)(
    'lets timers run in a loop of %s that the engine rejects',
    async (method) => {
      const backplane = {
        ...memoryBackplane(new MemoryBroker()),
        [method]: () => Promise.reject(new Error('not permitted')),
      };
      const hub = new Hub({ backplane, rooms: { r: { history: true, delivery: 'through' } } });
      await turns();
      const room = hub.room('r');
      const call = { publish: () => room.publish('x'), history: () => room.history() }[method];
      expect(await retryUntilTimer(call)).toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    },
  );

  it('lets timers run in a loop of publish after the end of the hub', async () => {
    const { hub } = node(new MemoryBroker());
    await hub.close();
    const publish = (): Promise<unknown> => hub.room('r').publish('x');
    expect(await retryUntilTimer(publish)).toMatchObject({ code: 'WS_ERR_HUB_CLOSED' });
  });

  it('rejects a message that the engine rejects', async () => {
    const cause = new Error('not permitted');
    const backplane = {
      ...memoryBackplane(new MemoryBroker()),
      publish: () => Promise.reject(cause),
    };
    const hub = new Hub({ backplane });
    await turns();
    await expect(hub.room('r').publish('x')).rejects.toMatchObject({
      code: 'WS_ERR_BACKPLANE',
      cause,
    });
  });

  it('rejects a read of the history that the engine rejects', async () => {
    const cause = new Error('not permitted');
    const backplane = {
      ...memoryBackplane(new MemoryBroker()),
      history: () => Promise.reject(cause),
    };
    const hub = new Hub({ backplane, rooms: { r: { history: true } } });
    await expect(hub.room('r').history()).rejects.toMatchObject({
      code: 'WS_ERR_BACKPLANE',
      cause,
    });
  });

  it('sends a message with a filter to its own members only', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker), node(broker)];
    const [one, two] = [enter(a.hub), enter(b.hub)];
    for (const { session } of [one, two]) void session.join('r');
    await turns();
    await a.hub.room('r').publish('secret', { filter: () => true });
    await a.hub.room('r').publish('end');
    expect(await texts(one.client, 2)).toEqual(['secret', 'end']);
    expect(await texts(two.client, 1)).toEqual(['end']);
    for (const { gaps } of [a, b]) expect(gaps).not.toHaveBeenCalled();
  });

  it('delivers a room with history as through, and refuses local-first', async () => {
    const broker = new MemoryBroker();
    const rooms = { r: { history: true } };
    const [a, b] = [node(broker, { rooms }), node(broker, { rooms })];
    const { client, session } = enter(a.hub);
    void session.join('r');
    await turns();
    broker.delay();
    void b.hub.room('r').publish('theirs');
    await turns();
    void a.hub.room('r').publish('own');
    await turns();
    broker.release();
    expect(await texts(client, 2)).toEqual(['theirs', 'own']);
    const backplane = memoryBackplane(broker);
    const local = { r: { history: true, delivery: 'local-first' } } as const;
    expect(() => new Hub({ backplane, rooms: local })).toThrow(
      `rooms["r"].delivery: a room with history and a backplane has 'through'; leave it out`,
    );
    expect(new Hub({ rooms: local }).closed).toBe(false);
  });

  it('delivers a through message that returns late, and still leaves out the excepted members', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    try {
      const broker = new MemoryBroker();
      const { hub } = node(broker, { rooms: { r: { delivery: 'through' } } });
      const [one, two] = [enter(hub), enter(hub)];
      for (const { session } of [one, two]) void session.join('r');
      await turns();
      broker.delay();
      const published = hub.room('r').publish('late', { except: two.session });
      await vi.advanceTimersByTimeAsync(60_000);
      await published;
      broker.release();
      hub.broadcast('all', { local: true });
      expect(await texts(one.client, 2)).toEqual(['late', 'all']);
      expect(await texts(two.client, 1)).toEqual(['all']);
    } finally {
      vi.useRealTimers();
    }
  });

  it('reports bytes that it cannot read', async () => {
    const broker = new MemoryBroker();
    const { hub, gaps, errors } = node(broker);
    void enter(hub).session.join('r');
    await turns();
    broker.inject('room/r', new Uint8Array([1, 2, 3]));
    broker.inject('room/r', new Uint8Array([9, 1, 1, 65, 0, 0, 0, 0, 0, 0, 0, 1]));
    broker.inject('room/r', new Uint8Array([9, 1, 1, 65, 0, 0, 0, 0, 0, 0, 0, 2]));
    expect(errors.mock.calls.map(([text]) => text)).toEqual([
      expect.stringContaining('invalid bytes'),
      expect.stringContaining('version 9'),
    ]);
    expect(gaps).toHaveBeenCalledOnce();
  });

  it('reports each of several other nodes with its id once', async () => {
    const broker = new MemoryBroker();
    const [a, b, c] = [1, 2, 3].map(() => node(broker, { id: 'same' }));
    void enter(a!.hub).session.join('r');
    await turns();
    for (let i = 0; i < 6; i++) {
      await (i % 2 === 0 ? b! : c!).hub.room('r').publish('x');
      await turns();
    }
    expect(a!.errors).toHaveBeenCalledTimes(2);
  });

  it('reports the loss of the last message, once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const broker = new MemoryBroker();
      const [a, b] = [node(broker), node(broker)];
      void enter(b.hub).session.join('r');
      await turns();
      await a.hub.room('r').publish('1');
      await turns();
      broker.drop();
      await a.hub.room('r').publish('2');
      await turns();
      expect(b.gaps).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(5_000);
      expect(b.gaps).toHaveBeenCalledExactlyOnceWith('r');
      await vi.advanceTimersByTimeAsync(60_000);
      expect(b.gaps).toHaveBeenCalledOnce();
      await a.hub.room('r').publish('3');
      await turns();
      expect(b.gaps).toHaveBeenCalledOnce();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('a room with history', () => {
  it('continues without a gap when its history has expired', async () => {
    const broker = new MemoryBroker();
    const options = { rooms: { r: { history: true } } } as const;
    const [a, b] = [node(broker, options), node(broker, options)];
    const two = enter(b.hub);
    void two.session.join('r');
    await turns();
    for (const text of ['1', '2']) await a.hub.room('r').publish(text);
    broker.forget();
    await a.hub.room('r').publish('3');
    expect(await texts(two.client, 3)).toEqual(['1', '2', '3']);
    expect(b.gaps).not.toHaveBeenCalled();
  });
});
