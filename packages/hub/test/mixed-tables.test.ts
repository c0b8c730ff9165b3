// Two nodes of one engine, of which one has an older table of rooms.
import type { HubOptions } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { contract, event } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { enter, node, turns, useFakeTime, wait } from './nodes.ts';

useFakeTime();

const chat = contract({ client: { said: event(z.object({ n: z.number() })) } });
const TTL = 60_000;
const NEW: HubOptions = { rooms: { r: { history: { ttl: TTL }, delivery: 'through' } } };
const OLD: HubOptions = { rooms: { r: { delivery: 'through' } } };

async function startBoth() {
  const broker = new MemoryBroker();
  const [older, newer] = [node(broker, 'old', OLD), node(broker, 'new', NEW)];
  enter(newer.hub, 'r');
  await turns();
  const since = await newer.hub.room('r').publish('1');
  const join = async (options: object) => enter(newer.hub).session.join('r', options);
  return { older, newer, since, join };
}

describe('B9 a room that has history on this node and none on another', () => {
  it('answers joins with complete: false for one ttl after a message of that node', async () => {
    const { older, newer, since, join } = await startBoth();
    expect(await join({ since })).toMatchObject({ complete: true });
    await older.hub.room('r').publish('2');
    await turns();
    await newer.hub.room('r').publish('3');
    expect(await join({ since })).toMatchObject({ complete: false });
    expect(await join({ limit: 5 })).toMatchObject({ complete: false });
    expect(await newer.hub.room('r').history({ since })).toMatchObject({ complete: false });
    // A first visit lacks nothing.
    expect(await join({ first: () => undefined })).toMatchObject({ complete: true });
    await wait(TTL - 1_000);
    const { position } = await join({ limit: 1 });
    expect(await join({ since: position })).toMatchObject({ complete: false });
    await wait(1_000);
    expect(await join({ since: position })).toMatchObject({ complete: true });
  });

  it('takes a text that begins with ! for a message, not for an event', async () => {
    const { older, newer, since, join } = await startBoth();
    await older.hub.room('r').publish('!2');
    await turns();
    expect(await join({ since })).toMatchObject({ complete: false });
    expect(newer.errors).toHaveLength(1);
  });

  it('is reported once', async () => {
    const { older, newer } = await startBoth();
    for (let i = 0; i < 5; i++) await older.hub.room('r').publish(`${i}`);
    await turns();
    expect(newer.errors).toEqual([
      expect.stringMatching(/^TypeError: the node old\/\w+ publishes to room "r" without history/),
    ]);
    expect(older.errors).toEqual([]);
  });

  it('is not reported for events, which no history keeps', async () => {
    const broker = new MemoryBroker();
    const start = () =>
      serveRooms(
        { r: { history: true, mayJoin: true } },
        { contract: chat, hub: { backplane: memoryBackplane(broker) } },
      );
    const [one, two] = [start(), start()];
    const errors: unknown[] = [];
    for (const { hub } of [one, two]) hub.on('error', (_, error) => void errors.push(error));
    enter(two.hub, 'r');
    await turns();
    await one.emit('r', chat.client.said, { n: 1 });
    await turns();
    expect(errors).toEqual([]);
  });

  it('is a gap for a client that returns', async () => {
    const { older, newer, since } = await startBoth();
    await older.hub.room('r').publish('lost');
    await turns();
    const { session, received } = enter(newer.hub);
    await session.join('r', { since, first: ({ complete }) => (complete ? 'whole' : 'gap') });
    await turns();
    expect(received).toEqual(['gap']);
  });
});
