import type { Backplane, Position } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { alone, enter, entered, losing, node, send, turns, useFakeTime, wait } from './nodes.ts';

type Read = NonNullable<Backplane['history']>;

const rooms = { r: { history: true } };

/** Returns at most `size` messages of each read. */
function inParts(backplane: Backplane, size: number): Read {
  return async (channel, since, limit) => {
    const found = await backplane.history!(channel, since, limit);
    if (found.messages.length <= size) return found;
    const messages = found.messages.slice(0, size);
    const follows = found.complete || messages[0]!.offset === (since?.offset ?? 0) + 1;
    return { messages, epoch: found.epoch, complete: false, follows, more: true };
  };
}

useFakeTime();

describe('a history that the engine returns in parts', () => {
  it('is read as a history at once is, from every position and with every limit', async () => {
    const broker = new MemoryBroker();
    const kept = { r: { history: { size: 12 } } };
    const whole = node(broker, 'a', { rooms: kept }).hub;
    const parted = node(broker, 'b', { rooms: kept }, (backplane) => ({
      history: inParts(backplane, 3),
    })).hub;
    await turns();
    const positions: (Position | undefined)[] = [undefined, { epoch: 'other', offset: 3 }];
    for (let i = 0; i < 20; i++) positions.push(await whole.room('r').publish(`${i}`));
    for (const since of positions) {
      for (const limit of [undefined, 1, 3, 4, 11, 12, 50]) {
        const [expected, found] = [
          await whole.room('r').history({ since, limit }),
          await parted.room('r').history({ since, limit }),
        ];
        const text = JSON.stringify({ since, limit });
        expect(found.complete, text).toBe(expected.complete);
        const offsets = found.messages.map(({ position }) => position.offset);
        expect(offsets, text).toEqual(expected.messages.map(({ position }) => position.offset));
      }
    }
  });

  it('is not complete when the history is lost between two parts', async () => {
    const broker = new MemoryBroker();
    let reads = 0;
    const { hub } = node(broker, 'a', { rooms }, (backplane) => ({
      history(...read) {
        if (reads++ === 1) broker.forget();
        return inParts(backplane, 2)(...read);
      },
    }));
    await turns();
    for (let i = 0; i < 5; i++) await hub.room('r').publish(`${i}`);
    const { messages, complete } = await hub.room('r').history();
    expect([messages.length, complete]).toEqual([2, false]);
  });

  it('repairs an outage part by part, without a gap', async () => {
    const broker = new MemoryBroker();
    const reads: number[] = [];
    const a = node(broker, 'a', { rooms }, (backplane) => ({
      history: async (...read) => {
        const found = await inParts(backplane, 4)(...read);
        reads.push(found.messages.length);
        return found;
      },
    }));
    const b = node(broker, 'b', { rooms });
    await turns();
    const { received } = await entered(a.hub, 'r');
    await send(b.hub, '0');
    reads.length = 0;
    broker.disconnect('a');
    for (let i = 1; i <= 10; i++) await b.hub.room('r').publish(`${i}`);
    broker.reconnect('a');
    await turns();
    expect(received).toEqual(Array.from({ length: 11 }, (_, i) => `${i}`));
    expect([a.gaps, reads]).toEqual([[], [4, 4, 2]]);
  });

  it('has as much time as it needs while the parts arrive', async () => {
    const { hub } = alone({ rooms }, (backplane) => ({
      history: async (...read) => {
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        return inParts(backplane, 1)(...read);
      },
    }));
    await turns();
    for (let i = 0; i < 5; i++) await hub.room('r').publish(`${i}`);
    const read = hub.room('r').history();
    for (let i = 0; i < 8; i++) await wait(3_000);
    expect((await read).messages).toHaveLength(5);
  });
});

describe('a repair that fails', () => {
  it('is one gap, and is not repeated, when it causes the next outage', async () => {
    const broker = new MemoryBroker();
    let reads = 0;
    const a = node(broker, 'a', { rooms }, (backplane) => ({
      async history(channel, since, limit) {
        if (since === undefined) return backplane.history!(channel, since, limit);
        reads++;
        // As a server that answers too late: the node disconnects, and returns.
        broker.disconnect('a');
        setTimeout(() => broker.reconnect('a'), 1_000);
        throw new Error('the server has not answered');
      },
    }));
    const b = node(broker, 'b', { rooms });
    await turns();
    const { received } = await entered(a.hub, 'r');
    await send(b.hub, '0');
    broker.disconnect('a');
    await b.hub.room('r').publish('1');
    broker.reconnect('a');
    for (let i = 0; i < 60; i++) await wait(1_000);
    expect([reads, a.gaps]).toEqual([1, ['r']]);
    await send(b.hub, '2');
    expect(received).toEqual(['0', '2']);
    expect(a.gaps).toEqual(['r']);
  });

  it('is one gap when the engine refuses it and stays up', async () => {
    const broker = new MemoryBroker();
    const a = node(broker, 'a', { rooms }, () => ({
      history: () => Promise.reject(new Error('no')),
    }));
    const b = node(broker, 'b', { rooms });
    await turns();
    const { received } = await entered(a.hub, 'r');
    await send(b.hub, '0');
    broker.disconnect('a');
    await b.hub.room('r').publish('1');
    broker.reconnect('a');
    for (let i = 0; i < 10; i++) await wait(1_000);
    await send(b.hub, '2');
    expect([received, a.gaps]).toEqual([['0', '2'], ['r']]);
  });
});

describe('the bound of bytes of a history in the engine', () => {
  it('drops the oldest messages, and keeps the last one', async () => {
    const { hub } = alone({ rooms: { r: { history: { bytes: 10_000 } } } });
    await turns();
    const room = hub.room('r');
    for (let i = 0; i < 50; i++) await room.publish(`${i}`.padEnd(1_000));
    const { messages, complete } = await room.history();
    expect(messages.length).toBeGreaterThan(7);
    expect(messages.length).toBeLessThanOrEqual(10);
    expect(complete).toBe(false);
    await room.publish('x'.repeat(20_000));
    expect((await room.history()).messages).toHaveLength(1);
  });
});

describe('a room with delivery through', () => {
  it('reports no gap for messages of its own node', async () => {
    const broker = new MemoryBroker();
    for (const history of [false, true]) {
      const { hub, gaps } = node(broker, `node ${history}`, {
        rooms: { '*': { delivery: 'through', history } },
      });
      await turns();
      for (let i = 0; i < 50; i++) {
        const room = hub.room(`${history} ${i}`);
        void room.publish('created');
        await wait(i % 3);
        enter(hub, room.name);
        await wait(i % 5);
        await room.publish('second');
        broker.delay();
        const third = room.publish('third');
        await wait(i % 7);
        broker.release();
        await third;
      }
      for (let i = 0; i < 6; i++) await wait(5_000);
      expect(gaps).toEqual([]);
    }
  });

  it('with history reports a gap for a message of its own node that the engine has refused', async () => {
    const { hub, gaps, refuse } = losing().b;
    await turns();
    void hub.room('r').publish('created');
    const { received } = await entered(hub, 'r');
    refuse();
    await expect(hub.room('r').publish('lost')).rejects.toThrow();
    void hub.room('r').publish('third');
    await turns();
    expect([received, gaps]).toEqual([['third'], ['r']]);
  });
});
