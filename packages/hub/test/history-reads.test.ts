import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { node, turns } from './nodes.ts';

describe('reads of the history of an engine', () => {
  it('share an answer when they are equal, and are 32 at a time', async () => {
    let reads = 0;
    let running = 0;
    let most = 0;
    const rooms = { '*': { history: true } };
    const { hub } = node(new MemoryBroker(), 'a', { rooms }, (backplane) => ({
      async history(...args) {
        reads++;
        most = Math.max(most, ++running);
        await turns();
        running--;
        return backplane.history!(...args);
      },
    }));
    await turns();
    for (let i = 0; i < 100; i++) await hub.room(`r${i}`).publish(`${i}`);
    const storm = Array.from({ length: 3_000 }, (_, i) => hub.room(`r${i % 100}`).history());
    const answers = await Promise.all(storm);
    for (const [i, { messages }] of answers.entries()) {
      expect(messages.map(({ message }) => message.text())).toEqual([`${i % 100}`]);
    }
    expect([reads, most]).toEqual([100, 32]);
  });

  it('share no answer with a read that has begun', async () => {
    const rooms = { r: { history: true } };
    let begun: (() => void) | undefined;
    let reads = 0;
    const { hub } = node(new MemoryBroker(), 'a', { rooms }, (backplane) => ({
      async history(...args) {
        const found = await backplane.history!(...args);
        if (reads++ === 0) await new Promise<void>((resolve) => (begun = resolve));
        return found;
      },
    }));
    await turns();
    const first = hub.room('r').history();
    await turns();
    await hub.room('r').publish('1');
    const second = await hub.room('r').history();
    begun!();
    expect((await first).messages).toHaveLength(0);
    expect(second.messages).toHaveLength(1);
  });
});
