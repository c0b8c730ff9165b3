// What the public tests of Phoenix.Tracker and issues of socket.io ask, by behaviour.
import type { Hub } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { node, turns, useFakeTime, wait } from '../nodes.ts';
import { byEvents, keys, member, SHOWN, shown } from './members.ts';

useFakeTime();

async function cluster(...ids: string[]): Promise<{ broker: MemoryBroker; hubs: Hub[] }> {
  const broker = new MemoryBroker();
  const hubs = ids.map((id) => node(broker, id, SHOWN).hub);
  await wait(5_000);
  return { broker, hubs };
}

describe('Phoenix.Tracker', () => {
  it('a node that was not heard before is asked for its members', async () => {
    const { broker, hubs } = await cluster('a');
    const [a] = hubs as [Hub];
    member(a, 'here', 'r');
    // Its first words are lost.
    broker.drop(100, 'a');
    const { hub: b } = node(broker, 'b', SHOWN);
    member(b, 'bob', 'r');
    await wait(1_000);
    expect(keys(a.room('r').presence)).toEqual(['a/here']);
    broker.drop(-Infinity, 'a');
    await wait(10_000);
    expect(shown(a)).toEqual([['a/here', 'b/bob'], true]);
  });

  it('a join is told on the node itself and on others, with the info', async () => {
    const { hubs } = await cluster('a', 'b');
    for (const hub of hubs) member(hub, 'own', 'r');
    await turns();
    const heard: string[][] = [[], []];
    for (const [i, hub] of hubs.entries()) {
      hub.on('presence', (_, { joined, left }) => {
        for (const [key, { info }] of joined) heard[i]!.push(`+${key} ${JSON.stringify(info)}`);
        for (const key of left.keys()) heard[i]!.push(`-${key}`);
      });
    }
    const session = member(hubs[0]!, 'ada', 'r');
    await turns();
    session.leave('r');
    await turns();
    const expected = ['+a/ada {"name":"ada"}', '-a/ada'];
    expect(heard).toEqual([expected, expected]);
  });

  it('to leave a room that was not joined, and to hide twice, does nothing', async () => {
    const { hubs } = await cluster('a');
    const found = byEvents(hubs[0]!);
    const session = member(hubs[0]!, 'ada', 'r');
    session.leave('r2');
    session.show('r', undefined);
    session.show('r', undefined);
    await turns();
    expect(found.calls).toBe(0);
    expect(session.rooms).toEqual(new Set(['r']));
  });

  it('a member of several rooms leaves all of them when it ends', async () => {
    const { hubs } = await cluster('a', 'b');
    const [a, b] = hubs as [Hub, Hub];
    member(b, 'bob', 'r', 'r2', 'r3');
    const ada = member(a, 'ada', 'r', 'r2', 'r3');
    await turns();
    void ada.close();
    await turns();
    for (const room of ['r', 'r2', 'r3']) expect(keys(b.room(room).presence)).toEqual(['b/bob']);
  });

  it('a node goes down, comes up as another run, and goes down for good', async () => {
    const { broker, hubs } = await cluster('a', 'b');
    const [a, b] = hubs as [Hub, Hub];
    const found = byEvents(a);
    member(a, 'ada', 'r');
    member(b, 'old', 'r');
    await turns();
    broker.disconnect('b');
    await wait(20_000);
    expect(keys(a.room('r').presence)).toEqual(['a/ada']);
    const again = node(broker, 'b', SHOWN).hub;
    member(again, 'new', 'r');
    await wait(5_000);
    expect(shown(a)).toEqual([['a/ada', 'b/new'], true]);
    broker.disconnect('b');
    await wait(80_000);
    expect(shown(a)).toEqual([['a/ada'], true]);
    expect([...found.rooms.get('r')!.keys()]).toEqual(['a/ada']);
  });
});

describe('socket.io', () => {
  it('counts sessions without their data, and without the option presence', async () => {
    const { hubs } = await cluster('a', 'b');
    for (const hub of hubs) member(hub, 'one', 'plain');
    expect(await hubs[0]!.everywhere.count('plain')).toEqual({ sessions: 2, nodes: 2, silent: [] });
  });

  it('one silent server of five names itself, and spoils no answer of the others', async () => {
    const broker = new MemoryBroker();
    let isMute = false;
    const hubs = ['a', 'b', 'c', 'd', 'e'].map((id) => {
      const { hub } = node(broker, id, SHOWN, (backplane) => ({
        publish: async (channel, bytes, keep) =>
          isMute && id === 'c' ? undefined : backplane.publish(channel, bytes, keep),
      }));
      hub.onAsk('name', () => id);
      return hub;
    });
    await wait(5_000);
    isMute = true;
    const asked = hubs[0]!.everywhere.ask('name');
    await wait(5_000);
    const { answers, failed, silent } = await asked;
    expect(new Set(answers.values())).toEqual(new Set(['a', 'b', 'd', 'e']));
    expect([...failed, ...silent]).toEqual(['c']);
  });
});
