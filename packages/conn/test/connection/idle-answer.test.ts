// A close frame is answered at once by an end that has nothing in work.
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
  it('is sent at once when closed was read after it', async () => {
    const { conn, platform, feed, frame, sent, transport } = await readOnce();
    const { closed } = conn;
    feed(frame(8, CLOSE_1000));
    await platform.settle();
    expect(sent()).toEqual(['close 1000']);
    transport.feedEnd();
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('is sent at once when closed is read after the close frame', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    feed(frame(8, CLOSE_1000));
    await platform.advance(100);
    expect(sent()).toEqual([]);
    void conn.closed;
    await platform.settle();
    expect(sent()).toEqual(['close 1000']);
  });

  it('is sent at once when closed was read, although messages are unread', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    void conn.closed;
    feed(frame(1, 'unread'), frame(8, CLOSE_1000));
    await platform.settle();
    expect(sent()).toEqual(['close 1000']);
    expect((await conn.readMessage()).text()).toBe('unread');
  });

  it('is sent at once when the message was read 250 ms before', async () => {
    const { platform, feed, frame, sent } = await readOnce();
    await platform.advance(300);
    feed(frame(8, CLOSE_1000));
    await platform.settle();
    expect(sent()).toEqual(['close 1000']);
  });

  it('waits for a reader that has written less than 250 ms before', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    await platform.advance(200);
    await conn.send('half of the answer');
    await platform.advance(200);
    feed(frame(8, CLOSE_1000));
    await platform.settle();
    expect(sent()).not.toContain('close 1000');
    await platform.advance(250);
    expect(sent()).toContain('close 1000');
  });

  it('waits again for a message that was read later', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    await platform.advance(300);
    const second = conn.readMessage();
    await platform.advance(300);
    feed(frame(1, 'second'), frame(8, CLOSE_1000));
    await second;
    await platform.advance(100);
    await conn.send('answer');
    await platform.advance(140);
    expect(sent()).toEqual(['text answer']);
    await platform.advance(20);
    expect(sent()).toEqual(['text answer', 'close 1000']);
  });

  it('comes 250 ms after the close frame also from an end that writes meanwhile', async () => {
    const { conn, platform, feed, frame, sent } = await readOnce();
    feed(frame(8, CLOSE_1000));
    for (let i = 0; i < 6; i++) {
      void conn.send('x').catch(() => {});
      await platform.advance(50);
    }
    expect(sent().at(-1)).toBe('close 1000');
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
    const { conn, platform, feed, frame, sent } = await readOnce();
    conn.setCloseHandler(() => new Promise(() => {}));
    feed(frame(8, CLOSE_1000));
    await platform.advance(2_400);
    expect(sent()).toEqual([]);
    await platform.advance(200);
    expect(sent()).toEqual(['close 1000']);
  });
});
