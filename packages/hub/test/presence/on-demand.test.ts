// The code that only rooms with the option presence need.
import { Hub } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadedLink } from '../../src/backplane/loaded-link.ts';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { keys, member, SHOWN, shown } from './members.ts';

useFakeTime();

/** A hub that has not loaded the code for presence on several nodes. */
function unloaded(broker: MemoryBroker, id: string): { hub: Hub; errors: string[] } {
  const backplane = memoryBackplane(broker);
  loadedLink.PresenceLink = undefined;
  const hub = new Hub({ ...SHOWN, id, backplane });
  const errors: string[] = [];
  hub.on('error', (_, error) => void errors.push(String(error)));
  return { hub, errors };
}

describe('a hub with rooms that have presence', () => {
  it('has its own members before the code is loaded, and then those of all nodes', async () => {
    const broker = new MemoryBroker();
    const a = node(broker, 'a', SHOWN).hub;
    member(a, 'ada', 'r');
    const { hub: b } = unloaded(broker, 'b');
    member(b, 'bob', 'r', 'r2');
    member(b, 'ben', 'r').leave('r');
    expect(keys(b.room('r').presence)).toEqual(['b/bob']);
    await vi.dynamicImportSettled();
    await wait(5_000);
    for (const hub of [a, b]) {
      expect(shown(hub)).toEqual([['a/ada', 'b/bob'], true]);
    }
  });

  it('that closes meanwhile says nothing more', async () => {
    const broker = new MemoryBroker();
    const { hub, errors } = unloaded(broker, 'b');
    await hub.close();
    const sent = vi.spyOn(broker, 'publish');
    await vi.dynamicImportSettled();
    await wait(10_000);
    expect([sent.mock.calls.length, errors]).toEqual([0, []]);
  });

  it('reports code that does not load, and is not complete', async () => {
    vi.doMock('../../src/presence/presence-link.ts', () => {
      throw new Error('no such file');
    });
    onTestFinished(() => void vi.doUnmock('../../src/presence/presence-link.ts'));
    const { hub, errors } = unloaded(new MemoryBroker(), 'b');
    member(hub, 'bob', 'r');
    await vi.dynamicImportSettled();
    await wait(10_000);
    expect(errors.length).toBe(1);
    expect(shown(hub)).toEqual([['b/bob'], false]);
  });
});

it('a hub without such rooms answers that it shows no member', async () => {
  const broker = new MemoryBroker();
  const plain = node(broker, 'plain').hub;
  const a = node(broker, 'a', SHOWN).hub;
  const sent = vi.spyOn(broker, 'publish');
  member(plain, 'pia', 'r');
  member(a, 'ada', 'r');
  await turns();
  await wait(5_000);
  expect(a.room('r').presenceComplete).toBe(true);
  expect(keys(a.room('r').presence)).toEqual(['a/ada']);
  // It says no versions.
  const words = sent.mock.calls
    .filter(([from]) => from.id === 'plain')
    .map(([, , bytes]) => /"word":"(\w+)"/.exec(new TextDecoder().decode(bytes))?.[1]);
  expect(new Set(words)).toEqual(new Set(['start', 'beat', 'have']));
});
