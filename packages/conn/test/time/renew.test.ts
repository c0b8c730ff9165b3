import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { wired } from '../wired.ts';

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
    const { conn, platform, sent } = wired('server');
    conn.renew(NOW + 1_000);
    conn.renew(NOW + 5_000);
    await platform.advance(4_000);
    expect(conn.state).toBe('open');
    conn.renew(null);
    await platform.advance(4_000);
    expect(conn.state).toBe('open');
    expect(platform.timers).toBe(0);
    conn.renew(new Date(NOW - 1));
    await platform.settle();
    expect(sent()).toEqual(['close 4401 login expired']);
    conn.terminate();
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
    conn.terminate();
  });
});
