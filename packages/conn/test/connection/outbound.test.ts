import { nothingUnhandled } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BackpressureError,
  BinaryMessage,
  CloseMessage,
  type Conn,
  connPair,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  TextMessage,
  TimeoutError,
} from '../../src/index.ts';
import { rawPair, turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

/** Whether a promise has settled once all that is ready has run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let is = false;
  promise.then(
    () => (is = true),
    () => (is = true),
  );
  await turns();
  return is;
}

describe.each(['server', 'client'] as const)('a write of a %s', (role) => {
  it('accepts text and bytes in every shape', async () => {
    const { conn, output } = wired(role);
    const { buffer } = Uint8Array.of(0x61, 0x62, 0x63, 0x64);
    const shared = new Uint8Array(new SharedArrayBuffer(2));
    shared.set([0x73, 0x68]);
    await conn.send('é');
    await conn.send(buffer);
    await conn.send(new DataView(buffer, 1, 2));
    await conn.send(new Uint16Array(buffer, 2, 1));
    await conn.send(shared);
    await conn.send(shared.buffer);
    await conn.writeMessage(TextMessage, Buffer.from('bytes as text'));
    await conn.writeMessage(BinaryMessage, 'text as bytes');
    await conn.send('');
    await conn.send(new ArrayBuffer(0));
    expect(await output()).toEqual([
      'text é',
      'binary abcd',
      'binary bc',
      'binary cd',
      'binary sh',
      'binary sh',
      'text bytes as text',
      'binary text as bytes',
      'text',
      'binary',
    ]);
  });

  it('sends lone surrogates as U+FFFD', async () => {
    const { conn, platform, transport, sent } = wired(role);
    await conn.send('a\ud800b');
    await platform.settle();
    expect(transport.sent.length).toBeGreaterThan(0);
    expect(sent()).toEqual(['text a\ufffdb']);
  });

  it.each([
    ['a number', 5],
    ['undefined', undefined],
    ['null', null],
    ['an object', {}],
    ['an array', [1, 2]],
    ['a symbol', Symbol('x')],
    ['a function', () => {}],
    ['a Date', new Date()],
  ])('rejects %s with a TypeError and sends no frame', async (_says, data) => {
    const { conn, platform, transport } = wired(role);
    await expect(conn.send(data as never)).rejects.toBeInstanceOf(TypeError);
    await expect(conn.writeMessage(TextMessage, data as never)).rejects.toBeInstanceOf(TypeError);
    await expect(conn.writeMessage(BinaryMessage, data as never)).rejects.toBeInstanceOf(TypeError);
    if (data !== undefined) {
      await expect(conn.ping(data as never)).rejects.toBeInstanceOf(TypeError);
      await expect(conn.writeControl(PingMessage, data as never)).rejects.toBeInstanceOf(TypeError);
    }
    await platform.settle();
    expect(transport.writes).toEqual([]);
  });

  it('rejects a detached buffer', async () => {
    const { conn } = wired(role);
    const bytes = new Uint8Array(8);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    await expect(conn.send(bytes)).rejects.toThrow('detached');
    await expect(conn.send(bytes.buffer)).rejects.toThrow('detached');
    await expect(conn.send(new DataView(new ArrayBuffer(0)))).resolves.toBeUndefined();
  });

  it.each([0, 3, 7, 11, -1, 1.5, Number.NaN, '1', undefined])(
    'rejects the message type %s',
    async (type) => {
      const { conn } = wired(role);
      await expect(conn.writeMessage(type as never, 'x')).rejects.toThrow('bad write message type');
      await expect(conn.writeControl(type as never, 'x')).rejects.toThrow('bad write message type');
    },
  );

  it('accepts control types as well, as gorilla does', async () => {
    const { conn, output } = wired(role);
    await conn.writeMessage(PingMessage, 'p');
    await conn.writeMessage(PongMessage, Uint8Array.of(0x71));
    await conn.writeMessage(CloseMessage, formatCloseMessage(1001, 'bye'));
    expect(await output()).toEqual(['ping p', 'pong q', 'close 1001 bye']);
    expect(conn.state).toBe('closing');
  });

  it('copies less than 32 KiB during the call', async () => {
    const { conn, platform, transport } = wired(role);
    const bytes = new Uint8Array(32_767).fill(1);
    void conn.send(bytes);
    bytes.fill(2);
    await platform.settle();
    const { conn: other, platform: otherHost } = wired(role === 'server' ? 'client' : 'server');
    void other;
    await otherHost.settle();
    const wire = transport.sent;
    expect(wire.length).toBeGreaterThan(32_767);
    if (role === 'server') expect(wire.subarray(4).every((byte) => byte === 1)).toBe(true);
  });

  it('never changes the bytes of its caller', async () => {
    const { conn, platform } = wired(role);
    const small = new Uint8Array(100).fill(7);
    const large = new Uint8Array(300_000).fill(7);
    const sent = [conn.send(small), conn.send(large)];
    await platform.settle();
    await Promise.all(sent);
    expect(small.every((byte) => byte === 7) && large.every((byte) => byte === 7)).toBe(true);
  });
});

describe('the signal of a write', () => {
  it('sends no frame when it has aborted before', async () => {
    const { conn, platform, transport } = wired('server');
    const signal = AbortSignal.abort(new Error('no'));
    await expect(conn.send('x', { signal })).rejects.toThrow('no');
    await expect(conn.writeMessage(BinaryMessage, new Uint8Array(1), { signal })).rejects.toThrow(
      'no',
    );
    await expect(conn.writeJSON({}, { signal })).rejects.toThrow('no');
    await platform.settle();
    expect(transport.writes).toEqual([]);
  });

  it('removes a message from the queue of an open writer', async () => {
    const { conn, output } = wired('server');
    const control = new AbortController();
    const writer = await conn.nextWriter(TextMessage);
    const first = conn.send('first');
    const dropped = conn.send(new Uint8Array(100_000), { signal: control.signal });
    const last = conn.send('last', { signal: control.signal });
    const before = conn.bufferedAmount;
    control.abort(new Error('changed my mind'));
    await expect(dropped).rejects.toThrow('changed my mind');
    await expect(last).rejects.toThrow('changed my mind');
    expect(conn.bufferedAmount).toBe(before - 100_004);
    await writer.close();
    await first;
    expect(await output()).toEqual(['text', 'text first']);
  });

  it('takes back a message that waits for a slow peer', async () => {
    const { conn, transport, block, output } = wired('server', { highWaterMark: 10 });
    await block();
    const control = new AbortController();
    const write = conn.send('x'.repeat(20), { signal: control.signal });
    control.abort(new Error('enough'));
    await expect(write).rejects.toThrow('enough');
    transport.drain();
    expect(await output()).toEqual(['text going']);
    expect(conn.stats.messagesOut).toBe(1);
    await conn.send('next');
    expect(await output()).toEqual(['text going', 'text next']);
  });

  it('has no effect on a message that the transport has', async () => {
    const { conn, platform, transport, sent } = wired('server');
    transport.block();
    const control = new AbortController();
    let settled = false;
    const write = conn
      .send(new Uint8Array(100_000), { signal: control.signal })
      .then(() => (settled = true));
    control.abort(new Error('too late'));
    await platform.settle();
    expect(settled).toBe(false);
    transport.drain();
    await write;
    expect(sent()).toEqual(['binary <100000>']);
  });

  it('has no effect on a write that is accepted at once', async () => {
    const { conn, output } = wired('server');
    await conn.send('x', { signal: new AbortController().signal });
    await conn.send('y', {});
    await expect(conn.send('z', { signal: 5 as never })).rejects.toBeInstanceOf(TypeError);
    await expect(conn.send('z', null as never)).rejects.toBeInstanceOf(TypeError);
    expect(await output()).toEqual(['text x', 'text y']);
  });
});

describe('coalescing', () => {
  it('sends all messages of one turn as one write', async () => {
    const { conn, platform, transport, sent } = wired('server');
    for (let i = 0; i < 50; i++) await conn.send(`message ${i}`);
    await conn.writeControl(PingMessage, 'p');
    await platform.settle();
    expect(transport.writes.length).toBe(1);
    expect(sent()).toHaveLength(51);
  });

  it('answers a chunk of messages with one write, before the chunk is released', async () => {
    const { conn, platform, transport, feed, frame } = wired('server');
    void conn.receive((message) => conn.send(message));
    await platform.settle();
    feed(...Array.from({ length: 16 }, (_, i) => frame(1, `m${i}`)));
    expect(transport.writes.length).toBe(1);
  });

  it.each([
    ['an async handler', (conn: Conn) => void conn.receive(async (m) => void (await conn.send(m)))],
    [
      'a loop of awaits',
      (conn: Conn) =>
        void (async () => {
          for (;;) {
            const message = await conn.readMessage();
            await conn.writeMessage(message.type, message.data);
          }
        })().catch(() => {}),
    ],
    [
      'for await',
      (conn: Conn) =>
        void (async () => {
          for await (const message of conn) await conn.writeMessage(message.type, message.data);
        })().catch(() => {}),
    ],
  ])('applies to %s', async (_says, echo) => {
    const { conn, platform, transport, feed, frame, output } = wired('server');
    echo(conn);
    await platform.settle();
    feed(...Array.from({ length: 16 }, (_, i) => frame(1, `m${i}`)));
    expect(await output()).toHaveLength(16);
    expect(transport.writes.length).toBe(1);
  });

  it('returns every slab', async () => {
    const { conn, platform, transport } = wired('server');
    for (let i = 0; i < 20; i++) void conn.send(new Uint8Array(10_000));
    void conn.send(new Uint8Array(200_000));
    await platform.settle();
    expect(transport.releasesGiven).toBeGreaterThan(3);
    expect(transport.releasesRun).toBe(transport.releasesGiven);
  });
});

describe('backpressure', () => {
  it('delays writes above the high-water mark until the transport has drained', async () => {
    const { conn, platform, transport, sent } = wired('server', { highWaterMark: 1000 });
    transport.block();
    await conn.send(new Uint8Array(10));
    await platform.settle();
    await conn.send(new Uint8Array(100));
    const waits = conn.send(new Uint8Array(1000));
    expect(await settled(waits)).toBe(false);
    expect(conn.bufferedAmount).toBe(12 + 102 + 1004);
    transport.drain();
    await waits;
    await platform.settle();
    expect(conn.bufferedAmount).toBe(0);
    expect(sent()).toHaveLength(3);
  });

  it('creates one promise for all waiting writes, so that small messages cost only their bytes', async () => {
    const { conn, platform, transport } = wired('server', { highWaterMark: 1000 });
    transport.block();
    void conn.send(new Uint8Array(2000));
    await platform.settle();
    const waits = conn.send('a');
    expect(conn.send('b')).toBe(waits);
    expect(await settled(waits)).toBe(false);
    transport.drain();
    await waits;
    transport.block();
    void conn.send(new Uint8Array(2000));
    await platform.settle();
    const next = conn.send('c');
    expect(next).not.toBe(waits);
    transport.break(new Error('reset'));
    await expect(next).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
  });

  it('rejects a message that exceeds maxBufferedAmount, and sends no part of it', async () => {
    const { conn, platform, transport, sent, drain } = wired('server', { maxBufferedAmount: 2000 });
    transport.block();
    void conn.send('a'.repeat(60));
    await platform.settle();
    void conn.send(new Uint8Array(1900));
    const refused = conn.send(new Uint8Array(100));
    await expect(refused).rejects.toBeInstanceOf(BackpressureError);
    await expect(refused).rejects.toThrow('maxBufferedAmount');
    await expect(conn.send('é'.repeat(30))).rejects.toBeInstanceOf(BackpressureError);
    void conn.send('fits');
    await drain();
    expect(sent().map((frame) => frame.slice(0, 8))).toEqual(['text aaa', 'binary <', 'text fit']);
  });

  it('is refused with a promise that later refusals of a turn share', async () => {
    const { conn, block } = wired('server', { maxBufferedAmount: 2000 });
    await block('a');
    void conn.send(new Uint8Array(1900));
    const first = conn.send(new Uint8Array(100));
    const text = conn.send('x'.repeat(2000));
    expect(text).not.toBe(first);
    expect(conn.send(new Uint8Array(101))).toBe(text);
    expect(conn.send('x'.repeat(101))).toBe(text);
    await expect(first).rejects.toThrow('and 100 more would');
    await expect(text).rejects.toThrow('and at least 2000 more would');
    await expect(conn.send(new Uint8Array(102))).rejects.toThrow('and 102 more would');
    expect(conn.stats.messagesRefused).toBe(5);
  });

  it('accepts one message of any size on an empty queue', async () => {
    const { conn, platform, transport } = wired('server', { maxBufferedAmount: 100 });
    void conn.send('small');
    const large = conn.send(new Uint8Array(5000));
    const huge = conn.send(new Uint8Array(100_000));
    await platform.settle();
    await Promise.all([large, huge]);
    expect(transport.sent.length).toBeGreaterThan(105_000);
  });

  it('has no limit with false', async () => {
    const { conn, platform, transport } = wired('server', { maxBufferedAmount: false });
    transport.block();
    for (let i = 0; i < 30; i++) void conn.send(new Uint8Array(1_000_000));
    await platform.settle();
    expect(conn.bufferedAmount).toBeGreaterThan(30_000_000);
  });

  it('settles a referenced write only when the transport has released its bytes', async () => {
    const { conn, platform, transport } = wired('server');
    transport.block();
    const write = conn.send(new Uint8Array(70_000));
    await platform.settle();
    expect(await settled(write)).toBe(false);
    transport.drain(1);
    transport.drain(1);
    transport.drain();
    await write;
  });

  it('allows timers to fire in a loop of awaited writes', async () => {
    const [client, server] = connPair();
    void server.discardReads();
    let fired = false;
    setTimeout(() => (fired = true), 1);
    let count = 0;
    while (!fired) {
      await client.send('x');
      count++;
    }
    expect(count).toBeGreaterThan(0);
    await client.close();
  });

  it('rejects waiting writes when the transport ends, and releases all memory', async () => {
    const { conn, platform, transport, block } = wired('server', { highWaterMark: 1000 });
    await block('first');
    const waits = [conn.send(new Uint8Array(2000)), conn.send(new Uint8Array(100_000))];
    await platform.settle();
    const cause = new Error('reset');
    transport.break(cause);
    for (const wait of waits)
      await expect(wait).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(transport.releasesRun).toBe(transport.releasesGiven);
    await expect(conn.send('later')).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause });
  });
});

describe('control frames under backpressure', () => {
  it('pass the messages that wait', async () => {
    const { conn, transport, block, output } = wired('server');
    await block();
    void conn.send('waiting 1');
    void conn.send('waiting 2');
    void conn.writeControl(PingMessage, 'overtakes');
    transport.drain();
    expect(await output()).toEqual([
      'text going',
      'ping overtakes',
      'text waiting 1',
      'text waiting 2',
    ]);
  });

  it('never split a frame', async () => {
    const { conn, platform, transport, sent, drain } = wired('client', {}, 1);
    transport.block();
    void conn.send(new Uint8Array(200_000));
    void conn.send('behind');
    await platform.settle();
    void conn.writeControl(PingMessage, 'p');
    for (let i = 0; i < 10; i++) {
      transport.drain(1);
      await platform.settle();
    }
    await drain();
    expect(sent()[0]).toBe('binary <200000>');
    expect(sent().slice(1).toSorted()).toEqual(['ping p', 'text behind']);
  });

  it('answer only the newest ping', async () => {
    const { platform, transport, feed, frame, block, output } = wired('server');
    await block();
    for (let i = 0; i < 100; i++) feed(frame(9, `p${i}`));
    await platform.settle();
    transport.drain();
    expect(await output()).toEqual(['text going', 'pong p99']);
  });

  it('answer every ping while the transport accepts bytes', async () => {
    const { feed, frame, output } = wired('server');
    feed(...Array.from({ length: 10 }, (_, i) => frame(9, `p${i}`)));
    expect(await output()).toEqual(Array.from({ length: 10 }, (_, i) => `pong p${i}`));
  });

  it('are limited in number', async () => {
    const { conn, block } = wired('server');
    await block();
    const writes = Array.from({ length: 70 }, () => conn.writeControl(PingMessage, 'x'));
    const refused = (await Promise.allSettled(writes)).filter((w) => w.status === 'rejected');
    expect(refused).toHaveLength(6);
    expect((refused[0] as PromiseRejectedResult).reason).toBeInstanceOf(BackpressureError);
  });

  it('do not include close, which waits for the messages', async () => {
    const { conn, platform, transport, block, output } = wired('server');
    await block();
    void conn.send('waiting');
    void conn.close(1000);
    await platform.settle();
    transport.drain();
    expect(await output()).toEqual(['text going', 'text waiting', 'close 1000']);
  });

  it('drop the queue when the connection fails, but not the current frame', async () => {
    const { conn, transport, feed, block, output } = wired('server', { highWaterMark: 1 });
    await block();
    const waits = conn.send('waiting');
    feed(Uint8Array.of(0x83, 0x80));
    await expect(waits).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    transport.drain();
    expect(await output()).toEqual(['text going', 'close 1002 bad opcode 3']);
    expect(transport.ended).toBe(true);
    expect(transport.releasesRun).toBe(transport.releasesGiven);
  });

  it('follow the rest of a partly sent large frame when the connection fails', async () => {
    const { conn, platform, transport, sent, feed } = wired('client');
    transport.block();
    const large = conn.send(new Uint8Array(200_000));
    await platform.settle();
    void conn.send('dropped');
    feed(Uint8Array.of(0x83, 0x00));
    void large;
    for (let i = 0; i < 10; i++) {
      transport.drain(1);
      await platform.settle();
    }
    expect(sent()[0]).toBe('binary <200000>');
    expect(sent().at(-1)).toBe('close 1002 bad opcode 3');
  });
});

describe('writeControl', () => {
  it.each([
    ['more than 125 bytes', PingMessage, new Uint8Array(126), RangeError],
    ['a close payload of one byte', CloseMessage, Uint8Array.of(3), RangeError],
    ['a close code that must not be sent', CloseMessage, Uint8Array.of(3, 0xed), RangeError],
  ])('rejects %s', async (_says, type, payload, error) => {
    const { conn } = wired('server');
    await expect(conn.writeControl(type, payload)).rejects.toBeInstanceOf(error);
    expect(conn.state).toBe('open');
  });

  it('sends no frame after its deadline', async () => {
    const { conn, output } = wired('server');
    await expect(conn.writeControl(PingMessage, 'late', Date.now() - 1)).rejects.toBeInstanceOf(
      TimeoutError,
    );
    await expect(conn.writeControl(PingMessage, 'late', new Date(0))).rejects.toThrow(
      'write timeout',
    );
    await expect(conn.writeControl(PingMessage, '', Number.NaN)).rejects.toBeInstanceOf(RangeError);
    await expect(conn.writeControl(PingMessage, '', 'now' as never)).rejects.toBeInstanceOf(
      TypeError,
    );
    await conn.writeControl(PingMessage, 'in time', Date.now() + 10_000);
    await conn.writeControl(PongMessage, 'whenever', null);
    expect(await output()).toEqual(['ping in time', 'pong whenever']);
  });

  it('starts the closing handshake with a close frame, also with an empty one', async () => {
    const { conn, peer } = rawPair('server');
    await conn.writeControl(CloseMessage);
    expect(conn.state).toBe('closing');
    await expect(conn.writeControl(CloseMessage)).rejects.toMatchObject({
      code: 'WS_ERR_CLOSE_SENT',
    });
    expect(await peer.sees(1)).toEqual(['close']);
    peer.close();
    await peer.finish();
    expect(await conn.closed).toMatchObject({ code: 1005, wasClean: true });
  });
});

describe('a borrowed message', () => {
  it('is echoed unchanged, also when the handler does not wait', async () => {
    const { conn, feed, frame, output } = wired('server');
    void conn.receive((message) => {
      void conn.send(message);
      void conn.writeMessage(BinaryMessage, message);
      void conn.writeMessage(message.type, message.borrow().subarray(1));
    });
    feed(frame(1, 'abc'), frame(2, 'xyz'));
    expect(await output()).toEqual([
      'text abc',
      'binary abc',
      'text bc',
      'binary xyz',
      'binary xyz',
      'binary yz',
    ]);
  });

  it.each([65_537, 1 << 20])('of %d bytes is never overwritten before it is sent', async (size) => {
    const a = wired('server', { readLimit: false });
    const b = wired('server', { readLimit: false });
    a.transport.block();
    void a.conn.receive((message) => void a.conn.send(message));
    void b.conn.receive(() => {});
    const feedInPieces = (to: typeof a, byte: number): void => {
      const bytes = to.frame(2, Buffer.alloc(size, byte));
      for (let at = 0; at < bytes.length; at += 65_536)
        to.transport.feed(bytes.subarray(at, at + 65_536));
    };
    await a.platform.settle();
    await b.platform.settle();
    for (let i = 1; i <= 4; i++) {
      feedInPieces(a, i);
      await a.platform.settle();
      feedInPieces(b, 0xee);
      await b.platform.settle();
    }
    // The transport throws when bytes changed before they were released.
    a.transport.drain();
    await a.platform.settle();
    const wire = Buffer.from(a.transport.sent);
    expect(wire.length).toBe(4 * (size + 10));
    for (let i = 0; i < 4; i++) {
      const payload = wire.subarray(i * (size + 10) + 10, (i + 1) * (size + 10));
      expect(payload.every((byte) => byte === i + 1)).toBe(true);
    }
    expect(a.transport.releasesRun).toBe(a.transport.releasesGiven);
  });
});

describe('ignored promises', () => {
  nothingUnhandled();

  it('cause no unhandled rejection', async () => {
    const { conn, transport } = wired('server');
    void conn.readMessage();
    void conn.readMessage();
    void conn.receive(() => {});
    void conn.ping();
    void conn.send(5 as never);
    void conn.close(5);
    transport.block();
    for (let i = 0; i < 1000; i++) void conn.send(new Uint8Array(1000));
    void conn[Symbol.asyncIterator]().next();
    transport.break(new Error('reset'));
    void conn.send('late');
    void conn.ping();
    void conn.discardReads();
    await turns(10);
  });

  it('cause none when a writer is disposed as the connection ends', async () => {
    const { conn, transport, block } = wired('server', { highWaterMark: 1 });
    await block('waits');
    const writer = await conn.nextWriter(TextMessage);
    const disposed = writer[Symbol.asyncDispose]();
    transport.break(new Error('reset'));
    await turns(10);
    await expect(disposed).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
  });
});
