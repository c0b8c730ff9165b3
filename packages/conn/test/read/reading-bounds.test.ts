// What waits, for whom, and how much of it: the reading side at its bounds.
import { FakePlatform } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { readAheadHasRoom } from '../../src/connection/read-ahead.ts';
import { TextMessage } from '../../src/index.ts';
import { wired } from '../wired.ts';

/** What a queued message of 100 bytes is charged. */
const CHARGE = 100 + 320;
/** What an unread piece of a stream is charged on top of its bytes. */
const PIECE = 128;

/** The promises of a handler, in the order of its calls, and what it was given. */
function gate(): {
  handler: (m: { text(): string }) => Promise<void>;
  go: () => void;
  seen: string[];
} {
  const open: (() => void)[] = [];
  const seen: string[] = [];
  return {
    seen,
    go: () => open.shift()!(),
    handler(message) {
      seen.push(message.text());
      return new Promise((resolve) => open.push(resolve));
    },
  };
}

describe('the bound of the read-ahead', () => {
  it('counts the current message with the queued ones', async () => {
    const { conn, transport, frame, deliver } = wired('server', { readAhead: 1000 });
    await deliver(frame(2, Buffer.alloc(400)));
    await deliver(frame(2, Buffer.alloc(280), { fin: false }));
    expect(transport.paused).toBe(false);
    await deliver(frame(0, 'x', { fin: false }));
    expect(transport.paused).toBe(true);
    expect((await conn.readMessage()).data).toHaveLength(400);
    expect(transport.paused).toBe(false);
  });

  it.each([
    { held: 500, flows: true },
    { held: 501, flows: false },
  ])('resumes the transport with $held of 1000 bytes left: $flows', async (given) => {
    const { conn, platform, transport, frame, deliver } = wired('server', { readAhead: 1000 });
    await deliver(frame(2, Buffer.alloc(400)));
    await deliver(frame(2, Buffer.alloc(given.held), { fin: false }));
    expect(transport.paused).toBe(true);
    await conn.readMessage();
    await platform.settle();
    expect(transport.paused).toBe(!given.flows);
  });

  it('counts the unread pieces of a stream with the messages after it', async () => {
    const charge = 300 + PIECE + CHARGE;
    for (const readAhead of [charge - 1, charge]) {
      const { conn, transport, feed, frame, deliver } = wired('server', { readAhead });
      const next = conn.nextReader();
      feed(frame(2, Buffer.alloc(300)));
      await next;
      await deliver(frame(2, Buffer.alloc(100)));
      expect(transport.paused).toBe(readAhead < charge);
    }
  });

  it('is freed by a partial read of a stream', async () => {
    const { transport, frame, deliver, stream } = wired('server', { readAhead: 1000 });
    const reader = await stream(frame(2, Buffer.alloc(300), { fin: false }));
    for (let i = 0; i < 2; i++) {
      await deliver(frame(0, Buffer.alloc(300), { fin: false }));
    }
    const paused = [transport.paused];
    for (let i = 0; i < 2; i++) {
      expect(await reader.read(new Uint8Array(300))).toBe(300);
      paused.push(transport.paused);
    }
    expect(paused).toEqual([true, true, false]);
  });

  it('applies during a slow handler, and pauses once', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server', {
      readAhead: 3 * CHARGE,
      idleReadTimeout: 1000,
    });
    const pause = vi.spyOn(transport, 'pause');
    const resume = vi.spyOn(transport, 'resume');
    const { handler, go, seen } = gate();
    void conn.receive(handler);
    // Twice: bytes that were read no longer count.
    for (let round = 1; round <= 2; round++) {
      for (let i = 0; i < 4; i++) {
        await deliver(frame(2, Buffer.alloc(100, 97)));
      }
      expect([transport.paused, seen.length]).toEqual([false, round * 6 - 5]);
      for (let i = 0; i < 2; i++) {
        await deliver(frame(2, Buffer.alloc(100, 97)));
      }
      expect([transport.paused, pause.mock.calls.length]).toEqual([true, round]);
      // A running handler counts as a read.
      await platform.advance(5000);
      expect(conn.state).toBe('open');
      for (let i = 0; i < 6; i++) {
        go();
        await platform.settle();
      }
      expect([transport.paused, seen.length]).toEqual([false, round * 6]);
      expect(resume.mock.calls).toHaveLength(round);
    }
  });
});

