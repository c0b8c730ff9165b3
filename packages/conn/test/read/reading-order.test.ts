// Who gets what when a reader comes late, leaves early, or fails: no message is lost, and none
// comes twice.
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type Conn, ReadPendingError, TextMessage } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const NORMAL = Uint8Array.of(0x03, 0xe8);

/** A connection that has had its first turn, in which nothing is parsed. */
async function opened(settings: Parameters<typeof wired>[1] = {}): Promise<Wired> {
  const wire = wired('server', settings);
  await wire.platform.settle();
  return wire;
}

/** What a promise that is not awaited yet has come to, for the time when it is. */
function outcome(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch((error: unknown) => error);
}

describe('receive', () => {
  it('delivers all queued messages of a closed connection, then reports its end', async () => {
    const { conn, platform, transport, frame, deliver } = await opened();
    await deliver(frame(1, 'a'), frame(1, 'b'), frame(1, 'c'));
    transport.break(new Error('reset'));
    await platform.settle();
    const seen: string[] = [];
    const end = conn.receive((message) => void seen.push(message.text()));
    await expect(end).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it.each([
    { ends: 'the connection', act: (conn: Conn) => conn.terminate(), error: { closeCode: 1006 } },
    {
      ends: 'reading',
      act: (conn: Conn) => conn.setReadDeadline(Date.now() - 1),
      error: { code: 'WS_ERR_TIMEOUT' },
    },
  ])('ends when its handler ends $ends, even with queued messages', async ({ act, error }) => {
    const { conn, frame, deliver } = await opened();
    await deliver(frame(1, 'a'), frame(1, 'b'));
    const seen: string[] = [];
    const end = conn.receive((message) => {
      seen.push(message.text());
      act(conn);
    });
    await expect(end).rejects.toMatchObject(error);
    expect(seen).toEqual(['a']);
  });

  it('resolves for a handler that has seen the normal close itself', async () => {
    const { conn, transport, feed, frame, deliver } = await opened();
    let met: unknown;
    const end = conn.receive(async () => {
      const pong = conn.ping('?');
      met = await outcome(pong);
      await pong;
    });
    await deliver(frame(1, 'go'));
    feed(frame(8, NORMAL));
    transport.feedEnd();
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
    expect(met).toMatchObject({ closeCode: 1000 });
  });

  it.each([5, null, 'text', {}, []])(
    'releases a message when its handler returns: %j',
    async (result) => {
      const { conn, feed, frame, transport } = await opened();
      const seen: string[] = [];
      void conn.receive(((message: { text(): string }) => {
        seen.push(message.text());
        void conn.send('ok');
        return result;
      }) as never);
      feed(frame(1, 'a'), frame(1, 'b'), frame(1, 'c'));
      expect(seen).toEqual(['a', 'b', 'c']);
      expect(transport.writes).toHaveLength(1);
    },
  );

  it('stops a large message during a running handler: the peer waits', async () => {
    const { conn, platform, transport, frame, deliver } = await opened({ readAhead: 1000 });
    let go = (): void => {};
    const sizes: number[] = [];
    void conn.receive((message) => {
      sizes.push(message.length);
      return new Promise<void>((resolve) => (go = resolve));
    });
    await deliver(frame(1, 'a'));
    const large = frame(2, Buffer.alloc(5000));
    await deliver(large.subarray(0, 1500));
    expect(transport.paused).toBe(true);
    go();
    await platform.settle();
    expect(transport.paused).toBe(false);
    await deliver(large.subarray(1500));
    expect(sizes).toEqual([1, 5000]);
  });
});

describe('a message whose first part arrived during a cancelled read', () => {
  it('is whole for the next read, and so is the message after it', async () => {
    const { conn, frame, deliver } = await opened();
    const control = new AbortController();
    const read = conn.readMessage({ signal: control.signal });
    await deliver(frame(1, 'in two ', { fin: false }));
    control.abort(new Error('enough'));
    await expect(read).rejects.toThrow('enough');
    await deliver(frame(0, 'parts'), frame(1, 'next'));
    expect((await conn.readMessage()).text()).toBe('in two parts');
    expect((await conn.readMessage()).text()).toBe('next');
  });
});

describe('a message of which only the first header has arrived', () => {
  it('can become a stream', async () => {
    const { conn, feed, frame, deliver } = await opened();
    await deliver(frame(1, '', { fin: false }));
    const reader = await conn.nextReader();
    expect(reader.type).toBe(TextMessage);
    feed(frame(0, 'all of it'));
    expect(await reader.text()).toBe('all of it');
  });
});

describe('an abandoned reader', () => {
  const leave = {
    'a loop that breaks': async (reader: AsyncIterable<Uint8Array>): Promise<void> => {
      for await (const _ of reader) break;
    },
    'a web stream that is cancelled': async (reader: { readable(): ReadableStream }) => {
      await reader.readable().cancel();
    },
  };

  it.each(Object.entries(leave))('drops the rest of any length: %s', async (_, go) => {
    const { conn, transport, feed, frame, deliver, stream } = await opened({ readAhead: 1000 });
    const reader = await stream(frame(2, Buffer.alloc(600), { fin: false }));
    await go(reader as never);
    for (let i = 0; i < 5; i++) {
      await deliver(frame(0, Buffer.alloc(600), { fin: false }));
    }
    expect(transport.paused).toBe(false);
    await expect(reader.read(new Uint8Array(1))).rejects.toBeInstanceOf(ReadPendingError);
    feed(frame(0, 'end'), frame(1, 'next'));
    expect((await conn.readMessage()).text()).toBe('next');
  });

  it.each(Object.entries(leave))('releases its unread bytes: %s', async (_, go) => {
    const { platform, transport, frame, deliver, stream } = await opened({ readAhead: 1000 });
    const reader = await stream(frame(2, Buffer.alloc(600), { fin: false }));
    await deliver(frame(0, Buffer.alloc(600), { fin: false }));
    expect(transport.paused).toBe(true);
    await go(reader as never);
    await platform.settle();
    expect(transport.paused).toBe(false);
  });

  it('does not affect the message of the current reader', async () => {
    const { conn, feed, frame, stream } = await opened();
    const before = await stream(frame(1, 'first'), frame(1, 'sec', { fin: false }));
    expect(await before.text()).toBe('first');
    const reader = await conn.nextReader();
    await before.readable().cancel();
    feed(frame(0, 'ond'));
    expect(await reader.text()).toBe('second');
  });
});

describe('a stream that was read to its end', () => {
  it('leaves its connection without a decoder', async () => {
    const platform = new FakePlatform();
    const { conn, feed, frame, stream } = wired('server', {}, 0, platform);
    const reader = await stream(frame(1, 'in two ', { fin: false }));
    const text = reader.text();
    feed(frame(0, 'parts'));
    expect(await text).toBe('in two parts');
    await platform.settle();
    expect(conn['@ws/internals'].connection.shared.decoders.size).toBe(1);
  });
});
