import { BackplaneError } from '@ws/hub';
import { nodePlatform } from '@ws/node-io';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PartQueues } from '../../src/rooms/part-queues.ts';
import type { Session } from '../../src/sessions/session.ts';

const session = {} as Session;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => vi.useRealTimers());

/** The queues of a session, three of which are taken. */
function taken() {
  const queues = new PartQueues({ platform: nodePlatform });
  const [a, b, c] = [queues.take(session), queues.take(session), queues.take(session)];
  const log: string[] = [];
  b.begins!.promise.then(
    () => log.push('b'),
    () => log.push('b fails'),
  );
  c.begins!.promise.then(
    () => log.push('c'),
    () => log.push('c fails'),
  );
  return { queues, a, b, c, log };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('PartQueues', () => {
  it('gives a turn after another', async () => {
    const { queues, a, b, log } = taken();
    expect(a.begins).toBeUndefined();
    queues.leave(session, a, undefined);
    await settled();
    expect(log).toEqual(['b']);
    queues.leave(session, b, undefined);
    await settled();
    expect(log).toEqual(['b', 'c']);
  });

  it('keeps no place of a resume that has left', async () => {
    const { queues, a, b, c, log } = taken();
    queues.leave(session, b, undefined);
    await settled();
    expect(log).toEqual(['b']);
    queues.leave(session, a, undefined);
    await settled();
    expect(log).toEqual(['b', 'c']);
    queues.leave(session, c, undefined);
    expect(queues.take(session).begins).toBeUndefined();
  });

  it('fails those that have waited for a read without an answer', async () => {
    const { queues, a, log } = taken();
    vi.advanceTimersByTime(1);
    const later = queues.take(session);
    vi.advanceTimersByTime(5_000);
    queues.leave(session, a, new BackplaneError('no answer'));
    await settled();
    expect(log).toEqual(['b fails', 'c fails']);
    await later.begins!.promise;
  });

  it('goes on after a read that the engine has refused', async () => {
    const { queues, a, log } = taken();
    queues.leave(session, a, new BackplaneError('refused'));
    await settled();
    expect(log).toEqual(['b']);
  });
});
