import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Conn } from '../../src/conn.ts';
import type { ConnSettings } from '../../src/options/conn-options.ts';
import { type Wired, wired } from '../wired.ts';

const NOW = Date.UTC(2026, 0, 1);
const CLOSE_4401 = Uint8Array.of(0x11, 0x31);

describe('Conn.renew', () => {
  beforeEach(() => void vi.spyOn(Date, 'now').mockReturnValue(NOW));
  afterEach(() => void vi.restoreAllMocks());

  it.each([
    { says: 'ms since 1970', at: NOW + 1_000 },
    { says: 'a Date', at: new Date(NOW + 1_000) },
  ])('closes with 4401 at $says, after the accepted messages', async ({ at }) => {
    const { conn, platform, frame, feed, transport, sent } = wired('server');
    const got: string[] = [];
    const reading = conn.receive((message) => void got.push(message.text()));
    reading.catch(() => {});
    conn.renew(at);
    await platform.advance(999);
    expect(conn.state).toBe('open');
    void conn.send('before');
    await platform.advance(65);
    expect(sent()).toEqual(['text before', 'close 4401 login expired']);
    feed(frame(1, 'too late'), frame(8, CLOSE_4401));
    transport.feedEnd();
    await platform.settle();
    transport.break();
    expect(await conn.closed).toMatchObject({ code: 4401, wasClean: true });
    expect(got).toEqual([]);
    expect(conn.stats.messagesDropped).toBe(1);
    expect(platform.timers).toBe(0);
  });

  it('moves and removes the end, and a past one closes at once', async () => {
    const { conn, platform, output } = wired('server');
    conn.renew(NOW + 1_000);
    conn.renew(NOW + 5_000);
    await platform.advance(4_000);
    expect(conn.state).toBe('open');
    conn.renew(null);
    await platform.advance(4_000);
    expect(conn.state).toBe('open');
    expect(platform.timers).toBe(0);
    conn.renew(new Date(NOW - 1));
    expect(await output()).toEqual(['close 4401 login expired']);
  });

  it('keeps no timer of a connection that has ended, and has no effect on it', async () => {
    const { conn, platform, transport } = wired('server');
    conn.renew(NOW + 1_000);
    conn.terminate();
    transport.break();
    await platform.settle();
    expect(platform.timers).toBe(0);
    conn.renew(NOW + 1_000);
    expect(platform.timers).toBe(0);
  });

  it('ends while a peer does not read, within closeTimeout', async () => {
    const { conn, platform, transport } = wired('server', { highWaterMark: 1 });
    transport.block();
    void conn.send('x'.repeat(100)).catch(() => {});
    conn.renew(NOW + 10);
    await platform.advance(6_000);
    expect(transport.destroyed).toBe(true);
    transport.break();
    expect((await conn.closed).wasClean).toBe(false);
  });

  it.each([
    ['a duration', 3_600_000, RangeError, 'pass Date.now() + ms'],
    ['seconds', Math.floor(NOW / 1_000), RangeError, 'exp * 1000 of a JWT'],
    ['NaN', Number.NaN, RangeError, 'expires: expected a valid time, got NaN'],
    ['a string', '2026', TypeError, 'expires: expected a Date, ms since 1970 or null, got string'],
    ['nothing', undefined, TypeError, 'expires: expected a Date'],
  ])('rejects %s', (_says, at, type, text) => {
    const { conn } = wired('server');
    expect(() => conn.renew(at as number)).toThrow(type);
    expect(() => conn.renew(at as number)).toThrow(text);
  });
});

