import { formatCloseMessage } from '@ws/codec';
import { hex } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  broadcast,
  CloseError,
  Conn,
  connPair,
  ProtocolError,
  ReadLimitError,
  streamTransport,
} from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import { rawPair, turns } from '../raw-pair.ts';
import { type Wired, wired } from '../wired.ts';

/** What happens to a connection. */
const EVENTS: Readonly<Record<string, (test: Wired) => unknown>> = {
  'we send': ({ conn }) => void conn.send('ours').catch(() => {}),
  'we ping': ({ conn }) => void conn.ping().catch(() => {}),
  'we close': ({ conn }) => void conn.close(4000, 'ours'),
  'we close again': ({ conn }) => void conn.close(4001, 'again'),
  'we terminate': ({ conn }) => conn.terminate(),
  'half a frame': ({ feed, frame }) => feed(frame(1, 'cut off').subarray(0, 5)),
  'the peer closes': ({ feed, frame }) => feed(frame(8, formatCloseMessage(3001, 'bye'))),
  'the peer closes without a code': ({ feed, frame }) => feed(frame(8)),
  'the peer breaks a rule': ({ feed, frame }) => feed(frame(3)),
  'the peer ends': ({ transport }) => transport.feedEnd(),
  'a reset': ({ transport }) => transport.break(new Error('reset')),
  '6 s pass': ({ platform }) => platform.advance(6_000),
};

const CLEAN = [3001, 'bye', true] as const;
const LOST = [1006, '', false] as const;
const TIMEOUT =
  'the peer did not finish the closing handshake within 5000 ms (option closeTimeout)';

type Close = readonly [
  /** In order. Those of a turn are joined by "+". */
  events: readonly string[],
  /** The frames that the peer gets. */
  sent: readonly string[],
  /** Code, reason and wasClean of `closed`. */
  info: readonly [number, string, boolean],
  /** The message of its error. */
  error?: string,
];

const CLOSES: readonly Close[] = [
  [['we close', 'the peer closes', 'the peer ends'], ['close 4000 ours'], CLEAN],
  [['the peer closes', 'the peer ends'], ['close 3001'], CLEAN],
  [['the peer closes without a code', 'the peer ends'], ['close'], [1005, '', true]],
  [['the peer closes + we close', 'the peer ends'], ['close 3001'], CLEAN],
  [['we close + the peer closes + the peer ends'], ['close 4000 ours'], CLEAN],
  [
    ['we close', 'we close again', 'the peer closes', 'we close again', 'the peer ends'],
    ['close 4000 ours'],
    CLEAN,
  ],
  [
    ['we send + we close + we send + we ping', 'we send', 'the peer closes', 'the peer ends'],
    ['text ours', 'close 4000 ours'],
    CLEAN,
  ],
  [['the peer closes', 'a reset'], ['close 3001'], CLEAN],
  [['we close', '6 s pass'], ['close 4000 ours'], LOST, TIMEOUT],
  [['we close', 'a reset'], ['close 4000 ours'], LOST, 'reset'],
  [['we close', 'the peer ends'], ['close 4000 ours'], LOST, 'unexpected EOF'],
  [['the peer ends'], [], LOST, 'unexpected EOF'],
  [['half a frame', 'the peer ends'], [], LOST, 'unexpected EOF'],
  [['a reset'], [], LOST, 'reset'],
  [['we terminate'], [], LOST, ''],
  [['we terminate', 'the peer ends'], [], LOST, ''],
  [['the peer breaks a rule', 'the peer ends'], ['close 1002'], [1002, '', false], 'bad opcode 3'],
];

const CLOSE_ROWS = CLOSES.map(([events, sent, info, error]) => {
  return { says: events.join(', '), events, sent, info, error };
});

