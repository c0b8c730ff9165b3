// The option `state` of rooms of a Hub.
import { connPair } from '@ws/conn';
import { Hub, type HubOptions, type Joined } from '@ws/hub';
import { describe, expect, it } from 'vitest';

type Room = NonNullable<HubOptions['rooms']>[string];

/** A hub whose members get each message with its offset, and a session of it. */
function setUp(state: NonNullable<Room['state']>, more: Room = {}) {
  const hub = new Hub({
    rooms: {
      r: {
        history: true,
        form: (message, { position }) => `${position?.offset} ${message.text()}`,
        state,
        ...more,
      },
    },
  });
  const errors: string[] = [];
  const events: string[] = [];
  hub.on('error', (_, error) => void errors.push(String(error)));
  hub.on('entered', () => void events.push('entered'));
  hub.on('left', () => void events.push('left'));
  const [client, conn] = connPair({ report: () => {} });
  const session = hub.add(conn);
  const next = async (): Promise<string> => (await client.readMessage()).text();
  return { hub, session, next, errors, events, room: hub.room('r') };
}

describe('the option state of a room', () => {
  it('gives a join with options first, then the state, then what follows its position', async () => {
    const { session, next, room } = setUp(async (name, { position }) => {
      await room.publish('meanwhile');
      return `state of ${name} at ${position?.offset}`;
    });
    await room.publish('before');
    const firsts: Joined[] = [];
    const joined = session.join('r', {
      first: (each) => {
        firsts.push(each);
        return 'first';
      },
    });
    expect([await next(), await next(), await next()]).toEqual([
      'first',
      'state of r at 1',
      '2 meanwhile',
    ]);
    expect(firsts).toMatchObject([{ complete: true, position: { offset: 1 } }]);
    expect(await joined).toMatchObject({ complete: true, position: { offset: 2 } });
  });

  it('is not called for a join without options, or whose since is complete', async () => {
    let calls = 0;
    const { session, next, room, events } = setUp(() => `state ${++calls}`);
    const since = await room.publish('1');
    await room.publish('2');
    await session.join('r');
    expect(events).toEqual(['entered']);
    await session.join('r', { since });
    expect(await next()).toBe('2 2');
    expect(calls).toBe(0);
    await session.join('r', { since: { epoch: 'other', offset: 1 } });
    expect(await next()).toBe('state 1');
    expect(events).toEqual(['entered']);
  });

  it.each([[{}], [{ since: undefined }]])(
    'is called for a first visit with %j',
    async (options) => {
      const { session, next } = setUp(() => 'state');
      const joined = session.join('r', options);
      expect(await next()).toBe('state');
      expect(await joined).toMatchObject({ complete: true, position: { offset: 0 } });
    },
  );

  it('may be empty, also of two rooms that a session joins at a time', async () => {
    const hub = new Hub({ rooms: { '*': { history: true, state: () => '' } } });
    const session = hub.add(connPair({ report: () => {} })[1]);
    const joins = ['1', '2', '3'].map((name) => session.join(name, { limit: 0 }));
    expect(await Promise.all(joins)).toMatchObject(joins.map(() => ({ complete: true })));
  });

  it('rejects the join with its error, which is reported once', async () => {
    const failure = new Error('no database');
    const { session, errors, events, room } = setUp(async () => {
      throw failure;
    });
    await expect(session.join('r', { limit: 1 })).rejects.toBe(failure);
    expect(errors).toEqual(['Error: no database']);
    expect([events, room.members.size, session.rooms.size]).toEqual([[], 0, 0]);
  });

  it('leaves a member its messages until the state comes, also when it fails', async () => {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    let fails = true;
    const { session, events, next, room } = setUp(async (_, { position }) => {
      await opened;
      if (fails) throw new Error('no database');
      return `state at ${position?.offset}`;
    });
    await session.join('r');
    const joined = session.join('r', {});
    await expect(session.join('r', {})).rejects.toThrow(/resuming/);
    await room.publish('meanwhile');
    expect(await next()).toBe('1 meanwhile');
    open();
    await expect(joined).rejects.toThrow('no database');
    await room.publish('after');
    expect(await next()).toBe('2 after');
    fails = false;
    expect(await session.join('r', {})).toMatchObject({ complete: true });
    expect(await next()).toBe('state at 2');
    expect(events).toEqual(['entered']);
  });

  it.each(['leaves', 'ends'])('is given up by a member that %s', async (how) => {
    let signal: { readonly aborted: boolean } | undefined;
    const { session } = setUp((_, run) => {
      ({ signal } = run);
      return new Promise(() => {});
    });
    await session.join('r');
    const joined = session.join('r', {});
    await expect.poll(() => signal).toBeDefined();
    if (how === 'leaves') session.leave('r');
    else void session.close();
    await expect(joined).rejects.toThrow();
    expect(signal!.aborted).toBe(true);
  });

  it('sends nothing to a session that a listener of entered takes out', async () => {
    const { session, hub, next, room } = setUp(() => 'state');
    hub.on('entered', () => session.leave('r'));
    await expect(session.join('r', { limit: 1 })).rejects.toThrow(/left/);
    expect(await next()).toBe('state');
    await room.publish('after');
    session.send('end');
    expect(await next()).toBe('end');
  });

  it('may be bytes, and of at most 1 MiB', async () => {
    const { session, hub, next, errors } = setUp((_, { position }) =>
      position?.offset === 0 ? new Uint8Array(1_048_577) : Uint8Array.of(65),
    );
    await expect(session.join('r', { limit: 1 })).rejects.toThrow(RangeError);
    expect(errors).toHaveLength(1);
    await hub.room('r').publish('1');
    await session.join('r', { limit: 1 });
    expect(await next()).toBe('A');
  });

  it.each<[string, Room, RegExp]>([
    ['without history', { state: () => '', history: false }, /state: needs history/],
    ['that is no function', { state: 'x' as never, history: true }, /state/],
  ])('is refused %s', (_, options, message) => {
    expect(() => new Hub({ rooms: { r: options } })).toThrow(message);
  });
});
