// A hole of a room is told once, in its place.
import { Deferred } from '@ws/conn/internal';
import { type Backplane, MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import type { JoinOptions, RoomMessage } from '@ws/rpc/rooms';
import { START } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { startClient, startNode, turns } from './setup.ts';

/** The items of a loop: data of messages, else the kind. */
function itemsOf(loop: AsyncIterable<RoomMessage<unknown>>): string[] {
  const items: string[] = [];
  void (async () => {
    for await (const item of loop) {
      items.push(item.kind === 'message' ? String(item.data) : item.kind);
    }
  })();
  return items;
}

/** An engine whose histories get a new epoch and keep their messages, as Redis after a failover. */
function renewable(broker: MemoryBroker): { backplane: Backplane; renew: () => void } {
  const backplane = memoryBackplane(broker);
  let renewals = 0;
  /** Offset of the last message, and of the last one before the present epoch. */
  let [last, begin] = [0, 0];
  const now = (epoch: string): string => `${epoch} ${renewals}`;
  return {
    renew() {
      renewals++;
      begin = last;
    },
    backplane: {
      ...backplane,
      start: (sink, id) =>
        backplane.start(
          {
            ...sink,
            message: (channel, bytes, at) =>
              sink.message(channel, bytes, at && { ...at, epoch: now(at.epoch) }),
          },
          id,
        ),
      async publish(...args) {
        const at = await backplane.publish(...args);
        last = at?.offset ?? last;
        return at && { ...at, epoch: now(at.epoch) };
      },
      async history(channel, since, limit, keep) {
        const isNow = since?.epoch.endsWith(` ${renewals}`) === true;
        const isEarlier = since !== undefined && since.epoch !== '' && !isNow;
        const { epoch } = await backplane.history!(channel, undefined, 1, keep);
        // Of an earlier epoch: the messages of the present one follow.
        const before = isEarlier ? { epoch, offset: begin } : since && { ...since, epoch };
        const found = await backplane.history!(channel, before, limit, keep);
        const isWhole = isEarlier ? { complete: false, follows: false } : {};
        return { ...found, ...isWhole, epoch: now(epoch) };
      },
    },
  };
}

describe('93 a new epoch of a history that keeps its messages', () => {
  it.each<[string, JoinOptions | undefined]>([
    ['last', { last: 5 }],
    ['START', { since: START }],
    ['no position', {}],
    ['no second loop', undefined],
  ])('is one gap for a loop beside a second one with %s', async (_, options) => {
    const { backplane, renew } = renewable(new MemoryBroker());
    const { node, hub } = startNode({ 'log/*': { mayJoin: true, history: true } }, { backplane });
    const { rooms } = startClient(node);
    const one = itemsOf(rooms.join('log/1'));
    await expect.poll(() => one).toEqual(['live']);
    for (let i = 1; i <= 8; i++) await hub.room('log/1').publishJSON(i);
    await expect.poll(() => one.at(-1)).toBe('8');
    renew();
    if (options !== undefined) {
      const two = itemsOf(rooms.join('log/1', options));
      await expect.poll(() => two).toContain('live');
      await turns();
    }
    for (let i = 9; i <= 10; i++) await hub.room('log/1').publishJSON(i);
    await expect.poll(() => one).toContain('10');
    await turns();
    const items = one.filter((item) => item !== 'live');
    expect(items.toSpliced(items.indexOf('gap'), 1)).toEqual([
      '1',
      '2',
      '3',
      '4',
      '5',
      '6',
      '7',
      '8',
      '9',
      '10',
    ]);
  });
});

describe('93/24 a break of a client in a room without history', () => {
  it.each([1, 3])(
    'is a gap before what comes next: %i messages before the answer',
    async (count) => {
      const backplane = memoryBackplane(new MemoryBroker());
      let subscribing = new Deferred<void>();
      subscribing.resolve();
      const { node, hub } = startNode(
        { 'plain/*': { mayJoin: true } },
        {
          backplane: {
            ...backplane,
            async subscribe(channel) {
              await subscribing.promise;
              return backplane.subscribe(channel);
            },
          },
        },
      );
      const { rooms, away } = startClient(node);
      const items = itemsOf(rooms.join('plain/1'));
      await expect.poll(() => items).toEqual(['live']);
      subscribing = new Deferred();
      const { members } = hub.room('plain/1');
      await away(() => expect.poll(() => members.size).toBe(0));
      // The client is a member again, and its join has no answer: the node has not subscribed.
      await expect.poll(() => hub.room('plain/1').members.size).toBe(1);
      for (let i = 1; i <= count; i++) await hub.room('plain/1').publishJSON(i, { local: true });
      await turns();
      subscribing.resolve();
      await expect.poll(() => items.filter((item) => item === 'live')).toHaveLength(2);
      await hub.room('plain/1').publishJSON('last');
      await expect.poll(() => items.at(-1)).toBe('last');
      const numbers = Array.from({ length: count }, (_, i) => `${i + 1}`);
      expect(items).toEqual(['live', 'gap', ...numbers, 'live', 'last']);
    },
  );
});
