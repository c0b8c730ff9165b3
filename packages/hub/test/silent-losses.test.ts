import type { Hub, Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { enter, node, turns, wait } from './nodes.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Times after which a quiet room has sent all its digests, in ms, without a loss and with one. */
const QUIET_MS = 25_000;
const QUIET_AFTER_LOSS_MS = 70_000;

describe('a node that publishes after a quiet time', () => {
  it('causes no gap when nothing is lost', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, 'a'), node(broker, 'b')];
    const { received } = enter(b.hub, 'r');
    await turns();
    for (const text of ['1', '2', '3']) {
      await a.hub.room('r').publish(text);
      await wait(QUIET_MS);
    }
    enter(b.hub, 's');
    await turns();
    await a.hub.room('s').publish('1');
    await turns();
    expect(received).toEqual(['1', '2', '3']);
    expect(b.gaps).toEqual([]);
  });

  it.each([
    ['with history', { history: true }],
    ['without history', {}],
  ])('tells a node that missed the last message and its digests (%s)', async (_, room) => {
    const broker = new MemoryBroker();
    const rooms = { r: room };
    const [a, b] = [node(broker, 'a', { rooms }), node(broker, 'b', { rooms })];
    const { received } = enter(b.hub, 'r');
    await wait(10_000);
    await a.hub.room('r').publish('1');
    broker.drop(1, 'b');
    broker.disconnect('a');
    void a.hub.room('r').publish('2');
    await wait(10_000);
    broker.reconnect('a');
    for (let ms = 0; ms < QUIET_AFTER_LOSS_MS; ms += 1_000) {
      // The digests are lost too.
      broker.drop(1_000, 'b');
      await wait(1_000);
    }
    broker.drop(-1_000 * (QUIET_AFTER_LOSS_MS / 1_000), 'b');
    await a.hub.room('r').publish('3');
    await turns();
    expect(received.at(-1)).toBe('3');
    expect(b.gaps).toEqual(['r']);
  });
});

describe('a node that closes soon after an outage', () => {
  it('tells the other nodes what it has lost', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, 'a'), node(broker, 'b')];
    const { received } = enter(b.hub, 'r');
    await turns();
    await a.hub.room('r').publish('1');
    broker.disconnect('a');
    void a.hub.room('r').publish('2');
    await wait(5_300);
    broker.reconnect('a');
    await a.hub.close();
    await turns();
    expect(received).toEqual(['1']);
    expect(b.gaps).toEqual(['r']);
  });

  it('waits a second for an engine that does not answer', async () => {
    const broker = new MemoryBroker();
    const a = node(broker, 'a', {}, () => ({ publish: () => new Promise(() => {}) }));
    await turns();
    void a.hub.room('r').publish('1');
    let closed = false;
    void a.hub.close().then(() => {
      closed = true;
    });
    await wait(999);
    expect(closed).toBe(false);
    await wait(1);
    expect(closed).toBe(true);
  });
});