describe('a full read-ahead', () => {
  it('resumes the transport when the read deadline drops it', async () => {
    const { conn, platform, transport, feed, frame, sent, deliver } = wired('server', {
      readAhead: 1_000,
    });
    await platform.settle();
    for (let i = 0; i < 5; i++) feed(frame(2, Buffer.alloc(600)));
    await deliver(frame(9, 'hi'));
    expect(transport.paused).toBe(true);
    conn.setReadDeadline(0);
    await expect(conn.readMessage()).rejects.toThrow('read timeout');
    await platform.settle();
    expect([transport.paused, sent()]).toEqual([false, ['pong hi']]);
  });
});

describe('an unread message', () => {
  it('stays with its connection while other connections read', async () => {
    const platform = new FakePlatform();
    const [one, two] = [wired('server', {}, 0, platform), wired('server', {}, 0, platform)];
    await platform.settle();
    one.feed(one.frame(1, 'of one'), one.frame(1, 'of one too'));
    await platform.settle();
    const read = two.conn.readMessage();
    two.feed(two.frame(1, 'of two'));
    expect((await read).text()).toBe('of two');
    expect((await one.conn.readMessage()).text()).toBe('of one');
    await platform.settle();
    two.feed(two.frame(1, 'of two too'));
    await platform.settle();
    expect((await one.conn.readMessage()).text()).toBe('of one too');
    expect((await two.conn.readMessage()).text()).toBe('of two too');
  });

  it('after a streamed message is whole, and the next one too', async () => {
    const { conn, feed, frame } = wired('server');
    const next = conn.nextReader();
    feed(frame(1, 'streamed'), frame(1, 'whole'), frame(1, 'streamed too'));
    expect(await (await next).text()).toBe('streamed');
    expect((await conn.readMessage()).text()).toBe('whole');
    expect(await (await conn.nextReader()).text()).toBe('streamed too');
  });

  it('is whole after a wait for a stream was cancelled', async () => {
    const { conn, platform, frame, deliver } = wired('server');
    const control = new AbortController();
    const given = conn.nextReader({ signal: control.signal });
    await platform.settle();
    control.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    await deliver(frame(1, 'kept'), frame(1, 'and kept'));
    expect((await conn.readMessage()).text()).toBe('kept');
    expect((await conn.readMessage()).text()).toBe('and kept');
  });

  it('can become a stream, from its first byte on', async () => {
    const { conn, feed, frame, deliver } = wired('server');
    await deliver(frame(1, 'queued'), frame(1, 'under ', { fin: false }));
    const queued = await conn.nextReader();
    expect([queued.type, await queued.text()]).toEqual([TextMessage, 'queued']);
    const under = await conn.nextReader();
    feed(frame(0, 'way'), frame(1, 'next'));
    expect(await under.text()).toBe('under way');
    expect((await conn.readMessage()).text()).toBe('next');
  });
});

describe('a read while another is pending', () => {
  it('is rejected within the call of the other', async () => {
    for (const name of ['readMessage', 'nextReader', 'for await'] as const) {
      const { conn, feed, frame, platform } = wired('server');
      await platform.settle();
      let inner: Promise<unknown> | undefined;
      conn.setPingHandler(() => {
        inner ??= conn.readMessage();
        inner.catch(() => {});
      });
      const first = conn.readMessage();
      feed(frame(1, 'a'), frame(9, 'p'), frame(1, 'b'));
      await first;
      const iterator = conn[Symbol.asyncIterator]();
      const second = name === 'for await' ? iterator.next() : conn[name]();
      await expect(inner).rejects.toThrow(`readMessage while ${name} is pending`);
      await second;
    }
  });
});

