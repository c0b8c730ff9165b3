import { Hub } from '@ws/hub';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { Random } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz012345';

/** Texts that compress a little. */
function textsOf(count: number, length: number): string[] {
  const random = new Random(1);
  return Array.from({ length: count }, () => {
    let text = '';
    while (text.length < length) text += LETTERS[random.below(LETTERS.length)];
    return text;
  });
}

/** A hub with three compressed members of the room `r`, which read unless `pauses`. */
async function setUp({ pauses = false } = {}) {
  const hub = new Hub();
  hub.on('connect', (session) => session.join('r'));
  // A client that pauses reads its close frame late.
  const server = await serve(
    { host: '127.0.0.1', port: 0, compression: true, closeTimeout: 60_000 },
    hub.handler,
  );
  const received: string[][] = [];
  const clients = await Promise.all(
    [0, 1, 2].map(async (i) => {
      const client = await dial(server.url, { compression: true });
      received[i] = [];
      const receive = (): Promise<unknown> =>
        client.receive((message) => void received[i]!.push(message.text())).catch(() => {});
      if (!pauses) void receive();
      return { client, receive };
    }),
  );
  await expect.poll(() => hub.room('r').members.size).toBe(3);
  onTestFinished(async () => {
    for (const { client } of clients) client.terminate();
    await hub.close({ timeout: 1_000 });
    await server.close();
  });
  return { hub, clients, received };
}

describe('a session whose connection compresses', () => {
  it.each([
    [30, 40_000],
    [12, 100_000],
    [6, 200_000],
    [40, 50_000],
  ])('is not slow: it gets %i messages of %i bytes in one turn', async (count, length) => {
    const { hub, received } = await setUp();
    const texts = textsOf(count, length);
    for (const text of texts) void hub.room('r').publish(text);
    await expect.poll(() => received.every((own) => own.length === count)).toBe(true);
    for (const own of received) expect(own).toEqual(texts);
    expect(hub.stats).toMatchObject({ sessions: 3, dropped: 0 });
  });

  it('gets messages that are each awaited, and at most one waits', async () => {
    const { hub, received } = await setUp();
    const texts = textsOf(20, 70_000);
    for (const text of texts) {
      await hub.room('r').publish(text);
      for (const { queued } of hub.sessions.values()) expect(queued.messages).toBeLessThan(2);
    }
    await expect.poll(() => received.every((own) => own.length === texts.length)).toBe(true);
    for (const own of received) expect(own).toEqual(texts);
  });

  it('gets what session.send sends in one turn', async () => {
    const { hub, received } = await setUp();
    const texts = textsOf(30, 40_000);
    for (const text of texts) for (const session of hub.sessions.values()) session.send(text);
    await expect.poll(() => received.every((own) => own.length === texts.length)).toBe(true);
    for (const own of received) expect(own).toEqual(texts);
  });

  it('is closed with 1013 when its peer reads nothing', async () => {
    const { hub, clients } = await setUp({ pauses: true });
    const [text] = textsOf(1, 200_000) as [string];
    const isOpen = (): boolean =>
      Array.from(hub.sessions.values()).some(({ state }) => state !== 'closed');
    for (let i = 0; isOpen(); i++) {
      await hub.room('r').publish(text + i);
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const { receive } of clients) void receive();
    for (const { client } of clients) {
      expect(await client.closed).toMatchObject({ code: 1013, reason: 'reads too slowly' });
    }
  });
});
