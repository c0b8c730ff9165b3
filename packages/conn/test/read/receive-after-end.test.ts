// A connection that has ended still has unread messages. A handler of `receive` that answers one of
// them fails with the end of the connection.
import { identityPlatform, NO_TAKEOVER, naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, TransportError } from '../../src/index.ts';

describe.each([false, true])('receive after the end (compression: %s)', (compression) => {
  it.each([
    ['by a rejection', true],
    ['by a throw', false],
  ])('settles when its handler fails with the end %s', async (_, rejects) => {
    const platform = identityPlatform();
    const transport = new TestTransport();
    const conn = new Conn(transport, {
      role: 'server',
      platform,
      heartbeat: false,
      readAhead: 1,
      ...(compression && { compression, deflate: NO_TAKEOVER }),
    });
    await platform.settle();
    const message = naiveEncode(1, 'x', { mask: 1 });
    transport.feed(Buffer.concat([message, message, message, message]));
    await platform.settle();
    transport.break(new Error('reset'));
    await platform.settle();
    const { error } = await conn.closed;
    expect(error).toBeInstanceOf(TransportError);
    let calls = 0;
    const received = conn.receive(() => {
      calls++;
      if (!rejects) throw error;
      return Promise.reject(error);
    });
    await platform.settle();
    await expect(received).rejects.toBe(error);
    expect(calls).toBe(1);
  });
});
