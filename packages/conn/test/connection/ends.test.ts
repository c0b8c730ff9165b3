import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { FakePlatform, TestTransport } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import { internalsOf } from '../../src/conn-like.ts';
import { CloseError, Conn, connPair, TransportError, WebSocketError } from '../../src/index.ts';
import { turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

// Ends that meet something else: held input, handlers at work, blocked transports, other ends.

const BAD = Uint8Array.of(0xff, 0xff);

/** The state of a promise after all ready callbacks. */
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  let is: unknown = 'pending';
  promise.then(
    (value) => (is = value),
    (error: unknown) => (is = error),
  );
  await turns();
  return is;
}

describe('unread input of a destroyed transport', () => {
  it('is read up to its first fault', async () => {
    for (const bad of [BAD, Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0xff)]) {
      const { conn, feed, frame, platform, transport } = wired('server', { readAhead: 200 });
      const texts = ['a', 'b', 'c'].map((c) => c.repeat(100));
      feed(frame(1, 'first'), ...texts.map((text) => frame(1, text)), bad, frame(1, 'after'));
      await conn.readMessage();
      await platform.settle();
      transport.break(new Error('ECONNRESET'));
      await platform.settle();
      for (const text of texts) expect((await conn.readMessage()).text()).toBe(text);
      const error = await conn.readMessage().catch((e: unknown) => e);
      expect(error).toMatchObject({ name: 'ProtocolError' });
      await expect(conn.readMessage()).rejects.toBe(error);
      expect(await conn.closed).toMatchObject({ code: 1006 });
    }
  });

  it('names the close frame in `closed` also when it arrives with the end in the first turn', async () => {
    for (const error of [undefined, new Error('ECONNRESET')]) {
      const { conn, feed, frame, platform, transport } = wired('client');
      const received = conn.receive(() => {});
      feed(frame(1, 'a'), frame(8, Uint8Array.of(3, 232)));
      transport.break(error);
      await platform.settle();
      expect(await conn.closed).toMatchObject({ code: 1000 });
      expect(await received).toBe(await conn.closed);
    }
  });

  it('releases its pooled memory, for every way to read', async () => {
    const give = vi.spyOn(sharedMessageBuffers(), 'give');
    const before = sharedSlabPool().lent;
    const buffersBefore = sharedMessageBuffers().lent;
    for (const how of ['break', 'feedEnd', 'terminate', 'close', 'fault'] as const) {
      for (const read of ['receive', 'readMessage', 'nobody'] as const) {
        const { conn, transport, frame, platform, feed } = wired('server', { readLimit: false });
        if (read === 'receive') void conn.receive(() => {});
        if (read === 'readMessage') void conn.readMessage();
        await platform.settle();
        const bytes = frame(2, Buffer.alloc(900_000));
        for (let at = 0; at < 450_000; at += 65_536)
          transport.feed(bytes.subarray(at, at + 65_536));
        await platform.settle();
        if (how === 'terminate') conn.terminate();
        else if (how === 'close') void conn.close();
        else if (how === 'fault') conn.setPingHandler(() => Promise.reject(new Error('x')));
        else transport[how]();
        if (how === 'fault') feed(bytes.subarray(450_000));
        await platform.advance(400_000);
        expect(conn.state).toBe('closed');
        expect(platform.timers).toBe(0);
      }
    }
    expect(give.mock.calls.length).toBeGreaterThan(10);
    expect(sharedMessageBuffers().lent).toBe(buffersBefore);
    expect(sharedSlabPool().lent).toBe(before);
    vi.restoreAllMocks();
  });

  it('releases the slab of an incomplete header', async () => {
    const before = sharedSlabPool().lent;
    const { transport, platform, frame } = wired('server');
    transport.feed(frame(2, 'x'.repeat(300)).subarray(0, 5));
    await platform.settle();
    expect(sharedSlabPool().lent).toBe(before + 1);
    transport.break();
    await platform.settle();
    expect(sharedSlabPool().lent).toBe(before);
  });
});

describe('an incomplete header', () => {
  it('is completed correctly after any other operation', async () => {
    for (let cut = 1; cut < 8; cut++) {
      const { conn, transport, platform, frame } = wired('server');
      const read = conn.readMessage();
      const bytes = frame(2, 'hello world');
      transport.feed(bytes.subarray(0, cut));
      await platform.settle();
      void conn.send('tick');
      await platform.settle();
      transport.feed(bytes.subarray(cut));
      expect((await read).text()).toBe('hello world');
    }
  });
});

