import { Hub, isPosition, type JoinOptions, type Overflow, type Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { alone, node, send, turns, useFakeTime, wait } from '../nodes.ts';
import { first, publish, slowVisit, textsOf, visit } from './visits.ts';

const KEPT = { rooms: { r: { history: true } } } as const;
const THROUGH = { rooms: { r: { history: true, delivery: 'through' } } } as const;

describe('a join with since', () => {
  it('sends the message of first, the missed messages and then the live ones', async () => {
    const hub = new Hub(KEPT);
    const [one, , three] = await publish(hub, 3);
    const { session, received, joined } = visit(hub, { since: one!, first });
    const live = hub.room('r').publish('live');
    expect(session.rooms.has('r')).toBe(true);
    // A resume that has waited for its time reads the message of this turn too.
    const result = await joined;
    const { position } = result;
    expect(result).toEqual({ room: hub.room('r'), complete: true, position });
    expect([three, await live]).toContainEqual(position);
    await expect.poll(() => received).toEqual([`true ${position!.offset}`, '2', '3', 'live']);
  });

  it('sends a message of the same turn once', async () => {
    const hub = new Hub(KEPT);
    const [one] = await publish(hub, 1);
    visit(hub);
    void hub.room('r').publish('before');
    const { received } = visit(hub, { since: one! });
    void hub.room('r').publish('after');
    await turns();
    expect(received).toEqual(['before', 'after']);
  });

  it('sends the messages without a position after the missed ones', async () => {
    const hub = new Hub(KEPT);
    const [one] = await publish(hub, 2);
    const { received } = visit(hub, { since: one! });
    void hub.room('r').publish('filtered', { filter: () => true });
    await turns();
    expect(received).toEqual(['2', 'filtered']);
  });

  it.each<[string, (last: Position) => JoinOptions, string[]]>([
    ['nothing missed', (since) => ({ since }), ['true 5']],
    ['a position', (last) => ({ since: { ...last, offset: 3 } }), ['true 5', '4', '5']],
    ['a limit', () => ({ limit: 2 }), ['false 5', '4', '5']],
    ['a limit of all', () => ({ limit: 4 }), ['false 5', '2', '3', '4', '5']],
    ['neither', () => ({}), ['true 5']],
  ])('sends what is kept, with %s', async (_, optionsOf, texts) => {
    const hub = new Hub({ rooms: { r: { history: { size: 4 } } } });
    const last = (await publish(hub, 5)).at(-1)!;
    const { received } = visit(hub, { ...optionsOf(last), first });
    await turns();
    expect(received).toEqual(texts);
  });

  it('gives a member what was published since, in order', async () => {
    const hub = new Hub(KEPT);
    const { session, received } = visit(hub);
    const [one] = await publish(hub, 2);
    void hub.room('r').publish('3');
    await session.join('r', { since: one! });
    void hub.room('r').publish('4');
    await turns();
    expect(received).toEqual(['1', '2', '2', '3', '4']);
  });

  it('gives a sender its own messages again, also those that except it', async () => {
    const hub = new Hub(KEPT);
    const { session, received } = visit(hub);
    const [one] = await publish(hub, 1);
    await hub.room('r').publish('mine', { except: session });
    const again = visit(hub, { since: one! });
    await turns();
    expect([received, again.received]).toEqual([['1'], ['mine']]);
  });

  it('of another type rejects, and the session is no member', async () => {
    const { session, joined } = visit(new Hub(KEPT), { since: { offset: 1 } as Position });
    await expect(joined).rejects.toThrow(TypeError);
    expect(session.rooms.size).toBe(0);
  });

  it('shares what form has made of a missed message', async () => {
    const form = vi.fn((message: { text(): string }) => `<${message.text()}>`);
    const hub = new Hub({ rooms: { r: { history: true, form } } });
    const [one] = await publish(hub, 3);
    form.mockClear();
    const visits = [visit(hub, { since: one! }), visit(hub, { since: one! })];
    await turns();
    for (const { received } of visits) expect(received).toEqual(['<2>', '<3>']);
    expect(form).toHaveBeenCalledTimes(2);
  });
});

describe('a join with options', () => {
  it('learns the position of the room', async () => {
    const hub = new Hub(KEPT);
    const positionOf = async (): Promise<unknown> =>
      (await visit(hub, { first: () => undefined }).joined).position;
    const start = await positionOf();
    const [one] = await publish(hub, 1);
    expect(start).toEqual({ ...one, offset: 0 });
    expect(await positionOf()).toEqual(one);
    expect((await visit(hub).joined).position).toBeUndefined();
  });

  it('reads nothing in a room without history', async () => {
    const hub = new Hub();
    const { joined } = visit(hub, { first });
    expect(await joined).toMatchObject({ complete: true, position: undefined });
    const again = visit(hub, { since: { epoch: 'e', offset: 1 } });
    expect(await again.joined).toMatchObject({ complete: false, position: undefined });
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['returns a promise', async () => 'x'],
    ['returns another type', () => 5],
  ])('rejects when first %s: nothing is sent, and the session is no member', async (_, call) => {
    const hub = new Hub(KEPT);
    const [one] = await publish(hub, 2);
    const left = vi.fn();
    hub.on('left', left);
    hub.on('error', () => {});
    const { session, joined, received } = visit(hub, { since: one!, first: call as never });
    await expect(joined).rejects.toThrow();
    void hub.room('r').publish('3');
    await turns();
    expect([received, session.rooms.size, session.state]).toEqual([[], 0, 'open']);
    expect(left).toHaveBeenCalledTimes(1);
  });

  it('counts and reports the second of two that wait for a join without options', async () => {
    const hub = new Hub({ ...KEPT, mayJoin: async () => true });
    const errors: string[] = [];
    hub.on('error', (_, error) => void errors.push(String(error)));
    const { session } = visit(hub);
    await Promise.allSettled([session.join('r', { first }), session.join('r', { first })]);
    expect(hub.stats.refused).toBe(1);
    expect(errors).toEqual([expect.stringContaining('is resuming')]);
  });

  it('resumes after a join without options that waits for mayJoin', async () => {
    const hub = new Hub({ ...KEPT, mayJoin: async () => true });
    const [one] = await publish(hub, 2);
    const { session, joined, received } = visit(hub);
    await session.join('r', { since: one!, first });
    expect(await joined).toMatchObject({ complete: true, position: undefined });
    await turns();
    expect(received).toEqual(['true 2', '2']);
  });

  it('rejects where the position of a message is not known before its delivery', async () => {
    const { hub } = alone();
    const { session, joined } = visit(hub, { first });
    await expect(joined).rejects.toThrow(/without a backplane, or delivery: 'through'/);
    expect(session.rooms.size).toBe(0);
  });
});

describe('a session that resumes and reads slowly', () => {
  const since = { epoch: 'x', offset: 0 };

  /** A hub with 100 messages of 10,000 bytes, and a session that resumes. */
  async function resume(size = 1_000, policy: Overflow = 'close') {
    const history = { size, bytes: 10_000_000 };
    const rooms = { r: { history }, 'other*': { history } };
    const hub = new Hub({ maxQueuedMessages: 10, overflow: policy, rooms });
    const overflow = vi.fn();
    hub.on('overflow', overflow);
    const text = (i: number): string => `${i} ${'x'.repeat(10_000)}`;
    for (let i = 1; i <= 100; i++) await hub.room('r').publish(text(i));
    const slow = slowVisit(hub, { since });
    await turns();
    return { hub, overflow, text, ...slow };
  }

  it('gets more messages than may wait for a session', async () => {
    const { client, session, joined, overflow, text } = await resume();
    expect(session.queued.messages).toBe(0);
    expect(await textsOf(client, text(100))).toHaveLength(100);
    expect(await joined).toMatchObject({ complete: false });
    expect(overflow).not.toHaveBeenCalled();
  });

  it('gets more live messages than may wait, from the history', async () => {
    const { hub, client, joined, overflow, text } = await resume();
    for (let i = 101; i <= 150; i++) await hub.room('r').publish(text(i));
    const texts = await textsOf(client, text(150));
    expect(texts).toEqual(Array.from({ length: 150 }, (_, i) => text(i + 1)));
    expect(await joined).toMatchObject({ complete: false });
    expect(overflow).not.toHaveBeenCalled();
  });

  it('closes with 1013 when the history has lost a message meanwhile', async () => {
    const { hub, client, joined, text } = await resume(100);
    for (let i = 101; i <= 250; i++) await hub.room('r').publish(text(i));
    client.receive(() => {}).catch(() => {});
    await expect(joined).rejects.toMatchObject({ code: 'WS_ERR_SESSION_CLOSED' });
    expect(await client.closed).toMatchObject({ code: 1013 });
  });

  it('is told of messages that no history has', async () => {
    const { hub, client, overflow, text } = await resume(1_000, 'latest');
    for (let i = 0; i < 12; i++) await hub.room('r').publish('f', { filter: () => true });
    await textsOf(client, text(100));
    expect(overflow).toHaveBeenCalledWith(expect.anything(), { dropped: 1, policy: 'latest' });
  });

  it('is closed by the policy close for messages that no history has', async () => {
    const { hub, client, overflow } = await resume();
    for (let i = 0; i < 12; i++) await hub.room('r').publish('f', { filter: () => true });
    client.receive(() => {}).catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1013, reason: 'reads too slowly' });
    expect(overflow).toHaveBeenCalledWith(expect.anything(), { dropped: 1, policy: 'close' });
  });

  it('holds as much in many rooms as in one', async () => {
    const { hub, session, client, overflow } = await resume(1_000, 'latest');
    const names = Array.from({ length: 20 }, (_, i) => `other${i}`);
    for (const name of names) session.join(name, { since }).catch(() => {});
    for (const name of names) {
      for (let i = 0; i < 9; i++) await hub.room(name).publish('f', { filter: () => true });
    }
    expect(hub.stats.dropped).toBeGreaterThanOrEqual(20 * 9 - 10);
    expect(overflow).toHaveBeenCalled();
    // With a position they come from the history.
    for (const name of names) {
      for (let i = 0; i < 9; i++) await hub.room(name).publish(`${name} ${i}`);
    }
    const got = new Set<string>();
    while (got.size < 20 * 9) {
      const text = (await client.readMessage()).text();
      if (!text.startsWith('other')) continue;
      expect(got).not.toContain(text);
      got.add(text);
    }
    expect(session.state).toBe('open');
  });
});

