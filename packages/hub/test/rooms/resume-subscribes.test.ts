import { Deferred } from '@ws/conn/internal';
import type { JoinOptions } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { node, turns, wait } from '../nodes.ts';
import { first, publish, visit } from './visits.ts';

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

  it('sends all that is kept after an outage, and nothing twice', async () => {
    const { broker, b, answer } = await nodes();
    answer.resolve();
    visit(b.hub);
    await turns();
    const last = (await publish(b.hub, 150)).at(-1)!;
    broker.disconnect();
    broker.reconnect();
    await turns();
    const elsewhere = visit(b.hub, { since: ELSEWHERE, first });
    const here = visit(b.hub, { since: last, first });
    expect(await elsewhere.joined).toMatchObject({ complete: false, missed: 150, position: last });
    expect(await here.joined).toMatchObject({ complete: false, missed: 0, position: last });
    await turns();
    expect(elsewhere.received.slice(-2)).toEqual(['149', '150']);
    expect([elsewhere.session.state, elsewhere.received.length]).toEqual(['open', 151]);
    expect(here.received).toEqual(['false 0']);
  });
});
