import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
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

useFakeTime();

/** Times after which a quiet room has sent all its digests, in ms, without a loss and with one. */
const QUIET_MS = 25_000;
const QUIET_AFTER_LOSS_MS = 70_000;

describe('a node that publishes after a quiet time', () => {
  it('causes no gap when nothing is lost', async () => {
    const { a, b } = pair(HISTORY);
    const { received } = await entered(b.hub, 'r');
    for (const text of ['1', '2', '3']) {
      await a.hub.room('r').publish(text);
      await wait(QUIET_MS);
    }
    await entered(b.hub, 's');
    await a.hub.room('s').publish('1');
    await turns();
    expect(received).toEqual(['1', '2', '3']);
    expect(b.gaps).toEqual([]);
  });

  it('tells a node that missed the last message and its digests', async () => {
    const { broker, a, b } = pair(HISTORY);
    const { received } = enter(b.hub, 'r');
    await wait(10_000);
    await a.hub.room('r').publish('1');
    broker.drop(1, 'b');
    broker.disconnect('a');
    a.hub
      .room('r')
      .publish('2')
      .catch(() => {});
    await wait(10_000);
    broker.reconnect('a');
    for (let ms = 0; ms < QUIET_AFTER_LOSS_MS; ms += 1_000) {
      // The digests are lost too.
      broker.drop(1_000, 'b');
      await wait(1_000);
    }
    broker.drop(-1_000 * (QUIET_AFTER_LOSS_MS / 1_000), 'b');
    await send(a.hub, '3');
    expect(received.at(-1)).toBe('3');
    expect(b.gaps).toEqual(['r']);
  });
});

describe('a node that closes soon after an outage', () => {
  it('tells the other nodes what it has lost', async () => {
    const { broker, a, b } = pair(HISTORY);
    const { received } = await entered(b.hub, 'r');
    await a.hub.room('r').publish('1');
    broker.disconnect('a');
    a.hub
      .room('r')
      .publish('2')
      .catch(() => {});
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

describe('the history of a room', () => {
  it('is complete when it lacks a message that no member has', async () => {
    const broker = new MemoryBroker();
    const a = node(broker, 'a', { rooms: { r: { history: true } } });
    await entered(a.hub, 'r');
    const since = await a.hub.room('r').publish('1');
    broker.disconnect('a');
    const lost = a.hub.room('r').publish('2');
    await Promise.all([expect(lost).rejects.toThrow(), wait(5_300)]);
    broker.reconnect('a');
    await wait(100_000);
    expect(await a.hub.room('r').history({ since })).toEqual({ messages: [], complete: true });
  });
});

describe('a publication in a room with history', () => {
  it('resolves to its position', async () => {
    const a = alone({ rooms: { r: { history: true } } });
    await entered(a.hub, 'r');
    const position = await a.hub.room('r').publish('1');
    const { messages } = await a.hub.room('r').history();
    expect(messages.map((kept) => kept.position)).toEqual([position]);
  });
});

describe('errors that others can repeat', () => {
  it('are reported once a second (invalid messages)', async () => {
    const { broker, hub, errors, gaps } = alone();
    await entered(hub, 'r');
    for (let i = 0; i < 10_000; i++) broker.inject('room/r', Uint8Array.of(1, 2, 3));
    await wait(3_000);
    expect(errors).toEqual([
      expect.stringContaining('invalid bytes on the backplane'),
      expect.stringContaining('9999 invalid messages on the backplane'),
    ]);
    expect(gaps).toEqual(['r']);
  });

  it('are reported once a second (refused rooms)', async () => {
    const { hub, errors } = alone({}, () => ({
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
    const a = alone({}, () => ({ publish: () => new Promise(() => {}) }));
    await turns();
    for (let i = 0; i < 10_000; i++) void a.hub.room('r').publish('x');
    await expect(a.hub.room('r').publish('x')).rejects.toMatchObject({
      code: 'WS_ERR_BACKPLANE',
      message: expect.stringContaining('10000 messages (10000 bytes) already wait'),
    });
  });
});
