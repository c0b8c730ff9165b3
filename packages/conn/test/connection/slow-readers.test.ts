// A reader that is slow, at each way of reading and each way to end: it gets all messages, or an error.
import { describe, expect, it } from 'vitest';
import { type Conn, isCloseError, joinMessages, TimeoutError } from '../../src/index.ts';
import { checkRate, limitRate } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);
const SIZE = 1_000;
const ALL = 40;

/** Reads to the end, calls `pause` after each piece. Adds the bytes to `got`. */
type Read = (conn: Conn, got: { bytes: number }, pause: () => Promise<void>) => Promise<unknown>;

const WAYS: Readonly<Record<string, Read>> = {
  receive: (conn, got, pause) =>
    conn.receive((message) => {
      got.bytes += message.data.length;
      return pause();
    }),
  async 'for await'(conn, got, pause) {
    for await (const message of conn) {
      got.bytes += message.data.length;
      await pause();
    }
  },
  async readMessage(conn, got, pause) {
    for (;;) {
      got.bytes += (await conn.readMessage()).data.length;
      await pause();
    }
  },
  async nextReader(conn, got, pause) {
    for (;;) {
      const reader = await conn.nextReader();
      for await (const bytes of reader) {
        got.bytes += bytes.length;
        await pause();
      }
    }
  },
  async joinMessages(conn, got, pause) {
    for await (const bytes of joinMessages(conn)) {
      got.bytes += bytes.length;
      await pause();
    }
  },
  async toStreams(conn, got, pause) {
    await conn.toStreams().readable.pipeTo(
      new WritableStream({
        async write(data) {
          got.bytes += data.length;
          await pause();
        },
      }),
    );
  },
};

/** How the connection ends while the reader is slow. */
const ENDS: Readonly<Record<string, (test: Wired) => void>> = {
  'we close': ({ conn, transport, frame }) => {
    void conn.close();
    flood(transport, frame);
    answer(transport, frame);
  },
  'we close with a timeout': ({ conn, transport, frame }) => {
    void conn.close(1000, '', { timeout: 2_000 });
    flood(transport, frame);
    answer(transport, frame);
  },
  'we send a close frame': ({ conn, transport, frame }) => {
    void conn.writeControl(8, CLOSE_1000);
    flood(transport, frame);
    answer(transport, frame);
  },
  'the peer closes': ({ transport, frame }) => {
    flood(transport, frame);
    answer(transport, frame);
  },
  'both close': ({ conn, transport, frame }) => {
    flood(transport, frame);
    void conn.close();
    answer(transport, frame);
  },
  'the peer closes and is gone': ({ transport, frame }) => {
    flood(transport, frame);
    transport.feed(frame(8, CLOSE_1000));
    transport.break();
  },
  'the peer ends its stream': ({ transport, frame }) => {
    flood(transport, frame);
    transport.feedEnd();
  },
  'the connection breaks': ({ transport, frame }) => {
    flood(transport, frame);
    transport.break(new Error('reset'));
  },
};

/** Whether the peer sends one message in fragments. */
let isOne = false;

function flood(transport: Wired['transport'], frame: Wired['frame']): void {
  for (let i = 0; i < ALL; i++) {
    const options = isOne ? { fin: i === ALL - 1 } : {};
    transport.feed(frame(isOne && i > 0 ? 0 : 2, new Uint8Array(SIZE), options));
  }
}

function answer(transport: Wired['transport'], frame: Wired['frame']): void {
  transport.feed(frame(8, CLOSE_1000));
  transport.feedEnd();
}

const isNormal = (error: unknown): boolean => isCloseError(error, 1000, 1001, 1005);

describe.each(['server', 'client'] as const)('the reader of a %s', (role) => {
  describe.each(Object.entries(WAYS))('by %s', (_way, read) => {
    describe.each(Object.entries(ENDS))('when %s', (_end, ends) => {
      it.each(
        [0, 50, 300, 1_000, 2_600, 6_000].flatMap((ms) =>
          ['its first piece', 'each piece'].flatMap((which) => [
            [ms, which, 'many messages'] as const,
            [ms, which, 'one large message'] as const,
          ]),
        ),
      )('gets all or an error, with %i ms for %s of %s', async (ms, which, sends) => {
        isOne = sends === 'one large message';
        const test = wired(role, { readAhead: 3_000, report: () => {} });
        const { conn, platform } = test;
        const got = { bytes: 0 };
        let pauses = 0;
        const pause = (): Promise<void> => {
          const waits = ms > 0 && (which === 'each piece' || pauses++ === 0);
          return waits
            ? new Promise((done) => void platform.setTimer(ms, done))
            : Promise.resolve();
        };
        const end = read(conn, got, pause).then(
          () => undefined,
          (error: unknown) => error,
        );
        await platform.settle();
        ends(test);
        await platform.advance(20_000);
        await platform.advance(ALL * ms);
        const error = await end;
        // `readMessage`, `nextReader` and `joinMessages` reject at a normal end too.
        const isWhole = error === undefined || isNormal(error);
        if (isWhole) expect(got.bytes).toBe(ALL * SIZE);
        else expect(error).toBeInstanceOf(Error);
        if (conn.stats.messagesDropped > 0) expect(isWhole).toBe(false);
      });
    });
  });
});