describe('the promise of receive', () => {
  it.each(['throws', 'rejects'] as const)(
    'rejects with the error of a handler that %s',
    async (how) => {
      const { conn, feed, frame, sent, deliver } = wired('server');
      const failure = new Error('no');
      const seen: string[] = [];
      const end = conn.receive((message) => {
        seen.push(message.text());
        if (how === 'throws') throw failure;
        return Promise.reject(failure);
      });
      feed(frame(1, 'a'), frame(1, 'b'));
      await expect(end).rejects.toBe(failure);
      await deliver(frame(1, 'c'));
      expect(seen).toEqual(['a']);
      expect(sent()).toEqual(['close 1011']);
      await expect(conn.readMessage()).rejects.toBe(failure);
    },
  );

  it('settles after its handler, also after our own close', async () => {
    const { conn, platform, transport, feed, frame, deliver } = wired('server');
    const { handler, go, seen } = gate();
    const order: string[] = [];
    const end = conn.receive(handler).then(({ code }) => order.push(`end ${code}`));
    await deliver(frame(1, 'a'), frame(1, 'b'));
    const closed = conn.close(1000);
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    transport.feedEnd();
    await closed;
    await platform.settle();
    order.push('first handler');
    go();
    await platform.settle();
    order.push('second handler');
    go();
    await end;
    expect(order).toEqual(['first handler', 'second handler', 'end 1000']);
    expect(seen).toEqual(['a', 'b']);
  });

  it('and all later reads reject with the error of a handler that failed after the end', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server');
    const failure = new Error('too late');
    let fail = (): void => {};
    const end = conn.receive(() => new Promise((_, reject) => (fail = () => reject(failure))));
    await deliver(frame(1, 'a'));
    transport.feedEnd();
    await platform.settle();
    fail();
    await expect(end).rejects.toBe(failure);
    await platform.settle();
    await expect(conn.readMessage()).rejects.toBe(failure);
    await expect(conn.nextReader()).rejects.toBe(failure);
  });
});

describe('a message that a handler borrows', () => {
  it('stays intact until its promise settles, during any other traffic', async () => {
    const { conn, platform, frame, deliver } = wired('server');
    const texts: string[] = [];
    let done = false;
    let use = (): void => {};
    void conn.receive((message) => {
      if (done) return;
      return new Promise<void>((resolve) => {
        use = () => {
          texts.push(message.text());
          done = true;
          resolve();
        };
      });
    });
    await deliver(frame(1, 'in fra', { fin: false }), frame(0, 'gments'));
    for (let i = 0; i < 20; i++) {
      await deliver(frame(1, 'xxx', { fin: false }), frame(9, 'ping'), frame(0, 'yyyyyyyyy'));
    }
    use();
    await platform.settle();
    expect(texts).toEqual(['in fragments']);
    expect(conn.stats.messagesIn).toBe(21);
  });
});

describe('a piece of a stream', () => {
  it('that is unread delays the answer to the close frame after it', async () => {
    const { conn, feed, frame, output, stream } = wired('server');
    const reader = await stream(frame(1, 'unread'));
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    expect(await output()).toEqual([]);
    expect(await reader.text()).toBe('unread');
    await expect(conn.nextReader()).rejects.toMatchObject({ closeCode: 1000 });
    expect(await output()).toEqual(['close 1000']);
  });
});

describe('discardReads', () => {
  it('buffers no message and leaves no state to the next connection', async () => {
    const platform = new FakePlatform();
    const drops = wired('server', { readAhead: 100 }, 0, platform);
    const reads = wired('server', {}, 0, platform);
    void drops.conn.discardReads();
    await platform.settle();
    drops.feed(drops.frame(2, Buffer.alloc(500), { fin: false }));
    await platform.settle();
    // Fewer than 100 bytes are held.
    expect(readAheadHasRoom(drops.conn['@ws/internals'].connection)).toBe(true);
    drops.feed(drops.frame(0, 'end'));
    await platform.settle();
    const { frame, feed, conn } = reads;
    feed(frame(1, 'put ', { fin: false }), frame(0, 'together'));
    await platform.settle();
    expect((await conn.readMessage()).text()).toBe('put together');
    expect(drops.conn.stats.messagesIn).toBe(1);
  });
});