describe.each(['server', 'client'] as const)('the end of a %s', (role) => {
  it.each(CLOSE_ROWS)('$says', async ({ events, sent, info: expected, error: message }) => {
    const [code, reason, wasClean] = expected;
    const test = wired(role, { closeTimeout: 5_000 });
    const { conn, platform, transport } = test;
    const read = conn.readMessage().catch((error: unknown) => error);
    await platform.settle();
    for (const turn of events) {
      for (const event of turn.split(' + ')) EVENTS[event]!(test);
      await platform.settle();
    }
    const info = await conn.closed;
    expect(info).toMatchObject({ code, reason, wasClean });
    expect(info.error === undefined).toBe(message === undefined);
    expect(String(info.error)).toContain(message ?? 'undefined');
    expect(test.sent().map((frame, i) => frame.slice(0, sent[i]?.length))).toEqual(sent);
    expect([conn.state, transport.closed, platform.timers]).toEqual(['closed', true, 0]);
    // Every call of close has this result. Every read has one error.
    for (const each of [conn.close(), conn.close(1000)]) expect(await each).toEqual(info);
    const error = await read;
    if (error instanceof CloseError) expect(error.closeCode).toBe(code);
    else expect(error).toBe(info.error);
    await expect(conn.readMessage()).rejects.toBe(error);
    await expect(conn.send('late')).rejects.toBeInstanceOf(Error);
  });
});

describe.each(['server', 'client'] as const)('the closing handshake of a %s', (role) => {
  it('drops the input after our close frame, up to the peer’s close frame', async () => {
    const { conn, peer } = rawPair(role);
    const closing = conn.close();
    peer.send(2, Buffer.alloc(100_000));
    peer.send(1, 'unheard', { fin: false });
    peer.send(9, 'ping');
    peer.send(0, '');
    peer.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    peer.end();
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
    expect(peer.frames).toHaveLength(1);
  });

  it('accepts at most 1 MiB of input after our close frame', async () => {
    const { conn, peer } = rawPair(role, { readLimit: false });
    const closing = conn.close();
    for (let i = 0; i < 12; i++) {
      peer.send(2, Buffer.alloc(100_000));
      await turns(1);
    }
    expect(await closing).toMatchObject({ code: 1006, wasClean: false });
  });

  it('answers an unread close frame when we close', async () => {
    const { conn, peer } = rawPair(role);
    internalsOf(conn).connHandlerStarted();
    peer.write(peer.encode(1, 'unread'), peer.encode(8));
    await turns();
    const closing = conn.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    peer.end();
    expect(await closing).toMatchObject({ code: 1005, wasClean: true });
    expect((await conn.readMessage()).text()).toBe('unread');
    await expect(conn.readMessage()).rejects.toBeInstanceOf(CloseError);
  });

  it('handles an unread close frame before the end of the stream', async () => {
    const { conn, peer } = rawPair(role);
    internalsOf(conn).connHandlerStarted();
    peer.write(peer.encode(1, 'unread'), peer.encode(8));
    peer.end();
    await turns();
    const closing = conn.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    expect(await closing).toMatchObject({ code: 1005, wasClean: true });
  });

  it('can be awaited within a handler', async () => {
    const { conn, peer } = rawPair(role);
    const end = conn.receive(async () => {
      await conn.close(1000);
    });
    peer.send(1, 'go');
    await peer.sees(1);
    peer.close(1000);
    peer.end();
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
  });

  it('calls the close handler, and echoes the code when the handler sent no close frame', async () => {
    const { conn, peer } = rawPair(role);
    const seen: unknown[] = [];
    conn.setCloseHandler(async (code, reason) => {
      await turns();
      seen.push(code, reason);
    });
    peer.close(3001, 'why not');
    expect(await peer.sees(1)).toEqual(['close 3001']);
    expect(seen).toEqual([3001, 'why not']);
    peer.end();
    await conn.closed;
  });

  it('sends the close frame of the close handler instead', async () => {
    const { conn, peer } = rawPair(role);
    conn.setCloseHandler(() => void conn.close(4001, 'mine'));
    peer.close(3001);
    expect(await peer.sees(1)).toEqual(['close 4001 mine']);
    peer.end();
    expect(await conn.closed).toMatchObject({ code: 3001, wasClean: true });
    expect(peer.frames).toHaveLength(1);
  });

  it('closes with 1011 when the close handler fails', async () => {
    const { conn, peer } = rawPair(role);
    const failure = new Error('no');
    conn.setCloseHandler(() => Promise.reject(failure));
    const read = conn.readMessage();
    peer.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1011']);
    await expect(read).rejects.toBe(failure);
  });

  it('drops the transport when the signal is aborted', async () => {
    const { conn } = rawPair(role);
    const reason = new Error('stop');
    const closing = conn.close(1000, '', { signal: AbortSignal.abort(reason) });
    await expect(closing).rejects.toBe(reason);
    expect(conn.state).toBe('open');
    const control = new AbortController();
    const second = conn.close(1000, '', { signal: control.signal });
    control.abort(reason);
    await expect(second).rejects.toBe(reason);
    expect(await conn.closed).toMatchObject({ code: 1006 });
  });

  it.each([
    ['a code that must not be sent', 1005, ''],
    ['a reserved code', 1004, ''],
    ['a code out of range', 999, ''],
    ['NaN', Number.NaN, ''],
    ['a reason of 124 bytes', 1000, 'x'.repeat(124)],
    ['a reason of 62 characters with 124 bytes', 1000, 'é'.repeat(62)],
  ])('rejects %s and sends no frame', async (_says, code, reason) => {
    const { conn, peer } = rawPair(role);
    await expect(conn.close(code, reason)).rejects.toBeInstanceOf(RangeError);
    expect(conn.state).toBe('open');
    await conn.send('still here');
    expect(await peer.sees(1)).toEqual(['text still here']);
  });

  it('rejects an invalid timeout and sends no frame', async () => {
    const { conn } = rawPair(role);
    await expect(conn.close(1000, '', { timeout: -1 })).rejects.toBeInstanceOf(RangeError);
    expect(conn.state).toBe('open');
  });
});