describe('a history that lacks a message which members have', () => {
  const rooms = { r: { history: true } };

  /** Node a publishes '1', then loses '2' in an outage of its own. */
  async function loseTwo(broker: MemoryBroker, a: Hub): Promise<Position> {
    const since = await a.room('r').publish('1');
    broker.disconnect('a');
    const lost = a.room('r').publish('2');
    await wait(5_300);
    expect(await lost).toBeUndefined();
    return since!;
  }

  it('is not complete from a position before the message, on any node', async () => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, 'a', { rooms }), node(broker, 'b', { rooms })];
    const { received } = enter(a.hub, 'r');
    await turns();
    const since = await loseTwo(broker, a.hub);
    broker.reconnect('a');
    await turns();
    // Has had no member in the room, and starts after the loss.
    const c = node(broker, 'c', { rooms });
    await turns();
    for (const { hub } of [a, b, c]) {
      expect(await hub.room('r').history({ since })).toEqual({ messages: [], complete: false });
    }
    const last = await a.hub.room('r').publish('3');
    for (const { hub } of [a, b, c]) {
      const { messages, complete } = await hub.room('r').history({ since });
      expect(messages.map(({ message }) => message.text())).toEqual(['3']);
      expect(complete).toBe(false);
      expect(await hub.room('r').history({ since: last })).toEqual({
        messages: [],
        complete: true,
      });
    }
    expect(received).toEqual(['1', '2', '3']);
    expect([a, b, c].flatMap(({ gaps }) => gaps)).toEqual([]);
  });

  it.each([
    ['when the publishing node returns', 0],
    ['when it returns itself, later than the digests', 70_000],
  ])('causes one gap on another node, in its place, %s', async (_, away) => {
    const broker = new MemoryBroker();
    const [a, b] = [node(broker, 'a', { rooms }), node(broker, 'b', { rooms })];
    const log = enter(b.hub, 'r').received;
    b.hub.on('gap', (room) => void (room && log.push('gap')));
    await turns();
    await loseTwo(broker, a.hub);
    if (away > 0) broker.disconnect('b');
    broker.reconnect('a');
    await turns();
    await a.hub.room('r').publish('3');
    await wait(away);
    if (away > 0) broker.reconnect('b');
    await turns();
    await wait(70_000);
    expect(log).toEqual(['1', 'gap', '3']);
    expect(b.gaps).toEqual(['r']);
  });

  it('gets the record when the engine refuses it at first', async () => {
    const broker = new MemoryBroker();
    let refuses = true;
    const a = node(broker, 'a', { rooms }, (inner) => ({
      publish: async (...args) => {
        if (refuses && args[2] !== undefined) throw new Error('OOM');
        return inner.publish(...args);
      },
    }));
    await turns();
    await expect(a.hub.room('r').publish('1')).rejects.toThrow('refused a message');
    const start = { epoch: broker.log('room/r').epoch, offset: 0 };
    expect(await a.hub.room('r').history({ since: start })).toEqual({
      messages: [],
      complete: true,
    });
    await wait(5_000);
    refuses = false;
    await wait(5_000);
    expect(await a.hub.room('r').history({ since: start })).toEqual({
      messages: [],
      complete: false,
    });
    // One record is enough.
    await wait(100_000);
    expect(broker.log('room/r').last).toBe(1);
  });

  it('gets no record of a message that no member has', async () => {
    const broker = new MemoryBroker();
    const through = { r: { history: true, delivery: 'through' } } as const;
    const a = node(broker, 'a', { rooms: through });
    enter(a.hub, 'r');
    await turns();
    const since = await a.hub.room('r').publish('1');
    broker.disconnect('a');
    const lost = a.hub.room('r').publish('2');
    await Promise.all([expect(lost).rejects.toThrow(), wait(5_300)]);
    broker.reconnect('a');
    await wait(100_000);
    expect(await a.hub.room('r').history({ since })).toEqual({ messages: [], complete: true });
  });
});

describe('a publication in a through room', () => {
  it.each([true, false])('resolves to its position (the engine keeps it: %s)', async (keeps) => {
    const broker = new MemoryBroker({ keeps });
    const rooms = { r: { history: true, delivery: 'through' } } as const;
    const a = node(broker, 'a', { rooms });
    enter(a.hub, 'r');
    await turns();
    const position = await a.hub.room('r').publish('1');
    const { messages } = await a.hub.room('r').history();
    expect(messages.map((kept) => kept.position)).toEqual([position]);
  });
});

describe('errors that others can repeat', () => {
  it('are reported once a second (invalid messages)', async () => {
    const broker = new MemoryBroker();
    const { hub, errors, gaps } = node(broker, 'a');
    enter(hub, 'r');
    await turns();
    for (let i = 0; i < 10_000; i++) broker.inject('room/r', Uint8Array.of(1, 2, 3));
    await wait(3_000);
    expect(errors).toEqual([
      expect.stringContaining('invalid bytes on the backplane'),
      expect.stringContaining('9999 invalid messages on the backplane'),
    ]);
    expect(gaps).toEqual(['r']);
  });

  it('are reported once a second (refused rooms)', async () => {
    const { hub, errors } = node(new MemoryBroker(), 'a', {}, () => ({
      subscribe: (channel) =>
        channel === 'all' ? Promise.resolve() : Promise.reject(new Error('NOPERM')),
    }));
    await turns();
    enter(hub, ...Array.from({ length: 100 }, (_, i) => `r${i}`));
    await wait(1_500);
    expect(errors).toEqual([
      expect.stringContaining('refused channel "room/r0"'),
      expect.stringContaining('refused 99 channels, the last of them "room/r99"'),
    ]);
  });
});

describe('publications that the engine does not answer', () => {
  it('are at most 10,000', async () => {
    const a = node(new MemoryBroker(), 'a', {}, () => ({ publish: () => new Promise(() => {}) }));
    await turns();
    for (let i = 0; i < 10_000; i++) void a.hub.room('r').publish('x');
    await expect(a.hub.room('r').publish('x')).rejects.toMatchObject({
      code: 'WS_ERR_BACKPLANE',
      message: expect.stringContaining('10000 messages (10000 bytes) already wait'),
    });
  });
});
