// A member asks again, and the option `state` fails.
import { Hub, type JoinOptions } from '@ws/hub';
import { describe, expect, it } from 'vitest';
import { enter, turns } from '../nodes.ts';
import { startClient, startNode } from '../serve-rooms/setup.ts';

const ELSEWHERE = { epoch: 'other', offset: 1 };

function startBoard(size = 100) {
  const database = { isAway: false, hang: undefined as (() => void) | undefined };
  const state = async (): Promise<string> => {
    if (database.isAway) {
      await new Promise<void>((resolve) => (database.hang = resolve));
      throw new Error('the database is away');
    }
    return 'STATE';
  };
  const hub = new Hub({
    maxQueuedMessages: 4,
    rooms: { r: { history: { size }, presence: () => 'ann', state } },
  });
  const events: string[] = [];
  hub.on('entered', () => void events.push('entered'));
  hub.on('left', () => void events.push('left'));
  hub.on('error', () => {});
  return { hub, database, events };
}

const JOINS: Record<string, JoinOptions> = {
  nothing: {},
  'a position of another history': { since: ELSEWHERE },
};

describe('A6 a member whose new join gets no state', () => {
  it.each(Object.entries(JOINS))('stays a member, and misses nothing: %s', async (_, options) => {
    const { hub, database, events } = startBoard();
    const { session, received } = enter(hub);
    await session.join('r', {});
    await hub.room('r').publish('1');
    database.isAway = true;
    const joined = session.join('r', options);
    await turns();
    await hub.room('r').publish('2');
    await turns();
    database.hang!();
    await expect(joined).rejects.toThrow('the database is away');
    await hub.room('r').publish('3');
    await turns();
    expect([session.rooms.has('r'), hub.room('r').presence.size]).toEqual([true, 1]);
    expect([events, received]).toEqual([['entered'], ['STATE', '1', '2', '3']]);
  });

  it('stays a member when too many messages waited, and gets them from the history', async () => {
    const { hub, database } = startBoard();
    const { session, received } = enter(hub);
    await session.join('r', {});
    database.isAway = true;
    const joined = session.join('r', { since: ELSEWHERE });
    await turns();
    for (let i = 0; i < 20; i++) await hub.room('r').publish(`${i}`);
    await turns();
    database.hang!();
    await expect(joined).rejects.toThrow('the database is away');
    await turns();
    const numbers = Array.from({ length: 20 }, (_, i) => `${i}`);
    expect(received).toEqual(['STATE', ...numbers]);
  });

  it('stays a member when its history does not reach back to the states', async () => {
    const { hub, events } = startBoard(1);
    const { session, received } = enter(hub);
    await session.join('r', {});
    const states = hub.room('r');
    const joined = session.join('r', { since: ELSEWHERE });
    for (let i = 0; i < 3; i++) await states.publish(`${i}`);
    await joined.catch(() => {});
    await states.publish('last');
    await turns();
    expect(session.rooms.has('r')).toBe(true);
    expect(events).toEqual(['entered']);
    expect(received.at(-1)).toBe('last');
  });

  it('leaves the first loop of a page alone', async () => {
    let isAway = false;
    let changes = 0;
    const { node, hub } = startNode({
      'board/*': {
        mayJoin: true,
        history: true,
        presence: () => 'ann',
        state: () => {
          if (isAway) throw new Error('the database is away');
          return changes;
        },
      },
    });
    const { rooms } = startClient(node);
    const left: string[] = [];
    hub.on('left', (_, room) => void left.push(room));
    const one: unknown[] = [];
    void (async () => {
      for await (const item of rooms.join('board/7')) {
        one.push(item.kind === 'live' ? 'live' : (item as { data: unknown }).data);
      }
    })();
    await turns();
    expect(one).toEqual([0, 'live']);
    isAway = true;
    void rooms
      .join('board/7', { since: { epoch: 'of yesterday', offset: 5 } })
      .next()
      .catch(() => {});
    for (let i = 1; i < 4; i++) {
      await hub.room('board/7').publishJSON(++changes);
      await turns();
    }
    expect([one, left]).toEqual([[0, 'live', 1, 2, 3], []]);
  });
});