describe('the end of the stream', () => {
  it('without a close frame is CloseError 1006, after the messages before it', async () => {
    const { conn, peer } = rawPair('server');
    peer.send(1, 'last');
    peer.end();
    expect((await conn.readMessage()).text()).toBe('last');
    await expect(conn.readMessage()).rejects.toEqual(new CloseError(1006, 'unexpected EOF'));
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
  });

  it('does not drop our queued writes', async () => {
    const { conn, peer } = rawPair('server');
    const payload = Buffer.alloc(40_000, 7);
    for (let i = 0; i < 10; i++) void conn.send(payload);
    peer.end();
    await peer.sees(10);
    expect(peer.frames.every((frame) => frame.payload.length === 40_000)).toBe(true);
    await conn.closed;
  });

  it.each(['server', 'client'] as const)('ends the wait of a closing %s', async (role) => {
    const { conn, peer } = rawPair(role);
    internalsOf(conn).connHandlerStarted();
    peer.send(1, 'unread');
    peer.end();
    await turns();
    expect(conn.state).toBe('open');
    const closing = conn.close(1000, '', { timeout: 1_000_000 });
    expect(await peer.sees(1)).toEqual(['close 1000']);
    expect(await closing).toMatchObject({ code: 1006, wasClean: false });
    expect(peer.ended).toBe(true);
  });

  it('after a fault of the transport is a TransportError with its cause', async () => {
    const { conn, transport } = rawPair('server');
    const cause = new Error('read ECONNRESET');
    const read = conn.readMessage();
    const ping = conn.ping();
    transport.destroy(cause);
    await expect(read).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause });
    await expect(ping).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause });
    await expect(conn.send('x')).rejects.toMatchObject({ code: 'WS_ERR_TRANSPORT', cause });
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false, error: { cause } });
  });
});

describe('close() after the peer’s unanswered end', () => {
  it.each(['its close frame', 'the end of its stream'])(
    'waits for its timeout: %s',
    async (what) => {
      const { conn, platform, transport, frame, block, deliver } = wired('server', {
        closeTimeout: 10_000,
      });
      await platform.settle();
      await block('x');
      conn.setCloseHandler(() => new Promise(() => {}));
      if (what === 'the end of its stream') transport.feedEnd();
      else {
        await deliver(frame(8));
      }
      const closing = conn.close(1000, '', { timeout: 100 });
      await platform.advance(99);
      expect(transport.destroyed).toBe(false);
      await platform.advance(1);
      expect(transport.destroyed).toBe(true);
      expect(await closing).toMatchObject({ wasClean: false });
    },
  );
});

