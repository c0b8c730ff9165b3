import { runInNewContext } from 'node:vm';
import { type Conn, connPair } from '@ws/conn';
import { Hub, type HubOptions, RoomRefusedError, type Session, SessionClosedError } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';
import { turns, useFakeTime, wait } from '../nodes.ts';

function setUp(options: HubOptions = {}) {
  const hub = new Hub(options);
  const failed = vi.fn();
  hub.on('error', (_, error) => failed(error));
  const add = (): { client: Conn; session: Session } => {
    const [client, conn] = connPair();
    return { client, session: hub.add(conn) };
  };
  return { hub, failed, add, ...add() };
}

/** A promise of another realm, such as the one that Jest's tests run in. */
function foreignPromise(value: unknown): Promise<never> {
  return runInNewContext('Promise.resolve(value)', { value }) as Promise<never>;
}

const nameOf = ({ rooms }: Session): string[] => [...rooms];
const settled = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error) => error);

useFakeTime();

describe('session.join', () => {
  it('makes the session a member within the call, and resolves', async () => {
    const { hub, session, client } = setUp({ mayJoin: () => true });
    const joined = session.join('r');
    expect(nameOf(session)).toEqual(['r']);
    void hub.room('r').publish('at once');
    expect(await joined).toEqual({
      room: hub.room('r'),
      complete: true,
      position: undefined,
    });
    expect((await client.readMessage()).text()).toBe('at once');
    expect(await session.join('r')).toEqual(await joined);
  });

  it('resolves to the room that the session is in, also after the room has started again', async () => {
    const { session, add } = setUp();
    const { room } = await session.join('r');
    session.leave('r');
    const again = await session.join('r');
    expect([...again.room.members]).toEqual([session]);
    expect([...room.members]).toEqual([session]);
    const other = add().session;
    expect((await other.join('r')).room.members.size).toBe(2);
  });

  it('resolves when an async mayJoin has admitted the session, for all calls', async () => {
    let decide: ((admits: boolean) => void) | undefined;
    const mayJoin = vi.fn(() => new Promise<boolean>((resolve) => (decide = resolve)));
    const { session } = setUp({ mayJoin });
    const joins = [session.join('r'), session.join('r')];
    let members: string[] | undefined;
    void joins[0]!.then(() => (members = nameOf(session)));
    await turns();
    expect([nameOf(session), members]).toEqual([[], undefined]);
    decide!(true);
    const results = await Promise.all(joins);
    expect(members).toEqual(['r']);
    expect(results[0]!.room.members.has(session)).toBe(true);
    expect(mayJoin).toHaveBeenCalledTimes(1);
  });

  it('rejects when the session leaves or ends before the decision', async () => {
    const { hub, session } = setUp({ mayJoin: () => new Promise(() => {}) });
    const entered = vi.fn();
    hub.on('entered', entered);
    const left = settled(session.join('a'));
    session.leave('a');
    expect(await left).toBeInstanceOf(RoomRefusedError);
    expect(String(await left)).toContain('left');
    const ended = settled(session.join('b'));
    void session.close();
    expect(await ended).toBeInstanceOf(SessionClosedError);
    expect(await settled(session.join('c'))).toBeInstanceOf(SessionClosedError);
    expect(entered).not.toHaveBeenCalled();
    expect(hub.stats.refused).toBe(0);
  });

  it('may be called again after leave, before the first decision', async () => {
    const decide: ((admits: boolean) => void)[] = [];
    const { session } = setUp({ mayJoin: () => new Promise((resolve) => decide.push(resolve)) });
    const first = settled(session.join('r'));
    session.leave('r');
    const second = settled(session.join('r'));
    decide[0]!(true);
    await turns();
    expect(nameOf(session)).toEqual([]);
    decide[1]!(false);
    expect([await first, await second].map(String)).toEqual([
      expect.stringContaining('left'),
      expect.stringContaining('mayJoin returned false'),
    ]);
  });

  it('settles a join of the same room within an async mayJoin', async () => {
    let nested: Promise<unknown> | undefined;
    const { session } = setUp({
      mayJoin: async (other, room) => {
        nested ??= other.join(room);
        return true;
      },
    });
    await session.join('r');
    await expect(nested).rejects.toThrow('joined within mayJoin');
    expect(nameOf(session)).toEqual(['r']);
  });

  it('leaves no rejection unhandled', async () => {
    const unhandled = vi.fn();
    process.on('unhandledRejection', unhandled);
    try {
      const { session, failed } = setUp({
        mayJoin: (_, room) => (room === 'async' ? Promise.resolve(false) : false),
      });
      for (const room of ['async', 'sync', 'x'.repeat(257), 5 as never]) void session.join(room);
      await session.close();
      void session.join('r');
      await turns();
      expect(unhandled).not.toHaveBeenCalled();
      await wait(1_000);
      expect(failed.mock.calls.flat().map(String)).toEqual([
        expect.stringContaining('"sync" refused'),
        expect.stringMatching(/: \d joins were refused/),
      ]);
    } finally {
      process.off('unhandledRejection', unhandled);
    }
  });

  it('checks the bounds again after an async mayJoin', async () => {
    const { session, hub } = setUp({ mayJoin: async () => true, maxRooms: 1 });
    const results = await Promise.all(['a', 'b'].map((room) => settled(session.join(room))));
    expect(nameOf(session)).toEqual(['a']);
    expect(String(results[1])).toContain('the hub has 1 rooms (option maxRooms)');
    expect(hub.stats.refused).toBe(1);
  });
});

