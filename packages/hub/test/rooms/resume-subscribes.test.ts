import { Deferred } from '@ws/conn/internal';
import type { JoinOptions } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { node, turns, wait } from '../nodes.ts';
import { first, visit } from './visits.ts';

const THROUGH = { rooms: { r: { history: true, delivery: 'through' } } } as const;
const ELSEWHERE = { epoch: 'of another node', offset: 1 };

/** Two nodes that keep the history. The engine answers to the subscription of `b` when it is told to. */
async function nodes() {
  const broker = new MemoryBroker({ keeps: false });
  const answer = new Deferred<void>();
  const a = node(broker, 'a', THROUGH);
  const b = node(broker, 'b', THROUGH, (backplane) => ({
    async subscribe(channel) {
      if (channel === 'room/r') await answer.promise;
      return backplane.subscribe(channel);
    },
  }));
  await turns();
  return { broker, a, b, answer };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a resume in a history of this node', () => {
  it.each<[string, JoinOptions, string]>([
    ['a first visit', {}, 'true 0'],
    ['a position of another node', { since: ELSEWHERE }, 'false 0'],
  ])('starts when the node receives the room: %s', async (_, options, start) => {
    const { a, b, answer } = await nodes();
    const { received } = visit(b.hub, { ...options, first });
    await turns();
    await a.hub.room('r').publish('1');
    await turns();
    expect(received).toEqual([]);
    answer.resolve();
    await turns();
    await a.hub.room('r').publish('2');
    await turns();
    expect(received).toEqual([start, '2']);
  });

  it('is not complete when the engine does not answer to the subscription', async () => {
    const { b } = await nodes();
    const { received } = visit(b.hub, { first });
    await wait(4_999);
    expect(received).toEqual([]);
    await wait(1);
    expect(received).toEqual(['false 0']);
  });

  it('is not complete at once while the engine is away', async () => {
    const { broker, b } = await nodes();
    broker.disconnect();
    const { received } = visit(b.hub, { first });
    await turns();
    expect(received).toEqual(['false 0']);
  });
});
