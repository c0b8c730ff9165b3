// What is told about an end, and what a handler still gets.
import { FakePlatform, naiveDecode, naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { CloseError, Conn, type MessageStreams } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import { type Wired, wired } from '../wired.ts';

const closePayload = (code: number, reason = ''): Uint8Array =>
  Uint8Array.from(Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]));

function outcome(promise: Promise<unknown>): { settled: unknown } {
  const result: { settled: unknown } = { settled: undefined };
  promise.then(
    () => (result.settled = 'resolved'),
    (error: unknown) => (result.settled = error),
  );
  return result;
}

describe.each(['client', 'server'] as const)('C2 the close of the writable of a %s', (role) => {
  const OTHERS = [
    [1000, 'enough'],
    [1001, ''],
    [1001, 'restart'],
    [1011, ''],
    [4000, ''],
  ] as const;

  /** Writes one message and closes. `before` runs between the two, `after` when our close frame has left. */
  async function upload(
    before: (over: Wired) => Promise<void>,
    after: (over: Wired) => Promise<void>,
  ): Promise<unknown> {
    const over = wired(role);
    const writer = over.conn.toStreams().writable.getWriter();
    writer.closed.catch(() => {});
    void writer.write('upload').catch(() => {});
    await over.platform.settle();
    await before(over);
    const result = outcome(writer.close());
    await over.platform.settle();
    await after(over);
    over.transport.feedEnd();
    over.transport.break();
    await over.platform.settle();
    return result.settled;
  }

  const nothing = (): Promise<void> => Promise.resolve();
  const peerCloses =
    (code: number, reason: string) =>
    ({ deliver, frame }: Wired): Promise<void> =>
      deliver(frame(8, closePayload(code, reason)));

  it('resolves when the peer answers with the same code', async () => {
    expect(await upload(nothing, peerCloses(1000, ''))).toBe('resolved');
  });

  it.each(OTHERS)('rejects when the peer closes with %i %j after ours', async (code, reason) => {
    const error = await upload(nothing, peerCloses(code, reason));
    expect(error).toBeInstanceOf(CloseError);
    expect(error).toMatchObject({ closeCode: code, reason });
  });

  it.each([[1000, ''] as const, ...OTHERS])(
    'rejects when the peer closes with %i %j before ours',
    async (code, reason) => {
      const error = await upload(peerCloses(code, reason), nothing);
      expect(error).toBeInstanceOf(CloseError);
      expect(error).toMatchObject({ closeCode: code, reason });
    },
  );

  it('resolves when the peer repeats the code and the reason of our close', async () => {
    for (const [reason, answered] of [
      ['done', true],
      ['', true],
      ['other', false],
    ] as const) {
      const { conn, deliver, frame } = wired(role);
      void conn.close(4001, 'done');
      await deliver(frame(8, closePayload(4001, reason)));
      expect(internalsOf(conn).peerClose === undefined).toBe(answered);
      conn.terminate();
    }
  });

  it('resolves after the readable has ended normally: its reader knows of the close', async () => {
    const { conn, deliver, frame, transport, platform } = wired(role);
    const { readable, writable }: MessageStreams = conn.toStreams();
    const echo = outcome(readable.pipeTo(writable));
    await deliver(frame(1, 'one'), frame(8, closePayload(1000)));
    transport.feedEnd();
    transport.break();
    await platform.settle();
    expect(echo.settled).toBe('resolved');
  });
});