describe('a message of this node that the engine stores after the read of a resume', () => {
  /** A hub on an engine that stores its messages when `store` is called, with one message. */
  async function slow() {
    const broker = new MemoryBroker();
    let stores = Promise.resolve();
    let store = (): void => {};
    const { hub } = node(broker, 'a', THROUGH, (backplane) => ({
      async publish(channel, ...rest) {
        if (channel === 'room/r') await stores;
        return backplane.publish(channel, ...rest);
      },
    }));
    const [one] = await publish(hub, 1);
    stores = new Promise((resolve) => {
      store = resolve;
    });
    return { broker, hub, one: one!, store };
  }

  it('comes to the first member of the node', async () => {
    const { hub, one, store } = await slow();
    void hub.room('r').publish('2');
    const { received, joined } = visit(hub, { since: one, first });
    await turns();
    store();
    expect(await joined).toMatchObject({ complete: true });
    await turns();
    expect(received.slice(1)).toEqual(['2']);
  });

  it('comes to a session that has joined without its position before', async () => {
    const { hub, one, store } = await slow();
    visit(hub);
    await turns();
    void hub.room('r').publish('2');
    const { session, received } = visit(hub);
    await session.join('r', { since: one, first });
    store();
    await turns();
    expect(received).toEqual(['true 1', '2']);
  });

  it('comes to a first visit after a message of another node', async () => {
    const { broker, hub, store } = await slow();
    const { hub: b } = node(broker, 'b', THROUGH);
    void hub.room('r').publish('3');
    const { received, joined } = visit(hub, { first: ({ position }) => `${position?.offset}` });
    await turns();
    await send(b, '2');
    store();
    await joined;
    await turns();
    expect(received).toEqual(['1', '2', '3']);
    await Promise.all([hub.close(), b.close()]);
  });
});

