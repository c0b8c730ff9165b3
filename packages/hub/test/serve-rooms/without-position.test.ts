// Messages without a position among those with one: of a filter, and local ones on a backplane.
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { read, startClient, startNode, turns } from './setup.ts';

const text = (value: number | string): string => JSON.stringify({ text: String(value) });
const texts = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i));

describe('a message without a position', () => {
  it.each([
    ['of a filter', undefined, { filter: () => true }],
    ['of this node alone', new MemoryBroker(), { local: true }],
  ])('%s changes no order of a loop that gets those of the past', async (_, broker, options) => {
    const { node, hub } = startNode(undefined, {
      backplane: broker && memoryBackplane(broker),
    });
    const { rooms } = startClient(node);
    const room = hub.room('chat/main');
    rooms.join('chat/main');
    await expect.poll(() => room.members.size).toBe(1);
    const positions = [];
    for (let i = 0; i <= 8; i++) positions.push(await room.publish(text(i)));
    await turns();
    void room.publish(text(9));
    void room.publish(text('typing'), options);
    const late = rooms.join('chat/main', { since: positions[2] });
    await turns();
    await room.publish(text(10));
    const items = await read(late, 9);
    expect(items.filter((item) => item !== 'typing')).toEqual(texts(3, 10));
  });

  it('leaves a later loop its position', async () => {
    const { node, hub } = startNode();
    const { rooms, cut } = startClient(node);
    const room = hub.room('chat/main');
    const first = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    await room.publish(text('typing'), { filter: () => true });
    expect(await read(first, 2)).toEqual(['1', 'typing']);
    const second = rooms.join('chat/main');
    await first.return!();
    cut();
    await room.publish(text(2));
    await expect.poll(() => room.members.size).toBe(1);
    expect(await read(second, 1)).toEqual(['2']);
  });

  it('is a gap when a slow loop does not take it', async () => {
    const { node, hub } = startNode();
    const { rooms } = startClient(node);
    const room = hub.room('chat/main');
    const loop = rooms.join('chat/main');
    await rooms.publish('chat/main', { text: '1' });
    for (let i = 0; i < 1_009; i++) await room.publish(text('typing'), { filter: () => true });
    await rooms.publish('chat/main', { text: '2' });
    const items = await read(loop, 1_002);
    expect([items[0], ...items.slice(999)]).toEqual(['1', 'typing', 'gap', '2']);
  });
});