// The machine sleeps, or its time of day is set: the monotonic clock does not follow.
describe('The end of a login, when the time of day jumps past it', () => {
  const now = { value: NOW };
  beforeEach(() => {
    now.value = NOW;
    vi.spyOn(Date, 'now').mockImplementation(() => now.value);
  });
  afterEach(() => void vi.restoreAllMocks());

  const jump = (): void => void (now.value = NOW + 7_200_000);

  /** A server whose login has 30 minutes left, after `read`. `got` has what the reader gets. */
  async function login(
    read: (conn: Conn, got: string[]) => unknown,
    settings: ConnSettings = {},
  ): Promise<Wired & { got: string[] }> {
    const all = wired('server', settings);
    const got: string[] = [];
    all.conn.renew(NOW + 1_800_000);
    void Promise.resolve(read(all.conn, got)).catch(() => {});
    all.feed(all.frame(1, 'in time'));
    await all.platform.settle();
    return { ...all, got };
  }

  const loop = async (conn: Conn, got: string[]): Promise<void> => {
    for await (const message of conn) got.push(message.text());
  };
  const single = async (conn: Conn, got: string[]): Promise<void> => {
    for (;;) got.push((await conn.readMessage()).text());
  };
  const pieces = async (conn: Conn, got: string[]): Promise<void> => {
    for (;;) {
      got.push('');
      for await (const bytes of await conn.nextReader()) {
        got[got.length - 1] += Buffer.from(bytes).toString();
      }
    }
  };
  const receive = (conn: Conn, got: string[]): unknown =>
    conn.receive((message) => void got.push(message.text()));

  it.each([
    ['receive', receive],
    ['a loop', loop],
    ['readMessage', single],
    ['discardReads', (conn: Conn, got: string[]) => (got.push('in time'), conn.discardReads())],
  ])('is found at the next message: %s', async (_name, read) => {
    const { conn, frame, sent, deliver, got } = await login(read);
    jump();
    await deliver(frame(1, 'late'), frame(1, 'later'));
    expect(got).toEqual(['in time']);
    expect(sent()).toEqual(['close 4401 login expired']);
    expect(conn.stats.messagesDropped).toBe(2);
  });

  it('is found at the next piece of a message', async () => {
    const { frame, sent, deliver, got } = await login(pieces);
    await deliver(frame(1, 'be', { fin: false }));
    jump();
    await deliver(frame(0, 'late', { fin: false }));
    expect(got).toEqual(['in time', 'be']);
    expect(sent()).toEqual(['close 4401 login expired']);
  });

  it('is found at a queued message, before a later read gets it', async () => {
    const { conn, platform, frame, sent, deliver, got } = await login(async () => {});
    await deliver(frame(1, 'unread'));
    jump();
    void loop(conn, got).catch(() => {});
    await platform.settle();
    expect(got).toEqual([]);
    expect(sent()).toEqual(['close 4401 login expired']);
  });

  it('is found at a queued piece, before its reader gets it', async () => {
    let ask!: () => void;
    const asked = new Promise<void>((resolve) => (ask = resolve));
    const { platform, frame, sent, deliver, got } = await login(async (conn, got) => {
      got.push((await conn.readMessage()).text());
      for await (const bytes of await conn.nextReader()) {
        got.push(Buffer.from(bytes).toString());
        await asked;
      }
    });
    await deliver(frame(1, 'first', { fin: false }), frame(0, 'waits', { fin: false }));
    jump();
    ask();
    await platform.settle();
    expect(got).toEqual(['in time', 'first']);
    expect(sent()).toEqual(['close 4401 login expired']);
  });

  it.each([
    ['receive', receive],
    ['a loop', loop],
    ['readMessage', single],
  ])('is found in each turn that parses a chunk: %s', async (_name, read) => {
    const { platform, feed, frame, sent, got } = await login(read);
    const perTurn = 1_000;
    feed(...Array.from({ length: 3 * perTurn }, () => frame(1, 'x')));
    while (got.length === 1) await new Promise((resolve) => void process.nextTick(resolve));
    expect(got.length).toBeLessThanOrEqual(perTurn + 1);
    jump();
    await platform.settle();
    expect(got.length).toBeLessThanOrEqual(perTurn + 1);
    expect(sent()).toEqual(['close 4401 login expired']);
  });

  it('is found before an async handler gets the next message', async () => {
    let done!: () => void;
    const busy = new Promise<void>((resolve) => (done = resolve));
    const { platform, frame, sent, deliver, got } = await login((conn, got) =>
      conn.receive((message) => {
        got.push(message.text());
        return busy;
      }),
    );
    await deliver(frame(1, 'waits'), frame(1, 'waits too'));
    jump();
    done();
    await platform.settle();
    expect(got).toEqual(['in time']);
    expect(sent()).toEqual(['close 4401 login expired']);
  });

  it.each([
    ['within 20 s without a heartbeat', false, 20_000],
    ['at a heartbeat', { interval: 5_000, timeout: 60_000 }, 5_000],
    ['within 20 s with a slow heartbeat', { interval: 600_000, timeout: 60_000 }, 20_000],
  ] as const)('is found without a message: %s', async (_name, heartbeat, within) => {
    const { platform, sent } = await login(receive, { heartbeat });
    jump();
    await platform.advance(within + 64);
    expect(sent().at(-1)).toBe('close 4401 login expired');
  });

  it('comes after the wait when the time of day is set back', async () => {
    const { conn, platform, sent } = await login(receive);
    now.value = NOW - 7_200_000;
    await platform.advance(1_799_000);
    expect(conn.state).toBe('open');
    await platform.advance(1_064);
    expect(sent()).toEqual(['close 4401 login expired']);
  });

  it('is moved by renew: an earlier end that has passed no longer counts', async () => {
    const { conn, platform, feed, frame, got } = await login(receive);
    conn.renew(NOW + 10_000_000);
    jump();
    feed(frame(1, 'renewed'));
    await platform.advance(60_000);
    expect(got).toEqual(['in time', 'renewed']);
    conn.renew(null);
    now.value = NOW + 20_000_000;
    feed(frame(1, 'for ever'));
    await platform.advance(60_000);
    expect(got).toEqual(['in time', 'renewed', 'for ever']);
    expect(platform.timers).toBe(0);
  });
});
