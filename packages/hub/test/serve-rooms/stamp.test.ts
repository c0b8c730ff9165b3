// Who publishes: the option `stamp`, and `from` of an item.
import type { RoomTable } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { START } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { nextOf, startClient, startNode, startRaw, turns } from './setup.ts';

const table = (stamp: (session: { data: string }) => unknown): RoomTable<string> => ({
  'log/*': { history: true, mayJoin: true, mayPublish: true, stamp },
});
const PUBLICATION = { room: 'log/a', id: 'A'.repeat(22), data: { n: 1 } };

describe('the option stamp', () => {
  it('gives members from beside data, of missed messages and of other nodes too', async () => {
    const broker = new MemoryBroker();
    const stamp = ({ data }: { data: string }): unknown => ({ name: data, quoted: '"@#:' });
    const start = () => startNode(table(stamp), { backplane: memoryBackplane(broker) });
    const [one, two] = [start(), start()];
    const ann = startClient(one.node, 'ann');
    const bob = startClient(two.node, 'bob');
    const loop = bob.rooms.join('log/a');
    expect((await loop.next()).value).toEqual({ kind: 'live' });
    ann.rooms.join('log/a');
    await ann.rooms.publish('log/a', { from: 'eve', data: [1] });
    const from = { name: 'ann', quoted: '"@#:' };
    expect(await nextOf(loop)).toMatchObject({ from, data: { from: 'eve', data: [1] } });
    await one.hub.room('log/a').publishJSON('by the server');
    const item = await nextOf(loop);
    expect(item).toMatchObject({ data: 'by the server' });
    expect(item).toHaveProperty('from', undefined);
    const missed = startClient(two.node).rooms.join('log/a', { since: START });
    expect(await nextOf(missed)).toMatchObject({ kind: 'gap' });
    expect(await nextOf(missed)).toMatchObject({ from, data: { from: 'eve', data: [1] } });
    await ann.live.close();
    await bob.live.close();
    await Promise.all([one.hub.close({ timeout: 1 }), two.hub.close({ timeout: 1 })]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no user');
      },
    ],
    ['returns a promise', async () => 'ann'],
    ['returns undefined', () => undefined],
    ['returns more than 1 KiB', () => 'x'.repeat(1_023)],
  ])('publishes nothing when it %s', async (_, stamp) => {
    const { node, hub, errors } = startNode(table(stamp));
    const { ask } = startRaw(node);
    await ask('room.join', { room: 'log/a' });
    const { error } = await ask('room.publish', PUBLICATION);
    expect(error).toMatchObject({ code: -32_603 });
    expect((await hub.room('log/a').history()).messages).toEqual([]);
    expect(errors).toHaveLength(1);
  });

  it('is a gap on a node that does not know it, and the node lives', async () => {
    const broker = new MemoryBroker();
    const { node, hub } = startNode(
      table(() => 'ann'),
      { backplane: memoryBackplane(broker) },
    );
    const { ask } = startRaw(node);
    await ask('room.join', { room: 'log/a' });
    await ask('room.publish', PUBLICATION);
    const [kept] = (await hub.room('log/a').history()).messages;
    // What a node of an earlier commit makes of the text of a message.
    const text = kept!.message.text();
    const [prefix = ''] = /^@([\w-]{22,36}):/.exec(text) ?? [];
    expect(text.startsWith('!')).toBe(false);
    expect(() => JSON.parse(text.slice(prefix.length))).toThrow(SyntaxError);
  });

  it('changes no repetition: the first from stays', async () => {
    let count = 0;
    const { node } = startNode(table(() => ++count));
    const { ask } = startRaw(node);
    const { rooms } = startClient(node);
    const loop = rooms.join('log/a');
    expect((await loop.next()).value).toEqual({ kind: 'live' });
    await ask('room.join', { room: 'log/a' });
    await ask('room.publish', PUBLICATION);
    await ask('room.publish', PUBLICATION);
    await ask('room.publish', { ...PUBLICATION, id: 'B'.repeat(22), data: 'last' });
    await turns();
    expect(await nextOf(loop)).toMatchObject({ from: 1, data: { n: 1 } });
    expect(await nextOf(loop)).toMatchObject({ from: 3, data: 'last' });
  });
});
