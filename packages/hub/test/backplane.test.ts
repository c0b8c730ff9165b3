import type { Backplane, HubOptions } from '@ws/hub';
import { Hub } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { retryUntilTimer } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import {
  alone,
  enter,
  entered,
  HISTORY,
  node,
  pair,
  send,
  turns,
  useFakeTime,
  wait,
} from './nodes.ts';

const THROUGH: HubOptions = { rooms: { r: { delivery: 'through' } } };

describe.each([
  ['with history', { rooms: { r: { history: true } } }],
  ['without history', {}],
  ['through', THROUGH],
] as [string, HubOptions][])('two nodes and a room %s', (_, options) => {
  const isRepaired = options.rooms?.['r']?.history === true;

  it('deliver the messages of both nodes', async () => {
    const { a, b } = pair(options);
    const [one, two] = [enter(a.hub, 'r'), await entered(b.hub, 'r')];
    await a.hub.room('r').publish('from a');
    await send(b.hub, 'from b');
    a.hub.broadcast('to all');
    await turns();
    for (const { received } of [one, two]) expect(received).toEqual(['from a', 'from b', 'to all']);
    await Promise.all([a, b].map(({ hub }) => hub.close({ timeout: 50 })));
    expect([a.gaps, a.errors, b.gaps, b.errors]).toEqual([[], [], [], []]);
  });

  it('deliver a doubled message once', async () => {
    const { broker, a, b } = pair(options);
    const { received } = await entered(b.hub, 'r');
    broker.double();
    await send(a.hub, '1', '2');
    expect(received).toEqual(['1', '2']);
  });

  it('repair a lost message with history, and deliver the next one in any case', async () => {
    const { broker, a, b } = pair(options);
    const { received } = await entered(b.hub, 'r');
    await send(a.hub, '1');
    broker.drop();
    await send(a.hub, '2', '3');
    expect(received).toEqual(isRepaired ? ['1', '2', '3'] : ['1', '3']);
    expect(b.gaps).toEqual([]);
  });

  it('send the messages of a short outage after it', async () => {
    const { broker, a, b } = pair(options);
    const { received } = await entered(b.hub, 'r');
    await a.hub.room('r').publish('1');
    broker.disconnect();
    const published = a.hub.room('r').publish('2');
    expect(b.hub.stats.backplane).toBe('down');
    broker.reconnect();
    await published;
    await send(a.hub, '3');
    expect(received).toEqual(['1', '2', '3']);
    expect(b.gaps).toEqual(isRepaired ? [] : ['r']);
  });

  describe('with a clock', () => {
    useFakeTime();

    it('report the messages of a long outage', async () => {
      const { broker, a, b } = pair(options);
      const [one, two] = [enter(a.hub, 'r'), await entered(b.hub, 'r')];
      await a.hub.room('r').publish('1');
      broker.disconnect();
      const through = options.rooms !== undefined;
      const settled = vi.fn();
      void a.hub.room('r').publish('2').then(settled, settled);
      await turns();
      expect(settled).toHaveBeenCalledTimes(through ? 0 : 1);
      await wait(5_000);
      const outcome = through ? expect.objectContaining({ code: 'WS_ERR_BACKPLANE' }) : undefined;
      expect(settled).toHaveBeenCalledExactlyOnceWith(outcome);
      broker.reconnect();
      await turns();
      await send(a.hub, '3');
      expect(one.received).toEqual(through ? ['1', '3'] : ['1', '2', '3']);
      expect([two.received, b.gaps]).toEqual([['1', '3'], ['r']]);
      const reports = a.errors.filter((text) => text.includes('this node only'));
      expect(reports).toHaveLength(through ? 0 : 1);
    });
  });
});

