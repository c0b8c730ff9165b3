import { FakePlatform } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { schedulerOf } from '../../src/scheduler/scheduler.ts';
import { TurnCallback } from '../../src/scheduler/task-queue.ts';

afterEach(() => void vi.useRealTimers());

const nothing = (): void => {};

describe('Scheduler', () => {
  it('is one for each platform', () => {
    const platform = new FakePlatform();
    expect(schedulerOf(platform)).toBe(schedulerOf(platform));
    expect(schedulerOf(platform)).not.toBe(schedulerOf(new FakePlatform()));
  });

  it.each(['endOfTurn', 'laterTurn', 'timers'] as const)(
    'gives all that waits to the runtime again after its timers were replaced, at a call of %s',
    async (part) => {
      vi.useFakeTimers();
      const platform = new FakePlatform({ automatic: false });
      const scheduler = schedulerOf(platform);
      const ran: string[] = [];
      // The runtime drops these callbacks.
      const lost = [
        vi.spyOn(platform, 'defer').mockImplementation(nothing),
        vi.spyOn(platform, 'yield').mockImplementation(nothing),
        vi.spyOn(platform, 'setTimer').mockReturnValue(nothing),
      ];
      scheduler.endOfTurn.add(new TurnCallback(() => ran.push('end of turn')));
      scheduler.laterTurn.add(new TurnCallback(() => ran.push('later turn')));
      scheduler.timers.set({ slot: undefined, fire: () => ran.push('timer') }, 1_000);
      for (const call of lost) call.mockRestore();
      vi.useRealTimers();

      if (part === 'timers') scheduler.timers.set({ slot: undefined, fire: nothing }, 5_000);
      else scheduler[part].add(new TurnCallback(nothing));
      await platform.advance(2_000);
      expect(ran.toSorted()).toEqual(['end of turn', 'later turn', 'timer']);
    },
  );

  it.each([
    ['endOfTurn', 'runDeferred'],
    ['laterTurn', 'runYielded'],
  ] as const)('runs the tasks of %s after one that throws in its next call', (queue, run) => {
    const platform = new FakePlatform({ automatic: false });
    const tasks = schedulerOf(platform)[queue];
    const ran: string[] = [];
    tasks.add(new TurnCallback(() => ran.push('before')));
    tasks.add(
      new TurnCallback(() => {
        throw new Error('mine');
      }),
    );
    for (const name of ['first', 'second']) tasks.add(new TurnCallback(() => ran.push(name)));
    expect(() => platform[run]()).toThrow('mine');
    expect(ran).toEqual(['before']);
    platform[run]();
    expect(ran).toEqual(['before', 'first', 'second']);
  });
});
