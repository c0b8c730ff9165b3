import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { expect, it } from 'vitest';
import { enter, node, turns, useFakeTime, wait } from '../nodes.ts';
import { keys, member, SHOWN } from '../presence/members.ts';
import { Hub as OldHub } from './hub.js';

useFakeTime();

it('a node of the version before presence lives, and reports at most one gap', async () => {
  const broker = new MemoryBroker();
  const old = new OldHub({ id: 'old', backplane: memoryBackplane(broker) });
  const reported: unknown[] = [];
  old.on('gap', (room) => void reported.push(room));
  old.on('error', (_, error) => void reported.push(error));
  const [a, b] = [node(broker, 'a', SHOWN), node(broker, 'b', SHOWN)];
  const { received } = enter(old, 'r');
  await wait(5_000);
  for (const { hub } of [a, b]) member(hub, 'one', 'r').show('r', 1);
  await turns();
  for (let i = 0; i < 5; i++) {
    void a.hub.room('r').publish(`a${i}`);
    member(b.hub, `b${i}`, 'r');
    await wait(5_000);
  }
  expect(received).toEqual(['a0', 'a1', 'a2', 'a3', 'a4']);
  expect(reported.length).toBeLessThanOrEqual(1);
  // New nodes go on without it: it has no members for them, and does not count.
  expect(a.hub.room('r').presence.size).toBe(7);
  expect(keys(a.hub.room('r').presence).filter((key) => key.startsWith('old'))).toEqual([]);
  expect(a.hub.room('r').presenceComplete).toBe(true);
  expect(await a.hub.everywhere.count('r')).toEqual({ sessions: 7, nodes: 2, silent: [] });
  void old.room('r').publish('from old');
  await turns();
  expect([...a.errors, ...a.gaps, ...b.errors, ...b.gaps]).toEqual([]);
});
