import { getEventListeners } from 'node:events';
import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  type BorrowedMessage,
  CloseError,
  connPair,
  type Message,
  TimeoutError,
} from '../../src/index.ts';
import { rawPair, turns } from '../raw-pair.ts';
import { wired } from '../wired.ts';

describe('readMessage', () => {
  it('returns text and bytes, also empty ones', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(1, 'hé'), frame(2, Uint8Array.of(1, 2)), frame(1), frame(2));
    const text = await conn.readMessage();
    expect([text.type, text.text(), text.data.length]).toEqual([1, 'hé', 3]);
    const bytes = await conn.readMessage();
    expect([bytes.type, ...bytes.data]).toEqual([2, 1, 2]);
    expect((await conn.readMessage()).text()).toBe('');
    expect((await conn.readMessage()).data.length).toBe(0);
  });

  it('keeps a byte order mark', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(1, '\ufeffx'));
    expect((await conn.readMessage()).text()).toBe('\ufeffx');
  });

  it('returns owned bytes', async () => {
    const { conn, feed, frame, transport } = wired('client');
    const chunk = Buffer.concat([frame(2, 'abc'), frame(2, 'def')]);
    const first = conn.readMessage();
    transport.sink!.data(chunk);
    const message = await first;
    chunk.fill(0);
    expect(message.text()).toBe('abc');
    expect(message.data.buffer.byteLength).toBe(3);
    feed();
  });

  it('parses JSON', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(1, '{"a":[1]}'), frame(1, '{'));
    expect((await conn.readMessage()).json()).toEqual({ a: [1] });
    const broken = await conn.readMessage();
    expect(() => broken.json()).toThrow(SyntaxError);
  });

  it('joins fragments, also with control frames between them', async () => {
    const { conn, feed, frame, output } = wired('server');
    feed(
      frame(1, 'h', { fin: false }),
      frame(9, 'a'),
      frame(0, '', { fin: false }),
      frame(10, 'stray'),
      frame(0, 'é'),
      frame(2, 'x'),
    );
    const message = await conn.readMessage();
    expect([message.type, message.text()]).toEqual([1, 'hé']);
    expect((await conn.readMessage()).type).toBe(2);
    expect(await output()).toEqual(['pong a']);
  });

  it('returns the same messages for every segmentation', async () => {
    const make = (last: number): Uint8Array => {
      const { frame } = wired('server');
      return Buffer.concat([
        frame(1, 'h', { fin: false }),
        frame(9, 'p'),
        frame(0, 'é€😀'),
        frame(2, Buffer.alloc(300, 7)),
        frame(1),
        frame(2, Buffer.alloc(5000, 9), { fin: false }),
        frame(0, Buffer.alloc(last, 8)),
        frame(8, Uint8Array.of(0x03, 0xe8)),
      ]);
    };
    for (const size of [1, 2, 3, 7, 64, 1000, 4096, 65_536, 1 << 20]) {
      // Byte for byte, a large message takes its time.
      const last = size < 64 ? 3_000 : 70_000;
      const text = `2 ${'\u0007'.repeat(300)}`;
      const expected = ['1 hé€😀', text, '1 ', `2 ${5000 + last}`];
      const { conn, transport, platform, sent } = wired('server');
      const bytes = make(last);
      const seen: string[] = [];
      const end = conn.receive((m) => {
        seen.push(`${m.type} ${m.length > 1000 ? m.length : m.text()}`);
      });
      for (let at = 0; at < bytes.length; at += size) transport.feed(bytes.subarray(at, at + size));
      await platform.settle();
      transport.feedEnd();
      expect(await end).toMatchObject({ code: 1000 });
      expect(seen).toEqual(expected);
      expect(sent()).toEqual(['pong p', 'close 1000']);
    }
  });

  it('rejects with CloseError on every close, and later reads with the same error', async () => {
    const { conn, feed, frame } = wired('server');
    feed(frame(8, Uint8Array.of(0x03, 0xe8)));
    const error = await conn.readMessage().catch((e: unknown) => e);
    expect(error).toEqual(new CloseError(1000));
    expect(String(error)).toBe('CloseError: websocket: close 1000 (normal)');
    await expect(conn.readMessage()).rejects.toBe(error);
  });
});

