// What a slow reader gets, and what one behind a rate gets.
import { describe, expect, it } from 'vitest';
import { type Conn, TimeoutError } from '../../src/index.ts';
import { checkRate, limitRate } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';
import { ALL, answer, ENDS, flood, isNormal, SIZE, testSlowReaders, WAYS } from './slow-readers.ts';

testSlowReaders('server', [0, 2_600, 6_000]);
testSlowReaders('client', [300]);

// The rate is slow, not the reader.
describe.each(Object.entries(WAYS))('a reader by %s behind a rate', (_way, read) => {
  it.each(
    Object.entries(ENDS).flatMap(([end, ends]) =>
      [20, 200, 5_000].map((per) => [end, per, ends] as const),
    ),
  )('gets all or an error, when %s, at a message in %i ms', async (_end, per, ends) => {
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
  async function slow(ms: number, close: (conn: Conn, test: Wired) => Promise<unknown>) {
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
    const closed = close(conn, test);
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

  it('is given up after closeTimeout when it breaks a rule', async () => {
    const { closed, sent } = await slow(3_000, (conn, { transport }) => {
      const closing = conn.close();
      transport.feed(Uint8Array.of(0xff, 0xff));
      return closing;
    });
    expect(closed).toMatchObject({ code: 1002, wasClean: false });
    expect(sent.filter((each) => each !== 'sent').length).toBeGreaterThan(5);
  });
});
