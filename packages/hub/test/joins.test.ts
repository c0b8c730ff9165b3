import { runInNewContext } from 'node:vm';
import { connPair } from '@ws/conn';
import { Hub, type HubOptions, RoomRefusedError, type Session } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';
import { turns } from './nodes.ts';

function setUp(options: HubOptions = {}) {
  const hub = new Hub(options);
  const failed = vi.fn();
  hub.on('error', (_, error) => failed(error));
  const [, conn] = connPair();
  return { hub, failed, session: hub.add(conn) };
}

/** A promise of another realm, such as the one that Jest's tests run in. */
function foreignPromise(value: unknown): Promise<never> {
  return runInNewContext('Promise.resolve(value)', { value }) as Promise<never>;
}

const nameOf = ({ rooms }: Session): string[] => [...rooms];

describe('the option mayJoin', () => {
  it('admits a session with true only', () => {
    const answers = new Map<string, unknown>([
      ['open', true],
      ['closed', false],
      ['one', 1],
      ['text', 'yes'],
      ['object', {}],
    ]);
    const mayJoin = (_: Session, room: string): boolean => answers.get(room) as boolean;
    const { session } = setUp({ mayJoin });
    session.join('open');
    for (const room of ['closed', 'one', 'text', 'object', 'undefined']) {
      expect(() => session.join(room), room).toThrow(RoomRefusedError);
    }
    expect(nameOf(session)).toEqual(['open']);
  });

  it('admits a session with a promise of true only, of any realm', async () => {
    const answers = new Map<string, unknown>([
      ['open', Promise.resolve(true)],
      ['foreign', foreignPromise(true)],
      ['closed', Promise.resolve(false)],
      ['foreign closed', foreignPromise(undefined)],
      ['rejects', Promise.reject(new Error('the database is away'))],
    ]);
    const { session, failed } = setUp({ mayJoin: (_, room) => answers.get(room) as boolean });
    for (const room of answers.keys()) session.join(room);
    expect(nameOf(session)).toEqual([]);
    await turns();
    expect(nameOf(session)).toEqual(['open', 'foreign']);
    const errors = failed.mock.calls.flat().map(String).toSorted();
    expect(errors).toEqual([
      expect.stringContaining('"closed" refused: mayJoin returned false'),
      expect.stringContaining('"foreign closed" refused: mayJoin returned undefined'),
      expect.stringContaining('"rejects" refused: mayJoin rejected'),
    ]);
    expect(session.state).toBe('open');
  });

  it('that throws admits no session, and error reports it', () => {
    const mistake = new Error('mistake');
    const { session, failed } = setUp({
      mayJoin() {
        throw mistake;
      },
    });
    expect(() => session.join('r')).toThrow(expect.objectContaining({ cause: mistake }));
    expect(failed.mock.calls).toEqual([[mistake]]);
    expect(nameOf(session)).toEqual([]);
  });

  it('refuses another value than a function', () => {
    expect(() => new Hub({ mayJoin: true as never })).toThrow('mayJoin: expected a function');
  });

  it('does not admit a session that has left meanwhile', async () => {
    const { hub, session } = setUp({ mayJoin: async () => true });
    const joined = vi.fn();
    hub.on('join', (_, room) => joined(room));
    session.join('r');
    session.leave('r');
    await turns();
    expect(nameOf(session)).toEqual([]);
    expect(joined).not.toHaveBeenCalled();
  });
});

describe('the event join', () => {
  it('comes after mayJoin has admitted, and before the session is a member', async () => {
    const { hub, session } = setUp({ mayJoin: async (_, room) => room === 'open' });
    const joins: [string, boolean][] = [];
    hub.on('join', (one, room) => void joins.push([room, one.rooms.has(room)]));
    session.join('open');
    session.join('secret');
    expect(joins).toEqual([]);
    await turns();
    expect(joins).toEqual([['open', false]]);
    expect(nameOf(session)).toEqual(['open']);
  });

  it.each([true, false, null, 0, ''])('refuses the join when a listener returns %j', (value) => {
    const { hub, session } = setUp();
    hub.on('join', () => value as never);
    expect(() => session.join('r')).toThrow(RoomRefusedError);
    expect(() => session.join('r')).toThrow('the option mayJoin decides');
    expect(nameOf(session)).toEqual([]);
    expect(session.state).toBe('open');
  });

  it.each([
    ['of this realm', (value: unknown) => Promise.resolve(value)],
    ['of another realm', foreignPromise],
  ])('refuses the join when a listener returns a promise of a value (%s)', async (_, promise) => {
    const { hub, session, failed } = setUp();
    hub.on('join', (_one, room) => promise(room === 'r' ? true : undefined) as Promise<void>);
    session.join('r');
    session.join('s');
    expect(nameOf(session)).toEqual([]);
    await turns();
    expect(nameOf(session)).toEqual(['s']);
    expect(failed.mock.calls).toEqual([[expect.any(RoomRefusedError)]]);
    expect(String(failed.mock.calls[0])).toContain('the option mayJoin decides');
  });

  it('makes the session a member when the promise of a listener has settled', async () => {
    const { hub, session } = setUp({ mayJoin: () => true });
    let settle: (() => void) | undefined;
    hub.on('join', () => new Promise<void>((resolve) => (settle = resolve)));
    session.join('r');
    await turns();
    expect(nameOf(session)).toEqual([]);
    settle!();
    await turns();
    expect(nameOf(session)).toEqual(['r']);
  });
});

describe('a filter', () => {
  it('that returns a promise of another realm selects no session', async () => {
    const { hub, session } = setUp();
    session.join('r');
    const filter = (() => foreignPromise(false)) as never;
    await expect(hub.room('r').publish('x', { filter })).rejects.toThrow('must be synchronous');
  });
});