describe('a node', () => {
  it('holds at most 1,000 messages for an engine that is away', async () => {
    const { broker, hub } = alone(THROUGH);
    await entered(hub, 'r');
    broker.disconnect();
    const published = Array.from({ length: 1_001 }, (_, i) => hub.room('r').publish(`${i}`));
    await expect(published.at(-1)).rejects.toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    const retried = await retryUntilTimer(() => hub.room('r').publish('again'));
    expect(retried).toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    broker.reconnect();
    await Promise.all(published.slice(0, -1));
  });

  it.each(['publish', 'history'] as const)(
    'rejects each %s that the engine rejects, and lets timers run in a loop',
    async (method) => {
      const cause = new Error('not permitted');
      const change = (): Partial<Backplane> => ({ [method]: () => Promise.reject(cause) });
      const { hub } = alone({ rooms: { r: { history: true, delivery: 'through' } } }, change);
      await turns();
      const room = hub.room('r');
      const call = { publish: () => room.publish('x'), history: () => room.history() }[method];
      await expect(call()).rejects.toMatchObject({ code: 'WS_ERR_BACKPLANE', cause });
      expect(await retryUntilTimer(call)).toMatchObject({ code: 'WS_ERR_BACKPLANE' });
    },
  );

  it('lets timers run in a loop of publish after the end of the hub', async () => {
    const { hub } = alone();
    await hub.close();
    const publish = (): Promise<unknown> => hub.room('r').publish('x');
    expect(await retryUntilTimer(publish)).toMatchObject({ code: 'WS_ERR_HUB_CLOSED' });
  });

  it('sends a message with a filter to its own members only', async () => {
    const { a, b } = pair();
    const [one, two] = [enter(a.hub, 'r'), await entered(b.hub, 'r')];
    await a.hub.room('r').publish('secret', { filter: () => true });
    await send(a.hub, 'end');
    expect([one.received, two.received]).toEqual([['secret', 'end'], ['end']]);
    expect([a.gaps, b.gaps]).toEqual([[], []]);
  });

  it('delivers a room with history as through, and refuses local-first', async () => {
    const { broker, a, b } = pair({ rooms: { r: { history: true } } });
    const { received } = await entered(a.hub, 'r');
    broker.delay();
    for (const [{ hub }, text] of [
      [b, 'theirs'],
      [a, 'own'],
    ] as const) {
      void hub.room('r').publish(text);
      await turns();
    }
    broker.release();
    await turns();
    expect(received).toEqual(['theirs', 'own']);
    const backplane = memoryBackplane(broker);
    const local = { r: { history: true, delivery: 'local-first' } } as const;
    expect(() => new Hub({ backplane, rooms: local })).toThrow(
      `rooms["r"].delivery: a room with history and a backplane has 'through'; leave it out`,
    );
    expect(new Hub({ rooms: local }).closed).toBe(false);
  });

  it('reports bytes that it cannot read', async () => {
    const { broker, hub, gaps, errors } = alone();
    await entered(hub, 'r');
    broker.inject('room/r', new Uint8Array([1, 2, 3]));
    broker.inject('room/r', new Uint8Array([9, 1, 1, 65, 0, 0, 0, 0, 0, 0, 0, 1]));
    broker.inject('room/r', new Uint8Array([9, 1, 1, 65, 0, 0, 0, 0, 0, 0, 0, 2]));
    expect(errors).toEqual([
      expect.stringContaining('invalid bytes'),
      expect.stringContaining('version 9'),
    ]);
    expect(gaps).toEqual(['r']);
  });

  it('reports each of several other nodes with its id once', async () => {
    const broker = new MemoryBroker();
    const [a, b, c] = [1, 2, 3].map(() => node(broker, 'same'));
    await entered(a!.hub, 'r');
    for (let i = 0; i < 6; i++) await send((i % 2 === 0 ? b! : c!).hub, 'x');
    expect(a!.errors).toHaveLength(2);
  });
});

describe('a node with a clock', () => {
  useFakeTime();

  it('delivers to its own members until its engine starts', async () => {
    const cause = new Error('refused');
    let refusals = 2;
    const { hub, errors } = alone({}, (backplane) => ({
      start: (...args) => (refusals-- > 0 ? Promise.reject(cause) : backplane.start(...args)),
    }));
    const causes: unknown[] = [];
    hub.on('error', (_, error) => void causes.push((error as Error).cause));
    const { received } = enter(hub, 'r');
    const published = hub.room('r').publish('alone');
    await turns();
    expect([received, causes]).toEqual([['alone'], [cause]]);
    expect(errors).toEqual([expect.stringContaining('the backplane is away')]);
    expect(hub.stats.backplane).toBe('down');
    await wait(2_000);
    await published;
    expect(hub.stats.backplane).toBe('up');
  });

  it('delivers a through message that returns late, and still leaves out the excepted members', async () => {
    const { broker, hub } = alone(THROUGH);
    const [one, two] = [enter(hub, 'r'), await entered(hub, 'r')];
    broker.delay();
    const published = hub.room('r').publish('late', { except: two.session });
    await wait(60_000);
    await published;
    broker.release();
    hub.broadcast('all', { local: true });
    await turns();
    expect([one.received, two.received]).toEqual([['late', 'all'], ['all']]);
  });

  it('repairs the loss of the last message in a room with history', async () => {
    const { broker, a, b } = pair(HISTORY);
    const { received } = await entered(b.hub, 'r');
    await send(a.hub, '1');
    broker.drop();
    await send(a.hub, '2');
    expect(received).toEqual(['1']);
    await wait(5_000);
    expect(received).toEqual(['1', '2']);
    await wait(60_000);
    await send(a.hub, '3');
    expect([received, b.gaps]).toEqual([['1', '2', '3'], []]);
  });
});

describe('a room with history', () => {
  it('continues without a gap when its history has expired', async () => {
    const { broker, a, b } = pair({ rooms: { r: { history: true } } });
    const { received } = await entered(b.hub, 'r');
    for (const text of ['1', '2']) await a.hub.room('r').publish(text);
    broker.forget();
    await send(a.hub, '3');
    expect([received, b.gaps]).toEqual([['1', '2', '3'], []]);
  });
});