const WAITS = ['readMessage', 'readJSON', 'nextReader'] as const;

describe('a cancelled read', () => {
  it.each(WAITS)('of %s times out and loses no message', async (method) => {
    const { conn, platform, feed, frame } = wired('server');
    const read = conn[method]({ timeout: 50 });
    await platform.advance(49);
    await platform.advance(1);
    await expect(read).rejects.toBeInstanceOf(TimeoutError);
    feed(frame(1, 'late'));
    expect((await conn.readMessage()).text()).toBe('late');
    // The sweep of idle connections sets a timer, too.
    await platform.advance(100);
    expect(platform.timers).toBe(0);
  });

  it('adds one listener to a signal that bounds the reads of many connections', async () => {
    const control = new AbortController();
    const { signal } = control;
    const counted = (): number => getEventListeners(signal, 'abort').length;
    const many = Array.from({ length: 20 }, () => wired('server'));
    const reads = many.map(({ conn }) => conn.readMessage({ signal }));
    expect(counted()).toBe(1);
    many[0]!.feed(many[0]!.frame(1, 'x'));
    expect((await reads[0]!).text()).toBe('x');
    expect(counted()).toBe(1);
    control.abort(new Error('enough'));
    const ends = await Promise.allSettled(reads.slice(1));
    expect(ends.map((end) => end.status)).toEqual(Array(19).fill('rejected'));
    expect(counted()).toBe(0);
  });

  it('rejects with the reason of the signal and loses no message', async () => {
    const { conn, feed, frame } = wired('server');
    const control = new AbortController();
    const reason = new Error('changed my mind');
    const read = conn.readMessage({ signal: control.signal });
    control.abort(reason);
    await expect(read).rejects.toBe(reason);
    await expect(conn.readMessage({ signal: control.signal })).rejects.toBe(reason);
    feed(frame(1, 'kept'));
    expect((await conn.readMessage()).text()).toBe('kept');
  });

  it('returns a message that arrived in the same moment as the abort', async () => {
    const { conn, platform, feed, frame } = wired('server');
    await platform.settle();
    const control = new AbortController();
    const read = conn.readMessage({ signal: control.signal, timeout: 1000 });
    feed(frame(1, 'just in time'));
    control.abort(new Error('too late'));
    expect((await read).text()).toBe('just in time');
  });

  it('leaves no listener and no timer', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const listeners = new Set<unknown>();
    const signal = {
      aborted: false,
      reason: undefined,
      addEventListener: (_type: string, listener: unknown) => listeners.add(listener),
      removeEventListener: (_type: string, listener: unknown) => listeners.delete(listener),
    } as unknown as AbortSignal;
    for (let i = 0; i < 100; i++) {
      const read = conn.readMessage({ signal, timeout: 1000 });
      feed(frame(1, 'x'));
      await read;
    }
    // The sweep of idle connections sets a timer, too.
    await platform.advance(100);
    expect([listeners.size, platform.timers]).toEqual([0, 0]);
  });
});

describe('for await', () => {
  it('ends on 1000, 1001 and an empty close frame', async () => {
    for (const code of [1000, 1001, undefined]) {
      const { conn, peer } = rawPair('server');
      peer.send(1, 'a');
      peer.send(1, 'b');
      peer.close(code);
      const seen: string[] = [];
      for await (const message of conn) seen.push(message.text());
      expect(seen).toEqual(['a', 'b']);
    }
  });

  it('throws on every other end', async () => {
    const { conn, peer } = rawPair('server');
    peer.send(1, 'a');
    peer.close(1011, 'oops');
    const seen: string[] = [];
    const loop = (async () => {
      for await (const message of conn) seen.push(message.text());
    })();
    await expect(loop).rejects.toEqual(new CloseError(1011, 'oops'));
    expect(seen).toEqual(['a']);
  });

  it('can stop and restart', async () => {
    const { conn, peer } = rawPair('server');
    peer.write(peer.encode(1, 'a'), peer.encode(1, 'b'), peer.encode(1, 'c'));
    const seen: string[] = [];
    for await (const message of conn) {
      seen.push(message.text());
      if (seen.length === 2) break;
    }
    expect(conn.state).toBe('open');
    seen.push((await conn.readMessage()).text());
    expect(seen).toEqual(['a', 'b', 'c']);
  });
});

