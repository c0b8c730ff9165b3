// A callback of the application, or a method of the transport, ends the connection within its call.
import { describe, expect, it } from 'vitest';
import { broadcast, TimeoutError, TransportError } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const BAD = Uint8Array.of(0xff, 0xff);
const CLOSE_4002 = Uint8Array.of(0x0f, 0xa2);

describe.each(['ping handler', 'receive'] as const)('`report` of a failed %s', (where) => {
  /** A connection whose handler fails, and whose `report` ends it by `how`. */
  function failing(how: 'close' | 'terminate') {
    const over = wired('server', {
      report: () => {
        if (how === 'close') void over.conn.close(4002, 'mine');
        else over.conn.terminate();
      },
    });
    const fail = (): never => {
      throw new Error('a bug');
    };
    over.conn.setPingHandler(fail);
    const received = over.conn.receive(fail).catch((error: unknown) => error);
    return { ...over, received };
  }
  const opcode = where === 'receive' ? 1 : 9;

  it('may close with its own code', async () => {
    const { conn, platform, transport, feed, frame, sent } = failing('close');
    await platform.settle();
    feed(frame(opcode, 'x'));
    await platform.settle();
    expect([sent(), transport.ended]).toEqual([['close 4002 mine'], false]);
    feed(frame(8, CLOSE_4002));
    transport.feedEnd();
    expect(await conn.closed).toEqual({ code: 4002, reason: '', wasClean: true });
  });

  it('may terminate', async () => {
    const { conn, platform, transport, feed, frame, sent } = failing('terminate');
    await platform.settle();
    feed(frame(opcode, 'x'));
    await platform.settle();
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    expect([sent(), transport.ignoredWrites]).toEqual([[], 0]);
  });
});

describe('a transport that reports its close within write', () => {
  it.each(['close', 'a fault', 'the answer to a close frame'])(
    'stays closed after %s',
    async (how) => {
      const { conn, platform, transport, feed, frame, deliver } = wired('server');
      await platform.settle();
      if (how === 'the answer to a close frame') {
        conn.setCloseHandler(() => new Promise(() => {}));
        await deliver(frame(8, CLOSE_4002));
      }
      transport.write = (_chunk, release) => {
        release?.();
        transport.sink!.close(new Error('gone'));
        return true;
      };
      // One slab is written at once; the next one waits for the end of the turn.
      for (let i = 0; i < 3; i++) void conn.send('x'.repeat(30_000)).catch(() => {});
      if (how === 'close') void conn.close();
      else if (how === 'a fault') feed(BAD);
      await platform.advance(10_000);
      expect(conn.state).toBe('closed');
      expect(await conn.closed).toMatchObject({ wasClean: false });
    },
  );
});

describe('a connection whose transport was destroyed and is slow to close', () => {
  it('sends no close frame for a fault in late bytes, and keeps the first error', async () => {
    const over = wired('server', { heartbeat: { interval: 20, timeout: 20 } });
    const { conn, platform, transport, sent } = over;
    const received = conn.receive(() => {}).catch((error: unknown) => error);
    let destroyed = 0;
    transport.destroy = () => void destroyed++;
    await platform.advance(150);
    const before = sent();
    expect([destroyed, before.length]).toEqual([1, 1]);
    transport.feed(BAD);
    await platform.settle();
    expect(sent()).toEqual(before);
    transport.break();
    await platform.settle();
    expect(await conn.closed).toMatchObject({ code: 1006, error: expect.any(TimeoutError) });
    expect(await received).toBeInstanceOf(TimeoutError);
  });

  it('delivers no message that arrives late', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server');
    const texts: string[] = [];
    const received = conn.receive((message) => void texts.push(message.text())).catch(() => {});
    await platform.settle();
    transport.destroy = () => {};
    conn.terminate();
    await deliver(frame(1, 'late'));
    transport.break();
    await received;
    expect(texts).toEqual([]);
  });

  it('rejects a write whose bytes are released after a failed write', async () => {
    const { conn, platform, transport, deliver } = wired('server');
    await platform.settle();
    transport.block();
    const referenced = conn.send(new Uint8Array(100_000));
    await platform.settle();
    transport.write = () => {
      throw new Error('broken');
    };
    transport.destroy = () => {};
    transport.sink!.drain();
    void conn.send('unsent').catch(() => {});
    await deliver(BAD);
    // Releases the bytes of the first write.
    transport.drain();
    await expect(referenced).rejects.toBeInstanceOf(TransportError);
  });
});