describe('the option mayJoin', () => {
  it('admits a session with true only', async () => {
    const answers = new Map<string, unknown>([
      ['open', true],
      ['closed', false],
      ['one', 1],
      ['text', 'yes'],
      ['object', {}],
    ]);
    const mayJoin = (_: Session, room: string): boolean => answers.get(room) as boolean;
    const { session, hub } = setUp({ mayJoin });
    await session.join('open');
    for (const room of ['closed', 'one', 'text', 'object', 'undefined']) {
      await expect(session.join(room), room).rejects.toThrow(RoomRefusedError);
    }
    expect(nameOf(session)).toEqual(['open']);
    expect(hub.stats.refused).toBe(5);
  });

  it('admits a session with a promise of true only, of any realm', async () => {
    const answers = new Map<string, unknown>([
      ['open', Promise.resolve(true)],
      ['foreign', foreignPromise(true)],
      ['closed', Promise.resolve(false)],
      ['foreign closed', foreignPromise(undefined)],
      ['rejects', Promise.reject(new Error('the database is away'))],
    ]);
    const { session } = setUp({ mayJoin: (_, room) => answers.get(room) as boolean });
    const joins = Array.from(answers.keys(), (room) => settled(session.join(room)));
    expect(nameOf(session)).toEqual([]);
    const errors = (await Promise.all(joins)).filter((result) => result instanceof Error);
    expect(nameOf(session)).toEqual(['open', 'foreign']);
    expect(errors.map(String).toSorted()).toEqual([
      expect.stringContaining('"closed" refused: mayJoin returned false'),
      expect.stringContaining('"foreign closed" refused: mayJoin returned undefined'),
      expect.stringContaining('"rejects" refused: mayJoin rejected'),
    ]);
    expect(session.state).toBe('open');
  });

  it('that throws admits no session, and error reports it', async () => {
    const mistake = new Error('mistake');
    const { session, failed } = setUp({
      mayJoin() {
        throw mistake;
      },
    });
    await expect(session.join('r')).rejects.toMatchObject({ cause: mistake });
    expect(failed.mock.calls).toEqual([[mistake]]);
    expect(nameOf(session)).toEqual([]);
  });

  it('that returns a promise which cannot be read admits no session, and counts', async () => {
    const hostile = new Proxy(Promise.resolve(true), {
      get() {
        throw new Error('mistake');
      },
    });
    const { hub, session, failed } = setUp({ mayJoin: () => hostile });
    const error = await settled(session.join('r'));
    expect(error).toBeInstanceOf(RoomRefusedError);
    expect(error).toMatchObject({
      cause: new TypeError('mayJoin: expected true or false, got object, which refuses'),
    });
    expect(failed.mock.calls).toEqual([[error]]);
    expect([nameOf(session), hub.stats.refused]).toEqual([[], 1]);
  });

  it('refuses another value than a function', () => {
    expect(() => new Hub({ mayJoin: true as never })).toThrow('mayJoin: expected a function');
  });

  it('that closes the session admits it to no room', async () => {
    const { hub, session } = setUp({
      mayJoin(one) {
        void one.close(4401);
        return true;
      },
    });
    await expect(session.join('r')).rejects.toThrow(SessionClosedError);
    expect(hub.stats.rooms).toBe(0);
  });
});