describe('a resume in a through room', () => {
  useFakeTime();

  it('drops the copies of missed messages that arrive later', async () => {
    const { broker, hub } = alone(THROUGH);
    const stays = visit(hub);
    await turns();
    const [one] = await publish(hub, 1);
    broker.delay();
    void hub.room('r').publish('2');
    await turns();
    const { received, joined } = visit(hub, { since: one! });
    expect(await joined).toMatchObject({ complete: true });
    broker.release();
    await turns();
    void hub.room('r').publish('3');
    await turns();
    expect([received, stays.received]).toEqual([
      ['2', '3'],
      ['1', '2', '3'],
    ]);
  });

  it.each([
    { keeps: true, options: { first } },
    { keeps: true, options: { limit: 1, first } },
    { keeps: false, options: { first } },
    { keeps: false, options: { limit: 1, first } },
  ])('gets what is published between the join and its read (%o)', async ({ keeps, options }) => {
    const broker = new MemoryBroker({ keeps });
    const room = { delivery: 'through', history: keeps } as const;
    const { hub } = node(broker, 'a', { rooms: { r: room } });
    // The answer to the subscription, or to the read, comes after the messages.
    const { received, joined } = visit(hub, options);
    void hub.room('r').publish('1');
    void hub.room('r').publish('2');
    await joined;
    await turns();
    expect(received.slice(1)).toEqual(['1', '2']);
  });

  it('joins without the missed messages when the engine is away', async () => {
    const { broker, hub, errors } = alone(THROUGH);
    await turns();
    broker.disconnect();
    const { joined } = visit(hub, { since: { epoch: 'e', offset: 1 } });
    await wait(5_000);
    expect(await joined).toMatchObject({ complete: false, position: undefined });
    expect(errors.at(-1)).toMatch(/has not answered for 5000 ms/);
  });
});