describe('pings after our close frame', () => {
  it.each(['the default ping handler', 'a handler that calls it'])(
    'cost %s neither a turn of the event loop nor an error',
    async (which) => {
      const { conn, platform, frame, sent, deliver } = wired('server');
      void conn.receive(() => {});
      if (which !== 'the default ping handler') conn.setPingHandler(conn.pingHandler());
      await platform.settle();
      void conn.close();
      await platform.settle();
      let yielded = 0;
      const original = platform.yield.bind(platform);
      platform.yield = (callback) => {
        yielded++;
        original(callback);
      };
      await deliver(...Array.from({ length: 100 }, () => frame(9, 'x')));
      expect([yielded, sent()]).toEqual([0, ['close 1000']]);
    },
  );
});

describe('a transport whose bufferedAmount throws', () => {
  /** A connection whose transport is blocked, and then fails. */
  async function broken(): Promise<Wired> {
    const peer = wired('server');
    peer.transport.block();
    void peer.conn.send('blocked');
    await peer.platform.settle();
    Object.defineProperty(peer.transport, 'bufferedAmount', {
      get() {
        throw new Error('no number');
      },
    });
    return peer;
  }

  it('does not keep a broadcast from the other connections', async () => {
    const others = [wired('server'), wired('server')];
    const failed = await broken();
    const conns = [others[0]!.conn, failed.conn, others[1]!.conn];
    expect(broadcast(conns, 'news')).toBe(2);
    for (const { platform, sent } of others) {
      await platform.settle();
      expect(sent()).toEqual(['text news']);
    }
    await failed.platform.settle();
    expect(await failed.conn.closed).toMatchObject({ code: 1006 });
  });

  it('rejects nextWriter, and does not throw', async () => {
    const { conn } = await broken();
    await conn.nextWriter(2);
    await expect(conn.nextWriter(2)).rejects.toThrow('no number');
    conn.terminate();
  });

  const timers: Record<string, { settings: object; ms: number }> = {
    'of the heartbeat': { settings: { heartbeat: { interval: 100, timeout: 100 } }, ms: 150 },
    'of idleReadTimeout': { settings: { idleReadTimeout: 100, readAhead: 10 }, ms: 150 },
    'of a write deadline': { settings: {}, ms: 150 },
    'of an observer of blocked connections': { settings: { readAhead: 10 }, ms: 6_000 },
    'of the end of the stream': { settings: {}, ms: 10 },
  };

  it.each(Object.keys(timers))('in a timer %s ends its connection only', async (name) => {
    const { settings, ms } = timers[name]!;
    const { conn, platform, transport, frame, deliver } = wired('server', settings);
    const observer = { blocked: () => {} };
    if (name === 'of an observer of blocked connections') Object.assign(platform, { observer });
    await platform.settle();
    if (name === 'of a write deadline') conn.setWriteDeadline(Date.now() + 100);
    await deliver(frame(2, new Uint8Array(100)));
    const cause = new Error('no number');
    Object.defineProperty(transport, 'bufferedAmount', {
      get() {
        throw cause;
      },
    });
    if (name === 'of the end of the stream') {
      transport.end = () => {};
      void conn.discardReads();
      transport.feedEnd();
    }
    await platform.advance(ms);
    expect(await conn.closed).toMatchObject({
      code: 1006,
      error: { message: expect.stringContaining('bufferedAmount: no number'), cause },
    });
  });
});

it('a closed connection with unread input sets no timer', async () => {
  const { conn, platform, transport, frame, feed } = wired('server', { readAhead: 1_000 });
  Object.assign(platform, { observer: { blocked: () => {} } });
  await platform.settle();
  void conn.receive(() => new Promise(() => {}));
  for (let i = 0; i < 20; i++) feed(frame(2, new Uint8Array(100)));
  transport.break();
  await platform.advance(20_000);
  expect([conn.state, platform.timers]).toEqual(['closed', 0]);
});

it.each([0, 16 * 1024 * 1024 + 1])('writeBufferSize: %s is out of range', (writeBufferSize) => {
  expect(() => wired('server', { writeBufferSize })).toThrow(RangeError);
});
