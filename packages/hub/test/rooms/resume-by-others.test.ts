// Reports of users of socket.io about its connection state recovery, and Centrifugo's rules of
// recovery, as tests of a resume.
import { Hub, type HubOptions, type Position } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { useFakeTime, wait } from '../nodes.ts';
import { first, publish, type Visit, visit } from './visits.ts';

const TTL = 6_000;

useFakeTime();

/** One hub, and two nodes of an engine: the client returns to the other one. */
const KINDS: readonly (readonly [string, (size?: number) => readonly [Hub, Hub]])[] = [
  [
    'one hub',
    (size = 1_000) => {
      const hub = new Hub({ rooms: { r: { history: { size, ttl: TTL } } } });
      return [hub, hub];
    },
  ],
  [
    'two nodes',
    (size = 1_000) => {
      const broker = new MemoryBroker();
      const rooms: HubOptions['rooms'] = {
        r: { history: { size, ttl: TTL }, delivery: 'through' },
      };
      const start = (): Hub => new Hub({ rooms, backplane: memoryBackplane(broker) });
      return [start(), start()];
    },
  ],
];

/** The result of a join, and what the client got. */
async function resumed(hub: Hub, since: Position): Promise<[boolean, string[]]> {
  const { joined, received, client } = visit(hub, { since });
  const { complete } = await joined;
  await wait(1);
  client.terminate();
  return [complete, received];
}

describe.each(KINDS)('a resume on %s, by issues of socket.io', (kind, start) => {
  it('recovers a client that returns before it has got a message (4888, 5538)', async () => {
    const [one, two] = start();
    await publish(one, 3);
    const { joined, client } = visit(one, { first });
    const { position } = await joined;
    client.terminate();
    await one.room('r').publish('4');
    expect(await resumed(two, position!)).toEqual([true, ['4']]);
  });

  it('gives all messages of a room that had none at the first visit (4888, 5538)', async () => {
    const [one, two] = start();
    const { joined, client } = visit(one, { first });
    const { position } = await joined;
    client.terminate();
    await publish(one, 2);
    expect(await resumed(two, position!)).toEqual([true, ['1', '2']]);
  });

  it('recovers a client that was connected for long (4733, 5282)', async () => {
    const [one, two] = start();
    const [position] = await publish(one, 1);
    const { client, joined } = visit(one, { since: position! });
    await joined;
    for (let i = 0; i < 3; i++) await wait(TTL - 1_000);
    client.terminate();
    await one.room('r').publish('missed');
    expect(await resumed(two, position!)).toEqual([true, ['missed']]);
  });

  it('recovers after a message that has no position (5539)', async () => {
    const [one, two] = start();
    const [position] = await publish(one, 1);
    const { client, received, session } = visit(one, { since: position! });
    await wait(1);
    session.send('status');
    void one.broadcast('volatile');
    await wait(1);
    expect(received).toEqual(['status', 'volatile']);
    client.terminate();
    await one.room('r').publish('2');
    expect(await resumed(two, position!)).toEqual([true, ['2']]);
  });

  it('recovers again and again, also while the server keeps the old connections (4880)', async () => {
    const [one, two] = start();
    let [position] = await publish(one, 1);
    const old: Visit[] = [];
    for (let i = 2; i < 6; i++) {
      const each = visit(i % 2 === 0 ? one : two, { since: position! });
      expect(await each.joined).toMatchObject({ complete: true });
      old.push(each);
      position = await one.room('r').publish(`${i}`);
      await wait(1);
    }
    expect(old.map(({ received }) => received[0])).toEqual(['2', '3', '4', '5']);
  });

  it('sends later messages to a client that was not recovered (4733, 4968)', async () => {
    const [one, two] = start();
    await publish(one, 1);
    const { received, joined } = visit(two, { since: { epoch: 'unknown', offset: 5 } });
    expect(await joined).toMatchObject({ complete: false });
    await one.room('r').publish('2');
    await wait(1);
    expect(received).toEqual(['1', '2']);
  });
});

it('a resume after the server was killed is not complete in memory, and complete on an engine', async () => {
  for (const [kind, start] of KINDS) {
    const [one, two] = start();
    const [position] = await publish(one, 2);
    const next = kind === 'one hub' ? start()[0] : two;
    const expected = kind === 'one hub' ? [false, []] : [true, ['2']];
    expect(await resumed(next, position!)).toEqual(expected);
  }
});

describe.each(KINDS)("Centrifugo's rules of recovery on %s", (_, start) => {
  // The history has the messages 3 to 6.
  it.each<[string, (position: Position) => Position, boolean, string[]]>([
    ['the last offset', (p) => p, true, []],
    ['an offset of the history', (p) => ({ ...p, offset: 4 }), true, ['5', '6']],
    ['the offset before the history', (p) => ({ ...p, offset: 2 }), true, ['3', '4', '5', '6']],
    ['an older offset', (p) => ({ ...p, offset: 1 }), false, ['3', '4', '5', '6']],
    ['offset 0', (p) => ({ ...p, offset: 0 }), false, ['3', '4', '5', '6']],
    ['an offset ahead', (p) => ({ ...p, offset: 7 }), false, ['3', '4', '5', '6']],
    ['another epoch', (p) => ({ ...p, epoch: 'x' }), false, ['3', '4', '5', '6']],
    ['no epoch', () => ({ epoch: '', offset: 0 }), false, ['3', '4', '5', '6']],
  ])('with %s', async (_name, since, complete, received) => {
    const [one, two] = start(4);
    const positions = await publish(one, 6);
    const result = resumed(two, since(positions.at(-1)!));
    // A copy of the history may be late, so a read that ends before the position is repeated.
    await wait(1_000);
    expect(await result).toEqual([complete, received]);
  });

  it('report a loss when the history has expired with a missed message', async () => {
    const [one, two] = start();
    const [position] = await publish(one, 2);
    await wait(TTL + 10_000);
    expect(await resumed(two, position!)).toEqual([false, []]);
  });

  it('go on live after a recovery, without a double', async () => {
    const [one, two] = start();
    const [position] = await publish(one, 2);
    const { received } = visit(two, { since: position! });
    for (const text of ['3', '4', '5']) void one.room('r').publish(text);
    await wait(1);
    expect(received).toEqual(['2', '3', '4', '5']);
  });
});
