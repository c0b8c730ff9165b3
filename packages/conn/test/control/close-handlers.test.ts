// What a handler of close frames may do in its synchronous part.
import { formatCloseMessage } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import type { Conn } from '../../src/index.ts';
import { wired } from '../wired.ts';

const READS: Record<string, (conn: Conn) => unknown> = {
  readMessage: (conn) => conn.readMessage(),
  nextReader: (conn) => conn.nextReader(),
  'for await': (conn) => conn[Symbol.asyncIterator]().next(),
  receive: (conn) => conn.receive(() => {}),
  discardReads: (conn) => conn.discardReads(),
  'a read deadline in the past': (conn) => conn.setReadDeadline(Date.now() - 1),
};

function closing(handler: (conn: Conn) => unknown) {
  const end = wired('server', { report: () => {} });
  let called = 0;
  end.conn.setCloseHandler(() => {
    called++;
    void Promise.resolve(handler(end.conn)).catch(() => {});
  });
  return { ...end, called: () => called };
}

describe('a close handler', () => {
  it.each(Object.entries(READS))('that begins %s is called once', async (_name, read) => {
    const { platform, frame, feed, transport, sent, called } = closing(read);
    await platform.settle();
    feed(frame(8, formatCloseMessage(1000)));
    transport.feedEnd();
    await platform.settle();
    expect(called()).toBe(1);
    expect(sent()).toEqual(['close 1000']);
  });

  it.each([
    ['closes', (conn: Conn) => conn.close(), 5_000],
    ['closes with a timeout', (conn: Conn) => conn.close(1000, '', { timeout: 1_000 }), 1_000],
    ['writes a close frame', (conn: Conn) => conn.writeControl(8, formatCloseMessage(1000)), 5_000],
  ] as const)('that %s has the time of that', async (_name, close, time) => {
    const { platform, frame, feed, transport } = closing(close);
    // A transport that never ends.
    transport.end = () => {};
    await platform.settle();
    feed(frame(8, formatCloseMessage(1000)));
    await platform.advance(time - 100);
    expect(transport.destroyed).toBe(false);
    await platform.advance(200);
    expect(transport.destroyed).toBe(true);
  });
});
