import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { natsBackplane } from '@ws/hub/nats';
import { redisBackplane } from '@ws/hub/redis';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { firstStackLine } from '@ws/tests';
import { describe, expect, it } from 'vitest';

/** Arguments as JavaScript, without types, may pass them. */
// oxlint-disable-next-line typescript/no-explicit-any -- each row breaks a type
type Any = any;

const hub = (): Any => new Hub();
const session = (): Any => new Hub().add(connPair()[1]);
const room = (): Any => hub().room('a');

const mistakes: Readonly<Record<string, () => unknown>> = {
  'new Hub, an unknown option': () => new Hub({ romms: {} } as Any),
  'new Hub, a backplane of another hub': () => {
    const backplane = memoryBackplane(new MemoryBroker());
    return [new Hub({ backplane }), new Hub({ backplane })];
  },
  'hub.add': () => hub().add(5),
  'hub.add, id': () => hub().add(connPair()[1], { id: 5 }),
  'hub.on': () => hub().on('mesage', () => {}),
  'hub.room': () => hub().room(5),
  'hub.broadcast, data': () => hub().broadcast(5),
  'hub.broadcast, options': () => hub().broadcast('a', { local: true, xcept: 5 }),
  'hub.broadcast, except': () => hub().broadcast('a', { except: 5 }),
  'hub.multiple, sessions': () => hub().multiple(5, 'a'),
  'hub.multiple, data': () => hub().multiple([], 5),
  'hub.close': () => hub().close({ timeout: 'soon' }),
  'room.publish, data': () => room().publish(5),
  'room.publish, filter': () => room().publish('a', { filter: 5 }),
  'room.history, since': () => room().history({ since: 5 }),
  'room.history, limit': () => room().history({ limit: -1 }),
  'room.history, a position': () => room().history({ epoch: 'e', offset: 1 }),
  'session.join': () => session().join(5),
  'session.send, data': () => session().send(5),
  'session.send, options': () => session().send('a', { kee: 'b' }),
  natsBackplane: () => natsBackplane(5 as Any),
  redisBackplane: () => redisBackplane({} as Any, { sharded: 5 } as Any),
  'redisBackplane, two clients': () => redisBackplane({} as Any, { duplicate() {} } as Any),
};

describe('the error about an argument of', () => {
  it.each(Object.entries(mistakes))('%s has a stack that starts at the caller', async (_, make) => {
    expect(await firstStackLine(make)).toMatch(/\bmistakes\.test\.ts:\d+/);
  });
});

describe('the error of an object that is sent as it is', () => {
  it.each<[string, () => unknown, string]>([
    ['publish', () => room().publish({}), 'publish: …, got Object; publishJSON sends objects'],
    ['publish', () => room().publish([]), 'publish: …, got Array; publishJSON sends objects'],
    ['publish', () => room().publish(5), 'publish: …, got number'],
    ['send', () => session().send({}), 'session.send: …, got Object; writeJSON sends objects'],
    [
      'broadcast',
      () => hub().broadcast({}),
      'hub.broadcast: …, got Object; JSON.stringify makes a string of it',
    ],
    [
      'multiple',
      () => hub().multiple([], {}),
      'hub.multiple: …, got Object; JSON.stringify makes a string of it',
    ],
  ])('by %s says what to write', async (_, call, message) => {
    const expected = new TypeError(message.replace('…', 'expected a string or bytes'));
    await expect(Promise.resolve().then(call)).rejects.toEqual(expected);
  });
});

describe('the error of an option `filter`', () => {
  it('keeps the stack of the application', async () => {
    const one = new Hub();
    void one.add(connPair()[1]).join('a');
    const filter = function selects(): boolean {
      throw new TypeError('mine');
    };
    expect(await firstStackLine(() => one.broadcast('a', { filter }))).toMatch(/\bselects\b/);
    const publish = (): unknown => one.room('a').publish('a', { filter });
    expect(await firstStackLine(publish)).toMatch(/\bselects\b/);
  });

  it('redisBackplane with two clients says that the hub duplicates one', () => {
    expect(() => redisBackplane({} as Any, { duplicate() {} } as Any)).toThrow(
      'redisBackplane: expected one client, got two; the hub duplicates it',
    );
  });
});
