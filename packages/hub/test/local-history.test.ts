// The histories that a hub without a backplane keeps, and their common bound.
import { connPair } from '@ws/conn';
import { Hub, type HubOptions } from '@ws/hub';
import { describe, expect, it } from 'vitest';
import { useFakeTime, wait } from './nodes.ts';

const enter = (hub: Hub) => hub.add(connPair()[1]);

async function texts(hub: Hub, room = 'r'): Promise<string[]> {
  const { messages } = await hub.room(room).history();
  return messages.map(({ message }) => message.text());
}

describe('maxHistoryBytes', () => {
  useFakeTime();

  const hubWith = (history: HubOptions['rooms'] = { '*': { history: true } }): Hub =>
    new Hub({ rooms: history, maxHistoryBytes: 1_000 });

  it('counts the memory of each message', async () => {
    const hub = hubWith();
    for (let i = 0; i < 10; i++) await hub.room('r').publish('x');
    expect(await texts(hub)).toHaveLength(3);
  });

  it('drops the oldest messages of the room that has been quiet longest', async () => {
    const hub = hubWith();
    for (const room of ['a', 'b', 'a']) await hub.room(room).publish('1');
    await hub.room('c').publish('2');
    expect([await texts(hub, 'a'), await texts(hub, 'b'), await texts(hub, 'c')]).toEqual([
      ['1', '1'],
      [],
      ['2'],
    ]);
  });

  it('does not count messages that have expired before a read', async () => {
    const hub = hubWith({ r: { history: { ttl: 1_000 } } });
    for (let i = 0; i < 3; i++) {
      await hub.room('r').publish('x');
      await wait(1_000);
      expect(await texts(hub)).toEqual([]);
    }
    for (const text of ['1', '2']) await hub.room('r').publish(text);
    expect(await texts(hub)).toEqual(['1', '2']);
  });
});

describe('a history whose messages have expired', () => {
  useFakeTime();

  it('has no effect on a room that starts again with its name', async () => {
    const hub = new Hub({ rooms: { r: { history: { bytes: 10, ttl: 1_000 } } } });
    const first = enter(hub);
    void first.join('r');
    await hub.room('r').publish('longer than all of the history');
    first.leave('r');
    const second = enter(hub);
    void second.join('r');
    await wait(10_000);
    expect(hub.room('r').members).toContain(second);
    second.leave('r');
    expect(hub.stats.rooms).toBe(0);
  });
});

describe('a read of a history that a room does not have', () => {
  it.each<[string, HubOptions['rooms'], string]>([
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
    expect(await hub.room('chat/1').history()).toMatchObject(nothing);
    expect(await hub.room('chat/2').history()).toMatchObject(nothing);
    expect(errors).toEqual([
      undefined,
      new TypeError(`history: the room "chat/1" has none; ${advice}`),
    ]);
  });
});
