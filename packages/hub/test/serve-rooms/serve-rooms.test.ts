import { describe, expect, it } from 'vitest';
import { read, startClient, startNode } from './setup.ts';

describe('rooms of two clients', () => {
  it('gives each message to all loops, after a break too', async () => {
    const { node, hub } = startNode();
    const ann = startClient(node);
    const bob = startClient(node);
    const loop = ann.rooms.join('chat/main');
    const other = bob.rooms.join('chat/main');
    await ann.rooms.publish('chat/main', { text: '1' });
    expect(await read(loop, 1)).toEqual(['1']);
    await bob.rooms.publish('chat/main', { text: '2' });
    expect(await read(loop, 1)).toEqual(['2']);
    ann.cut();
    await bob.rooms.publish('chat/main', { text: '3' });
    await hub.room('chat/main').publishJSON({ text: '4' });
    await ann.rooms.publish('chat/main', { text: '5' });
    expect(await read(loop, 3)).toEqual(['3', '4', '5']);
    expect(await read(other, 5)).toEqual(['1', '2', '3', '4', '5']);
    await ann.live.close();
    await bob.live.close();
    await hub.close();
  });
});