describe.each(['server', 'client'] as const)('the timeout of close() of a %s', (role) => {
  /** The time in ms that the transport lives after `close`; the peer answers, and never ends. */
  async function life(
    options: { timeout?: number },
    act: (test: Wired) => void,
    settings = {},
  ): Promise<number> {
    const test = wired(role, { closeTimeout: 5_000, ...settings });
    const { conn, platform, transport } = test;
    await platform.settle();
    // A server ends TCP after both close frames. Its peer does not end.
    const closed = conn.close(1000, '', options);
    const from = platform.now();
    await platform.advance(100);
    act(test);
    while (!transport.destroyed && platform.now() < 100_000) await platform.advance(100);
    expect(await closed).toMatchObject({ code: expect.any(Number) });
    return platform.now() - from;
  }

  const answer = ({ feed, frame }: Wired): void => feed(frame(8, Uint8Array.of(3, 232)));

  it.each([
    [200, 200],
    [60_000, 60_100],
  ])('is %s ms although the peer has answered', async (timeout, most) => {
    const ms = await life({ timeout }, answer);
    expect(ms).toBeGreaterThanOrEqual(timeout);
    expect(ms).toBeLessThanOrEqual(most);
  });

  it('is closeTimeout by default, which the answer does not restart', async () => {
    expect(await life({}, answer)).toBeLessThanOrEqual(5_100);
  });

  it('is shortened by the timeout of a later call', async () => {
    const ms = await life({ timeout: 60_000 }, ({ conn }) => {
      void conn.close(1000, '', { timeout: 300 });
    });
    expect(ms).toBeLessThanOrEqual(400);
  });

  it('is neither extended by a later call, nor shortened by one without a timeout', async () => {
    expect(
      await life({ timeout: 300 }, ({ conn }) => {
        void conn.close(1000, '', { timeout: 60_000 });
      }),
    ).toBeLessThanOrEqual(400);
    expect(await life({ timeout: 30_000 }, ({ conn }) => void conn.close())).toBeGreaterThanOrEqual(
      30_000,
    );
  });

  it.each([
    [{}, 'within 5000 ms (option closeTimeout)'],
    [{ timeout: 300 }, 'within 300 ms (option timeout of close)'],
  ])('is named by the errors of a handshake that %j has ended', async (options, words) => {
    const { conn, platform } = wired(role, { closeTimeout: 5_000 });
    const read = conn.readMessage();
    const closed = conn.close(1000, '', options);
    await platform.advance(6_000);
    const text = `the peer did not finish the closing handshake ${words}`;
    expect((await closed).error).toMatchObject({ message: `websocket: ${text}` });
    const message = `websocket: close 1006 (abnormal closure); ${text}`;
    await expect(read).rejects.toMatchObject({ closeCode: 1006, message });
  });

  it('is named by the error when a later call has shortened it', async () => {
    const { conn, platform } = wired(role, { closeTimeout: 5_000 });
    const closed = conn.close();
    void conn.close(1000, '', { timeout: 60_000 });
    void conn.close(1000, '', { timeout: 700 });
    await platform.advance(6_000);
    expect((await closed).error).toMatchObject({
      message: expect.stringContaining('within 700 ms (option timeout of close)'),
    });
  });

  it('is shortened to closeTimeout by a fault of the peer', async () => {
    const ms = await life({ timeout: 60_000 }, ({ transport }) => transport.feed('ffff'));
    expect(ms).toBeLessThanOrEqual(5_200);
  });
});

describe('a connection that was dropped', () => {
  it('rejects writes before its transport reports the end', async () => {
    const { conn } = rawPair('client');
    conn.terminate();
    expect(conn.state).toBe('closing');
    await expect(conn.send('x')).rejects.toMatchObject({ code: 'WS_ERR_CLOSE', closeCode: 1006 });
    expect(broadcast([conn], 'x')).toBe(0);
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
  });
});

describe('a message that is too big', () => {
  it.each(['server', 'client'] as const)(
    'is reported with its direction, by a %s',
    async (from) => {
      const limits = { client: { readLimit: 10 }, server: { readLimit: 10 } };
      const [client, server] = connPair(limits);
      const [sender, receiver] = from === 'client' ? [client, server] : [server, client];
      void sender.send('12345678901');
      await expect(receiver.readMessage()).rejects.toThrow(
        'websocket: read limit of 10 bytes exceeded by a message of the peer; raise it with the option readLimit',
      );
      const read = sender.readMessage();
      await expect(read).rejects.toThrow(
        'websocket: close 1009 (message too big); a message of this end is larger than the limit of the peer',
      );
      // The limit is not for the peer.
      await expect(read).rejects.toMatchObject({ closeCode: 1009, reason: '' });
    },
  );

  it('is not blamed on this end when it has sent the code itself', async () => {
    const [client, server] = connPair();
    void server.discardReads().catch(() => {});
    const read = client.readMessage();
    void client.close(1009);
    await expect(read).rejects.toEqual(new CloseError(1009));
  });
});

