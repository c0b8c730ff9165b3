// A loop that begins with the last messages of its room.
import { START } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { read, startClient, startNode, startRaw, TABLE } from './setup.ts';

async function published(count: number, table = TABLE) {
  const { node, hub } = startNode(table);
  const room = hub.room('chat/main');
  for (let i = 1; i <= count; i++) await room.publishJSON({ text: `${i}` });
  return { node, hub, room };
}

describe('the option last', () => {
  it('gives the last messages that the room keeps, without a gap, then live', async () => {
    const { node, room } = await published(10);
    const { rooms, cut } = startClient(node);
    const loop = rooms.join('chat/main', { last: 3 });
    expect(await read(loop, 3)).toEqual(['8', '9', '10']);
    expect((await loop.next()).value).toEqual({ kind: 'live' });
    // After a break its position decides.
    cut();
    await room.publishJSON({ text: '11' });
    expect(await read(loop, 1)).toEqual(['11']);
  });

  it('gives all when there are fewer', async () => {
    const { node } = await published(2);
    const { rooms } = startClient(node);
    expect(await read(rooms.join('chat/main', { last: 1_000 }), 2)).toEqual(['1', '2']);
  });

  it('gives them only to its loop, in a room that others have joined', async () => {
    const { node, room } = await published(5);
    const { rooms } = startClient(node);
    const first = rooms.join('chat/main');
    expect((await first.next()).value).toEqual({ kind: 'live' });
    await room.publishJSON({ text: '6' });
    expect(await read(first, 1)).toEqual(['6']);
    const [two, four] = [
      rooms.join('chat/main', { last: 2 }),
      rooms.join('chat/main', { last: 4 }),
    ];
    expect(await read(two, 2)).toEqual(['5', '6']);
    expect(await read(four, 4)).toEqual(['3', '4', '5', '6']);
    await room.publishJSON({ text: '7' });
    for (const loop of [first, two, four]) expect(await read(loop, 1)).toEqual(['7']);
  });

  it('gives them beside a loop that catches up with more than a loop holds', async () => {
    const { node } = await published(1_500, {
      'chat/*': { history: { size: 2_000 }, mayJoin: true },
    });
    const { rooms } = startClient(node);
    const all = rooms.join('chat/main', { since: START });
    const two = rooms.join('chat/main', { last: 2 });
    expect(await read(two, 2)).toEqual(['1499', '1500']);
    expect((await two.next()).value).toEqual({ kind: 'live' });
    const texts = Array.from({ length: 1_500 }, (_, i) => `${i + 1}`);
    expect(await read(all, 1_501)).toEqual(['gap', ...texts]);
  });

  it('begins with a gap when the client can take none of them', async () => {
    const { node, room } = await published(2);
    await room.publishJSON({ text: 'x'.repeat(5_000) });
    const { rooms } = startClient(node, 'ann', { readLimit: 4_000 });
    const loop = rooms.join('chat/main', { last: 3 });
    expect((await loop.next()).value).toMatchObject({ kind: 'gap' });
    expect((await loop.next()).value).toEqual({ kind: 'live' });
  });

  it('begins with the next message in a room without history', async () => {
    const { node, room } = await published(3, { 'chat/*': { mayJoin: true } });
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main', { last: 2 });
    expect((await loop.next()).value).toEqual({ kind: 'live' });
    await room.publishJSON({ text: '4' });
    expect(await read(loop, 1)).toEqual(['4']);
  });

  it('is left out in a room with a state', async () => {
    const { node } = await published(3, { 'chat/*': { ...TABLE['chat/*']!, state: () => 3 } });
    const { rooms } = startClient(node);
    const loop = rooms.join('chat/main', { last: 2 });
    expect((await loop.next()).value).toMatchObject({ kind: 'state', data: 3 });
    expect((await loop.next()).value).toEqual({ kind: 'live' });
  });

  it('refuses another number, and since beside it', async () => {
    const { node } = await published(0);
    const { rooms } = startClient(node);
    const since = { epoch: 'e', offset: 1 };
    expect(() => rooms.join('chat/main', { last: 1, since })).toThrow(TypeError);
    for (const last of [0, 1_001, 1.5, -1]) {
      expect(() => rooms.join('chat/main', { last })).toThrow(RangeError);
    }
    expect(() => rooms.join('chat/main', { last: '1' as never })).toThrow(TypeError);
    const { ask } = startRaw(node);
    const answer = await ask('room.join', { room: 'chat/main', last: 1_001 });
    expect(answer.error).toMatchObject({ code: -32_602 });
  });
});