describe('the option form', () => {
  const form = (
    message: { text(): string },
    { room, position }: { room: string; position: unknown },
  ) => `${room} ${(position as Position | undefined)?.offset} ${message.text()}`;

  it('makes what the members get, once for each message', async () => {
    const spy = vi.fn(form);
    const hub = new Hub({ rooms: { r: { history: true, form: spy } } });
    const members = [visit(hub), visit(hub)];
    await hub.room('r').publish('a');
    await hub.room('r').publish('b', { filter: () => true });
    await turns();
    for (const { received } of members) expect(received).toEqual(['r 1 a', 'r undefined b']);
    expect(spy).toHaveBeenCalledTimes(2);
    const { messages } = await hub.room('r').history();
    expect(messages.map(({ message }) => message.text())).toEqual(['a']);
  });

  it('gets the position of the engine in a through room, on each node', async () => {
    const broker = new MemoryBroker();
    const options = { rooms: { r: { history: true, delivery: 'through', form } } } as const;
    const [a, b] = ['a', 'b'].map((id) => node(broker, id, options).hub);
    const members = [visit(a!), visit(b!)];
    await turns();
    await a!.room('r').publish('x');
    await b!.room('r').publish('y');
    await turns();
    for (const { received } of members) expect(received).toEqual(['r 1 x', 'r 2 y']);
    await Promise.all([a!.close(), b!.close()]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['returns a promise', async () => Promise.reject(new Error('late'))],
    ['returns another type', () => 5],
  ])('that %s loses the message for this node, and reports it', async (_, call) => {
    const fails = (message: { text(): string }) => (message.text() === 'bad' ? call() : 'good');
    const hub = new Hub({ rooms: { r: { history: true, form: fails as never } } });
    const errors: unknown[] = [];
    const gaps: unknown[] = [];
    hub.on('error', (_session, error) => void errors.push(error));
    hub.on('gap', (room, from) => void gaps.push([room, from?.offset]));
    const { received } = visit(hub);
    const one = await hub.room('r').publish('1');
    await hub.room('r').publish('bad');
    await hub.room('r').publish('3');
    const late = visit(hub, { since: one!, first });
    await turns();
    expect(received).toEqual(['good', 'good']);
    expect(late.received).toEqual(['false 3', 'good']);
    expect(gaps).toEqual([['r', 1]]);
    // Two calls have failed: reported once, or twice when more than a second is between them.
    expect([1, 2]).toContain(errors.length);
  });

  it('is refused where the position of a message is not known before its delivery', () => {
    const rooms = { r: { form } };
    expect(() => alone({ rooms })).toThrow(/rooms\["r"\]\.form: needs/);
    expect(() => new Hub({ rooms: { r: { form: 5 as never } } })).toThrow(/expected a function/);
  });
});

describe('isPosition', () => {
  it.each<[unknown, boolean]>([
    [{ epoch: 'e', offset: 0 }, true],
    [{ epoch: '', offset: 7 }, true],
    [{ epoch: 'e', offset: -1 }, false],
    [{ epoch: 'e', offset: 0.5 }, false],
    [{ epoch: 5, offset: 1 }, false],
    [{ offset: 1 }, false],
    ['e', false],
    [null, false],
    [undefined, false],
  ])('of %o is %s', (value, expected) => {
    expect(isPosition(value)).toBe(expected);
  });
});
