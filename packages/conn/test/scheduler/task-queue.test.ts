import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { schedulerOf } from '../../src/scheduler/scheduler.ts';
import { type TaskQueue, TurnCallback } from '../../src/scheduler/task-queue.ts';

const QUEUES: {
  name: string;
  of: (platform: FakePlatform) => { queue: TaskQueue; waiting: () => number; run: () => void };
}[] = [
  {
    name: 'endOfTurn',
    of: (platform) => ({
      queue: schedulerOf(platform).endOfTurn,
      waiting: () => platform.deferred,
      run: () => platform.runDeferred(),
    }),
  },
  {
    name: 'laterTurn',
    of: (platform) => ({
      queue: schedulerOf(platform).laterTurn,
      waiting: () => platform.yielded,
      run: () => platform.runYielded(),
    }),
  },
];

describe.each(QUEUES)('TaskQueue as $name', ({ of }) => {
  it('runs all tasks in one callback of the platform, in order', () => {
    const { queue, waiting, run } = of(new FakePlatform({ automatic: false }));
    const ran: number[] = [];
    for (let i = 0; i < 3; i++) queue.add(new TurnCallback(() => ran.push(i)));
    expect(waiting()).toBe(1);
    expect(ran).toEqual([]);
    run();
    expect(ran).toEqual([0, 1, 2]);
    expect(waiting()).toBe(0);
  });

  it('runs a task once that is added twice, and again when it is added after its run', () => {
    const { queue, run } = of(new FakePlatform({ automatic: false }));
    let ran = 0;
    const task = new TurnCallback(() => ran++);
    queue.add(task);
    queue.add(task);
    expect(task.awaitsTurn).toBe(true);
    run();
    expect([ran, task.awaitsTurn]).toEqual([1, false]);
    queue.add(task);
    run();
    expect(ran).toBe(2);
  });

  it('runs the tasks after one that throws in the next turn', () => {
    const { queue, run } = of(new FakePlatform({ automatic: false }));
    const ran: number[] = [];
    const add = (i: number): void => queue.add(new TurnCallback(() => ran.push(i)));
    add(0);
    queue.add(
      new TurnCallback(() => {
        throw new Error('a bug');
      }),
    );
    for (let i = 1; i < 4; i++) add(i);
    expect(run).toThrow('a bug');
    expect(ran).toEqual([0]);
    run();
    expect(ran).toEqual([0, 1, 2, 3]);
    add(4);
    run();
    expect(ran).toEqual([0, 1, 2, 3, 4]);
  });

  // Node runs ticks within a tick when a native callback ends in it.
  it('loses no task and runs none twice when a run begins within a run', () => {
    const { queue, run } = of(new FakePlatform({ automatic: false }));
    const ran: string[] = [];
    const add = (name: string): void => queue.add(new TurnCallback(() => ran.push(name)));
    queue.add(
      new TurnCallback(() => {
        queue.add(
          new TurnCallback(() => {
            ran.push('a');
            add('c');
            add('d');
          }),
        );
        add('b');
        run();
      }),
    );
    run();
    run();
    expect(ran).toEqual(['a', 'b', 'c', 'd']);
  });

  it('runs tasks that are added during a run in the next turn', () => {
    const { queue, waiting, run } = of(new FakePlatform({ automatic: false }));
    const ran: string[] = [];
    const again = new TurnCallback(() => ran.push('again'));
    queue.add(
      new TurnCallback(() => {
        ran.push('first');
        queue.add(again);
      }),
    );
    queue.add(new TurnCallback(() => ran.push('second')));
    run();
    expect(ran).toEqual(['first', 'second']);
    expect(waiting()).toBe(1);
    run();
    expect(ran).toEqual(['first', 'second', 'again']);
  });
});
