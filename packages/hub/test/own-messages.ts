import { connPair } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { type Backplane, Hub, type JoinOptions } from '@ws/hub';
import { expect } from 'vitest';

/** The messages that two clients of a node have received. */
export interface Received {
  readonly resumed: string[];
  readonly joined: string[];
}

/**
 * A node publishes `1` to `3` before its first members join, and the engine answers after that. One of
 * them resumes, and the engine refuses its read.
 *
 * @param start - Creates the backplane of a node on the engine.
 */
export async function ownMessagesUnderWay(start: () => Backplane): Promise<Received> {
  const held = new Deferred<void>();
  const other = hubOf(start());
  const own = hubOf(refusingReads(start(), held.promise));
  try {
    await expect.poll(() => [own, other].map((hub) => hub.stats.backplane)).toEqual(['up', 'up']);
    const sent = ['1', '2', '3'].map((text) => own.room('r').publish(text));
    const joined = enter(own);
    const resumed = enter(own, { since: { epoch: 'another', offset: 1 } });
    // A publication waits for the subscription of its node.
    const after = own.room('r').publish('after');
    await expect.poll(() => own.stats.rooms).toBe(1);
    await other.room('r').publish('other');
    await expect.poll(() => joined.received).toEqual(['other']);
    held.resolve();
    await Promise.all([...sent, after]);
    expect(await resumed.joined).toMatchObject({ complete: false });
    await other.room('r').publish('end');
    for (const { received } of [joined, resumed]) {
      await expect.poll(() => received.at(-1)).toBe('end');
    }
    return { resumed: resumed.received, joined: joined.received };
  } finally {
    await Promise.all([own, other].map((hub) => hub.close({ timeout: 1 })));
  }
}

function hubOf(backplane: Backplane): Hub {
  const hub = new Hub({ backplane, rooms: { r: { history: true, delivery: 'through' } } });
  hub.on('error', () => {});
  return hub;
}

/** The engine gets no message before `held` resolves, and refuses to read. */
function refusingReads(backplane: Backplane, held: Promise<void>): Backplane {
  return {
    start: (sink, node) => backplane.start(sink, node),
    async publish(channel, bytes, keep) {
      if (keep !== undefined) await held;
      return backplane.publish(channel, bytes, keep);
    },
    subscribe: (channel) => backplane.subscribe(channel),
    unsubscribe: (channel) => backplane.unsubscribe(channel),
    async history() {
      throw new Error('refused');
    },
    close: () => backplane.close(),
  };
}

function enter(hub: Hub, options?: JoinOptions) {
  const [client, server] = connPair();
  const session = hub.add(server);
  const received: string[] = [];
  client.receive((message) => void received.push(message.text())).catch(() => {});
  return { received, joined: session.join('r', options) };
}
