// The peer sends messages in good faith until it sees our close frame. They are delivered.
import { describe, expect, it } from 'vitest';
import { CloseSentError, type Conn } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);

/** Reads until the end. Returns the messages and the error of the last read. */
const readers: Record<
  string,
  (conn: Conn, texts: string[], work: () => Promise<void>) => Promise<unknown>
> = {
  receive: (conn, texts, work) =>
    conn.receive((message) => {
      texts.push(message.text());
      return work();
    }),
  async 'for await'(conn, texts, work) {
    for await (const message of conn) {
      texts.push(message.text());
      await work();
    }
  },
  async readMessage(conn, texts, work) {
    for (;;) {
      texts.push((await conn.readMessage()).text());
      await work();
    }
  },
  async nextReader(conn, texts, work) {
    for (;;) {
      texts.push(await (await conn.nextReader()).text());
      await work();
    }
  },
};

const workOf =
  ({ platform }: Wired, ms: number) =>
  (): Promise<void> =>
    ms === 0
      ? Promise.resolve()
      : new Promise((resolve) => {
          platform.setTimer(ms, resolve);
        });

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${i}`);

/** The peer closes with 1000 and ends its stream. */
function answer({ transport, frame }: Wired): void {
  transport.feed(frame(8, CLOSE_1000));
  transport.feedEnd();
}

const cases = (['server', 'client'] as const).flatMap((role) =>
  Object.keys(readers).flatMap((reader) => [0, 5, 50].map((ms) => ({ role, reader, ms }))),
);

describe('messages that arrive after our close', () => {
  it.each(cases)('reach $reader of a $role whose work takes $ms ms', async (test) => {
    const over = wired(test.role, { readAhead: 2_000 });
    const { conn, platform, transport, frame, feed } = over;
    const texts: string[] = [];
    const end = readers[test.reader]!(conn, texts, workOf(over, test.ms)).catch(
      (error: unknown) => error,
    );
    feed(frame(1, 'm0'), frame(1, 'm1'));
    await platform.settle();
    const closed = conn.close(1001);
    // More than the read-ahead, in chunks and in one chunk.
    const all = numbered(60);
    for (const text of all.slice(2, 30)) transport.feed(frame(1, text));
    feed(...all.slice(30).map((text) => frame(1, text)));
    answer(over);
    await platform.advance(4_000);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    expect(texts).toEqual(all);
    expect(conn.stats.messagesDropped).toBe(0);
    await end;
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
  });

  it.each(Object.keys(readers))('reach %s that begins after the close', async (reader) => {
    const over = wired('server');
    const { conn, platform, feed, frame } = over;
    const closed = conn.close();
    await platform.settle();
    const all = numbered(20);
    feed(...all.map((text) => frame(1, text)));
    await platform.settle();
    const texts: string[] = [];
    const end = readers[reader]!(conn, texts, workOf(over, 5)).catch((error: unknown) => error);
    answer(over);
    await platform.advance(1_000);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    await end;
    expect(texts).toEqual(all);
  });

  it('reach a handler whose answers are rejected', async () => {
    const over = wired('server');
    const { conn, platform, feed, frame, sent } = over;
    const texts: string[] = [];
    const errors: unknown[] = [];
    const end = conn.receive(async (message) => {
      texts.push(message.text());
      await workOf(over, 5)();
      await conn.send(message).catch((error: unknown) => {
        errors.push(error);
        throw error;
      });
    });
    const closed = conn.close();
    await platform.settle();
    feed(...numbered(4).map((text) => frame(1, text)));
    answer(over);
    await platform.advance(100);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
    expect(texts).toEqual(numbered(4));
    expect(errors).toEqual(numbered(4).map(() => expect.any(CloseSentError)));
    expect(sent()).toEqual(['close 1000']);
  });

  it('reach a handler that throws the error of its answer at once', async () => {
    const over = wired('server');
    const { conn, platform, feed, frame } = over;
    const texts: string[] = [];
    const late = new Promise<unknown>((resolve) => {
      void conn.close();
      conn.send('late').catch(resolve);
    });
    await platform.settle();
    const error = await late;
    const end = conn.receive((message) => {
      texts.push(message.text());
      throw error;
    });
    feed(...numbered(4).map((text) => frame(1, text)));
    answer(over);
    await platform.settle();
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
    expect(texts).toEqual(numbered(4));
  });

  it('end with the CloseSentError of another connection, which is a failure', async () => {
    const other = wired('server');
    void other.conn.close();
    const foreign: unknown = await other.conn.send('x').catch((error: unknown) => error);
    const over = wired('server', { report: () => {} });
    const { conn, platform, feed, frame } = over;
    const texts: string[] = [];
    const end = conn.receive((message) => {
      texts.push(message.text());
      throw foreign;
    });
    const closed = conn.close();
    await platform.settle();
    feed(...numbered(4).map((text) => frame(1, text)));
    answer(over);
    await expect(end).rejects.toBe(foreign);
    expect(await closed).toMatchObject({ code: 1000, wasClean: false, error: foreign });
    expect(texts).toEqual(['m0']);
    expect(conn.stats.messagesDropped).toBe(3);
  });

  it('reach a handler within `close` of the peer that crosses ours', async () => {
    const over = wired('server');
    const { conn, platform, feed, frame } = over;
    const texts: string[] = [];
    const end = conn.receive((message) => {
      texts.push(message.text());
      return workOf(over, 5)();
    });
    feed(...numbered(4).map((text) => frame(1, text)), frame(8, CLOSE_1000));
    await platform.settle();
    const closed = conn.close(1001);
    over.transport.feedEnd();
    await platform.advance(100);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    await end;
    expect(texts).toEqual(numbered(4));
  });

  it('are counted where no code reads and the read-ahead is full', async () => {
    const over = wired('server', { readAhead: 2_000 });
    const { conn, platform, transport, frame } = over;
    const closed = conn.close(1001);
    await platform.settle();
    for (const text of numbered(60)) {
      transport.feed(frame(1, text));
      await platform.settle();
    }
    answer(over);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    const texts: string[] = [];
    await readers['readMessage']!(conn, texts, () => Promise.resolve()).catch(() => {});
    expect(texts.length).toBeGreaterThan(3);
    expect(texts).toEqual(numbered(60).slice(0, texts.length));
    expect(conn.stats.messagesDropped).toBe(60 - texts.length);
  });

  it('are dropped when a loop makes no progress for half of the time', async () => {
    const over = wired('server', { readAhead: 2_000 });
    const { conn, platform, transport, frame } = over;
    const loop = (async () => {
      for await (const _ of conn) await new Promise(() => {});
    })();
    transport.feed(frame(1, 'm0'));
    await platform.settle();
    const closed = conn.close(1001, '', { timeout: 1_000 });
    for (const text of numbered(60)) transport.feed(frame(1, text));
    answer(over);
    await platform.advance(490);
    expect(conn.state).toBe('closing');
    expect(conn.stats.messagesDropped).toBe(0);
    await platform.advance(20);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    expect(conn.stats.messagesDropped).toBeGreaterThan(50);
    void loop;
  });

  it('are dropped at half of closeTimeout after a single read that no other follows', async () => {
    const over = wired('server', { readAhead: 2_000 });
    const { conn, platform, transport, frame } = over;
    const first = conn.readMessage();
    transport.feed(frame(1, 'm0'));
    await first;
    const closed = conn.close(1001);
    for (const text of numbered(60)) transport.feed(frame(1, text));
    answer(over);
    await platform.advance(2_400);
    expect(conn.stats.messagesDropped).toBe(0);
    await platform.advance(200);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it.each(['at once', 'after a while'])(
    'do not delay a handler that awaits its close %s',
    async (when) => {
      const over = wired('server', { readAhead: 2_000 });
      const { conn, platform, transport, frame } = over;
      const infos: unknown[] = [];
      void conn.receive(async () => {
        if (when === 'after a while') await workOf(over, 5)();
        infos.push(await conn.close(1001));
      });
      transport.feed(frame(1, 'm0'));
      await platform.advance(10);
      for (const text of numbered(60)) transport.feed(frame(1, text));
      answer(over);
      await platform.advance(when === 'at once' ? 260 : 2_600);
      expect(infos[0]).toMatchObject({ code: 1000, wasClean: true });
    },
  );

  it('are held back by a slow handler: the transport stays paused', async () => {
    const over = wired('server', { readAhead: 2_000 });
    const { conn, platform, transport, frame } = over;
    let handled = 0;
    void conn.receive(async () => {
      await workOf(over, 400)();
      handled++;
    });
    await platform.settle();
    const closed = conn.close(1001, '', { timeout: 60_000 });
    for (const text of numbered(60)) transport.feed(frame(1, text));
    await platform.advance(2_100);
    expect([handled, transport.paused]).toEqual([5, true]);
    expect(conn.stats.messagesIn).toBeLessThan(15);
    answer(over);
    await platform.advance(30_000);
    expect([handled, await closed]).toMatchObject([60, { code: 1000, wasClean: true }]);
  });

  it('reach a handler until closeTimeout, when the peer sends without end', async () => {
    const over = wired('server', { readAhead: 2_000, closeTimeout: 1_000 });
    const { conn, platform, transport, frame } = over;
    let handled = 0;
    void conn.receive(() => void handled++);
    await platform.settle();
    const closed = conn.close();
    const flood = frame(2, new Uint8Array(100_000));
    for (let i = 0; i < 30; i++) {
      transport.feed(flood);
      await platform.advance(50);
    }
    expect(await closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    expect(handled).toBeGreaterThan(10);
    expect(handled).toBeLessThan(25);
    expect(transport.destroyed).toBe(true);
  });
});

describe('close with discard', () => {
  it.each(['at once', 'in a second call'])('drops unread and later messages %s', async (when) => {
    const over = wired('server');
    const { conn, platform, feed, frame } = over;
    const texts: string[] = [];
    void conn.receive((message) => {
      texts.push(message.text());
      return workOf(over, 50)();
    });
    feed(...numbered(4).map((text) => frame(1, text)));
    await platform.settle();
    if (when !== 'at once') void conn.close();
    const closed = conn.close(1000, '', { discard: true });
    feed(...numbered(4).map((text) => frame(1, text)));
    answer(over);
    await platform.advance(1_000);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    expect(texts).toEqual(['m0']);
    expect(conn.stats.messagesDropped).toBe(7);
  });

  it('rejects a value that is not a boolean, and sends no frame', async () => {
    const { conn, sent } = wired('server', { report: () => {} });
    const options = { discard: 1 as unknown as boolean };
    await expect(conn.close(1000, '', options)).rejects.toThrow(
      'discard: expected true or false, got number',
    );
    expect([conn.state, sent()]).toEqual(['open', []]);
  });
});

describe('the end of the stream after our close', () => {
  it('waits for the messages before it, beyond the read-ahead', async () => {
    const over = wired('server', { readAhead: 2_000 });
    const { conn, platform, transport, feed, frame } = over;
    const texts: string[] = [];
    const end = conn
      .receive((message) => {
        texts.push(message.text());
        return workOf(over, 5)();
      })
      .catch((error: unknown) => error);
    await platform.settle();
    const closed = conn.close();
    feed(...numbered(60).map((text) => frame(1, text)));
    transport.feedEnd();
    await platform.advance(1_000);
    expect(await closed).toMatchObject({ code: 1006, wasClean: false });
    expect(texts).toEqual(numbered(60));
    expect(await end).toMatchObject({ closeCode: 1006 });
  });

  it('ends the connection at once where no code reads', async () => {
    const over = wired('server', { readAhead: 2_000 });
    const { conn, platform, transport, feed, frame } = over;
    const closed = conn.close();
    feed(...numbered(60).map((text) => frame(1, text)), frame(8, CLOSE_1000));
    transport.feedEnd();
    await platform.settle();
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
  });
});

it('a running handler of the connection that has not read yet gets the messages', async () => {
  const over = wired('server', { readAhead: 2_000 });
  const { conn, platform, transport, frame } = over;
  internalsOf(conn).connHandlerStarted();
  const closed = conn.close(1001);
  for (const text of numbered(60)) transport.feed(frame(1, text));
  answer(over);
  await platform.advance(1_000);
  const texts: string[] = [];
  const end = readers['for await']!(conn, texts, () => Promise.resolve());
  await platform.advance(10);
  expect(await closed).toMatchObject({ code: 1000, wasClean: true });
  await end;
  expect(texts).toEqual(numbered(60));
});