describe('terminate() after the close frame of the peer was read ahead', () => {
  it.each(['while a message is handled', 'in the close handler'])(
    'sends no answer %s, and the end is not clean',
    async (when) => {
      const { conn, frame, sent, deliver } = wired('server');
      const calls: string[] = [];
      conn.setCloseHandler(() => {
        calls.push('close handler');
        conn.terminate();
      });
      const read = conn.receive(async () => {
        await Promise.resolve();
        if (when === 'while a message is handled') conn.terminate();
      });
      await deliver(frame(1, 'm'), frame(8, Uint8Array.of(3, 232)));
      expect(await conn.closed).toMatchObject({ code: 1000, wasClean: false });
      await read.catch(() => {});
      expect(calls).toEqual(when === 'in the close handler' ? ['close handler'] : []);
      expect(sent()).toEqual([]);
    },
  );
});

describe('the end of the peer without a close frame', () => {
  it('leaves all of closeTimeout for the answers, and then names the option', async () => {
    const { conn, platform, transport, feed, frame, block } = wired('server', {
      closeTimeout: 1_000,
    });
    void conn.receive(async () => {
      await new Promise<void>((resolve) => void platform.setTimer(400, resolve));
      void conn.send('answer');
    });
    await block('in the way');
    feed(frame(1, 'question'));
    transport.feedEnd();
    await platform.settle();
    await platform.advance(400);
    await platform.settle();
    await platform.advance(900);
    await platform.settle();
    expect(conn.state).toBe('closing');
    await platform.advance(200);
    await platform.settle();
    const { error } = await conn.closed;
    expect(String(error)).toMatch(/within 1000 ms \(option closeTimeout\)|1006/);
  });
});

describe('receive at the end of a connection', () => {
  it('rejects when its handler throws the normal end of another connection', async () => {
    const [other, peer] = connPair();
    const { conn, frame, deliver, output } = wired('server', { report: () => {} });
    const read = conn.receive(async () => void (await other.readMessage()));
    await deliver(frame(1, 'm'));
    await peer.close(1000);
    const error = await outcome(read);
    expect(error).toMatchObject({ closeCode: 1000 });
    expect(await output()).toEqual(['close 1011']);
  });

  it('delivers no message after a handler has failed on a closed connection', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server', { readAhead: 150 });
    const failure = new Error('app');
    let fail = (): void => {};
    const end = conn.receive(
      () => new Promise<void>((_, reject) => (fail = () => reject(failure))),
    );
    await deliver(...Array.from({ length: 5 }, (_, i) => frame(1, `m${i}`)));
    transport.break(new Error('reset'));
    await platform.settle();
    fail();
    await expect(end).rejects.toBe(failure);
    await expect(conn.readMessage()).rejects.toBe(failure);
    await expect(conn.readMessage()).rejects.toBe(failure);
  });

  it('holds a message until its own promise settles, for any thenable', async () => {
    const { conn, platform, frame, deliver } = wired('server');
    const calls: (() => void)[] = [];
    const seen: string[] = [];
    void conn.receive((message) => {
      seen.push(message.text());
      // A foreign thenable that settles twice. The linter forbids the name `then`, so it is
      // computed.
      const name = ['th', 'en'].join('');
      return {
        [name]: (resolve: () => void) => void calls.push(resolve),
      } as unknown as Promise<void>;
    });
    await deliver(frame(1, 'a'), frame(1, 'b'), frame(1, 'c'));
    calls[0]!();
    await platform.settle();
    calls[0]!();
    await platform.settle();
    expect(seen).toEqual(['a', 'b']);
  });
});

describe('a peer that closes and reads nothing', () => {
  it.each(['server', 'client'] as const)('has a %s report that it gave up', async (role) => {
    const { conn, platform, feed, frame, block } = wired(role);
    await block('fills the transport');
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    await platform.advance(5_200);
    const { code, wasClean, error } = await conn.closed;
    expect({ code, wasClean }).toEqual({ code: 1000, wasClean: false });
    expect(error).toMatchObject({
      code: 'WS_ERR_TIMEOUT',
      message:
        'websocket: the peer did not finish the closing handshake within 5000 ms (option closeTimeout)',
    });
  });
});

