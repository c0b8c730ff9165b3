import { natsBackplane } from '@ws/hub/nats';
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

  it('keeps history with JetStream only', () => {
    const plain = natsBackplane(connection, { prefix: 'app-1.hub_2' });
    expect(plain).toMatchObject({ ordered: false, keeps: false });
    expect(plain).not.toHaveProperty('history', expect.anything());
  });
});
