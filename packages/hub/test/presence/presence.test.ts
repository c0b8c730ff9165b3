import { Hub, RoomRefusedError, type Session } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { enter, node, turns, useFakeTime, wait } from '../nodes.ts';
import { byEvents, keys, member, SHOWN, shown } from './members.ts';

useFakeTime();

/** Two nodes that know each other, with a member of `r` each. */
async function pair(): Promise<{ broker: MemoryBroker; a: Hub; b: Hub }> {
  const broker = new MemoryBroker();
  const [a, b] = [node(broker, 'a', SHOWN).hub, node(broker, 'b', SHOWN).hub];
  await wait(5_000);
  member(a, 'ada', 'r');
  member(b, 'bob', 'r');
  await turns();
  return { broker, a, b };
}

function failures(hub: Hub): unknown[] {
  const errors: unknown[] = [];
  hub.on('error', (_, error) => void errors.push(error));
  return errors;
}

describe('Room.presence on one node', () => {
  it('has the members with their info, at once', () => {
    const hub = new Hub(SHOWN);
    member(hub, 'ada', 'r');
    expect(hub.room('r').presence).toEqual(
      new Map([[`${hub.id}/ada`, { node: hub.id, session: 'ada', info: { name: 'ada' } }]]),
    );
    expect(hub.room('r').presenceComplete).toBe(true);
  });

  it('is empty without the option, and without members', () => {
    const hub = new Hub(SHOWN);
    member(hub, 'ada', 'plain');
    for (const name of ['plain', 'r']) {
      expect(hub.room(name).presence.size).toBe(0);
      expect(hub.room(name).presenceComplete).toBe(false);
    }
  });

  it('has members that no reader can rename', async () => {
    const hub = new Hub(SHOWN);
    const session = member(hub, 'ada', 'r');
    const [present] = hub.room('r').presence.values();
    expect(() => Object.assign(present!, { session: 'eve' })).toThrow(TypeError);
    session.leave('r');
    await turns();
    expect(hub.room('r').presence.size).toBe(0);
  });

  it('is a Map of its own when it is empty', () => {
    (new Hub().room('r').presence as Map<string, unknown>).set('eve', 1);
    expect(new Hub().room('r').presence.size).toBe(0);
  });

  it('lacks a member for which the option returns undefined, and shows null', () => {
    const hub = new Hub({
      rooms: { r: { presence: ({ id }) => (id === 'ghost' ? undefined : null) } },
    });
    member(hub, 'ghost', 'r');
    member(hub, 'ada', 'r');
    expect([...hub.room('r').presence.values()].map(({ info }) => info)).toEqual([null]);
  });

  it('has a copy of the info', () => {
    const info = { name: 'ada', at: new Date(0), none: undefined };
    const hub = new Hub({ rooms: { r: { presence: () => info } } });
    member(hub, 'ada', 'r');
    info.name = 'eve';
    expect(hub.room('r').presence.get(`${hub.id}/ada`)?.info).toEqual({
      name: 'ada',
      at: '1970-01-01T00:00:00.000Z',
    });
  });

  it('loses a member that leaves, and one whose connection ends', async () => {
    const hub = new Hub(SHOWN);
    member(hub, 'ada', 'r').leave('r');
    expect(hub.room('r').presence.size).toBe(0);
    const { session, client } = enter(hub, 'r');
    member(hub, 'bob', 'r');
    client.terminate();
    await session.conn.closed;
    await turns();
    expect(keys(hub.room('r').presence)).toEqual([`${hub.id}/bob`]);
  });

  it.each([
    ['info above 1 KiB', () => 'x'.repeat(1_023), RangeError],
    ['a promise', () => Promise.reject(new Error('late')), TypeError],
    ['a function', () => () => {}, TypeError],
    ['a BigInt', () => 1n, TypeError],
  ])('refuses the join for %s', async (_, presence, type) => {
    const hub = new Hub({ rooms: { r: { presence } } });
    const errors = failures(hub);
    const { session } = enter(hub);
    await expect(session.join('r')).rejects.toBeInstanceOf(type);
    expect(session.rooms.size + hub.stats.rooms + hub.room('r').presence.size).toBe(0);
    expect(errors).toEqual([expect.any(type)]);
    expect(session.state).toBe('open');
  });

  it('takes info of 1 KiB', async () => {
    const hub = new Hub({ rooms: { r: { presence: () => 'x'.repeat(1_022) } } });
    await member(hub, 'ada').join('r');
    expect(hub.room('r').presence.size).toBe(1);
  });

  it('refuses the join when the option throws, and reports its error', async () => {
    const cause = new Error('no name');
    const presence = vi.fn(() => {
      throw cause;
    });
    const hub = new Hub({ rooms: { r: { presence } } });
    const errors = failures(hub);
    const { session } = enter(hub);
    const refused = await session.join('r').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RoomRefusedError);
    expect(refused).toMatchObject({ room: 'r', cause });
    expect(errors).toEqual([cause]);
    expect(hub.stats.refused).toBe(1);
    expect(hub.room('r').members.size).toBe(0);
  });

  it.each(['mayJoin', 'presence'])('bounds a circle of joins within %s', async (option) => {
    const join = (session: Session): boolean => {
      void session.join(`r/${calls++}`);
      return true;
    };
    let calls = 0;
    const hub = new Hub(
      option === 'mayJoin' ? { mayJoin: join } : { rooms: { '*': { presence: join } } },
    );
    const errors = failures(hub);
    await member(hub, 'a').join('r');
    expect(calls).toBe(64);
    expect(errors.map(String)).toEqual([expect.stringMatching('joins rooms in a circle')]);
  });

  it('survives an option that closes the session, and one that joins other rooms', async () => {
    const hub = new Hub({
      maxRoomsPerSession: 2,
      rooms: {
        closing: { presence: (session) => void session.close() },
        'deep/*': {
          presence: (session) => {
            void session.join(`deep/${Math.random()}`);
            return 1;
          },
        },
      },
    });
    failures(hub);
    await expect(member(hub, 'a').join('closing')).rejects.toThrow('the session has ended');
    const session = member(hub, 'b');
    await session.join('deep/1').catch(() => {});
    expect(session.rooms.size).toBeLessThanOrEqual(2);
    expect(hub.stats.rooms).toBe(session.rooms.size);
  });

  it('handles the promise of an option that closes the session', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    const presence = async (session: Session): Promise<never> => {
      void session.close();
      throw new Error('mine');
    };
    const hub = new Hub({ rooms: { r: { presence } } });
    failures(hub);
    await expect(member(hub, 'a').join('r')).rejects.toThrow('expected a value, got a promise');
    await turns();
    expect(unhandled).not.toHaveBeenCalled();
    process.off('unhandledRejection', unhandled);
  });

  it('takes no other presence than a function', () => {
    expect(() => new Hub({ rooms: { r: { presence: true as never } } })).toThrow(
      'rooms["r"].presence: expected a function, got boolean',
    );
  });
});

