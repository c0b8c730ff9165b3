// A rolling restart: nodes of a version that counts in all rooms beside nodes that count only with history.
import { Hub, type HubOptions } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { enter, turns, useFakeTime, wait } from '../nodes.ts';
import { Hub as OldHub } from './hub.js';

useFakeTime();

const ROOMS = ['plain', 'through', 'log'] as const;
const OPTIONS: HubOptions = {
  rooms: { through: { delivery: 'through' }, log: { delivery: 'through', history: true } },
};
/** Longer than all digests, also those of a loss. */
const QUIET_MS = 70_000;

/** A hub with one member of all rooms, on an engine that may refuse its next message. */
function start(broker: MemoryBroker, id: string, Version: typeof Hub) {
  const backplane = memoryBackplane(broker);
  let refuses = false;
  const hub = new Version({
    ...OPTIONS,
    id,
    backplane: {
      ...backplane,
      publish(...args) {
        if (!refuses) return backplane.publish(...args);
        refuses = false;
        return Promise.reject(new Error('refused'));
      },
    },
  });
  const gaps: (string | undefined)[] = [];
  hub.on('gap', (room) => void gaps.push(room));
  hub.on('error', () => {});
  const { received } = enter(hub, ...ROOMS);
  return { id, hub, gaps, received, refuse: () => void (refuses = true) };
}

type Node = ReturnType<typeof start>;

const VERSIONS = { old: OldHub, new: Hub };
const PAIRS = [
  ['old', 'new'],
  ['new', 'old'],
] as const;

async function publish(node: Node, text: string, rooms: readonly string[] = ROOMS): Promise<void> {
  for (const room of rooms) {
    await node.hub
      .room(room)
      .publish(`${room} ${text}`)
      .catch(() => {});
  }
  await turns();
}

it('a rolling restart loses nothing, and no node has a gap', async () => {
  const broker = new MemoryBroker();
  let nodes = [start(broker, 'a', OldHub), start(broker, 'b', OldHub)];
  const all = [...nodes];
  const sent: string[] = [];
  let number = 0;
  const publishAll = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      for (const node of nodes) {
        const text = `${node.id}${++number}`;
        await publish(node, text);
        sent.push(text);
      }
      // Shorter and longer than the digests of old nodes, and than the time after which a room is quiet.
      await wait([500, 7_000, 30_000][i]!);
    }
  };
  await wait(5_000);
  await publishAll();
  for (const id of ['c', 'd']) {
    const [oldest, ...others] = nodes;
    const next = start(broker, id, Hub);
    all.push(next);
    // It has subscribed.
    await wait(100);
    nodes = [...nodes, next];
    await publishAll();
    await Promise.all([oldest!.hub.close({ timeout: 10 }), wait(2_000)]);
    nodes = [...others, next];
    await publishAll();
  }
  await wait(QUIET_MS);
  for (const { id, gaps } of all) expect([id, gaps]).toEqual([id, []]);
  // The last node has all that was published since it started.
  const { received } = all.at(-1)!;
  const since = sent.slice(-received.length / ROOMS.length);
  expect(received).toEqual(since.flatMap((text) => ROOMS.map((room) => `${room} ${text}`)));
  expect(since.length).toBeGreaterThanOrEqual(15);
});

describe.each(PAIRS)(
  'a message of an %s node that is lost at the %s node beside it',
  (from, to) => {
    async function both() {
      const broker = new MemoryBroker();
      const publisher = start(broker, 'from', VERSIONS[from]);
      const member = start(broker, 'to', VERSIONS[to]);
      await wait(5_000);
      await publish(publisher, '1');
      return { broker, publisher, member };
    }
    const textsOf = ({ received }: Node, room: string): string[] =>
      received.filter((text) => text.startsWith(room)).map((text) => text.split(' ')[1]!);

    it.each(['a next message', 'digests'])('is repaired with history, by %s', async (by) => {
      const { broker, publisher, member } = await both();
      broker.drop(1, 'to');
      await publish(publisher, '2', ['log']);
      if (by === 'a next message') await publish(publisher, '3', ['log']);
      await wait(QUIET_MS);
      expect(textsOf(member, 'log')).toEqual(by === 'digests' ? ['1', '2'] : ['1', '2', '3']);
      expect(member.gaps).toEqual([]);
    });

    it.each(['a next message', 'digests'])(
      'is told with history if the engine has refused it, by %s',
      async (by) => {
        const { publisher, member } = await both();
        publisher.refuse();
        await publish(publisher, '2', ['log']);
        if (by === 'a next message') await publish(publisher, '3', ['log']);
        await wait(QUIET_MS);
        await publish(publisher, '4');
        expect(member.gaps).toEqual(['log']);
      },
    );

    it('is told without history by an old publisher to an old member only', async () => {
      const { broker, publisher, member } = await both();
      for (const room of ['plain', 'through']) {
        broker.drop(1, 'to');
        await publish(publisher, '2', [room]);
        await publish(publisher, '3', [room]);
      }
      await wait(QUIET_MS);
      expect(member.gaps).toEqual([]);
      expect(textsOf(member, 'plain')).toEqual(['1', '3']);
      expect(textsOf(member, 'through')).toEqual(['1', '3']);
    });
  },
);