describe.each([
  ['sync', () => false],
  ['async', () => Promise.resolve(false)],
])('a refused join (%s mayJoin)', (_, mayJoin) => {
  it('is reported at most once a second, and closes no session', async () => {
    const { hub, failed, client, session } = setUp({ mayJoin });
    hub.on('message', (one, message) => void one.join(message.text()));
    for (let i = 0; i < 2_000; i++) await client.send(`secret ${i}`);
    await expect.poll(() => hub.stats.refused).toBe(2_000);
    await wait(1_000);
    expect(failed.mock.calls.flat().map(String)).toEqual([
      expect.stringContaining('room "secret 0" refused'),
      expect.stringContaining('1999 joins were refused'),
    ]);
    expect(hub.stats.refused).toBe(2_000);
    expect(session.state).toBe('open');
  });

  it('closes nothing when a listener rejects with it, and counts once', async () => {
    const { hub, failed, client, session } = setUp({ mayJoin });
    hub.on('message', (one) => one.join('secret'));
    await client.send('join');
    await expect.poll(() => hub.stats.refused).toBe(1);
    await turns();
    await wait(1_000);
    expect(failed).toHaveBeenCalledExactlyOnceWith(expect.any(RoomRefusedError));
    expect([session.state, hub.stats.refused]).toEqual(['open', 1]);
  });

  it('does not give the history to a listener that awaits it', async () => {
    const { hub, client } = setUp({ mayJoin, rooms: { r: { history: true } } });
    await hub.room('r').publish('secret');
    const reads = vi.fn();
    hub.on('message', async (session) => {
      const { room } = await session.join('r');
      reads(await room.history());
    });
    await client.send('join');
    await turns();
    expect(reads).not.toHaveBeenCalled();
  });
});

describe('the events entered and left', () => {
  it('have replaced join and leave', () => {
    const { hub } = setUp();
    const on = (event: string) => hub.on(event as 'connect', () => {});
    expect(() => on('join')).toThrow(/entered/);
    expect(() => on('leave')).toThrow(/left/);
  });

  it('come after the membership began and ended', async () => {
    const { hub, session } = setUp({ mayJoin: async (_, room) => room === 'open' });
    const events: unknown[] = [];
    hub.on('entered', (one, room) => void events.push(['entered', room, one.rooms.has(room)]));
    hub.on('left', (one, room) => void events.push(['left', room, one.rooms.has(room)]));
    await Promise.all(['open', 'secret'].map((room) => settled(session.join(room))));
    session.leave('open');
    expect(events).toEqual([
      ['entered', 'open', true],
      ['left', 'open', false],
    ]);
  });

  it('ignore the values and the promises of their listeners', async () => {
    const { hub, session } = setUp();
    hub.on('entered', () => false);
    hub.on('entered', () => new Promise(() => {}));
    await session.join('r');
    expect(nameOf(session)).toEqual(['r']);
  });

  it('are called in pairs when a listener fails, leaves or closes', async () => {
    const { hub, add } = setUp();
    const counts = new Map<string, number>();
    const count = (room: string, by: number) => counts.set(room, (counts.get(room) ?? 0) + by);
    hub.on('entered', (_, room) => void count(room, 1));
    hub.on('left', (_, room) => void count(room, -1));
    hub.on('entered', (session, room) => {
      if (room === 'throws') throw new Error('mistake');
      if (room === 'leaves') session.leave(room);
      if (room === 'closes') void session.close();
    });
    hub.on('left', (_, room) => {
      if (room === 'throws at the end') throw new Error('mistake');
    });
    const results: unknown[] = [];
    for (const room of ['throws', 'leaves', 'closes', 'throws at the end']) {
      const { session } = add();
      results.push(await settled(session.join(room)));
      session.leave(room);
    }
    expect(results.slice(0, 3).map((result) => (result as Error).name)).toEqual([
      'SessionClosedError',
      'RoomRefusedError',
      'SessionClosedError',
    ]);
    expect([...counts.values()]).toEqual([0, 0, 0, 0]);
    // A listener of `entered` that leaves has refused the join.
    expect([hub.stats.rooms, hub.stats.refused]).toEqual([0, 1]);
  });

  it('reach each listener in order when an earlier one leaves, joins again, fails or closes', async () => {
    const { hub, add } = setUp();
    const first = new Set<string>();
    hub.on('entered', (session, room) => {
      if (first.has(room)) return;
      first.add(room);
      if (room === 'throws') throw new Error('mistake');
      if (room === 'closes') void session.close();
      if (room.startsWith('leaves')) session.leave(room);
      if (room === 'leaves and joins') void session.join(room);
    });
    hub.on('left', (session, room) => {
      if (room === 'joins again' && session.rooms.size === 0) void session.join(room);
    });
    const log: string[] = [];
    hub.on('entered', (_, room) => void log.push(`entered ${room}`));
    hub.on('left', (_, room) => void log.push(`left ${room}`));
    const seen: Record<string, string[]> = {};
    for (const room of ['throws', 'closes', 'leaves', 'leaves and joins', 'joins again']) {
      const { session } = add();
      void session.join(room);
      if (room === 'joins again') session.leave(room);
      seen[room] = log.splice(0).map((line) => line.split(' ')[0]!);
    }
    expect(seen).toEqual({
      throws: ['entered', 'left'],
      closes: ['entered', 'left'],
      leaves: ['entered', 'left'],
      'leaves and joins': ['entered', 'left', 'entered'],
      'joins again': ['entered', 'left', 'entered'],
    });
  });

  it('end a circle of listeners that leave and join: the last join is refused', async () => {
    const { hub, session, failed } = setUp();
    const log: string[] = [];
    hub.on('entered', (one, room) => {
      log.push('entered');
      one.leave(room);
    });
    hub.on('left', (one, room) => {
      log.push('left');
      void one.join(room);
    });
    await expect(session.join('r')).rejects.toThrow(RoomRefusedError);
    const pairs = log.length / 2;
    expect(log).toEqual(Array.from({ length: pairs }, () => ['entered', 'left']).flat());
    expect(pairs).toBeLessThanOrEqual(100);
    expect(nameOf(session)).toEqual([]);
    expect(failed.mock.calls.map(String)).toEqual([expect.stringContaining('in a circle')]);
    // The join in the last call of left, and the one above.
    expect(hub.stats.refused).toBe(2);
    await session.close();
    expect(hub.stats.rooms).toBe(0);
  });

  it('are called in pairs by random programs', async () => {
    for (let seed = 1; seed <= 20; seed++) await randomProgram(seed);
  });
});