describe('Session.show', () => {
  it('changes the info, and hides with undefined', async () => {
    const hub = new Hub(SHOWN);
    const changes: unknown[] = [];
    hub.on('presence', (room, change) => void changes.push([room, change]));
    const session = member(hub, 'ada', 'r');
    const key = `${hub.id}/ada`;
    await turns();
    session.show('r', { name: 'Ada' });
    await turns();
    session.show('r', { name: 'Ada' });
    await turns();
    session.show('r', undefined);
    await turns();
    expect(session.rooms.has('r')).toBe(true);
    const present = (name: string) =>
      new Map([[key, { node: hub.id, session: 'ada', info: { name } }]]);
    const none = new Map();
    expect(changes).toEqual([
      ['r', { joined: present('ada'), left: none, changed: none }],
      ['r', { joined: none, left: none, changed: present('Ada') }],
      ['r', { joined: none, left: present('Ada'), changed: none }],
    ]);
  });

  it('shows a session that was hidden', () => {
    const hub = new Hub({ rooms: { r: { presence: () => undefined } } });
    const session = member(hub, 'ada', 'r');
    session.show('r', 1);
    expect(keys(hub.room('r').presence)).toEqual([`${hub.id}/ada`]);
  });

  it('throws for one that is no member, for bad info, and in a room without the option', async () => {
    const hub = new Hub(SHOWN);
    const session = member(hub, 'ada', 'plain');
    expect(() => session.show('r', 1)).toThrow(RoomRefusedError);
    expect(() => session.show('', 1)).toThrow(RangeError);
    expect(() => session.show('plain', 1)).toThrow('the room "plain" has no option presence');
    await session.join('r');
    expect(() => session.show('r', 'x'.repeat(1_023))).toThrow(RangeError);
    expect(() => session.show('r', Promise.resolve())).toThrow(TypeError);
    await session.close();
    expect(() => session.show('r', 1)).toThrow(RoomRefusedError);
    expect(hub.room('r').presence.size).toBe(0);
  });
});