describe('C4 a handler of `serve` that begins to read and returns', () => {
  type Reads = (conn: Conn, work: () => Promise<void>) => Promise<void>;
  const READS: Record<string, Reads> = {
    async 'for await'(conn, work) {
      for await (const message of conn) {
        await work();
        await conn.send(`answer ${message.text()}`);
      }
    },
    async receive(conn, work) {
      await conn.receive(async (message) => {
        const text = message.text();
        await work();
        await conn.send(`answer ${text}`);
      });
    },
    async readMessage(conn, work) {
      const message = await conn.readMessage();
      await work();
      await conn.send(`answer ${message.text()}`);
    },
    async nextReader(conn, work) {
      const reader = await conn.nextReader();
      await work();
      await conn.send(`answer ${await reader.text()}`);
    },
    async toStreams(conn, work) {
      const { readable, writable } = conn.toStreams();
      const writer = writable.getWriter();
      const reader = readable.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        await work();
        await writer.write(`answer ${String(value)}`);
      }
    },
  };

  describe.each(['before its message', 'while its message is handled'])('%s', (when) => {
    it.each(Object.keys(READS))('sends the answer of %s before our close frame', async (name) => {
      const { conn, platform, deliver, frame, sent } = wired('server');
      const internals = internalsOf(conn);
      internals.connHandlerStarted();
      let finish = (): void => {};
      const work = (): Promise<void> => new Promise((resolve) => (finish = resolve));
      READS[name]!(conn, work).catch(() => {});
      await platform.settle();
      if (when === 'before its message') internals.connHandlerSettled();
      await deliver(frame(1, 'one'));
      if (when !== 'before its message') {
        // A single read is done: only a loop may go on.
        internals.connHandlerSettled();
        if (name === 'readMessage') return conn.terminate();
      }
      await deliver(frame(8, closePayload(1000)));
      await platform.settle();
      expect(sent()).toEqual([]);
      finish();
      await platform.settle();
      // After a single read, no code asks for the next message: the answer has its time.
      await platform.advance(3_000);
      expect(sent()).toHaveLength(2);
      expect(sent()[0]).toContain('answer one');
      conn.terminate();
    });
  });

  it('gets all messages that arrive after our close', async () => {
    const { conn, platform, feed, frame, transport } = wired('server', { readAhead: 2_000 });
    const internals = internalsOf(conn);
    internals.connHandlerStarted();
    const got: string[] = [];
    void (async () => {
      for await (const message of conn) {
        got.push(message.text());
        await new Promise<void>((resolve) => platform.setTimer(1, resolve));
      }
    })();
    internals.connHandlerSettled();
    await platform.settle();
    for (let i = 0; i < 40; i++) feed(frame(1, `m${i}`));
    const closed = conn.close(1001);
    await platform.settle();
    feed(frame(8, closePayload(1001)));
    transport.feedEnd();
    await platform.advance(1_000);
    expect(got).toHaveLength(40);
    await closed;
    expect(conn.stats.messagesDropped).toBe(0);
  });

  it('answers at once when a loop was left before', async () => {
    const { conn, platform, deliver, frame, sent } = wired('server');
    const internals = internalsOf(conn);
    internals.connHandlerStarted();
    const done = (async () => {
      for await (const _ of conn) break;
    })();
    await deliver(frame(1, 'one'));
    await done;
    internals.connHandlerSettled();
    await deliver(frame(8, closePayload(1000)));
    await platform.settle();
    expect(sent()).toHaveLength(1);
    conn.terminate();
  });
});

describe.each(['client', 'server'] as const)('C5 a slow peer of a %s that closes first', (role) => {
  it.each(['a close frame', 'a FIN'])('gets ten times closeTimeout after %s', async (end) => {
    const over = wired(role, { closeTimeout: 1_000, maxBufferedAmount: false }, 2 ** 40);
    const { conn, platform, transport, deliver, frame } = over;
    void conn.discardReads().catch(() => {});
    transport.block();
    const sends = Array.from({ length: 60 }, () => conn.send(new Uint8Array(70_000)));
    for (const send of sends) send.catch(() => {});
    await platform.settle();
    if (end === 'a close frame') await deliver(frame(8, closePayload(1000)));
    else transport.feedEnd();
    await platform.settle();
    // The peer takes more than a tenth of the unsent bytes in each `closeTimeout`.
    for (let second = 0; second < 4; second++) {
      await platform.advance(900);
      transport.drain(14);
      await platform.advance(50);
    }
    expect(transport.destroyed).toBe(false);
    await platform.advance(20_000);
    expect(transport.destroyed).toBe(true);
    expect((await conn.closed).wasClean).toBe(false);
  });
});

