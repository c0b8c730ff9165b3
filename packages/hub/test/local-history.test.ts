// The history of a node whose backplane keeps none.
import { connPair } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { Hub } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const OPTIONS = { rooms: { r: { history: true } } } as const;

function setUp() {
  const broker = new MemoryBroker({ keeps: false });
  const [a, b] = [0, 1].map(() => new Hub({ ...OPTIONS, backplane: memoryBackplane(broker) }));
  return { broker, a: a!, b: b! };
}

const enter = (hub: Hub) => hub.add(connPair()[1]);

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function read(hub: Hub, since?: { epoch: string; offset: number }) {
  const { messages, complete } = await hub.room('r').history({ since });
  return { texts: messages.map(({ message }) => message.text()), complete };
}

describe('the history of a node', () => {
  it('is complete while the room has members', async () => {
    const { a, b } = setUp();
    void enter(a).join('r');
    await turns();
    const since = await a.room('r').publish('1');
    await b.room('r').publish('2');
    await turns();
    expect(await read(a, since)).toEqual({ texts: ['2'], complete: true });
  });

  it('is not complete after a time without members', async () => {
    const { a, b } = setUp();
    const session = enter(a);
    void session.join('r');
    await turns();
    const since = await a.room('r').publish('1');
    session.leave('r');
    expect(await read(a, since)).toEqual({ texts: [], complete: false });
    await b.room('r').publish('missed');
    void session.join('r');
    await turns();
    expect(await read(a, since)).toEqual({ texts: [], complete: false });
    const later = await a.room('r').publish('2');
    expect(await read(a, since)).toEqual({ texts: ['2'], complete: false });
    expect(await read(a, later)).toEqual({ texts: [], complete: true });
  });

  it('is not complete for the time before the answer to the subscription', async () => {
    const broker = new MemoryBroker({ keeps: false });
    const backplane = memoryBackplane(broker);
    const answer = new Deferred<void>();
    const subscribe = (channel: string): Promise<void> =>
      answer.promise.then(() => backplane.subscribe(channel));
    const a = new Hub({ ...OPTIONS, backplane: { ...backplane, subscribe } });
    const b = new Hub({ ...OPTIONS, backplane: memoryBackplane(broker) });
    void enter(a).join('r');
    await turns();
    const since = await a.room('r').publish('1');
    await b.room('r').publish('missed');
    answer.resolve();
    await turns();
    const later = await a.room('r').publish('2');
    expect(await read(a, since)).toEqual({ texts: ['2'], complete: false });
    expect(await read(a, later)).toEqual({ texts: [], complete: true });
  });

  it('is not complete while the engine is away', async () => {
    const { broker, a, b } = setUp();
    void enter(a).join('r');
    await turns();
    const since = await a.room('r').publish('1');
    a.on('error', () => {});
    broker.disconnect(a.id);
    await b.room('r').publish('missed');
    expect(await read(a, since)).toEqual({ texts: [], complete: false });
    broker.reconnect(a.id);
    expect(await read(a, since)).toEqual({ texts: [], complete: false });
  });

  it('is not complete after a gap', async () => {
    const { broker, a, b } = setUp();
    void enter(a).join('r');
    await turns();
    await b.room('r').publish('1');
    const since = await a.room('r').publish('2');
    await turns();
    const gap = vi.fn();
    a.on('gap', gap);
    broker.drop();
    await b.room('r').publish('lost');
    await b.room('r').publish('3');
    await turns();
    expect(gap).toHaveBeenCalledOnce();
    expect(await read(a, since)).toEqual({ texts: ['3'], complete: false });
  });
});

describe('a node that gets more messages of another node than it can deliver', () => {
  it('reports one gap, and keeps the messages in its history', async () => {
    const { a, b } = setUp();
    void enter(a).join('r');
    await turns();
    const [gap, failed] = [vi.fn(), vi.fn()];
    a.on('gap', gap);
    a.on('error', failed);
    const large = new Uint8Array(600_000);
    for (let i = 0; i < 130; i++) void b.room('r').publish(large);
    await turns();
    expect(gap).toHaveBeenCalledExactlyOnceWith('r', { epoch: expect.any(String), offset: 111 });
    expect(failed).not.toHaveBeenCalled();
  });
});

describe('publish', () => {
  it('sends a message to no node when it throws an OverflowError', async () => {
    const backplane = memoryBackplane(new MemoryBroker());
    const publish = vi.spyOn(backplane, 'publish');
    const hub = new Hub({ backplane });
    void enter(hub).join('r');
    await turns();
    const large = new Uint8Array(40 * 1_048_576);
    const published = hub.room('r').publish(large);
    await expect(hub.room('r').publish(large)).rejects.toMatchObject({ code: 'WS_ERR_OVERFLOW' });
    await published;
    // Digests are published too.
    const messages = publish.mock.calls.filter(([, { length }]) => length > large.length);
    expect(messages).toHaveLength(1);
  });
});

describe('maxHistoryBytes', () => {
  it('counts the memory of each message', async () => {
    const hub = new Hub({ ...OPTIONS, maxHistoryBytes: 1_000 });
    for (let i = 0; i < 10; i++) await hub.room('r').publish('x');
    expect((await read(hub)).texts).toHaveLength(3);
  });
});

describe('a history whose messages have expired', () => {
  const rooms = { r: { history: { bytes: 10, ttl: 1_000 } } } as const;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('has no effect on a room that starts again with this name', async () => {
    const hub = new Hub({ rooms });
    const first = enter(hub);
    void first.join('r');
    await hub.room('r').publish('longer than all of the history');
    first.leave('r');
    const second = enter(hub);
    void second.join('r');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(hub.room('r').members).toContain(second);
    second.leave('r');
    expect(hub.stats.rooms).toBe(0);
  });

  it('no longer counts for maxHistoryBytes after a read', async () => {
    const hub = new Hub({ rooms, maxHistoryBytes: 1_000 });
    for (let i = 0; i < 3; i++) {
      await hub.room('r').publish('x');
      await vi.advanceTimersByTimeAsync(1_000);
      expect((await read(hub)).texts).toEqual([]);
    }
    for (const text of ['1', '2']) await hub.room('r').publish(text);
    expect((await read(hub)).texts).toEqual(['1', '2']);
  });
});

describe('a read of a history that a room does not have', () => {
  it.each<[string, Readonly<Record<string, object>>, string]>([
    ['no pattern', {}, 'write rooms: { "chat/1": { history: true } }'],
    [
      'the name of its prefix',
      { chat: { history: true } },
      '"chat" is the name of one room, not a prefix; write rooms: { "chat/*": { history: true } }',
    ],
    [
      'a prefix without *',
      { 'chat/': { history: true } },
      '"chat/" is the name of one room, not a prefix; write rooms: { "chat/*": { history: true } }',
    ],
    [
      'a pattern without history',
      { 'chat/*': { delivery: 'through' } },
      'write rooms: { "chat/1": { history: true } }',
    ],
  ])('is reported once, with %s', async (_, rooms, advice) => {
    const hub = new Hub({ rooms });
    const errors: unknown[] = [];
    hub.on('error', (session, error) => void errors.push(session, error));
    const nothing = { messages: [], complete: false };
    expect(await hub.room('chat/1').history()).toEqual(nothing);
    expect(await hub.room('chat/2').history()).toEqual(nothing);
    expect(errors).toEqual([
      undefined,
      new TypeError(`history: the room "chat/1" has none; ${advice}`),
    ]);
  });
});
