import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it } from 'vitest';
import { encodeEnvelope } from '../../src/backplane/envelope.ts';
import { entered, node, pair, send, turns, useFakeTime, wait } from '../nodes.ts';

const options = { rooms: { r: { history: true, delivery: 'through' } } } as const;
const FAR = Number.MAX_SAFE_INTEGER;
const READABLE = encodeEnvelope({
  node: 'another program',
  counter: 1,
  previousMs: undefined,
  exact: false,
  key: undefined,
  message: undefined,
});

useFakeTime();

/** Two nodes. The first one has a member. */
async function start(change?: Parameters<typeof node>[3]) {
  const broker = new MemoryBroker();
  const [a, b] = [node(broker, 'a', options, change), node(broker, 'b', options)];
  const { received } = await entered(a.hub, 'r');
  const publish = async (...texts: string[]): Promise<void> => {
    for (const text of texts) await b.hub.room('r').publish(text);
    await turns();
  };
  const { epoch } = (await b.hub.room('r').publish('0'))!;
  await turns();
  return { broker, a, received, publish, epoch };
}

describe('bytes of another program with a position far ahead', () => {
  it.each([
    ['unreadable', Uint8Array.of(9, 9, 9), ['r']],
    ['readable', READABLE, []],
  ])('keep no later message of the room away (%s)', async (_, bytes, gaps) => {
    const { broker, a, received, publish, epoch } = await start();
    broker.inject('room/r', bytes, { epoch, offset: FAR });
    await turns();
    await publish('1', '2');
    broker.drop(1, 'a');
    await publish('3', '4');
    await wait(12_000);
    expect(received).toEqual(['0', '1', '2', '3', '4']);
    expect(a.gaps).toEqual(gaps);
  });

  it('keep none away after an outage, whose gap any message follows', async () => {
    const { broker, a, received, publish, epoch } = await start(() => ({
      history: () => Promise.reject(new Error('refused')),
    }));
    broker.disconnect('a');
    broker.reconnect('a');
    await turns();
    expect(a.gaps).toEqual(['r']);
    broker.inject('room/r', Uint8Array.of(9, 9, 9), { epoch, offset: FAR });
    await turns();
    await publish('1', '2');
    expect(received).toEqual(['0', '1', '2']);
  });

  it('keep none away as the first bytes of the room', async () => {
    const { broker, a, b } = pair(options);
    const { epoch } = (await b.hub.room('r').publish('0'))!;
    await wait(10);
    const { received } = await entered(a.hub, 'r');
    broker.inject('room/r', Uint8Array.of(9, 9, 9), { epoch, offset: FAR });
    await turns();
    await send(b.hub, '1');
    expect(received).toEqual(['1']);
    expect(a.gaps).toEqual(['r']);
  });
});
