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

const forever = (): Promise<never> => new Promise(() => {});

/** What the application does with its first message, and the time in ms until it answers a close frame. */
const WAITS: readonly (readonly [string, number, (over: Wired) => unknown])[] = [
  ['reads no further', 2_500, ({ conn }) => conn.readMessage()],
  [
    'is busy in a loop',
    2_500,
    async ({ conn }) => {
      for await (const _ of conn) await forever();
    },
  ],
  ['is busy in a handler of messages', 2_500, ({ conn }) => conn.receive(forever)],
  [
    'is busy in a handler of its server',
    2_500,
    ({ conn }) => {
      internalsOf(conn).connHandlerStarted();
      return conn.readMessage();
    },
  ],
  ['reads on', 0, ({ conn }) => conn.receive(() => {})],
  ['drops its messages', 0, ({ conn }) => conn.discardReads()],
  [
    'is busy in its close handler',
    2_500,
    ({ conn }) => {
      conn.setCloseHandler(forever);
      return conn.discardReads();
    },
  ],
  [
    'reads no further, then is busy in its close handler',
    3_750,
    ({ conn }) => {
      conn.setCloseHandler(forever);
      return conn.readMessage();
    },
  ],
  [
    'writes, and reads no further',
    2_500,
    ({ conn, platform }) => {
      const write = (): void => {
        void conn.send('x').catch(() => {});
        platform.setTimer(400, write);
      };
      void conn.readMessage().then(write);
    },
  ],
];

describe('the answer to the end of a peer', () => {
  const ends = ['a close frame', 'a FIN', 'a close frame and a FIN'];
  const rows = WAITS.flatMap(([says, ms, act]) =>
    // No close handler is called for a FIN.
    ends
      .filter((end) => end !== 'a FIN' || !says.includes('close handler'))
      .map((end) => ({ says, ms, act, end })),
  );

  it.each(rows)(
    'by $end comes after $ms ms where the application $says',
    async ({ ms, act, end }) => {
      const over = wired('server', { closeTimeout: 5_000, report: () => {} });
      const { platform, transport, feed, frame, sent } = over;
      void Promise.resolve(act(over)).catch(() => {});
      await platform.settle();
      feed(frame(1, 'first'));
      await platform.settle();
      if (end !== 'a FIN') feed(frame(8, CLOSE_1000));
      if (end !== 'a close frame') transport.feedEnd();
      await platform.advance(Math.max(0, ms - 100));
      expect(transport.ended).toBe(ms === 0);
      await platform.advance(200);
      expect(transport.ended).toBe(true);
      const frames = sent().filter((each) => each !== 'text x');
      expect(frames).toEqual(end === 'a FIN' ? [] : ['close 1000']);
    },
  );
});

describe('the answer to a close frame after one read', () => {
  it.each([100, 400, 2_000])('leaves a reader %d ms for its answer', async (ms) => {
    const { conn, platform, feed, frame, sent, output } = wired('client');
    const first = conn.readMessage();
    feed(frame(1, 'first'), frame(8, CLOSE_1000));
    await first;
    void conn.closed;
    await platform.advance(ms);
    await conn.send('answer');
    expect(sent()).toEqual([]);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(await output()).toEqual(['text answer', 'close 1000']);
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

  it('waits although closed is read, and keeps the messages', async () => {
    const { conn, platform, feed, frame, sent, output } = await readOnce();
    void conn.closed;
    feed(frame(1, 'unread'), frame(8, CLOSE_1000));
    await platform.advance(400);
    expect(sent()).toEqual([]);
    expect((await conn.readMessage()).text()).toBe('unread');
    expect(await output()).toEqual([]);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(sent()).toEqual(['close 1000']);
  });

  it('is sent at once in a running handler that has got no message', async () => {
    const { conn, feed, frame, output } = wired('server');
    internalsOf(conn).connHandlerStarted();
    feed(frame(9), frame(8, CLOSE_1000));
    expect(await output()).toEqual(['pong', 'close 1000']);
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
});