describe('a connection that fails', () => {
  it.each([
    [
      'every fault of a header',
      Uint8Array.of(0xff, 0x7e),
      'close 1002 RSV1 set, RSV2 set, RSV3 set, bad opcode 15, bad MASK',
    ],
    ['an unmasked frame', Uint8Array.of(0x81, 0x00), 'close 1002 bad MASK'],
    ['a frame above the read limit', Uint8Array.of(0x82, 0xfe, 0x10, 0x00), 'close 1009'],
    [
      'bad text',
      Uint8Array.of(0x01, 0x82, 0, 0, 0, 0, 0xff),
      'close 1007 invalid UTF-8 in text message',
    ],
    [
      'text that ends within a character',
      Uint8Array.of(0x81, 0x81, 0, 0, 0, 0, 0xc3),
      'close 1007 invalid UTF-8 in text message',
    ],
    [
      'a bad close code',
      Uint8Array.of(0x88, 0x82, 0, 0, 0, 0, 0x03, 0xed),
      'close 1002 bad close code 1005',
    ],
    ['a close payload of one byte', Uint8Array.of(0x88, 0x81, 0, 0, 0, 0, 0x03), 'close 1002'],
  ])('reports %s', async (_says, bytes, expected) => {
    const { conn, peer } = rawPair('server', { readLimit: 1000 });
    peer.write(peer.encode(1, 'before'), bytes);
    expect((await conn.readMessage()).text()).toBe('before');
    const [frame] = await peer.sees(1);
    expect(frame!.startsWith(expected)).toBe(true);
    const read = conn.readMessage();
    await expect(read).rejects.toBeInstanceOf(
      expected.includes('1009') ? ReadLimitError : ProtocolError,
    );
    const error = await read.catch((e: unknown) => e);
    await expect(conn.readMessage()).rejects.toBe(error);
    await peer.finish();
    expect(await conn.closed).toMatchObject({ wasClean: false, error });
  });

  it('delivers no byte after the fault', async () => {
    const { conn, peer } = rawPair('server');
    const seen: string[] = [];
    const end = conn.receive((message) => void seen.push(message.text()));
    peer.write(
      peer.encode(1, 'good'),
      Uint8Array.of(0x83, 0x80, 0, 0, 0, 0),
      peer.encode(1, 'bad'),
    );
    peer.send(1, 'worse');
    await expect(end).rejects.toMatchObject({ faults: ['bad opcode 3'] });
    await turns();
    expect(seen).toEqual(['good']);
    expect(peer.frames.map((frame) => frame.opcode)).toEqual([8]);
  });

  it('rejects invalid text as the byte arrives, in an incomplete frame', async () => {
    const { conn, peer } = rawPair('server');
    const read = conn.readMessage();
    peer.write(peer.encode(1, Uint8Array.of(0x61, 0xff, 0x61, 0x61)).subarray(0, 8));
    await expect(read).rejects.toMatchObject({ code: 'WS_ERR_INVALID_UTF8', closeCode: 1007 });
  });

  it('closes with 1011 when a handler throws, and receive rejects with that error', async () => {
    const { conn, peer } = rawPair('server');
    const failure = new Error('handler');
    const end = conn.receive(() => {
      throw failure;
    });
    peer.send(1, 'go');
    await expect(end).rejects.toBe(failure);
    expect(await peer.sees(1)).toEqual(['close 1011']);
    await peer.finish();
    expect(await conn.closed).toMatchObject({ code: 1011, error: failure });
  });

  it.each(['setPingHandler', 'setPongHandler'] as const)(
    'closes with 1011 when the handler of %s fails',
    async (set) => {
      const { conn, peer } = rawPair('server');
      const failure = new Error('control');
      conn[set](() => {
        throw failure;
      });
      peer.send(set === 'setPingHandler' ? 9 : 10, 'x');
      expect(await peer.sees(1)).toEqual(['close 1011']);
      await expect(conn.readMessage()).rejects.toBe(failure);
    },
  );

  it('reports 1006, not 1011, when the handler failed because of the end of the stream', async () => {
    const { conn, peer } = rawPair('server');
    const end = conn.receive(async () => void (await conn.ping()));
    peer.send(1, 'go');
    await peer.sees(1);
    peer.end();
    await expect(end).rejects.toMatchObject({ closeCode: 1006 });
    expect(await conn.closed).toMatchObject({ code: 1006 });
    expect(peer.frames).toHaveLength(1);
  });

  it('delivers the messages before the fault', async () => {
    const { conn, peer } = rawPair('server');
    void conn.receive((message) => conn.send(message));
    peer.write(peer.encode(1, 'one'), peer.encode(1, 'two'), Uint8Array.of(0x83, 0x80));
    expect(await peer.sees(3)).toEqual(['text one', 'text two', 'close 1002 bad opcode 3']);
  });
});

