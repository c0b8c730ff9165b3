// A resume reads the history in parts.

import { Hub, type HubOptions } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { prepare } from '../../src/arguments.ts';
import { encodeEnvelope } from '../../src/backplane/envelope.ts';
import { node, send, turns } from '../nodes.ts';
import { first, publish, slowVisit, textsOf, visit } from './visits.ts';

const history = { size: 1_000, bytes: 100_000_000 };

/** A hub on a broker that records the reads of its history: offset and limit. */
function reading(form?: (message: { text(): string }) => string, options: HubOptions = {}) {
  const broker = new MemoryBroker();
  const reads: [number | undefined, number][] = [];
  /** The reads of the last position. */
  const ends: [number | undefined, number][] = [];
  const rooms = { r: { history, delivery: 'through', ...(form && { form }) } } as const;
  const { hub, errors } = node(broker, 'a', { ...options, rooms }, (backplane) => ({
    history(channel, since, limit) {
      (since === undefined && limit === 1 ? ends : reads).push([since?.offset, limit]);
      return backplane.history!(channel, since, limit);
    },
  }));
  return { broker, hub, reads, ends, errors };
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);

describe('a resume from an engine', () => {
  it('reads 100 messages at a time', async () => {
    const { hub, reads } = reading();
    const [one] = await publish(hub, 250);
    const { joined, received } = visit(hub, { since: one! });
    expect(await joined).toMatchObject({ complete: true, position: { offset: 250 } });
    await turns();
    expect(received).toEqual(numbers(2, 250));
    expect(reads).toEqual([
      [1, 99],
      [100, 100],
      [200, 100],
    ]);
  });

  it('reads the next part when the one before has left', async () => {
    const { hub, reads } = reading();
    const padding = ' '.repeat(2_500);
    const positions = await publish(hub, 300, padding);
    const { client, joined } = slowVisit(hub, { since: { ...positions[0]!, offset: 0 } });
    await turns();
    expect(reads).toHaveLength(1);
    // At most 160 KiB are on the way: what one turn sends, and what connection and transport hold.
    await textsOf(client, `20${padding}`);
    await turns();
    expect(reads).toHaveLength(1);
    await textsOf(client, `120${padding}`);
    await turns();
    expect(reads).toHaveLength(2);
    await textsOf(client, `300${padding}`);
    expect(await joined).toMatchObject({ complete: true });
    void client.discardReads().catch(() => {});
  });

  it('holds 256 KiB, and a last message that may be larger', async () => {
    const { hub, reads } = reading();
    const padding = ' '.repeat(100_000);
    const [one] = await publish(hub, 8, padding);
    const { joined } = visit(hub, { since: one! });
    expect(await joined).toMatchObject({ complete: true });
    expect(reads.map(([offset]) => offset)).toEqual([1, 4, 7]);
  });

  it('shares parts and their formed bytes with resumes at the same position', async () => {
    const form = vi.fn((message: { text(): string }) => `<${message.text()}>`);
    const { hub, reads } = reading(form);
    const [one] = await publish(hub, 250);
    form.mockClear();
    const visits = Array.from({ length: 20 }, () => visit(hub, { since: one! }));
    await Promise.all(visits.map(({ joined }) => joined));
    // The last part is not full: those that come to it in a later turn read it again.
    expect(reads.length).toBeLessThan(8);
    expect(form.mock.calls.length).toBeLessThan(2 * 249);
    await turns();
    for (const { received } of visits) expect(received).toHaveLength(249);
  });

  it('shares the later parts with resumes at other positions', async () => {
    const { hub, reads } = reading();
    const positions = await publish(hub, 350);
    const visits = [1, 30, 60].map((i) => visit(hub, { since: positions[i]! }));
    await Promise.all(visits.map(({ joined }) => joined));
    expect(reads.length).toBeLessThan(3 * 4);
  });

  it('takes the last messages with a limit', async () => {
    const { hub } = reading();
    const positions = await publish(hub, 500);
    const sent = async (options: { limit: number }) => {
      const { joined, received } = visit(hub, { ...options, first });
      const { complete, position } = await joined;
      await turns();
      expect(position).toEqual(positions.at(-1));
      return [complete, received[1], received.length - 1];
    };
    expect(await sent({ limit: 250 })).toEqual([false, '251', 250]);
    expect(await sent({ limit: 500 })).toEqual([true, '1', 500]);
  });

  it('learns the position of a first visit from this node when its members know it', async () => {
    const { hub, ends } = reading();
    await turns();
    await visit(hub, { first }).joined;
    expect(ends).toEqual([[undefined, 1]]);
    const positions = await publish(hub, 2);
    const { joined, received } = visit(hub, { first });
    expect(await joined).toMatchObject({ complete: true, position: positions[1] });
    await send(hub, '3');
    expect(ends).toHaveLength(1);
    expect(received).toEqual(['true 2', '3']);
  });

  it('reads on when live messages are above the bounds', async () => {
    const { hub, reads } = reading(undefined, { maxQueuedMessages: 5 });
    const padding = ' '.repeat(2_500);
    const [one] = await publish(hub, 90, padding);
    const { client, joined } = slowVisit(hub, { since: one! });
    await turns();
    for (let i = 91; i <= 140; i++) await hub.room('r').publish(`${i}${padding}`);
    const texts = await textsOf(client, `140${padding}`);
    expect(texts.map((text) => text.trim())).toEqual(numbers(2, 140));
    expect(await joined).toMatchObject({ complete: true });
    expect(reads).toEqual([
      [1, 99],
      [90, 10],
      [100, 100],
    ]);
    void client.discardReads().catch(() => {});
  });

  it.each<[string, (broker: MemoryBroker, hub: Hub) => unknown]>([
    ['lost', (broker) => broker.forget()],
    ['away', (broker) => broker.disconnect()],
    ['shortened', (_, hub) => publish(hub, 1_000)],
  ])('closes with 1013 when the history is %s after first', async (_, lose) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { hub, broker } = reading();
    hub.on('error', () => {});
    const padding = ' '.repeat(2_500);
    const [one] = await publish(hub, 500, padding);
    const { client, joined } = slowVisit(hub, { since: one!, first });
    await turns();
    await lose(broker, hub);
    client.receive(() => {}).catch(() => {});
    await turns();
    await vi.advanceTimersByTimeAsync(6_000);
    await expect(joined).rejects.toMatchObject({ code: 'WS_ERR_SESSION_CLOSED' });
    expect(await client.closed).toMatchObject({ code: 1013 });
    vi.useRealTimers();
  });

  it('closes with 1013 when the history does not have a message before a live one', async () => {
    const { hub, broker } = reading();
    const [one] = await publish(hub, 1);
    const { client, joined } = visit(hub, { since: one! });
    await joined;
    const message = prepare('9', 'test');
    const envelope = { node: 'b/1', counter: 1, previousMs: undefined, exact: false };
    const bytes = encodeEnvelope({ ...envelope, key: undefined, message });
    broker.inject('room/r', bytes, { ...one!, offset: 9 });
    await turns();
    expect(await client.closed).toMatchObject({ code: 1013 });
  });

  it('leaves out a message for which form throws, in each part', async () => {
    let fails = false;
    const { hub, errors } = reading((message) => {
      if (fails && message.text().endsWith('50')) throw new Error('mine');
      return message.text();
    });
    const [one] = await publish(hub, 200);
    fails = true;
    const { joined, received } = visit(hub, { since: one!, first });
    expect(await joined).toMatchObject({ complete: false });
    await turns();
    expect(received[0]).toBe('false 100');
    expect(received).not.toContain('50');
    expect(received).not.toContain('150');
    expect(errors).toEqual(['Error: mine']);
  });
});

describe('a resume from the history of this node', () => {
  const parts = (options: HubOptions = {}) => new Hub({ ...options, rooms: { r: { history } } });

  it('knows the position of the first part in first', async () => {
    const hub = parts();
    const [one] = await publish(hub, 250);
    const { joined, received } = visit(hub, { since: one!, first });
    expect(await joined).toMatchObject({ complete: true });
    await turns();
    expect(received).toEqual(['true 100', ...numbers(2, 250)]);
  });

  it('gives form a part at a time', async () => {
    let formed = 0;
    const form = (message: { text(): string }) => {
      formed++;
      return message.text();
    };
    const hub = new Hub({ rooms: { r: { history, form } } });
    const padding = ' '.repeat(2_500);
    const positions = await publish(hub, 300, padding);
    formed = 0;
    const { client } = slowVisit(hub, { since: { ...positions[0]!, offset: 0 } });
    await turns();
    expect(formed).toBe(100);
    await textsOf(client, `300${padding}`);
    expect(formed).toBe(300);
  });
});