describe('the close handler', () => {
  it('is awaited, and other calls continue', async () => {
    const { conn, frame, sent, deliver } = wired('server');
    const read = conn.readMessage();
    let finish = (): void => {};
    conn.setCloseHandler(async () => {
      await Promise.resolve();
      await conn.send('bye');
      await new Promise<void>((resolve) => (finish = resolve));
    });
    await deliver(frame(8, Uint8Array.of(0x03, 0xe8)));
    expect(await outcome(read)).toBe('pending');
    expect(sent()).toEqual(['text bye']);
    finish();
    await expect(read).rejects.toMatchObject({ closeCode: 1000 });
    expect(sent()).toEqual(['text bye', 'close 1000']);
  });

  it('can call and await close()', async () => {
    const { conn, transport, feed, frame, output } = wired('server');
    conn.setCloseHandler(async () => void (await conn.close(4000, 'mine')));
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    expect(await output()).toEqual(['close 4000 mine']);
    transport.feedEnd();
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});

describe('a blocked transport', () => {
  it('has no wait for room after its end', async () => {
    const { conn, transport, block } = wired('server');
    await block();
    const waits = internalsOf(conn).untilWritable();
    transport.break();
    await expect(waits).rejects.toBeInstanceOf(WebSocketError);
    expect(internalsOf(conn).untilWritable()).toBeUndefined();
  });

  it('keeps a referenced write pending while its bytes are in use, also when the connection fails', async () => {
    const { conn, platform, transport, feed, drain } = wired('server');
    transport.block();
    const payload = new Uint8Array(200_000);
    const inUse = conn.send(payload);
    await platform.settle();
    const dropped = conn.send(new Uint8Array(100_000));
    feed(BAD);
    await expect(dropped).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
    expect(await outcome(inUse)).toBe('pending');
    await drain();
    await inUse;
    payload.fill(7);
    expect(transport.releasesRun).toBe(transport.releasesGiven);
  });

  it('sends the close frame that was queued when the connection fails after close()', async () => {
    const { conn, platform, transport, block, output } = wired('server');
    await block('first');
    void conn.send('second');
    void conn.close();
    transport.feedLate(BAD);
    await platform.settle();
    transport.drain();
    expect(await output()).toEqual(['text first', 'text second', 'close 1000']);
    expect(transport.ended).toBe(true);
  });

  it('is not clean when it was destroyed before our close frame left', async () => {
    const { conn, transport, frame, block, deliver } = wired('server');
    await block('first');
    await deliver(frame(8, Uint8Array.of(0x03, 0xe8)));
    transport.break(new Error('reset'));
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: false });
  });

  it('drops the connection when the bytes of a waiting write are detached', async () => {
    const { conn, platform, block, drain } = wired('server');
    await block('first');
    const payload = new Uint8Array(100_000);
    const write = conn.send(payload);
    await platform.settle();
    structuredClone(payload.buffer, { transfer: [payload.buffer] });
    await drain();
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TRANSPORT' } });
    await expect(write).rejects.toThrow('detached');
    await expect(conn.send('x')).rejects.toThrow('detached');
  });

  it('ends its write side once', async () => {
    const { conn, platform, transport } = wired('server');
    const end = vi.spyOn(transport, 'end');
    transport.feedEnd();
    await platform.settle();
    await conn.closed;
    expect(end).toHaveBeenCalledTimes(1);
  });
});

describe('a transport with an endTimeout', () => {
  it.each([undefined, 1_000])(
    'is destroyed by then, whatever the timeout of close: %s',
    async (timeout) => {
      const { conn, deliver, frame, platform, transport } = wired('server');
      Object.assign(transport, { endTimeout: 300 });
      await deliver(frame(8));
      if (timeout !== undefined) void conn.close(1000, '', { timeout });
      await platform.advance(299);
      expect(transport.destroyed).toBe(false);
      await platform.advance(1);
      expect(transport.destroyed).toBe(true);
      expect(await conn.closed).toMatchObject({ code: 1005, wasClean: true });
    },
  );

  it('waits again while the transport has bytes', async () => {
    const { deliver, frame, platform, transport } = wired('server');
    Object.assign(transport, { endTimeout: 300 });
    transport.block();
    await deliver(frame(8));
    await platform.advance(600);
    expect(transport.destroyed).toBe(false);
    transport.drain();
    await platform.advance(300);
    expect(transport.destroyed).toBe(true);
  });
});