describe('receive', () => {
  it('lends every message, in order, and resolves when the connection ends normally', async () => {
    const { conn, feed, frame, transport } = wired('server');
    const seen: string[] = [];
    const end = conn.receive((message) => void seen.push(message.text()));
    feed(frame(1, 'a'), frame(1, 'b'));
    feed(frame(1, 'c'), frame(8, Uint8Array.of(0x03, 0xe9)));
    transport.feedEnd();
    expect(await end).toEqual({ code: 1001, reason: '', wasClean: true });
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('lends one object for all messages, which is empty after each call', async () => {
    const { conn, frame, deliver } = wired('server');
    const lent = new Set<BorrowedMessage>();
    const kept: Message[] = [];
    void conn.receive((message) => {
      lent.add(message);
      kept.push(message.copy());
    });
    await deliver(frame(1, 'a'), frame(2, 'b'));
    expect(lent.size).toBe(1);
    expect(kept.map((m) => `${m.type} ${m.text()}`)).toEqual(['1 a', '2 b']);
    const [message] = [...lent];
    for (const use of [
      () => message!.data,
      () => message!.text(),
      () => message!.copy(),
      () => conn.send(message!),
    ]) {
      const result = (() => {
        try {
          return use();
        } catch (error) {
          return Promise.reject(error);
        }
      })();
      await expect(result).rejects.toThrow('after its handler was done');
    }
  });

  it('makes at most one view and one copy of a message', async () => {
    const { conn, frame, deliver } = wired('server');
    const views: boolean[] = [];
    void conn.receive((message) => {
      views.push(message.borrow() === message.borrow(), message.data === message.data);
    });
    await deliver(frame(2, 'a'));
    expect(views).toEqual([true, true]);
  });

  it('lends a view whose slice is a copy, also of a Buffer', async () => {
    const { conn, frame, platform, transport } = wired('server');
    const kept: Uint8Array[] = [];
    void conn.receive((message) => {
      kept.push(message.borrow().slice());
      message.borrow().fill(0);
    });
    transport.sink!.data(Buffer.from(frame(2, 'abc')));
    await platform.settle();
    expect(kept).toEqual([Uint8Array.from(Buffer.from('abc'))]);
  });

  it('awaits the promise of the handler, retains its bytes, and answers pings meanwhile', async () => {
    const { conn, platform, frame, sent, deliver } = wired('server');
    const open: (() => void)[] = [];
    const seen: string[] = [];
    void conn.receive((message) => {
      seen.push(`+${message.text()}`);
      return new Promise<void>((resolve) => {
        open.push(() => {
          seen.push(`-${message.text()}`);
          resolve();
        });
      });
    });
    await deliver(frame(1, 'a'), frame(1, 'b'), frame(9, 'now'), frame(1, 'c'));
    expect(seen).toEqual(['+a']);
    expect(sent()).toEqual(['pong now']);
    for (let i = 0; i < 3; i++) {
      open[i]!();
      await platform.settle();
    }
    expect(seen).toEqual(['+a', '-a', '+b', '-b', '+c', '-c']);
  });

  it('allows a handler to await a ping', async () => {
    const { conn, peer } = rawPair('server');
    const end = conn.receive(async () => {
      expect(await conn.ping('hello')).toBeGreaterThanOrEqual(0);
      await conn.send('got it');
    });
    peer.write(peer.encode(1, 'go'), peer.encode(1, 'and again'));
    expect(await peer.sees(1)).toEqual(['ping hello']);
    peer.send(10, 'hello');
    expect(await peer.sees(3)).toEqual(['ping hello', 'text got it', 'ping hello']);
    peer.send(10, 'hello');
    await peer.sees(4);
    peer.close(1000);
    peer.end();
    await end;
  });

  it('delivers queued messages to the handler first', async () => {
    const { conn, frame, deliver } = wired('server');
    await deliver(frame(1, 'early'));
    const seen: string[] = [];
    void conn.receive((message) => void seen.push(message.text()));
    await deliver(frame(1, 'late'));
    expect(seen).toEqual(['early', 'late']);
  });

  it('rejects a handler that is no function', async () => {
    const { conn } = wired('server');
    await expect(conn.receive(5 as never)).rejects.toBeInstanceOf(TypeError);
  });

  it('rejects on an abnormal close', async () => {
    const { conn, peer } = rawPair('server');
    const end = conn.receive(() => {});
    peer.close(1008, 'policy');
    await expect(end).rejects.toEqual(new CloseError(1008, 'policy'));
    await expect(conn.receive(() => {})).rejects.toEqual(new CloseError(1008, 'policy'));
  });

  it('delivers large and fragmented messages whole, and retains their bytes until the promise settles', async () => {
    const { conn, transport, frame, platform } = wired('server', { readLimit: false });
    const sizes: number[] = [];
    let check: (() => void) | undefined;
    void conn.receive((message) => {
      const { data } = message;
      const value = data[0]!;
      sizes.push(data.length);
      return new Promise<void>((resolve) => {
        check = () => {
          expect(data.every((byte) => byte === value)).toBe(true);
          resolve();
        };
      });
    });
    const bytes = Buffer.concat([
      frame(2, Buffer.alloc(200_000, 1)),
      frame(2, Buffer.alloc(100_000, 2), { fin: false }),
      frame(0, Buffer.alloc(100_000, 2)),
      frame(2, Buffer.alloc(3_000_000, 3)),
    ]);
    for (let at = 0; at < bytes.length; at += 65_536)
      transport.feed(bytes.subarray(at, at + 65_536));
    for (let i = 0; i < 3; i++) {
      await platform.settle();
      check?.();
    }
    await platform.settle();
    expect(sizes).toEqual([200_000, 200_000, 3_000_000]);
  });
});

describe('discardReads', () => {
  it('drops messages, answers pings and ends with the connection', async () => {
    const { conn, transport, feed, frame, deliver, output } = wired('server');
    await deliver(frame(1, 'queued'));
    const end = conn.discardReads();
    feed(frame(2, Buffer.alloc(1000)), frame(9, 'x'));
    expect(await output()).toEqual(['pong x']);
    feed(frame(8));
    transport.feedEnd();
    expect(await end).toMatchObject({ code: 1005 });
    expect(conn.stats.messagesIn).toBe(2);
  });

  it('still fails the connection at a violation of the protocol', async () => {
    const { conn, feed, frame } = wired('server');
    const end = conn.discardReads();
    feed(frame(1, Uint8Array.of(0xff)));
    await expect(end).rejects.toMatchObject({ code: 'WS_ERR_INVALID_UTF8' });
  });
});

describe('the read-ahead', () => {
  it('pauses the transport when it is full, and resumes it after reads', async () => {
    const { conn, platform, transport, frame, deliver } = wired('server', { readAhead: 10_000 });
    for (let i = 0; i < 5; i++) {
      await deliver(frame(2, Buffer.alloc(3000, i)));
    }
    expect(transport.paused).toBe(true);
    for (let i = 0; i < 5; i++) {
      const message = await conn.readMessage();
      expect([message.data.length, message.data[0]]).toEqual([3000, i]);
      await platform.settle();
    }
    expect(transport.paused).toBe(false);
  });

  it('charges empty messages, so that their number is bounded', async () => {
    const { transport, frame, deliver } = wired('server', { readAhead: 1000 });
    await deliver(...Array.from({ length: 20 }, () => frame(2)));
    expect(transport.paused).toBe(true);
  });

  it('continues an unfinished message above its bound only during a read', async () => {
    const { conn, transport, frame, platform } = wired('server', { readAhead: 10_000 });
    const bytes = frame(2, Buffer.alloc(100_000, 5));
    for (let at = 0; at < bytes.length; at += 20_000) {
      transport.feed(bytes.subarray(at, at + 20_000));
      await platform.settle();
    }
    expect(transport.paused).toBe(true);
    const message = await conn.readMessage();
    expect(message.data.length).toBe(100_000);
    expect(message.data.every((byte) => byte === 5)).toBe(true);
    expect(transport.paused).toBe(false);
  });

  it('answers pings without a read', async () => {
    const { feed, frame, output } = wired('client');
    feed(frame(1, 'unread'), frame(9, 'a'), frame(1, 'unread'), frame(9, 'b'));
    expect(await output()).toEqual(['pong a', 'pong b']);
  });

  it('ends a connection without reads after idleReadTimeout', async () => {
    const { conn, feed, frame, platform, transport } = wired('server', {
      readAhead: 100,
      idleReadTimeout: 30_000,
    });
    feed(frame(2, Buffer.alloc(200)));
    await platform.advance(29_000);
    expect(transport.paused).toBe(true);
    expect(conn.state).toBe('open');
    await platform.advance(1_100);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
    expect((await conn.readMessage()).data.length).toBe(200);
    await expect(conn.readMessage()).rejects.toThrow('idleReadTimeout');
  });

  it('restarts the timeout at a read', async () => {
    const { conn, feed, frame, platform } = wired('server', {
      readAhead: 100,
      idleReadTimeout: 30_000,
    });
    feed(frame(2, Buffer.alloc(200)));
    await platform.advance(29_000);
    await conn.readMessage();
    await platform.advance(60_000);
    expect(conn.state).toBe('open');
    expect(platform.timers).toBe(0);
  });

  it('stops the timeout for a slow handler, even with a full read-ahead', async () => {
    const { conn, feed, frame, platform, transport } = wired('server', {
      readAhead: 1000,
      idleReadTimeout: 30_000,
    });
    for (let i = 0; i < 8; i++) feed(frame(2, Buffer.alloc(500)));
    await platform.settle();
    void conn.receive(() => new Promise<void>(() => {}));
    await platform.advance(60_000);
    expect([transport.paused, conn.state]).toEqual([true, 'open']);
  });
});

describe('the start', () => {
  it('parses no frame before the first synchronous part has run', async () => {
    const { conn, feed, frame, platform, sent } = wired('server');
    feed(frame(9, 'early'), frame(8, Uint8Array.of(0x0f, 0xa0)));
    const seen: string[] = [];
    conn.setPingHandler((payload) => void seen.push(Buffer.from(payload).toString()));
    conn.setCloseHandler((code) => void seen.push(String(code)));
    await platform.settle();
    expect(seen).toEqual(['early', '4000']);
    expect(sent()).toEqual(['close 4000']);
  });

  it('parses no frame before the code that awaits the connection', async () => {
    const { conn: made, feed, frame, platform } = wired('server');
    feed(frame(9, 'early'));
    const seen: string[] = [];
    const got = (async () => Promise.resolve(made))();
    const conn = await (async () => got)();
    conn.setPingHandler((payload) => void seen.push(Buffer.from(payload).toString()));
    await platform.settle();
    expect(seen).toEqual(['early']);
  });
});

describe('limits', () => {
  it.each([
    ['one frame', (n: number) => [[1, n, true]] as const],
    [
      'two fragments',
      (n: number) =>
        [
          [1, 600, false],
          [0, n - 600, true],
        ] as const,
    ],
    [
      'an empty last fragment',
      (n: number) =>
        [
          [1, n, false],
          [0, 0, true],
        ] as const,
    ],
  ])('are exact in %s', async (_says, parts) => {
    for (const size of [999, 1000, 1001]) {
      for (const cut of [3, 50, 100_000]) {
        const { conn, transport, frame, platform } = wired('server', { readLimit: 1000 });
        const bytes = Buffer.concat(
          parts(size).map(([opcode, length, fin]) =>
            frame(opcode, Buffer.alloc(length, 97), { fin }),
          ),
        );
        const read = conn.readMessage();
        for (let at = 0; at < bytes.length; at += cut) transport.feed(bytes.subarray(at, at + cut));
        await platform.settle();
        if (size <= 1000) expect((await read).data.length).toBe(size);
        else await expect(read).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT', limit: 1000 });
      }
    }
  });

  it('apply at the header, before the payload arrives', async () => {
    const { conn, transport, output } = wired('server', { readLimit: 1000 });
    const read = conn.readMessage();
    transport.feed('82 fe 03e9');
    await expect(read).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
    expect(await output()).toEqual(['close 1009']);
  });

  it('apply to the current frame when they are lowered', async () => {
    for (const read of ['readMessage', 'nextReader', 'discardReads'] as const) {
      const { conn, platform, transport, frame, output } = wired('server', { readLimit: 1000 });
      const bytes = frame(2, Buffer.alloc(1000));
      const reading: Promise<unknown> =
        read === 'nextReader' ? conn.nextReader().then((reader) => reader.bytes()) : conn[read]();
      transport.feed(bytes.subarray(0, 500));
      await platform.settle();
      conn.setReadLimit(999);
      transport.feed(bytes.subarray(500));
      await expect(reading).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT', limit: 999 });
      expect(await output()).toEqual(['close 1009']);
    }
  });

  it('bound consecutive empty fragments with 1008', async () => {
    const { conn, feed, frame, platform, sent } = wired('server');
    const read = conn.readMessage();
    feed(
      frame(2, 'a', { fin: false }),
      ...Array.from({ length: 1_024 }, () => frame(0, '', { fin: false })),
    );
    feed(
      frame(0, 'b', { fin: false }),
      ...Array.from({ length: 1_025 }, () => frame(0, '', { fin: false })),
    );
    await expect(read).rejects.toMatchObject({ closeCode: 1008 });
    await platform.settle();
    expect(sent()[0]).toBe('close 1008 more than 1024 empty fragments in a row');
  });

  it('accept many fragments for the price of their bytes', async () => {
    const { conn, feed, frame, deliver } = wired('server');
    const read = conn.readMessage();
    feed(frame(2, 'x', { fin: false }));
    for (let i = 0; i < 200; i++) {
      feed(...Array.from({ length: 100 }, () => frame(0, 'y', { fin: false })));
    }
    await deliver(frame(0));
    expect((await read).data.length).toBe(20_001);
  });
});

describe('two Conns', () => {
  it('carry every size in both directions', async () => {
    const [client, server] = connPair({ readLimit: false });
    void server.receive((message) => server.send(message));
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 65_537, 200_000, 1 << 20, 5_000_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 31) & 0xff);
      void client.send(bytes);
      expect(Buffer.compare((await client.readMessage()).data, bytes)).toBe(0);
    }
    await client.close();
    await turns();
  });
});

