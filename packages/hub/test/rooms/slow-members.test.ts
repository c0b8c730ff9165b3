// A member that reads more slowly than its room: it reads on from the history.
import { connPair } from '@ws/conn';
import { Hub, type HubOptions, type Session } from '@ws/hub';
import { MemoryBroker } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { node, turns } from '../nodes.ts';
import { textsOf } from './visits.ts';

const ROOMS = { r: { history: true }, plain: {} } as const;
const PADDING = 'x'.repeat(10_000);

/** The texts of the messages from one number to another. */
const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => `${from + i} ${PADDING}`);

/** A member whose client reads nothing until the test reads. Its queue takes ten messages. */
async function slowMember(
  options: HubOptions = {},
  hub: Hub = new Hub({ maxQueuedMessages: 10, rooms: ROOMS, ...options }),
) {
  const overflow = vi.fn();
  hub.on('overflow', (_, info) => overflow(info));
  const [client, server] = connPair({ readAhead: 1_000, highWaterMark: 2_000 });
  const session: Session = hub.add(server);
  await session.join('r');
  const publish = async (texts: readonly string[]): Promise<void> => {
    for (const text of texts) await hub.room('r').publish(text);
    await turns();
  };
  return { hub, overflow, client, session, publish };
}

describe('a member of a room with history that reads too slowly', () => {
  it('gets all messages, in order and once, and keeps its connection', async () => {
    const { client, session, publish, overflow } = await slowMember();
    await publish(numbered(1, 60));
    expect(session.queued.messages).toBe(5);
    expect(await textsOf(client, `60 ${PADDING}`)).toEqual(numbered(1, 60));
    await publish(numbered(61, 120));
    expect(await textsOf(client, `120 ${PADDING}`)).toEqual(numbered(61, 120));
    expect([session.state, overflow.mock.calls]).toEqual(['open', []]);
  });

  it('gets all messages that come while it reads on', async () => {
    const { client, publish } = await slowMember();
    await publish(numbered(1, 60));
    const texts = await textsOf(client, `20 ${PADDING}`);
    await publish(numbered(61, 100));
    texts.push(...(await textsOf(client, `70 ${PADDING}`)));
    await publish(['last']);
    texts.push(...(await textsOf(client, 'last')));
    expect(texts).toEqual([...numbered(1, 100), 'last']);
  });

  it('gets them from the engine of a backplane too', async () => {
    const broker = new MemoryBroker();
    const rooms = { r: { history: true, delivery: 'through' } } as const;
    const { hub } = node(broker, 'a', { rooms, maxQueuedMessages: 10 });
    const { client, session, publish } = await slowMember({}, hub);
    await publish(numbered(1, 60));
    expect(session.queued.messages).toBe(5);
    expect(await textsOf(client, `60 ${PADDING}`)).toEqual(numbered(1, 60));
  });

  it('leaves half of its queue to other messages', async () => {
    const { client, session, publish, overflow } = await slowMember();
    await publish(numbered(1, 60));
    for (let i = 0; i < 5; i++) expect(session.send('other')).toBe(true);
    expect(overflow).not.toHaveBeenCalled();
    expect(session.send('one too many')).toBe(false);
    expect(overflow.mock.calls).toEqual([[{ dropped: 11, policy: 'close' }]]);
    client.receive(() => {}).catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1013, reason: 'reads too slowly' });
  });

  it('loses none of them by the policy latest, with or without a key', async () => {
    const { hub, client, session, publish } = await slowMember({ overflow: 'latest' });
    await session.join('plain');
    for (const text of numbered(1, 30)) await hub.room('r').publish(text, { key: 'a' });
    for (let i = 1; i <= 30; i++) await hub.room('plain').publish(`plain ${i}`);
    await publish(numbered(31, 60));
    const texts = await textsOf(client, `60 ${PADDING}`);
    expect(texts.filter((text) => !text.startsWith('plain'))).toEqual(numbered(1, 60));
    expect(texts.filter((text) => text.startsWith('plain'))).toEqual(
      [26, 27, 28, 29, 30].map((i) => `plain ${i}`),
    );
  });

  it('takes a message that is longer than its queue', async () => {
    const { client, publish } = await slowMember({ maxQueuedBytes: 40_000 });
    const long = `long ${'x'.repeat(100_000)}`;
    await publish([...numbered(1, 9), long, ...numbered(10, 20)]);
    expect(await textsOf(client, `20 ${PADDING}`)).toEqual([
      ...numbered(1, 9),
      long,
      ...numbered(10, 20),
    ]);
  });

  it('is closed with 1013 once the history has lost what it lacks', async () => {
    const { client, session, publish, overflow } = await slowMember({
      rooms: { r: { history: { size: 10 } } },
    });
    await publish(numbered(1, 60));
    expect(session.state).toBe('open');
    client.receive(() => {}).catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1013, reason: 'missed too much' });
    expect(overflow).not.toHaveBeenCalled();
  });

  it('gets nothing more from a room that it leaves', async () => {
    const { hub, client, session, publish } = await slowMember();
    await publish(numbered(1, 60));
    session.leave('r');
    session.send('left');
    expect((await textsOf(client, 'left')).length).toBeLessThan(30);
    await turns();
    session.send('end');
    expect(await textsOf(client, 'end')).toEqual(['end']);
    expect(hub.room('r').members.size).toBe(0);
  });

  it('may join again with its position while it lacks messages', async () => {
    const { hub, client, session } = await slowMember();
    const positions = [];
    for (const text of numbered(1, 60)) positions.push((await hub.room('r').publish(text))!);
    await turns();
    const again = session.join('r', { since: positions[49]! });
    const texts = await textsOf(client, `60 ${PADDING}`);
    expect(await again).toMatchObject({ complete: true, position: positions[59] });
    expect(texts.slice(-10)).toEqual(numbered(51, 60));
    expect(texts.length).toBeLessThan(25);
  });
});