describe('a transport that throws', () => {
  it.each(['pause', 'resume', 'write', 'end'] as const)(
    'ends only its own connection: %s',
    async (call) => {
      const { conn, platform, transport, frame, deliver } = wired('server', { readAhead: 200 });
      const beside = wired('server', {}, 0, platform);
      const cause = new Error('a bug');
      const breaks = (): void => {
        transport[call] = () => {
          throw cause;
        };
      };
      await platform.settle();
      if (call !== 'resume') breaks();
      await deliver(frame(2, new Uint8Array(150)), frame(2, new Uint8Array(150)));
      breaks();
      if (call === 'write') void conn.send('x');
      if (call === 'end') {
        await conn.readMessage();
        transport.feedEnd();
      }
      void beside.conn.send('x');
      await platform.settle();
      const reads = [conn.readMessage(), conn.readMessage(), conn.readMessage()];
      await platform.settle();
      const last = await reads[2]!.catch((error: unknown) => error);
      expect(last).toBeInstanceOf(call === 'end' ? CloseError : TransportError);
      const { error } = await conn.closed;
      expect(error).toBeInstanceOf(TransportError);
      expect(error).toMatchObject({ cause });
      await expect(conn.send('y')).rejects.toBeInstanceOf(Error);
      expect([transport.destroyed, conn.state]).toEqual([true, 'closed']);
      expect(beside.sent()).toEqual(['text x']);
    },
  );
});

describe('a transport whose write throws', () => {
  it.each(['at once', 'after a release'] as const)('costs no memory: %s', async (when) => {
    const buffers = new Set<Uint8Array>();
    const writeBufferPool = {
      get() {
        const buffer = new Uint8Array(4096);
        buffers.add(buffer);
        return buffer;
      },
      put: (buffer: Uint8Array) => void buffers.delete(buffer),
    };
    const { conn, platform, transport } = wired('server', { writeBufferPool });
    const states: string[] = [];
    transport.write = (_chunk, release) => {
      if (when === 'after a release') release?.();
      throw new Error('a bug');
    };
    const destroy = transport.destroy.bind(transport);
    transport.destroy = (...args) => {
      states.push(`${buffers.size} lent`);
      destroy(...args);
    };
    await conn.send('small');
    await platform.settle();
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TRANSPORT' } });
    expect(buffers.size).toBe(0);
    // The bytes may be in use until the transport is destroyed.
    expect(states[0]).toBe(when === 'at once' ? '1 lent' : '0 lent');
  });

  it('rejects the write whose bytes it references', async () => {
    const { conn, platform, transport } = wired('server');
    transport.write = () => {
      throw new Error('a bug');
    };
    const lone = conn.send(new Uint8Array(100_000));
    await platform.settle();
    await expect(lone).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT' });
  });
});

describe('a transport that releases its bytes within destroy', () => {
  it.each(['terminate', 'abort', 'close'] as const)(
    'rejects the writes that it has not sent: %s',
    async (how) => {
      const { conn, platform, transport } = wired('server', { closeTimeout: 100 });
      const releases: (() => void)[] = [];
      transport.write = (_chunk, release) => {
        if (release !== undefined) releases.push(release);
        return true;
      };
      transport.destroy = () => {
        for (const release of releases.splice(0)) release();
        platform.setTimer(1, () => transport.sink!.close());
      };
      const write = conn.send(new Uint8Array(100_000));
      await platform.settle();
      Object.defineProperty(transport, 'bufferedAmount', { value: 100_000 });
      if (how === 'terminate') conn.terminate();
      else if (how === 'abort') conn.setWriteDeadline(0);
      else void conn.close();
      await platform.advance(200);
      const code = {
        terminate: 'WS_ERR_CLOSE',
        abort: 'WS_ERR_TIMEOUT',
        close: 'WS_ERR_CLOSE_SENT',
      };
      await expect(write).rejects.toMatchObject({ code: code[how] });
      expect(conn.state).toBe('closed');
    },
  );
});

describe('a transport that calls back within write', () => {
  it.each(['drain', 'close'] as const)('may call %s', async (what) => {
    const platform = new FakePlatform();
    const transport = new TestTransport();
    const conn = new Conn(transport, { role: 'server', platform, heartbeat: false });
    const write = transport.write.bind(transport);
    let calls = 0;
    transport.write = (chunk, release) => {
      write(chunk, release);
      if (calls++ === 0) {
        if (what === 'drain') transport.sink!.drain();
        else transport.break(new Error('within'));
      }
      return false;
    };
    void conn.send('one');
    void conn.send(new Uint8Array(100_000));
    await platform.settle();
    transport.sink!.drain();
    await platform.settle();
    transport.sink!.drain();
    await platform.settle();
    if (what === 'close') expect(conn.state).toBe('closed');
    else expect(transport.sent.length).toBe(5 + 100_010);
  });
});

