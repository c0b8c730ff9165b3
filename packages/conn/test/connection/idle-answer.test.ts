// A close frame is answered once the application has handled all messages: it asks for the next one.
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);

/** A connection that has read one message. */
async function readOnce(settings = {}): Promise<Wired> {
  const over = wired('client', settings);
  const first = over.conn.readMessage();
  over.feed(over.frame(1, 'first'));
  await first;
  return over;
}

describe('the answer to a close frame after one read', () => {
  it('waits for half of closeTimeout when no read follows', async () => {
    const { conn, platform, feed, frame, sent, transport } = await readOnce();
    const { closed } = conn;
    feed(frame(8, CLOSE_1000));
    await platform.advance(2_400);
    expect([sent(), conn.state]).toEqual([[], 'open']);
    await platform.advance(200);
    expect(sent()).toEqual(['close 1000']);
    transport.feedEnd();
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it.each([100, 400, 2_000])('leaves a reader %d ms for its answer', async (ms) => {
    const { conn, platform, feed, frame, sent } = wired('client');
    const first = conn.readMessage();
    feed(frame(1, 'first'), frame(8, CLOSE_1000));
    await first;
    void conn.closed;
    await platform.advance(ms);
    await conn.send('answer');
    expect(sent()).toEqual([]);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    await platform.settle();
    expect(sent()).toEqual(['text answer', 'close 1000']);
  });

  it.each<[string, (over: Wired) => unknown]>([
    ['the next read', ({ conn }) => conn.readMessage()],
    ['nextReader', ({ conn }) => conn.nextReader()],
    ['receive', ({ conn }) => conn.receive(() => {})],
    ['a loop', ({ conn }) => conn[Symbol.asyncIterator]().next()],
    ['discardReads', ({ conn }) => conn.discardReads()],
    ['close', ({ conn }) => conn.close()],
  ])('is sent at %s', async (_, act) => {
    const over = await readOnce();
    const { feed, frame, platform, sent } = over;
    feed(frame(8, CLOSE_1000));
    await platform.advance(100);
    expect(sent()).toEqual([]);
    void Promise.resolve(act(over)).catch(() => {});
    await platform.settle();
    expect(sent()).toEqual(['close 1000']);
  });

  it('is sent at once after discardReads', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    void conn.discardReads().catch(() => {});
    feed(frame(1, 'unwanted'), frame(8, CLOSE_1000));
    await platform.settle();
    expect(sent()).toEqual(['close 1000']);
  });

  it('waits although closed is read, and keeps the messages', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    void conn.closed;
    feed(frame(1, 'unread'), frame(8, CLOSE_1000));
    await platform.advance(400);
    expect(sent()).toEqual([]);
    expect((await conn.readMessage()).text()).toBe('unread');
    await platform.settle();
    expect(sent()).toEqual([]);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(sent()).toEqual(['close 1000']);
  });

  it('is sent at half of closeTimeout by an end that writes meanwhile', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    feed(frame(8, CLOSE_1000));
    for (let i = 0; i < 6; i++) {
      void conn.send('x').catch(() => {});
      await platform.advance(440);
    }
    expect(sent()).toEqual([...Array<string>(6).fill('text x'), 'close 1000']);
  });

  it('is sent at once in a running handler that has got no message', async () => {
    const { conn, platform, feed, frame, sent } = wired('server');
    internalsOf(conn).connHandlerStarted();
    feed(frame(9), frame(8, CLOSE_1000));
    await platform.settle();
    expect(sent()).toEqual(['pong', 'close 1000']);
  });

  it('waits in a running handler until it settles', async () => {
    const over = wired('server');
    const { conn, platform, feed, frame, sent } = over;
    internalsOf(conn).connHandlerStarted();
    const first = conn.readMessage();
    feed(frame(1, 'first'), frame(8, CLOSE_1000));
    await first;
    await platform.advance(2_400);
    expect(sent()).toEqual([]);
    await conn.send('answer');
    internalsOf(conn).connHandlerSettled();
    await platform.settle();
    expect(sent()).toEqual(['text answer', 'close 1000']);
  });

  it('waits for at most half of closeTimeout in a running handler', async () => {
    const { conn, platform, feed, frame, sent } = wired('server');
    internalsOf(conn).connHandlerStarted();
    const first = conn.readMessage();
    feed(frame(1, 'first'), frame(8, CLOSE_1000));
    await first;
    await platform.advance(2_600);
    expect(sent()).toEqual(['close 1000']);
  });

  it.each(['for await', 'receive'])('of %s waits although closed was read', async (reader) => {
    const { conn, platform, feed, frame, sent } = wired('server');
    const work = (): Promise<void> =>
      new Promise((resolve) => {
        platform.setTimer(500, resolve);
      });
    if (reader === 'receive') {
      void conn.receive(async () => {
        void conn.closed;
        await work();
        await conn.send('answer');
      });
    } else {
      void (async () => {
        for await (const _ of conn) {
          void conn.closed;
          await work();
          await conn.send('answer');
        }
      })();
    }
    feed(frame(1, 'first'), frame(8, CLOSE_1000));
    await platform.advance(400);
    expect(sent()).toEqual([]);
    await platform.advance(200);
    expect(sent()).toEqual(['text answer', 'close 1000']);
  });

  it('leaves a close handler half of closeTimeout', async () => {
    const { conn, platform, feed, frame, sent } = wired('client');
    void conn.discardReads().catch(() => {});
    conn.setCloseHandler(() => new Promise(() => {}));
    feed(frame(8, CLOSE_1000));
    await platform.advance(2_400);
    expect(sent()).toEqual([]);
    await platform.advance(200);
    expect(sent()).toEqual(['close 1000']);
  });

  it('leaves a close handler that runs late a quarter of closeTimeout', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    conn.setCloseHandler(() => new Promise(() => {}));
    feed(frame(8, CLOSE_1000));
    await platform.advance(3_600);
    expect(sent()).toEqual([]);
    await platform.advance(300);
    expect(sent()).toEqual(['close 1000']);
  });
});