describe('the event presence', () => {
  it('comes once a turn, and not for a member that comes and leaves in it', async () => {
    const hub = new Hub(SHOWN);
    const found = byEvents(hub);
    const sessions = Array.from({ length: 100 }, (_, i) => member(hub, `s${i}`, 'r', 'r2'));
    member(hub, 'short', 'r').leave('r');
    await turns();
    expect(found.calls).toBe(2);
    expect(found.rooms.get('r')?.size).toBe(100);
    for (const session of sessions) session.leave('r');
    sessions[0]!.show('r2', 1);
    await turns();
    expect(found.calls).toBe(4);
    expect([...found.rooms.keys()]).toEqual(['r2']);
  });

  it('reports a listener that throws', async () => {
    const hub = new Hub(SHOWN);
    const errors = failures(hub);
    hub.on('presence', () => {
      throw new Error('mine');
    });
    const session = member(hub, 'ada', 'r');
    await turns();
    expect(errors.map(String)).toEqual(['Error: mine']);
    expect(session.state).toBe('open');
  });
});

describe('Room.presence on several nodes', () => {
  it('has the members of all nodes, on nodes that have a member', async () => {
    const broker = new MemoryBroker();
    const [a, b, c] = ['a', 'b', 'c'].map((id) => node(broker, id, SHOWN).hub) as [Hub, Hub, Hub];
    await wait(5_000);
    member(a, 'ada', 'r');
    await turns();
    member(b, 'bob', 'r');
    await turns();
    for (const hub of [a, b]) {
      expect(keys(hub.room('r').presence)).toEqual(['a/ada', 'b/bob']);
      expect(hub.room('r').presence.get('b/bob')).toEqual({
        node: 'b',
        session: 'bob',
        info: { name: 'bob' },
      });
      expect(hub.room('r').presenceComplete).toBe(true);
    }
    expect(c.room('r').presence.size).toBe(0);
    expect(c.room('r').presenceComplete).toBe(false);
  });

  it('is empty again when the last member of this node leaves', async () => {
    const { a, b } = await pair();
    const found = byEvents(b);
    b.sessions.get('bob')!.leave('r');
    await turns();
    expect(b.room('r').presence.size).toBe(0);
    expect(found.calls).toBe(1);
    expect(keys(a.room('r').presence)).toEqual(['a/ada']);
    void b.sessions.get('bob')!.join('r');
    await turns();
    expect(shown(b)).toEqual([['a/ada', 'b/bob'], true]);
  });

  it('is not complete in the first 5 s of a hub', async () => {
    const { broker } = await pair();
    const { hub } = node(broker, 'c', SHOWN);
    member(hub, 'cy', 'r');
    await wait(4_900);
    expect(shown(hub)).toEqual([['a/ada', 'b/bob', 'c/cy'], false]);
    await wait(200);
    expect(hub.room('r').presenceComplete).toBe(true);
  });

  it('says the joins of one turn in one message, whose size is bounded', async () => {
    const { broker, b } = await pair();
    const sent: number[] = [];
    const { hub } = node(broker, 'c', SHOWN, (backplane) => ({
      publish: (channel, bytes, keep) => {
        if (channel === 'room/r' && bytes.includes(123)) sent.push(bytes.length);
        return backplane.publish(channel, bytes, keep);
      },
    }));
    await wait(5_000);
    for (let i = 0; i < 100; i++) member(hub, `s${i}`, 'r');
    await turns();
    expect(sent.length).toBe(1);
    for (let i = 0; i < 200; i++) hub.sessions.get(`s${i}`)?.show('r', 'x'.repeat(1_000));
    await turns();
    expect(sent.length).toBeGreaterThan(2);
    expect(Math.max(...sent)).toBeLessThan(65_536);
    expect(b.room('r').presence.size).toBe(102);
    expect(b.room('r').presence.get('c/s99')?.info).toBe('x'.repeat(1_000));
  });

  it('repairs a lost join, a lost leave and a lost change by the next digest', async () => {
    const { broker, a, b } = await pair();
    const leaving = member(b, 'leaving', 'r');
    await turns();
    broker.drop(1, 'a');
    member(b, 'new', 'r');
    await turns();
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob', 'b/leaving']);
    await wait(5_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob', 'b/leaving', 'b/new']);
    broker.drop(1, 'a');
    leaving.leave('r');
    await wait(5_000);
    broker.drop(1, 'a');
    b.sessions.get('bob')!.show('r', 7);
    await wait(5_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob', 'b/new']);
    expect(a.room('r').presence.get('b/bob')?.info).toBe(7);
    expect(a.room('r').presenceComplete).toBe(true);
  });

  it('notices a lost join by the next one, and is not complete meanwhile', async () => {
    const { broker, a, b } = await pair();
    broker.drop(1, 'a');
    member(b, 'lost', 'r');
    await turns();
    broker.delay();
    member(b, 'next', 'r');
    await turns();
    broker.release();
    expect(a.room('r').presenceComplete).toBe(false);
    await turns();
    expect(shown(a)).toEqual([['a/ada', 'b/bob', 'b/lost', 'b/next'], true]);
  });
});

describe('a node', () => {
  it('that dies: its members leave 15 s after its last word', async () => {
    const broker = new MemoryBroker();
    let dead = false;
    const a = node(broker, 'a', SHOWN).hub;
    const b = node(broker, 'b', SHOWN, (backplane) => ({
      publish: async (channel, bytes, keep) =>
        dead ? undefined : backplane.publish(channel, bytes, keep),
    })).hub;
    await wait(5_000);
    member(a, 'ada', 'r');
    member(b, 'bob', 'r');
    await turns();
    const found = byEvents(a);
    dead = true;
    await wait(14_900);
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob']);
    await wait(200);
    expect(keys(a.room('r').presence)).toEqual(['a/ada']);
    expect(found.calls).toBe(1);
    expect(await a.everywhere.count('r')).toEqual({ sessions: 1, nodes: 1, silent: [] });
    // Nothing shows whether it has died or lives beyond a split.
    expect(a.room('r').presenceComplete).toBe(false);
    await wait(50_000);
    expect(a.room('r').presenceComplete).toBe(true);
  });

  it('that was killed and starts again with its id has no members from before', async () => {
    const { broker, a, b } = await pair();
    // The old run stays silent from now on.
    broker.disconnect('b');
    void b;
    const again = node(broker, 'b', SHOWN).hub;
    await turns();
    expect(keys(a.room('r').presence)).toEqual(['a/ada']);
    member(again, 'bert', 'r');
    await wait(5_000);
    expect(shown(a)).toEqual([['a/ada', 'b/bert'], true]);
  });

  it('that closes: its members leave at once, and it is none', async () => {
    const { a, b } = await pair();
    const found = byEvents(a);
    const closing = b.close({ timeout: 10 });
    await wait(10);
    await closing;
    expect(shown(a)).toEqual([['a/ada'], true]);
    expect(await a.everywhere.count('r')).toEqual({ sessions: 1, nodes: 1, silent: [] });
    expect(found.calls).toBe(1);
  });

  it('that was stopped for 20 s: its members leave, and come again', async () => {
    const { broker, a } = await pair();
    let held: (() => void)[] | undefined;
    const { hub: c } = node(broker, 'c', SHOWN, (backplane) => ({
      publish: (channel, bytes, keep) =>
        held === undefined
          ? backplane.publish(channel, bytes, keep)
          : new Promise((resolve) => {
              held!.push(() => resolve(backplane.publish(channel, bytes, keep)));
            }),
    }));
    member(c, 'cy', 'r');
    await wait(5_000);
    const found = byEvents(a);
    held = [];
    await wait(20_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada', 'b/bob']);
    const late = held;
    held = undefined;
    for (const send of late) send();
    await wait(5_000);
    expect(shown(a)).toEqual([['a/ada', 'b/bob', 'c/cy'], true]);
    expect(found.calls).toBe(2);
  });

  it('beyond a split: each side sees its own until the digests meet', async () => {
    const { broker, a, b } = await pair();
    const found = byEvents(a);
    broker.disconnect('b');
    expect(b.room('r').presenceComplete).toBe(false);
    await wait(16_000);
    member(b, 'new', 'r');
    await wait(1_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada']);
    expect(keys(b.room('r').presence)).toEqual(['b/bob', 'b/new']);
    for (const hub of [a, b]) expect(hub.room('r').presenceComplete).toBe(false);
    broker.reconnect('b');
    await wait(5_000);
    for (const hub of [a, b]) {
      expect(shown(hub)).toEqual([['a/ada', 'b/bob', 'b/new'], true]);
    }
    expect(found.calls).toBe(2);
  });

  it('without an engine for a moment loses no member', async () => {
    const { broker, a, b } = await pair();
    const found = byEvents(a);
    broker.disconnect();
    member(b, 'new', 'r');
    expect(a.room('r').presenceComplete).toBe(false);
    await wait(1_000);
    broker.reconnect();
    await turns();
    expect(shown(a)).toEqual([['a/ada', 'b/bob', 'b/new'], true]);
    expect(found.calls).toBe(1);
  });
});

describe('maxPresence', () => {
  it('bounds the members that are shown, and the rest is counted', async () => {
    const broker = new MemoryBroker();
    const [a, b] = ['a', 'b'].map((id) => node(broker, id, { ...SHOWN, maxPresence: 3 }).hub) as [
      Hub,
      Hub,
    ];
    await wait(5_000);
    for (const name of ['1', '2']) member(a, name, 'r');
    for (const name of ['1', '2', '3', '4']) member(b, name, 'r');
    await turns();
    expect(a.room('r').presence.size).toBe(3);
    expect(b.room('r').presence.size).toBe(3);
    expect(a.room('r').presenceComplete).toBe(false);
    expect(await a.everywhere.count('r')).toEqual({ sessions: 6, nodes: 2, silent: [] });
    for (const name of ['1', '2', '3']) b.sessions.get(name)!.leave('r');
    await wait(10_000);
    for (const hub of [a, b]) {
      expect(shown(hub)).toEqual([['a/1', 'a/2', 'b/4'], true]);
    }
  });

  it('shows a member of one node that had no place before', async () => {
    const hub = new Hub({ ...SHOWN, maxPresence: 2 });
    const found = byEvents(hub);
    for (const name of ['1', '2', '3', '4']) member(hub, name, 'r');
    await turns();
    expect(keys(hub.room('r').presence)).toEqual([`${hub.id}/1`, `${hub.id}/2`]);
    hub.sessions.get('3')!.show('r', 'new');
    hub.sessions.get('1')!.leave('r');
    await turns();
    expect(keys(hub.room('r').presence)).toEqual([`${hub.id}/2`, `${hub.id}/3`]);
    expect(hub.room('r').presence.get(`${hub.id}/3`)?.info).toBe('new');
    expect([...found.rooms.get('r')!.keys()].toSorted()).toEqual(keys(hub.room('r').presence));
  });
});