describe.each(['client', 'server'] as const)('C7 the close of a %s', (role) => {
  it.each(['a reset', 'terminate', 'the end of closeTimeout'])(
    'is not clean when %s leaves bytes with the transport',
    async (end) => {
      const over = wired(role, { closeTimeout: 1_000 }, 1_000_000);
      const { conn, platform, transport, deliver, frame } = over;
      void conn.discardReads().catch(() => {});
      transport.block();
      await conn.send('never leaves');
      await deliver(frame(8, closePayload(1000)));
      expect(transport.bufferedAmount).toBeGreaterThan(0);
      if (end === 'a reset') transport.break(new Error('ECONNRESET'));
      else if (end === 'terminate') conn.terminate();
      else await platform.advance(20_000);
      await platform.settle();
      const { code, wasClean, error } = await conn.closed;
      expect({ code, wasClean }).toEqual({ code: 1000, wasClean: false });
      expect(error).toBeInstanceOf(Error);
      if (end === 'a reset') expect(String(error)).toContain('ECONNRESET');
    },
  );
});

describe('C8 a write that comes too late', () => {
  it.each(['send', 'toStreams'])('does not change how the connection ends: %s', async (way) => {
    const { conn, platform, deliver, frame, transport } = wired('client');
    const { writable } = conn.toStreams();
    const writer = writable.getWriter();
    writer.closed.catch(() => {});
    await deliver(frame(8, closePayload(1000)));
    const late = way === 'send' ? conn.send('late') : writer.write('late');
    // A stream, for example `pipeTo`, has only this error to tell of the peer's close.
    const error =
      way === 'send' ? { name: 'CloseSentError' } : { name: 'CloseError', closeCode: 1000 };
    await expect(late).rejects.toMatchObject(error);
    transport.feedEnd();
    transport.break();
    await platform.settle();
    expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
  });

  it.each(['send', 'toStreams'])('after our own close does not change it: %s', async (way) => {
    const { conn, platform, deliver, frame, transport } = wired('client');
    const writer = conn.toStreams().writable.getWriter();
    writer.closed.catch(() => {});
    void conn.close(1000);
    const late = way === 'send' ? conn.send('late') : writer.write('late');
    await expect(late).rejects.toMatchObject({ name: 'CloseSentError' });
    await deliver(frame(8, closePayload(1000)));
    transport.feedEnd();
    transport.break();
    await platform.settle();
    expect(await conn.closed).toEqual({ code: 1000, reason: '', wasClean: true });
  });
});

describe("C12 the heartbeat's alarm", () => {
  it.each([1, 3, 10])('of %i ms does not answer for a handler that works', async (interval) => {
    const heartbeat = { interval, timeout: 60_000 };
    const { conn, platform, feed, frame, transport, sent } = wired('server', { heartbeat });
    let finish = (): void => {};
    void conn.receive(async (message) => {
      const text = message.text();
      await new Promise<void>((resolve) => (finish = resolve));
      await conn.send(`answer ${text}`);
    });
    feed(frame(1, 'one'));
    await platform.settle();
    // The alarm is due in the moment in which the FIN has begun the end.
    await platform.advance(interval - 1);
    transport.feedEnd();
    (internalsOf(conn).connection as unknown as { fire(): void }).fire();
    await platform.settle();
    finish();
    await platform.settle();
    expect(sent().join()).toContain('answer one');
    conn.terminate();
  });
});

