// What the states of the reader mean to the application and to the peer, by events from the beginning.
import { describe, expect, it } from 'vitest';
import { AFTER, BROKEN, CALLED, type Reader, SETTLED } from '../../src/connection/reader.ts';
import { type Conn, joinMessages } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const CLOSE = Buffer.from([1000 >> 8, 1000 & 255]);
/** After half of `closeTimeout`. */
const HALF = 3_000;

/** Resolves when the connection has handled the peer's close frame. */
async function peerCloses({ deliver, frame, platform }: Wired): Promise<void> {
  await deliver(frame(8, CLOSE));
  await platform.settle();
}

async function aborted(conn: Conn): Promise<void> {
  const read = conn.readMessage({ signal: AbortSignal.abort() }).catch(() => {});
  const controller = new AbortController();
  const second = conn.readMessage({ signal: controller.signal }).catch(() => {});
  controller.abort();
  await Promise.all([read, second]);
}

describe.each(['server', 'client'] as const)('the reader of a %s', (role) => {
  it('that gave up its read lets the answer to a close go at once', async () => {
    const end = wired(role);
    await end.deliver(end.frame(1, 'one'));
    await end.conn.readMessage();
    await aborted(end.conn);
    await peerCloses(end);
    expect(end.sent()).toEqual(['close 1000']);
  });

  it('that gave up its read has its time for a message that came later', async () => {
    const end = wired(role);
    await aborted(end.conn);
    await end.deliver(end.frame(1, 'one'));
    await peerCloses(end);
    expect(end.sent()).toEqual([]);
    expect((await end.conn.readMessage()).text()).toBe('one');
    await end.platform.advance(HALF);
    expect(end.sent()).toEqual(['close 1000']);
  });

  it('that has half read its first message has half of closeTimeout', async () => {
    const end = wired(role);
    await end.stream(end.frame(1, 'part', { fin: false }));
    await peerCloses(end);
    expect(end.sent()).toEqual([]);
    await end.platform.advance(HALF);
    expect(end.sent()).toEqual(['close 1000']);
  });

  it('that does not exist sees a FIN although the read-ahead is full', async () => {
    const end = wired(role, { readAhead: 100 });
    end.feed(end.frame(1, 'one'));
    end.transport.feedEnd();
    await end.platform.settle();
    expect((await end.conn.closed).code).toBe(1006);
    expect(end.conn.stats.messagesDropped).toBe(0);
    expect((await end.conn.readMessage()).text()).toBe('one');
  });

  it.each(['', ' within a frame'])('learns what was dropped before a FIN%s', async (cut) => {
    const end = wired(role, { readAhead: 100 });
    const rest = cut === '' ? [] : [end.frame(1, 'four').subarray(0, 3)];
    end.feed(end.frame(1, 'one'), end.frame(1, 'two'), end.frame(1, 'three'), ...rest);
    end.transport.feedEnd();
    await end.platform.advance(HALF);
    await end.platform.settle();
    expect((await end.conn.closed).code).toBe(1006);
    expect((await end.conn.readMessage()).text()).toBe('one');
    await expect(end.conn.readMessage()).rejects.toMatchObject({
      name: 'CloseError',
      closeCode: 1006,
      message: expect.stringContaining(`in time: ${end.conn.stats.messagesDropped} (`) as string,
    });
    expect(end.conn.stats.messagesDropped).toBe(2);
  });
});

describe('a handler of serve that has settled', () => {
  const loops = {
    'a loop': (conn: Conn) => conn[Symbol.asyncIterator](),
    joinMessages: (conn: Conn) => joinMessages(conn),
  };

  async function begun(
    kind: keyof typeof loops,
  ): Promise<Wired & { loop: AsyncIterableIterator<unknown> }> {
    const end = wired('server');
    const internals = internalsOf(end.conn);
    internals.connHandlerStarted();
    const loop = loops[kind](end.conn);
    const first = loop.next();
    internals.connHandlerSettled();
    await end.deliver(end.frame(1, 'one'));
    await first;
    return { ...end, loop };
  }

  describe.each(Object.keys(loops) as (keyof typeof loops)[])('and has begun %s', (kind) => {
    it('is done when the loop is left: our close frame follows', async () => {
      const end = await begun(kind);
      await peerCloses(end);
      expect(end.sent()).toEqual([]);
      await end.loop.return!();
      await end.platform.settle();
      expect(end.sent()).toEqual(['close 1000']);
    });

    it('is not done while the loop handles its message', async () => {
      const end = await begun(kind);
      await peerCloses(end);
      await end.conn.send('answer');
      await end.platform.advance(HALF);
      expect(end.sent()).toEqual(['text answer', 'close 1000']);
    });
  });

  it('is done when another read has ended its loop', async () => {
    const end = await begun('a loop');
    const read = end.conn.readMessage();
    await expect(end.loop.next()).rejects.toThrow('readMessage');
    await end.deliver(end.frame(1, 'two'));
    expect((await read).text()).toBe('two');
    await peerCloses(end);
    await end.conn.send('answer');
    await end.platform.advance(HALF);
    expect(end.sent()).toEqual(['text answer', 'close 1000']);
  });
});

it('an event that cannot come is reported with its names, and fails the connection', async () => {
  const reports: unknown[] = [];
  const events: (readonly string[])[] = [];
  const end = wired('server', { report: (error) => void reports.push(error) });
  internalsOf(end.conn).rememberEvents((last) => void events.push(last));
  for (let i = 0; i < 9; i++) await end.deliver(end.frame(1, 'unread'));
  for (let i = 0; i < 9; i++) await end.conn.readMessage();
  const row = AFTER[CALLED] as Reader[];
  const right = row[SETTLED]!;
  const received = end.conn.receive(() => {});
  row[SETTLED] = BROKEN;
  try {
    await end.deliver(end.frame(1, 'one'), end.frame(1, 'two'));
  } finally {
    row[SETTLED] = right;
  }
  await end.platform.settle();
  expect(reports.map(String)).toEqual(['Error: bug in the library: reader CALLED × SETTLED']);
  const last = [
    'AWAY × READ',
    'WAITS × GIVEN',
    'AWAY × RECEIVE',
    'FREE × CALL',
    'CALLED × SETTLED',
  ];
  expect(events.map((each) => each.slice(-5))).toEqual([last]);
  expect(events[0]).toHaveLength(16);
  expect(end.sent()).toEqual(['close 1011']);
  await expect(received).rejects.toBe(reports[0]);
  end.conn.terminate();
});
