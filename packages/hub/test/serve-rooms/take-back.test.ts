// The application takes a right back while it decides about it.
import { Hub, type Session } from '@ws/hub';
import type { RoomTable } from '@ws/hub/rooms';
import { describe, expect, it, vi } from 'vitest';
import { enter, useFakeTime, wait } from '../nodes.ts';
import { startClient, startNode, startRaw, turns } from './setup.ts';

const REFUSED = { code: -32_001, message: 'room refused' };
const LATER = { code: -32_000 };
const ID = 'A'.repeat(22);

useFakeTime();

/** A right, and a function that reads it at once and answers when the test lets it. */
function slowRight() {
  const right = { isGiven: true };
  const answers: (() => void)[] = [];
  const may = vi.fn((): Promise<boolean> => {
    const { isGiven } = right;
    return new Promise((resolve) => answers.push(() => resolve(isGiven)));
  });
  const answer = async (): Promise<void> => {
    answers.shift()!();
    await turns();
  };
  return { right, may, answer, answers };
}

const leaveAll = (sessions: Iterable<Session<string>>): void => {
  for (const session of sessions) session.leave('r');
};

describe('A2 session.leave while mayJoin is pending', () => {
  it('takes back the join: mayJoin is asked again', async () => {
    const { right, may, answer } = slowRight();
    const { node, hub } = startNode({ r: { mayJoin: may, history: true } });
    const { ask, session } = startRaw(node);
    const joined = ask('room.join', { room: 'r' });
    await turns();
    right.isGiven = false;
    leaveAll(hub.sessions.values());
    await answer();
    expect(session.rooms.has('r')).toBe(false);
    await answer();
    expect((await joined).error).toEqual(REFUSED);
    expect(may).toHaveBeenCalledTimes(2);
  });

  it('admits a client that still may join', async () => {
    const { may, answer } = slowRight();
    const { node } = startNode({ r: { mayJoin: may } });
    const { ask, session } = startRaw(node);
    const joined = ask('room.join', { room: 'r' });
    await turns();
    session.leave('r');
    await answer();
    await answer();
    expect((await joined).result).toMatchObject({ complete: true });
    expect(session.rooms.has('r')).toBe(true);
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20])(
    'takes back the join %i microtasks after the answer',
    async (count) => {
      const { right, may, answer, answers } = slowRight();
      const { node } = startNode({ r: { mayJoin: may } });
      const { ask, session } = startRaw(node);
      void ask('room.join', { room: 'r' }).catch(() => {});
      await turns();
      answers.shift()!();
      for (let i = 0; i < count; i++) await Promise.resolve();
      right.isGiven = false;
      session.leave('r');
      await turns();
      if (answers.length > 0) await answer();
      expect(session.rooms.has('r')).toBe(false);
    },
  );

  it('takes back a question that has timed out: the next join asks anew', async () => {
    const { right, may, answer } = slowRight();
    const { node, hub } = startNode({ r: { mayJoin: may } });
    const { ask, session } = startRaw(node);
    const first = ask('room.join', { room: 'r' });
    await wait(10_000);
    expect((await first).error).toMatchObject(LATER);
    right.isGiven = false;
    leaveAll(hub.sessions.values());
    const second = ask('room.join', { room: 'r' });
    await turns();
    await answer();
    expect(session.rooms.has('r')).toBe(false);
    await answer();
    expect((await second).error).toEqual(REFUSED);
  });

  it('ends the questions of a function that always takes back', async () => {
    const mayJoin = vi.fn(async (session: Session<string>, room: string) => {
      session.leave(room);
      return true;
    });
    const { node } = startNode({ r: { mayJoin } });
    const { ask, session } = startRaw(node);
    expect((await ask('room.join', { room: 'r' })).error).toMatchObject(LATER);
    expect(mayJoin).toHaveBeenCalledTimes(3);
    expect(session.rooms.has('r')).toBe(false);
  });

  it('takes back the join of a room that mayJoin of another room joins', async () => {
    const { right, may, answer } = slowRight();
    const table: RoomTable<string> = {
      r: { mayJoin: may },
      'team/*': {
        mayJoin: async (session) => {
          await session.join('r').catch(() => {});
          return true;
        },
      },
    };
    const { node } = startNode(table);
    const { ask, session } = startRaw(node);
    const joined = ask('room.join', { room: 'team/red' });
    await turns();
    right.isGiven = false;
    session.leave('r');
    await answer();
    expect((await joined).result).toMatchObject({ complete: true });
    expect([...session.rooms.keys()]).toEqual(['team/red']);
  });

  it.each(['leave', 'everywhere.close'])('reaches a client that asks again: %s', async (how) => {
    const { right, may, answer } = slowRight();
    const { node, hub } = startNode({ 'chat/*': { mayJoin: may, history: true } });
    const { rooms } = startClient(node);
    const next = rooms.join('chat/1').next();
    next.catch(() => {});
    await turns();
    right.isGiven = false;
    if (how === 'leave') for (const session of hub.sessions.values()) session.leave('chat/1');
    else await hub.everywhere.close({ room: 'chat/1' }, 1008);
    await answer();
    if (how === 'leave') {
      await answer();
      await expect(next).rejects.toThrow('refused');
    }
    await wait(2_000);
    expect(hub.room('chat/1').members.size).toBe(0);
  });
});

describe('A2 session.leave in a function that decides', () => {
  it.each(['mayJoin', 'presence'])('takes back the join of a hub: %s', async (name) => {
    const leaves = (session: Session): boolean => {
      session.leave('r');
      return true;
    };
    const options =
      name === 'mayJoin' ? { mayJoin: leaves } : { rooms: { r: { presence: leaves } } };
    const hub = new Hub(options);
    const { session } = enter(hub);
    await expect(session.join('r')).rejects.toThrow('left before the decision');
    expect(session.rooms.has('r')).toBe(false);
    expect(hub.room('r').presence.size).toBe(0);
  });
});

describe('A2 a publication in flight', () => {
  it.each(['mayPublish', 'schema'])('is refused after a leave and a new join: %s', async (name) => {
    const { may, answer, answers } = slowRight();
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value: unknown) => {
          await may();
          return { value };
        },
      },
    } as never;
    const rules =
      name === 'schema' ? { mayPublish: async () => true, schema } : { mayPublish: may };
    const { node, hub } = startNode({ r: { mayJoin: true, history: true, ...rules } });
    const { ask, send, next, session } = startRaw(node);
    await ask('room.join', { room: 'r' });
    await send('room.publish', { room: 'r', id: ID, data: 1 }, 7);
    await turns();
    expect(answers).toHaveLength(1);
    session.leave('r');
    await session.join('r');
    await answer();
    const answered = [await next(), await next()];
    expect(answered[1]).toMatchObject({ id: 7, error: REFUSED });
    expect((await hub.room('r').history()).messages).toEqual([]);
  });
});
