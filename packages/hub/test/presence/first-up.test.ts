// Members that have joined before their node has reached the engine.
import { MemoryBroker } from '@ws/hub/testing';
import { expect, it } from 'vitest';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { keys, member, SHOWN } from './members.ts';

useFakeTime();

it('members that joined before the first start of the engine are told at once after it', async () => {
  const broker = new MemoryBroker();
  const { hub: b } = node(broker, 'b', SHOWN);
  member(b, 'bob', 'r');
  await wait(10_000);
  let connect = (): void => {};
  const connected = new Promise<void>((resolve) => (connect = resolve));
  const { hub: a } = node(broker, 'a', SHOWN, (engine) => ({
    start: async (...args) => {
      await connected;
      await engine.start(...args);
    },
  }));
  member(a, 'ada', 'r');
  await turns();
  connect();
  await wait(100);
  expect(keys(b.room('r').presence)).toEqual(['a/ada', 'b/bob']);
  await Promise.all([a.close(), b.close()]);
});
