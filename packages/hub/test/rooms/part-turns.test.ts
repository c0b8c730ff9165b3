import { BackplaneError } from '@ws/hub';
import { nodePlatform } from '@ws/node-io';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PartTurns } from '../../src/rooms/part-turns.ts';
import type { Session } from '../../src/sessions/session.ts';

const session = {} as Session;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => vi.useRealTimers());

/** The turns of a session, three of which are taken. */
function taken() {
  const turns = new PartTurns({ platform: nodePlatform });
  const [a, b, c] = [turns.take(session), turns.take(session), turns.take(session)];
  const log: string[] = [];
  b.begins!.promise.then(
    () => log.push('b'),
    () => log.push('b fails'),
  );
  c.begins!.promise.then(
    () => log.push('c'),
    () => log.push('c fails'),
  );
  return { turns, a, b, c, log };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('PartTurns', () => {
  it('gives a turn after another', async () => {
    const { turns, a, b, log } = taken();
    expect(a.begins).toBeUndefined();
    turns.leave(session, a, undefined);
    await settled();
    expect(log).toEqual(['b']);
    turns.leave(session, b, undefined);
    await settled();
    expect(log).toEqual(['b', 'c']);
  });

  it('keeps no place of a resume that has left', async () => {
    const { turns, a, b, c, log } = taken();
    turns.leave(session, b, undefined);
    await settled();
    expect(log).toEqual(['b']);
    turns.leave(session, a, undefined);
    await settled();
    expect(log).toEqual(['b', 'c']);
    turns.leave(session, c, undefined);
    expect(turns.take(session).begins).toBeUndefined();
  });

  it('fails those that have waited for a read without an answer', async () => {
    const { turns, a, log } = taken();
    vi.advanceTimersByTime(1);
    const later = turns.take(session);
    vi.advanceTimersByTime(5_000);
    turns.leave(session, a, new BackplaneError('no answer'));
    await settled();
    expect(log).toEqual(['b fails', 'c fails']);
    await later.begins!.promise;
  });

  it('goes on after a read that the engine has refused', async () => {
    const { turns, a, log } = taken();
    turns.leave(session, a, new BackplaneError('refused'));
    await settled();
    expect(log).toEqual(['b']);
  });
});