/** Sessions join, leave, close and end in any order, with an async mayJoin and bounds. */
async function randomProgram(seed: number): Promise<void> {
  let state = seed;
  const random = (most: number): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state % most;
  };
  const { hub, add } = setUp({
    maxRooms: 3,
    maxRoomsPerSession: 2,
    mayJoin: () => {
      const [admits, how] = [random(4) > 0, random(3)];
      return how === 0 ? admits : turns().then(() => admits);
    },
  });
  const inside = new Set<string>();
  const wrong: string[] = [];
  hub.on('entered', ({ id }, room) => {
    if (inside.has(`${id} ${room}`)) wrong.push(`entered ${room} twice`);
    inside.add(`${id} ${room}`);
  });
  hub.on('left', ({ id }, room) => {
    if (!inside.delete(`${id} ${room}`)) wrong.push(`left ${room} without entered`);
  });
  const all: ReturnType<typeof add>[] = [];
  for (let step = 0; step < 60; step++) {
    const one = random(3) === 0 || all.length === 0 ? add() : all[random(all.length)]!;
    all.push(one);
    const room = `room ${random(5)}`;
    const what = random(8);
    if (what < 4) void one.session.join(room);
    else if (what < 6) one.session.leave(room);
    else if (what === 6) one.client.terminate();
    else void one.session.close(4401);
    if (random(4) === 0) await turns();
  }
  await turns();
  for (const { client } of all) client.terminate();
  await turns();
  expect({ seed, wrong, inside: [...inside], rooms: hub.stats.rooms }).toEqual({
    seed,
    wrong: [],
    inside: [],
    rooms: 0,
  });
}

describe('a filter', () => {
  it('that returns a promise of another realm selects no session', async () => {
    const { hub, session } = setUp();
    void session.join('r');
    const filter = (() => foreignPromise(false)) as never;
    await expect(hub.room('r').publish('x', { filter })).rejects.toThrow('must be synchronous');
  });
});
