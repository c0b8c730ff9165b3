import { redisBackplane } from '@ws/hub/redis';
import { describe, expect, it } from 'vitest';
import { RetryQueues } from '../../src/redis/retry-queues.ts';
import { slotOf } from '../../src/redis/slots.ts';

// As CLUSTER KEYSLOT of Redis 7 says.
it.each([
  ['123456789', 12_739],
  ['foo', 12_182],
  ['room/🌍', 10_678],
])('slotOf gives %s the slot of the server', (tag, slot) => {
  expect(slotOf(tag)).toBe(slot);
});

describe('redisBackplane with the client of a cluster', () => {
  const shapes = {
    ioredis: { isCluster: true, nodes() {}, duplicate() {} },
    redis: { nodeByAddress: new Map(), nodeClient() {}, destroy() {}, duplicate() {} },
  };

  it.each(Object.entries(shapes))('recognizes that of %s by its shape', (_, client) => {
    expect(() => redisBackplane(client)).not.toThrow();
    expect(() => redisBackplane(client, { sharded: true })).not.toThrow();
    expect(() => redisBackplane(client, { sharded: false })).toThrow(TypeError);
  });

  it.each([
    ['version 4 of redis', { ...shapes.redis, destroy: undefined }],
    ['a cluster of another package', { isCluster: true, duplicate() {} }],
    ['a cluster that has no duplicate', { ...shapes.ioredis, duplicate: undefined }],
  ])('refuses %s', (_, client) => {
    expect(() => redisBackplane(client as never)).toThrow(/^client: expected one of the packages/);
  });
});

describe('RetryQueues', () => {
  const moved = new Error('MOVED 1 127.0.0.1:7000');

  it('sends each channel in order, until a server has run all its publications', async () => {
    const sent: string[] = [];
    let refusals = 5;
    const queues = new RetryQueues(
      async (channel, { order }) => {
        if (refusals-- > 0) throw moved;
        sent.push(`${channel} ${order}`);
        return undefined;
      },
      () => Promise.resolve(),
    );
    // The answer to the second publication has arrived first.
    const orders = [2, 1, 3, 4];
    const all = orders.map((order) => add(queues, 'a', order));
    await Promise.all([...all, add(queues, 'b', 5)]);
    expect(sent.filter((text) => text.startsWith('a'))).toEqual(['a 1', 'a 2', 'a 3', 'a 4']);
    expect(sent).toContain('b 5');
    expect(queues.has('a')).toBe(false);
  });

  it('does not repeat a publication that a server may have run', async () => {
    let sends = 0;
    const queues = new RetryQueues(
      async () => {
        sends++;
        throw new Error('write ECONNRESET');
      },
      () => Promise.resolve(),
    );
    await expect(add(queues, 'a', 1)).rejects.toThrow('ECONNRESET');
    expect(sends).toBe(1);
  });

  it('queues at most 1,000', async () => {
    let end = (): void => {};
    const rediscovered = new Promise<void>((resolve) => {
      end = resolve;
    });
    const queues = new RetryQueues(
      async () => undefined,
      () => rediscovered,
    );
    const all = Array.from({ length: 1_000 }, (_, i) => add(queues, `${i % 7}`, i));
    await expect(add(queues, 'a', 1_000)).rejects.toThrow('1000 messages already wait');
    end();
    await Promise.all(all);
    expect(queues.has('1')).toBe(false);
  });

  function add(queues: RetryQueues, channel: string, order: number) {
    const publication = { order, bytes: Uint8Array.of(120), keep: undefined };
    return queues.add(channel, publication, moved, () => Promise.resolve());
  }
});
