// Rooms with many joins, members and messages.
import { connPair } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { read, startClient, startNode, startRaw } from './setup.ts';

describe('a client of rooms', () => {
  it('is in 100 rooms at most, with 10,000 joins', async () => {
    const { node, hub } = startNode();
    const { client, session } = startRaw(node);
    let refused = 0;
    let joined = 0;
    const answered = new Promise<void>((resolve) => {
      client
        .receive((message) => {
          if (message.text().includes('"result"')) joined++;
          else refused++;
          if (joined + refused === 10_000) resolve();
        })
        .catch(() => {});
    });
    for (let id = 1; id <= 10_000; id++) {
      const sent = client.send(
        `{"jsonrpc":"2.0","id":${id},"method":"room.join","params":{"room":"chat/${id}"}}`,
      );
      if (id % 200 === 0) await client.ping();
      else sent.catch(() => {});
    }
    await answered;
    expect(session.rooms.size).toBe(100);
    expect([joined, refused]).toEqual([100, 9_900]);
    expect(hub.stats.rooms).toBe(100);
    await hub.close({ timeout: 1 });
  });

  it('takes no live messages above its bound, and gets them when it has read', async () => {
    const { node, hub } = startNode({ 'chat/*': { history: { size: 5_000 }, mayJoin: true } });
    const { rooms, live } = startClient(node);
    const slow = rooms.join('chat/main');
    const fast = rooms.join('chat/main');
    await expect.poll(() => hub.room('chat/main').members.size).toBe(1);
    const texts = Array.from({ length: 2_500 }, (_, i) => String(i));
    const reading = read(fast, texts.length);
    for (const text of texts) await hub.room('chat/main').publish(JSON.stringify({ text }));
    expect(await reading).toEqual(texts);
    expect(await read(slow, texts.length)).toEqual(texts);
    await live.close();
    await hub.close();
  });

  it('are a number alone above 1,000', async () => {
    const { node, hub } = startNode({
      r: { mayJoin: true, presence: () => 1, members: true },
    });
    for (let i = 0; i < 1_000; i++) void hub.add(connPair()[1] as never, { data: 'x' }).join('r');
    const { ask, next } = startRaw(node);
    await ask('room.join', { room: 'r' });
    expect(await next()).toMatchObject({
      method: 'room.members',
      params: { count: 1_001, members: {} },
    });
    await hub.close({ timeout: 1 });
  });
});