// The rate is slow, not the reader.
describe.each(Object.entries(WAYS))('a reader by %s behind a rate', (_way, read) => {
  it.each(
    Object.entries(ENDS).flatMap(([end, ends]) =>
      [20, 200, 5_000].map((per) => [end, per, ends] as const),
    ),
  )('gets all or an error, when %s, at a message in %i ms', async (_end, per, ends) => {
    isOne = false;
    const test = wired('server', { readAhead: 100_000, report: () => {} });
    limitRate(test.conn, checkRate({ messages: 1, per, over: 'wait' }));
    const got = { bytes: 0 };
    const end = read(test.conn, got, () => Promise.resolve()).then(
      () => undefined,
      (error: unknown) => error,
    );
    await test.platform.settle();
    ends(test);
    await test.platform.advance(20_000);
    const error = await end;
    const isWhole = error === undefined || isNormal(error);
    if (isWhole) expect(got.bytes).toBe(ALL * SIZE);
    else expect(error).toBeInstanceOf(Error);
  });
});

describe('a reader that has lost messages', () => {
  async function lossy(): Promise<Wired> {
    isOne = false;
    const test = wired('server', { readAhead: 3_000 });
    await test.platform.settle();
    void test.conn.close();
    await test.platform.settle();
    flood(test.transport, test.frame);
    answer(test.transport, test.frame);
    await test.platform.advance(10_000);
    return test;
  }

  it('gets the queued messages, then an error with their number at each read', async () => {
    const { conn } = await lossy();
    let got = 0;
    let error: unknown;
    try {
      for await (const _ of conn) got++;
    } catch (caught) {
      error = caught;
    }
    const { messagesDropped } = conn.stats;
    expect(messagesDropped).toBe(ALL - got);
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      permanent: true,
      message: `websocket: messages dropped at the end of the connection, because no code took them in time: ${messagesDropped} (options closeTimeout, rate)`,
    });
    await expect(conn.readMessage()).rejects.toBe(error);
    await expect(conn.receive(() => {})).rejects.toBe(error);
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
  });

  it('gets an error of a close that is not normal, which says so', async () => {
    const { conn, platform, transport, frame } = wired('server', { readAhead: 3_000 });
    void conn.close(4000);
    flood(transport, frame);
    transport.feed(frame(8, Uint8Array.of(0x0f, 0xa0)));
    await platform.advance(10_000);
    const reading = (async () => {
      for await (const _ of conn);
    })();
    await expect(reading).rejects.toMatchObject({
      closeCode: 4000,
      message: expect.stringContaining('messages dropped at the end of the connection') as string,
    });
  });

  it('gets no error after close with discard: the caller wanted no message', async () => {
    const { conn, platform, transport, frame } = wired('server', { readAhead: 3_000 });
    const reading = (async () => {
      for await (const _ of conn);
    })();
    await platform.settle();
    void conn.close(1000, '', { discard: true });
    flood(transport, frame);
    answer(transport, frame);
    await platform.advance(10_000);
    await reading;
    expect(conn.stats.messagesDropped).toBe(ALL);
  });
});

describe('A slow peer after our close', () => {
  /** A server with ten writes of 100,000 bytes, of which the peer takes one in each `ms`. */
  async function slow(ms: number, close: (conn: Conn) => Promise<unknown>) {
    const test = wired('server', { maxBufferedAmount: 10_000_000 }, 10_000_000);
    const { conn, platform, transport, frame } = test;
    await platform.settle();
    transport.block();
    const sent: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      conn.send(new Uint8Array(100_000)).then(
        () => sent.push('sent'),
        (error: unknown) => sent.push(error),
      );
    }
    await platform.settle();
    const closed = close(conn);
    const start = platform.now();
    let taken = 0;
    while (!transport.destroyed && taken < 11) {
      await platform.advance(ms);
      if (transport.destroyed) break;
      // Header and payload are two writes.
      transport.drain(2);
      taken++;
      await platform.settle();
    }
    if (!transport.destroyed) answer(transport, frame);
    await platform.advance(60_000);
    return { ...test, closed: await closed, sent, took: platform.now() - start };
  }

  it('gets all accepted messages while it takes a tenth in each closeTimeout', async () => {
    const { closed, sent } = await slow(2_000, (conn) => conn.close());
    expect(closed).toMatchObject({ code: 1000, wasClean: true });
    expect(sent).toEqual(Array(10).fill('sent'));
  });

  it.each<[string, number, (conn: Conn) => Promise<unknown>]>([
    ['it takes less', 6_000, (conn) => conn.close()],
    ['the call of close has a timeout', 3_000, (conn) => conn.close(1000, '', { timeout: 5_000 })],
    ['the close discards', 3_000, (conn) => conn.close(1000, '', { discard: true })],
    [
      'a later call has a timeout',
      3_000,
      (conn) => {
        void conn.close();
        return conn.close(1000, '', { timeout: 5_000 });
      },
    ],
  ])('is given up after closeTimeout when %s', async (_why, ms, close) => {
    const { closed, transport, sent } = await slow(ms, close);
    expect(transport.destroyed).toBe(true);
    expect(closed).toMatchObject({ code: 1006, wasClean: false });
    expect(sent.filter((each) => each !== 'sent').length).toBeGreaterThan(5);
  });
});