describe('the budget of the read-ahead', () => {
  /** What a message of 100 bytes is charged. */
  const CHARGE = 100 + 320;

  it('counts the bytes of a message, at any offset of its chunk', async () => {
    const { transport, frame, deliver } = wired('server', { readAhead: 3 * CHARGE });
    await deliver(...Array.from({ length: 3 }, () => frame(2, Buffer.alloc(100))));
    expect(transport.paused).toBe(false);
    await deliver(frame(2, Buffer.alloc(100)));
    expect(transport.paused).toBe(true);
  });
});

describe('the memory of a borrowed message', () => {
  it('is released when all input is read', async () => {
    const { conn, frame, platform, transport } = wired('server');
    await platform.settle();
    let received = 0;
    void conn.receive((message) => {
      received += message.data.length;
    });
    const feed = (): WeakRef<object> => {
      const chunk = Uint8Array.from(frame(2, Buffer.alloc(60_000)));
      transport.sink!.data(chunk);
      return new WeakRef(chunk.buffer);
    };
    const chunks = [feed(), feed()];
    await platform.settle();
    await new Promise<void>((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(received).toBe(120_000);
    expect(chunks.map((chunk) => chunk.deref() === undefined)).toEqual([true, true]);
    expect(conn.state).toBe('open');
  });
});
