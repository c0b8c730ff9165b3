// What a connection reads while it ends.
import { formatCloseMessage, type Role } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { CloseError } from '../../src/index.ts';
import { wired } from '../wired.ts';

const LONG = 'x'.repeat(300);

describe.each<Role>(['server', 'client'])('a %s whose unread input breaks a rule', (role) => {
  it('before its close frame: fails with 1007, and answers once', async () => {
    const called: number[] = [];
    let settle!: () => void;
    const settings = { closeTimeout: 1_000, readAhead: 1, report: () => {} };
    const { conn, platform, transport, frame, feed, sent } = wired(role, settings);
    conn.setCloseHandler((code) => {
      called.push(code);
      return new Promise((resolve) => (settle = resolve));
    });
    await platform.settle();
    const first = conn.readMessage();
    const bad = frame(1, Uint8Array.of(0xff));
    feed(frame(1, LONG), frame(1, LONG), bad, frame(8, formatCloseMessage(1000)));
    transport.feedEnd();
    await first;
    await platform.advance(600);
    expect((await conn.readMessage()).text()).toBe(LONG);
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1007 });
    settle();
    await platform.advance(1_000);
    expect(called).toEqual([1000]);
    expect(sent().filter((each) => each.startsWith('close'))).toHaveLength(1);
    expect(await conn.closed).toMatchObject({ code: 1007, wasClean: false });
  });
});

describe('a connection that fails after its own close frame', () => {
  it('goes on with the handshake, and reports the error', async () => {
    const { conn, platform, transport, frame, feed } = wired('server', { report: () => {} });
    const read = conn.readMessage();
    await platform.settle();
    void conn.close(1000);
    const error = new Error('mine');
    void conn['@ws/internals'].closeAfterError(error);
    await expect(read).rejects.toBe(error);
    feed(frame(1, 'dropped'), frame(8, formatCloseMessage(1000)));
    transport.feedEnd();
    await platform.settle();
    expect(transport.closed).toBe(true);
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: false, error });
  });
});

describe('after our close, a reader that takes one message and no other', () => {
  it('loses the rest in time for the close frame behind it', async () => {
    const settings = { closeTimeout: 1_000, readAhead: 1, report: () => {} };
    const { conn, platform, transport, frame, feed } = wired('client', settings);
    const first = conn.readMessage();
    await platform.settle();
    const messages = Array.from({ length: 20 }, () => frame(1, LONG));
    feed(...messages, frame(8, formatCloseMessage(1000)));
    transport.feedEnd();
    await first;
    const closed = conn.close();
    await conn.readMessage();
    await platform.advance(1_100);
    expect(await closed).toMatchObject({ code: 1000, wasClean: true });
    expect(conn.stats.messagesDropped).toBeGreaterThan(0);
  });
});

describe('an iterator that a ping handler leaves within its next()', () => {
  it('takes its message', async () => {
    const { conn, platform, frame, feed } = wired('server', { report: () => {} });
    const iterator = conn[Symbol.asyncIterator]();
    conn.setPingHandler(() => void iterator.return?.());
    await platform.settle();
    feed(frame(1, 'a'), frame(9), frame(1, 'b'));
    expect((await iterator.next()).value?.text()).toBe('a');
    expect((await iterator.next()).value?.text()).toBe('b');
  });
});

describe('a frozen CloseError of a handler', () => {
  it('rejects later reads', async () => {
    const { conn, platform, frame, feed } = wired('server', { report: () => {} });
    const error = Object.freeze(new CloseError(1000, 'of another connection'));
    const received = conn.receive(() => {
      throw error;
    });
    await platform.settle();
    feed(frame(1, 'a'));
    await expect(received).rejects.toBe(error);
    await expect(conn.readMessage()).rejects.toBe(error);
    await expect(conn.receive(() => {})).rejects.toBe(error);
  });
});

describe('an async handler that fails after our close frame', () => {
  it('hides no close frame behind a full read-ahead', async () => {
    const { conn, platform, transport, feed, frame, deliver } = wired('server', {
      readAhead: 150,
      report: () => {},
    });
    let fail!: (error: Error) => void;
    const error = new Error('mine');
    const received = conn.receive(() => new Promise((_, reject) => (fail = reject)));
    await platform.settle();
    await deliver(...Array.from({ length: 5 }, () => frame(1, LONG)));
    const closed = conn.close(1000);
    feed(frame(8, formatCloseMessage(1000)));
    transport.feedEnd();
    await platform.settle();
    fail(error);
    await platform.settle();
    await expect(received).rejects.toBe(error);
    expect(await closed).toMatchObject({ code: 1000, wasClean: false, error });
  });
});
