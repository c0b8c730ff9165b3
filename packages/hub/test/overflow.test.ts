import { type Conn, connPair, portablePlatform } from '@ws/conn';
import { WriteBudget } from '@ws/conn/internal';
import { Hub, type HubOptions } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';

const PAYLOAD = 'x'.repeat(1_000);

async function numbers(conn: Conn, last: number): Promise<number[]> {
  const read: number[] = [];
  while (read.at(-1) !== last) read.push(Number((await conn.readMessage()).text().split(' ')[0]));
  return read;
}

function makeHub(options: HubOptions): { hub: Hub; overflow: ReturnType<typeof vi.fn> } {
  const hub = new Hub(options);
  const overflow = vi.fn();
  hub.on('overflow', (_, info) => overflow(info));
  return { hub, overflow };
}

/**
 * A session with a client that reads nothing until the test reads. Messages are published until `waiting`
 * of them wait. `count` is their number.
 */
async function slow(waiting: number, options: HubOptions = {}) {
  const { hub, overflow } = makeHub(options);
  const [client, server] = connPair({ readAhead: 1_000, highWaterMark: 2_000 });
  const session = hub.add(server);
  void session.join('r');
  let count = 0;
  while (session.queued.messages < waiting) {
    await hub.room('r').publish(`${count++} ${PAYLOAD}`);
    if (count > 1_000) throw new Error('the transport is never blocked');
  }
  return { hub, overflow, client, session, count };
}

describe('a message for which the connections of a server together have no room', () => {
  it('closes its session with 1013, and is not sent', async () => {
    const platform = Object.create(portablePlatform, {
      writeBudget: { value: new WriteBudget(1_000_000) },
    });
    const [, deaf] = connPair({ platform, readAhead: 1 });
    for (let i = 0; i < 9; i++) deaf.send(new Uint8Array(100_000)).catch(() => {});
    const { hub } = makeHub({});
    const [client, server] = connPair({ platform });
    const session = hub.add(server);
    await session.join('r');
    await hub.room('r').publish('x'.repeat(600_000));
    void client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1013 });
    expect(client.stats.messagesIn).toBe(0);
    await hub.close({ timeout: 1 });
    deaf.terminate();
  });
});

describe('a session that reads too slowly', () => {
  it('gets all messages when it reads again', async () => {
    const { hub, overflow, client, session, count } = await slow(100);
    const read = await numbers(client, count - 1);
    expect(read).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(overflow).not.toHaveBeenCalled();
    expect(session.queued).toEqual({ messages: 0, bytes: 0 });
    expect(hub.stats).toMatchObject({ published: count, delivered: count, dropped: 0 });
  });

  it('is closed with 1013 by default', async () => {
    const { hub, overflow, client, session } = await slow(10, { maxQueuedMessages: 10 });
    await hub.room('r').publish('one too many');
    expect(overflow.mock.calls).toEqual([[{ dropped: 11, policy: 'close' }]]);
    expect(session.state).toBe('closed');
    await expect(numbers(client, -1)).rejects.toMatchObject({ closeCode: 1013 });
  });

  it('loses the oldest messages with latest', async () => {
    const options = { maxQueuedMessages: 10, overflow: 'latest' } as const;
    const { hub, overflow, client, session, count } = await slow(10, options);
    for (let i = count; i < count + 5; i++) expect(session.send(`${i}`)).toBe(true);
    expect(overflow.mock.calls).toEqual([[{ dropped: 1, policy: 'latest' }]]);
    const read = await numbers(client, count + 4);
    expect(read.length).toBe(count);
    expect(read.slice(-10)).toEqual(Array.from({ length: 10 }, (_, i) => count - 5 + i));
    expect(hub.stats.dropped).toBe(5);
  });

  it('gets the latest message of each key with latest', async () => {
    const { hub, client, session, count } = await slow(1, { overflow: 'latest' });
    for (let i = count; i < count + 6; i++) session.send(`${i}`, { key: `${i % 2}` });
    session.send('-1');
    const read = await numbers(client, -1);
    expect(read.slice(-4)).toEqual([count - 1, count + 4, count + 5, -1]);
    expect(hub.stats.dropped).toBe(4);
  });

  it.each(['with a key', 'without a key'])(
    'counts what a listener of overflow sends %s, in order',
    async (how) => {
      const { hub, client, session } = await slow(1, { overflow: 'latest', maxQueuedMessages: 1 });
      const options = how === 'with a key' ? { key: 'a' } : {};
      hub.on('overflow', () => void session.send('-1', options));
      session.send('7', options);
      expect(session.queued).toEqual({ messages: 1, bytes: 2 });
      expect((await numbers(client, -1)).slice(-1)).toEqual([-1]);
    },
  );

  it('keeps the message of a key with latest when a larger one than the bound is dropped', async () => {
    const { hub, client, session } = await slow(1, { overflow: 'latest', maxQueuedBytes: 3_000 });
    session.send('7', { key: 'a' });
    expect(session.send('8'.repeat(3_001), { key: 'a' })).toBe(false);
    session.send('-1');
    expect((await numbers(client, -1)).slice(-2)).toEqual([7, -1]);
    expect(hub.stats.dropped).toBe(1);
  });

  it('gets each message once when a listener of sent closes it', async () => {
    const { hub, client, session, count } = await slow(3);
    session.send('-1');
    hub.on('sent', (each) => void each.close());
    expect(await numbers(client, -1)).toEqual([...Array(count).keys(), -1]);
    await expect(client.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(hub.stats).toMatchObject({ delivered: count + 1, dropped: 0 });
  });

  it('counts what waits as dropped when a listener of sent ends the connection', async () => {
    const { hub, session, count } = await slow(3);
    const { delivered } = hub.stats;
    hub.on('sent', (each) => each.conn.terminate());
    await session.close();
    expect(delivered).toBe(count - 3);
    expect(hub.stats).toMatchObject({ delivered: delivered + 1, dropped: 2 });
  });

  it('gets the messages that a listener of sent sends, in order', async () => {
    const { hub, client, count } = await slow(3, { maxQueuedMessages: 3, overflow: 'latest' });
    let more = 3;
    hub.on('sent', (each) => void (more-- > 0 && each.send(`${count + 2 - more}`)));
    const read = await numbers(client, count + 2);
    expect(read).toEqual([...Array(count + 3).keys()]);
    expect(hub.stats).toMatchObject({ delivered: count + 3, dropped: 0 });
  });

  it('ends with its first message after the write deadline', async () => {
    const { hub } = makeHub({});
    const [, conn] = connPair();
    const session = hub.add(conn);
    conn.setWriteDeadline(1);
    expect(session.state).toBe('open');
    session.send('x');
    expect(await conn.closed).toMatchObject({ code: 1006 });
    expect(hub.stats).toMatchObject({ sessions: 0, delivered: 0, dropped: 1 });
  });

  it('gets the waiting messages before the close frame', async () => {
    const { hub, client, count } = await slow(20);
    const closed = hub.close({ reason: 'restart' });
    expect((await numbers(client, count - 1)).length).toBe(count);
    await expect(client.readMessage()).rejects.toMatchObject({
      closeCode: 1001,
      reason: 'restart',
    });
    await closed;
  });
});