describe('wait options', () => {
  it.each([[null], [5], ['x'], [{ signal: {} }], [{ signal: 5 }], [{ signal: null }]])(
    'reject %j before the call has an effect',
    async (options) => {
      const { conn, feed, frame, platform, transport } = wired('server');
      await expect(conn.readMessage(options as never)).rejects.toBeInstanceOf(TypeError);
      await expect(conn.readJSON(options as never)).rejects.toBeInstanceOf(TypeError);
      await expect(conn.ping('x', options as never)).rejects.toBeInstanceOf(TypeError);
      await expect(conn.close(1000, '', options as never)).rejects.toBeInstanceOf(TypeError);
      feed(frame(1, 'there'));
      expect((await conn.readMessage()).text()).toBe('there');
      await platform.settle();
      expect(transport.writes).toEqual([]);
    },
  );
});

describe('a timeout', () => {
  it('of idleReadTimeout restarts at every read', async () => {
    const { conn, feed, frame, platform, transport } = wired('server', {
      readAhead: 1_000,
      idleReadTimeout: 30_000,
    });
    feed(...Array.from({ length: 40 }, (_, i) => frame(1, `m${i}`)));
    for (let i = 0; i < 40; i++) {
      await platform.advance(20_000);
      expect((await conn.readMessage()).text()).toBe(`m${i}`);
    }
    expect(conn.state).toBe('open');
    expect(transport.paused).toBe(false);
  });

  it('of the closing handshake does not grow in a pause', async () => {
    const { conn, feed, frame, platform, transport } = wired('server');
    feed(...Array.from({ length: 5_000 }, () => frame(2)));
    transport.feedLate(new Uint8Array(0));
    transport.sink!.end();
    await platform.advance(11_000);
    expect(conn.state).toBe('closed');
  });
});

describe('connPair', () => {
  it('reports the end of the peer to a blocked writer at once', async () => {
    const [client, server] = connPair();
    const writes = (async () => {
      for (;;) await client.send(new Uint8Array(50_000));
    })();
    await turns(10);
    server.terminate();
    await expect(writes).rejects.toMatchObject({ closeCode: 1006 });
    expect(await client.closed).toMatchObject({ code: 1006 });
  });
});

describe('a flood of pings in one chunk', () => {
  it('is answered in slabs as they fill, not all at the end', async () => {
    const { conn, platform, transport, feed, frame, deliver } = wired('server');
    void conn.discardReads();
    await platform.settle();
    // At most 1,000 frames are parsed in a turn.
    feed(...Array.from({ length: 1_000 }, () => frame(9, 'x'.repeat(100))));
    expect(transport.writes.length).toBeGreaterThan(0);
    await platform.settle();
    await deliver(...Array.from({ length: 19_000 }, () => frame(9, 'x'.repeat(100))));
    expect(transport.writes.length).toBeGreaterThan(20);
    expect(Math.max(...transport.writes.map((w) => w.length))).toBeLessThanOrEqual(65_536 + 200);
  });
});

/** Has the transport blocked again by the time it says that it has drained. */
function blockAgain(transport: TestTransport): void {
  const sink = transport.sink!;
  const drain = sink.drain.bind(sink);
  sink.drain = () => {
    transport.block();
    drain();
  };
}

describe('writes above the high-water mark', () => {
  it('resolve when the transport has drained, even after a long time', async () => {
    const { conn, platform, transport, drain } = wired('server', { highWaterMark: 100 }, 1_000);
    transport.block();
    void conn.send(new Uint8Array(1_000));
    await platform.settle();
    let written = false;
    void conn.send(new Uint8Array(500)).then(() => (written = true));
    await platform.settle();
    expect(written).toBe(false);
    blockAgain(transport);
    await drain();
    // It holds 504 bytes, and would take more.
    expect([transport.bufferedAmount, written]).toEqual([504, true]);
  });

  it('keep waiting when the transport fills up to the mark again', async () => {
    const { conn, transport, block, drain } = wired('server', { highWaterMark: 100 });
    await block('');
    let written = false;
    void conn.send(new Uint8Array(98)).then(() => (written = true));
    blockAgain(transport);
    await drain();
    expect([transport.bufferedAmount, written]).toEqual([100, false]);
    await drain();
    expect(written).toBe(true);
  });
});
