import { Hub } from '@ws/hub';
import { natsBackplane } from '@ws/hub/nats';
import { serveRooms } from '@ws/hub/rooms';
import { describe, expect, it } from 'vitest';

const iterable = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
const connection = {
  publish() {},
  subscribe() {
    throw new Error('not in this test');
  },
  flush: () => Promise.resolve(),
  status: () => iterable,
  isClosed: () => false,
};

describe('a hub that is closed before NATS has answered', () => {
  it('subscribes to nothing', async () => {
    let answer!: () => void;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const subscribed: string[] = [];
    const slow = {
      ...connection,
      subscribe: (subject: string) => {
        subscribed.push(subject);
        return connection.subscribe();
      },
      flush: () => answered,
    };
    const hub = new Hub({ backplane: natsBackplane(slow) });
    await hub.close();
    answer();
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
    expect([subscribed, hub.stats.backplane]).toEqual([[], 'down']);
  });
});

describe('natsBackplane', () => {
  it.each([undefined, null, {}, 'nats://localhost'])('refuses %j as connection', (wrong) => {
    expect(() => natsBackplane(wrong as never)).toThrow(
      'natsBackplane: expected a connection of @nats-io/transport-node, got',
    );
  });

  it('refuses a connection with noEcho, which would not receive its own messages', () => {
    const silent = { ...connection, options: { noEcho: true } };
    expect(() => natsBackplane(silent)).toThrow('has noEcho: true; connect without noEcho');
  });

  it.each(['', 'a b', 'a.', '.a', 'a..b', '*', 'a.>', 7, 'x'.repeat(101)])(
    'refuses the prefix %j',
    (prefix) => {
      expect(() => natsBackplane(connection, { prefix: prefix as never })).toThrow(/^prefix: /);
    },
  );

  it('refuses a JetStreamManager instead of a JetStreamClient', () => {
    expect(() => natsBackplane(connection, { jetstream: { streams: {} } as never })).toThrow(
      'jetstream: expected the result of jetstream(connection), got',
    );
  });

  it('keeps history with JetStream only, and a room needs it', () => {
    const plain = natsBackplane(connection, { prefix: 'app-1.hub_2' });
    expect(plain).not.toHaveProperty('history', expect.anything());
    const rooms = { 'chat/*': { history: true } };
    expect(() => new Hub({ backplane: plain, rooms })).toThrow(
      'rooms["chat/*"].history: the backplane keeps none; pass jetstream to natsBackplane, or use redisBackplane',
    );
    expect(() =>
      serveRooms({ r: { history: true, mayJoin: true } }, { hub: { backplane: plain } }),
    ).toThrow(TypeError);
    const backplane = natsBackplane(connection);
    expect(new Hub({ backplane, rooms: { r: { presence: () => 1, history: false } } }).closed).toBe(
      false,
    );
  });
});