describe('connPair', () => {
  it('closes cleanly from either side', async () => {
    for (const closer of [0, 1] as const) {
      const pair = connPair();
      const other = pair[1 - closer]!;
      const end = other.discardReads();
      expect(await pair[closer].close(4321, 'done')).toMatchObject({ code: 4321, wasClean: true });
      await expect(end).rejects.toMatchObject({ closeCode: 4321, reason: 'done' });
    }
  });

  it('closes by await using', async () => {
    const [client, server] = connPair();
    {
      await using closing = client;
      void closing.send('hi');
      expect((await server.readMessage()).text()).toBe('hi');
      void server.discardReads();
    }
    expect(await server.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});

describe('the end of the stream of a peer', () => {
  it('is the reason of the end, although the transport reports its close later than the heartbeat rings', async () => {
    const { conn, platform, transport } = wired('server', {
      heartbeat: { interval: 1_000, timeout: 1_000 },
    });
    await platform.advance(900);
    transport.destroy = () => {};
    transport.feedEnd();
    await platform.advance(500);
    transport.sink!.close();
    expect((await conn.closed).error?.message).toContain('unexpected EOF');
  });
});

describe('two ends that cross', () => {
  it('leave a destroyed transport alone when the peer ends after terminate()', async () => {
    const { conn, platform, transport } = wired('server');
    const ended: string[] = [];
    transport.end = () => void ended.push('end');
    transport.destroy = () => void ended.push('destroy');
    await platform.settle();
    conn.terminate();
    transport.feedEnd();
    await platform.advance(10_000);
    expect(ended).toEqual(['destroy']);
  });

  it.each(['server', 'client'] as const)(
    'of a %s answer a close frame behind a full read-ahead although the peer has ended',
    async (role) => {
      const { conn, platform, transport, frame, feed, sent } = wired(role, { readAhead: 1_000 });
      const texts: string[] = [];
      const loop = (async () => {
        for await (const message of conn) {
          texts.push(message.text());
          if (texts.length > 1) continue;
          await new Promise<void>((resolve) => {
            platform.setTimer(4_000, resolve);
          });
        }
      })();
      const all = Array.from({ length: 40 }, (_, i) => `${i}`);
      feed(...all.map((text) => frame(1, text)), frame(8, Uint8Array.of(0x03, 0xe8)));
      transport.sink!.end();
      await platform.advance(2_400);
      expect(sent()).toEqual([]);
      await platform.advance(200);
      expect(sent()).toEqual(['close 1000']);
      await platform.advance(2_000);
      await loop;
      expect(texts).toEqual(all);
      expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
    },
  );
});

describe('the closing handshake with a peer that reads nothing', () => {
  it('is not clean when the transport has not sent our close frame in time', async () => {
    let peer!: ReadableStreamDefaultController<Uint8Array>;
    const readable = new ReadableStream<Uint8Array>({ start: (source) => void (peer = source) });
    const writable = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
    const transport = streamTransport({ readable, writable });
    const conn = new Conn(transport, { role: 'server', closeTimeout: 20 });
    await conn.send('a message');
    peer.enqueue(hex('88 82 00 00 00 00 03 e8'));
    expect(await conn.closed).toMatchObject({
      code: 1000,
      wasClean: false,
      error: { code: 'WS_ERR_TIMEOUT' },
    });
  });
});
