// Rooms without history: nodes count no messages there. Only what this node knows is told.
import { describe, expect, it, vi } from 'vitest';
import { decodeEnvelope, type Envelope } from '../src/backplane/envelope.ts';
import { alone, enter, entered, pair, send, turns, useFakeTime, wait } from './nodes.ts';

useFakeTime();

/** Longer than all digests of a room with history, in ms. */
const DIGESTS_MS = 70_000;

describe.each([
  ['local-first', {}],
  ['through', { rooms: { r: { delivery: 'through' } } }],
] as const)('a room without history (%s)', (_delivery, options) => {
  it('costs the engine one message for each publication', async () => {
    const sent: string[] = [];
    const { hub } = alone(options, (backplane) => ({
      publish(channel, bytes, keep) {
        if ((decodeEnvelope(bytes) as Envelope).word === undefined) sent.push(channel);
        return backplane.publish(channel, bytes, keep);
      },
    }));
    enter(hub, 'r');
    await wait(5_000);
    for (let i = 0; i < 3; i++) await hub.room('r').publish('x');
    hub.broadcast('y');
    await wait(DIGESTS_MS);
    expect(sent).toEqual(['room/r', 'room/r', 'room/r', 'all']);
    await hub.close();
    expect(sent).toHaveLength(4);
  });

  it('tells no loss of a first, a middle and a last message', async () => {
    const { broker, a, b } = pair(options);
    const { received } = await entered(b.hub, 'r');
    await wait(10_000);
    for (const [lost, came] of ['1', '3', '5', '7'].map((text) => [text, `${Number(text) + 1}`])) {
      broker.drop(1, 'b');
      await a.hub.room('r').publish(lost!);
      if (lost === '7') break;
      await a.hub.room('r').publish(came!);
      await wait(20_000);
    }
    await wait(DIGESTS_MS);
    expect(received).toEqual(['2', '4', '6']);
    expect([b.gaps, b.errors]).toEqual([[], []]);
  });

  it('drops doubled messages, and keeps the order of each node', async () => {
    const { broker, a, b } = pair(options);
    const sessions = [enter(a.hub, 'r'), await entered(b.hub, 'r', 's')];
    const texts = Array.from({ length: 10 }, (_, i) => `${i}`);
    for (const text of texts) {
      broker.double(4);
      // Other rooms share the counter of the node.
      await a.hub.room('s').publish(`s${text}`);
      await a.hub.room('r').publish(text);
      await turns();
    }
    expect(sessions[0]!.received).toEqual(texts);
    expect(sessions[1]!.received).toEqual(texts.flatMap((text) => [`s${text}`, text]));
  });

  it('keeps no timer after a publication', async () => {
    const { hub } = alone(options);
    enter(hub, 'r');
    await wait(5_000);
    const before = vi.getTimerCount();
    await hub.room('r').publish('x');
    await turns();
    expect(vi.getTimerCount()).toBe(before);
  });

  it('tells an outage of the engine', async () => {
    const { broker, b } = pair(options);
    await entered(b.hub, 'r');
    broker.disconnect();
    await wait(100);
    broker.reconnect();
    await turns();
    expect(b.gaps).toEqual(['r']);
  });

  it.each([
    ['10,000 messages', 10_001, 1],
    ['64 MiB', 3, 30 * 2 ** 20],
  ])('tells what an audience of this node refuses: above %s in a turn', async (_, count, size) => {
    const { broker, a, b } = pair(options);
    await entered(b.hub, 'r');
    broker.delay();
    const data = new Uint8Array(size);
    for (let i = 0; i < count; i++) await a.hub.room('r').publish(data);
    broker.release();
    await turns();
    expect(b.gaps).toEqual(['r']);
    await send(a.hub, 'next');
    expect(b.gaps).toEqual(['r']);
  });

  it('tells what this node cannot read, once in a row', async () => {
    const { broker, b } = pair(options);
    await entered(b.hub, 'r');
    for (let i = 0; i < 3; i++) broker.inject('room/r', Uint8Array.of(9, 1, 1, 65));
    expect(b.gaps).toEqual(['r']);
    expect(b.errors).toEqual([expect.stringContaining('version 9')]);
  });
});

describe('a through room without history', () => {
  const options = { rooms: { r: { delivery: 'through' } } } as const;

  it('tells its members of a message that form refuses', async () => {
    const form = (): string => {
      throw new Error('form');
    };
    const { a, b } = pair({ rooms: { r: { delivery: 'through', form } } });
    await entered(b.hub, 'r');
    await a.hub.room('r').publish('x');
    await turns();
    expect(b.gaps).toEqual(['r']);
  });

  it('does not delay a close for a message that was lost on its way back', async () => {
    const { broker, hub } = alone(options);
    await entered(hub, 'r');
    broker.drop();
    const published = hub.room('r').publish('lost');
    await wait(5_000);
    await published;
    let closed = false;
    const closing = hub.close({ timeout: 1 }).then(() => (closed = true));
    await wait(20);
    expect(closed).toBe(true);
    await closing;
  });
});