describe('C9 a long read-ahead', () => {
  const COUNT = 5_000;

  it.each(['receive', 'for await', 'readMessage'])(
    'gives %s at most 1,000 messages in a turn',
    async (way) => {
      const { conn, platform, feed, frame } = wired('server', { readAhead: 100_000_000 });
      for (let i = 0; i < 10; i++) {
        feed(
          ...Array.from({ length: COUNT / 10 }, (_, j) => frame(1, String((i * COUNT) / 10 + j))),
        );
        await platform.settle();
      }
      const got: string[] = [];
      const turns = new Map<number, number>();
      let turn = 0;
      const took = (text: string): void => {
        got.push(text);
        turns.set(turn, (turns.get(turn) ?? 0) + 1);
      };
      const yielded = platform.yield.bind(platform);
      platform.yield = (callback) =>
        yielded(() => {
          turn++;
          callback();
        });
      if (way === 'receive') conn.receive((message) => took(message.text())).catch(() => {});
      else if (way === 'for await') {
        void (async () => {
          for await (const message of conn) took(message.text());
        })().catch(() => {});
      } else {
        void (async () => {
          for (;;) took((await conn.readMessage()).text());
        })().catch(() => {});
      }
      await platform.settle();
      expect(got).toEqual(Array.from({ length: COUNT }, (_, i) => String(i)));
      expect(Math.max(...turns.values())).toBeLessThanOrEqual(1_000);
      conn.terminate();
    },
  );

  it.each(['receive', 'for await', 'readMessage'])(
    'is read whole by %s after the end, and with messages that arrive meanwhile',
    async (way) => {
      for (const end of ['close', 'reset', 'open']) {
        const { conn, platform, feed, frame, transport } = wired('server', {
          readAhead: 100_000_000,
        });
        for (let i = 0; i < 5; i++) {
          feed(...Array.from({ length: 500 }, (_, j) => frame(1, String(i * 500 + j))));
          await platform.settle();
        }
        if (end === 'close') feed(frame(8, closePayload(1000)));
        else if (end === 'reset') transport.break(new Error('reset'));
        if (end !== 'open') await platform.settle();
        const got: string[] = [];
        const took = (text: string): void => {
          // A message that arrives while the rest of the queue waits does not overtake it.
          if (got.push(text) === 900 && end === 'open') feed(frame(1, '2500'));
        };
        const reading = (async () => {
          if (way === 'receive') await conn.receive((message) => took(message.text()));
          else if (way === 'for await') for await (const message of conn) took(message.text());
          else for (;;) took((await conn.readMessage()).text());
        })().catch(() => {});
        await platform.settle();
        const count = end === 'open' ? 2_501 : 2_500;
        expect(got).toEqual(Array.from({ length: count }, (_, i) => String(i)));
        conn.terminate();
        await platform.settle();
        await reading;
      }
    },
  );
});

/** A transport that takes one write at a time: each one blocks it. */
class OneAtATime extends TestTransport {
  override write(chunk: Uint8Array, release?: () => void): boolean {
    this.block();
    return super.write(chunk, release);
  }
}

describe('C11 pongs', () => {
  it.each([10, 40_000])(
    'keep the order of their pings after a message of %i bytes',
    async (size) => {
      const platform = new FakePlatform();
      const transport = new OneAtATime();
      const conn = new Conn(transport, { role: 'server', platform, heartbeat: false });
      void conn.discardReads().catch(() => {});
      await platform.settle();
      void conn.send(new Uint8Array(size)).catch(() => {});
      // The message is written in one or two parts, and each part blocks the transport.
      transport.feed(naiveEncode(9, Buffer.from('one'), { mask: 0x01020304 }));
      await platform.settle();
      transport.feed(naiveEncode(9, Buffer.from('two'), { mask: 0x01020304 }));
      for (let part = 0; part < 6; part++) {
        transport.drain();
        await platform.settle();
      }
      const pongs = naiveDecode(transport.sent, 'client').frames.filter(
        ({ opcode }) => opcode === 10,
      );
      expect(pongs.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['one', 'two']);
    },
  );
});
