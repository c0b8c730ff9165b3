import type { Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { alone, node, turns } from './nodes.ts';

describe('reads of the history of an engine', () => {
  it('share an answer when they are equal, and are 32 at a time', async () => {
    let reads = 0;
    let running = 0;
    let most = 0;
    const rooms = { '*': { history: true } };
    const { hub } = alone({ rooms }, (backplane) => ({
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

  it('share an answer when they have different positions and limits', async () => {
    let reads = 0;
    const rooms = { '*': { history: { size: 20 } } };
    const { hub } = alone({ rooms }, (backplane) => ({
      history(...args) {
        reads++;
        return backplane.history!(...args);
      },
    }));
    await turns();
    const room = hub.room('r');
    const positions: (Position | undefined)[] = [undefined];
    for (let i = 0; i < 50; i++) positions.push(await room.publish(`${i}`));
    const { epoch } = positions[1]!;
    positions.push({ epoch, offset: 0 }, { epoch, offset: 70 }, { epoch: 'other', offset: 40 });
    const cases = positions.flatMap((since) =>
      [undefined, 1, 5, 19, 20, 30].map((limit) => ({ since, limit })),
    );
    const single: Awaited<ReturnType<typeof room.history>>[] = [];
    for (const { since, limit } of cases) single.push(await room.history({ since, limit }));
    reads = 0;
    const shared = await Promise.all(
      cases.map(({ since, limit }) => room.history({ since, limit })),
    );
    for (const [i, { messages, complete }] of shared.entries()) {
      const text = JSON.stringify(cases[i]);
      expect(complete, text).toBe(single[i]!.complete);
      const offsets = messages.map(({ position }) => position.offset);
      expect(offsets, text).toEqual(single[i]!.messages.map(({ position }) => position.offset));
    }
    // Without a position, of another history, from the first position, from the oldest message and
    // from the future.
    expect(reads).toBeLessThanOrEqual(6);
  });

  it('of several positions of a lost history have the answers that they have alone', async () => {
    const broker = new MemoryBroker();
    let reads = 0;
    const { hub } = node(broker, 'a', { rooms: { r: { history: true } } }, (backplane) => ({
      history(...args) {
        reads++;
        return backplane.history!(...args);
      },
    }));
    await turns();
    const room = hub.room('r');
    const old: (Position | undefined)[] = [];
    for (let i = 0; i < 10; i++) old.push(await room.publish(`old ${i}`));
    broker.forget();
    for (let i = 0; i < 10; i++) await room.publish(`new ${i}`);
    const cases = old.flatMap((since) => [1, 3, 10, 20].map((limit) => ({ since, limit })));
    const read = async ({ since, limit }: (typeof cases)[number]) => {
      const { messages, complete } = await room.history({ since, limit });
      return { texts: messages.map(({ message }) => message.text()), complete };
    };
    const single: Awaited<ReturnType<typeof read>>[] = [];
    for (const each of cases) single.push(await read(each));
    reads = 0;
    expect(await Promise.all(cases.map(read))).toEqual(single);
    expect(reads).toBe(1);
  });

  it('of a history whose messages have all expired have the answers that they have alone', async () => {
    const { hub } = alone({ rooms: { r: { history: true } } }, () => ({
      // As JetStream answers after `ttl`: the epoch and the last offset stay.
      history: async (_, since) => ({
        messages: [],
        epoch: 'e',
        complete: since?.offset === 10,
      }),
    }));
    await turns();
    const room = hub.room('r');
    const answers = [3, 10, 7, 12].map((offset) => room.history({ since: { epoch: 'e', offset } }));
    const complete = (await Promise.all(answers)).map((answer) => answer.complete);
    expect(complete).toEqual([false, true, false, false]);
  });

  it('of a storm are one for each room', async () => {
    let reads = 0;
    const rooms = { '*': { history: true } };
    const { hub } = alone({ rooms }, (backplane) => ({
      history(...args) {
        reads++;
        return backplane.history!(...args);
      },
    }));
    await turns();
    const names = Array.from({ length: 100 }, (_, i) => `r${i}`);
    const positions: (Position | undefined)[][] = [];
    for (let i = 0; i < 30; i++) {
      positions.push(await Promise.all(names.map((name) => hub.room(name).publish(`${i}`))));
    }
    const storm = positions.flatMap((row) =>
      row.map((since, room) => hub.room(names[room]!).history({ since })),
    );
    for (const [i, { messages, complete }] of (await Promise.all(storm)).entries()) {
      expect([messages.length, complete]).toEqual([29 - Math.floor(i / 100), true]);
    }
    expect(reads).toBe(100);
  });

  it('reject together when the engine refuses', async () => {
    const rooms = { r: { history: true } };
    const { hub } = alone({ rooms }, () => ({
      history: () => Promise.reject(new Error('refused')),
    }));
    await turns();
    const since = await hub.room('r').publish('1');
    const reads = [
      hub.room('r').history({ since }),
      hub.room('r').history({ since: { ...since!, offset: 0 } }),
    ];
    for (const { status } of await Promise.allSettled(reads)) expect(status).toBe('rejected');
  });

  it('share no answer with a read that has begun', async () => {
    const rooms = { r: { history: true } };
    let begun: (() => void) | undefined;
    let reads = 0;
    const { hub } = alone({ rooms }, (backplane) => ({
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
