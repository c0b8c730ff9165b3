import { describe, expect, it } from 'vitest';
import { ANSWERING, CLOSING, Closing, ENDING, GONE } from '../src/closing.ts';
import {
  broadcast,
  CloseError,
  CloseSentError,
  connPair,
  ProtocolError,
  ReadLimitError,
} from '../src/index.ts';
import { rawPair, turns } from './raw-peer.ts';
import { wired } from './wired.ts';

describe('Closing', () => {
  it('is open until the end is answered, and closed once the transport is gone', () => {
    const closing = new Closing();
    const states = [closing.state];
    for (const phase of [ENDING, ANSWERING, CLOSING, GONE] as const) {
      closing.phase = phase;
      states.push(closing.state);
    }
    expect(states).toEqual(['open', 'open', 'closing', 'closing', 'closed']);
  });

  it('waits for 1 MiB after our close frame, and for no byte more', () => {
    const closing = new Closing();
    expect([closing.drop(1_000_000), closing.drop(48_576), closing.drop(1)]).toEqual([
      false,
      false,
      true,
    ]);
  });

  const error = new Error('broken');
  const received = { code: 4000, reason: 'enough' };
  const failed = { error: new Error('a fault'), code: 1002 };

  it.each([
    {
      when: 'both close frames were exchanged',
      facts: { received, sent: true, lost: error },
      flushed: true,
      info: { code: 4000, reason: 'enough', wasClean: true },
    },
    {
      when: 'ours had not left yet',
      facts: { received, sent: true, lost: error },
      flushed: false,
      info: { code: 4000, reason: 'enough', wasClean: false, error },
    },
    {
      when: 'ours was not accepted',
      facts: { received },
      flushed: true,
      info: { code: 4000, reason: 'enough', wasClean: false },
    },
    {
      when: 'the peer has sent none',
      facts: { sent: true, lost: error },
      flushed: true,
      info: { code: 1006, reason: '', wasClean: false, error },
    },
    {
      when: 'we have failed it before',
      facts: { sent: true, failed, lost: error },
      flushed: true,
      info: { code: 1002, reason: '', wasClean: false, error: failed.error },
    },
    {
      when: 'we have failed it after the peer’s close frame',
      facts: { received, sent: true, failed },
      flushed: true,
      info: { code: 4000, reason: 'enough', wasClean: false, error: failed.error },
    },
    {
      when: 'nothing is known of it',
      facts: {},
      flushed: false,
      info: { code: 1006, reason: '', wasClean: false },
    },
  ])('tells how it ended when $when', ({ facts, flushed, info }) => {
    const closing = Object.assign(new Closing(), facts);
    expect(closing.over(flushed)).toStrictEqual(info);
    expect(closing.info).toStrictEqual(info);
  });
});

describe.each(['server', 'client'] as const)('the closing handshake of a %s', (role) => {
  it('starts with our close frame and ends with theirs', async () => {
    const { conn, peer } = rawPair(role);
    const closing = conn.close(1001, 'bye');
    expect(conn.state).toBe('closing');
    expect(await peer.sees(1)).toEqual(['close 1001 bye']);
    peer.close(1001);
    if (role === 'server') await peer.finish();
    else peer.transport.end();
    expect(await closing).toEqual({ code: 1001, reason: '', wasClean: true });
    expect(await conn.closed).toEqual(await closing);
    expect(conn.state).toBe('closed');
  });

  it('answers the peer with its code and an empty reason', async () => {
    const { conn, peer } = rawPair(role);
    peer.close(4000, 'enough');
    expect(await peer.sees(1)).toEqual(['close 4000']);
    if (role === 'server') await peer.finish();
    else peer.transport.end();
    expect(await conn.closed).toEqual({ code: 4000, reason: 'enough', wasClean: true });
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4000, reason: 'enough' });
  });

  it('answers an empty close frame with an empty one', async () => {
    const { conn, peer } = rawPair(role);
    peer.close();
    expect(await peer.sees(1)).toEqual(['close']);
    peer.transport.end();
    expect(await conn.closed).toMatchObject({ code: 1005, wasClean: true });
  });

  it('ends cleanly when both close frames cross', async () => {
    const { conn, peer } = rawPair(role);
    peer.close(1001);
    const closing = conn.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    peer.transport.end();
    expect(await closing).toMatchObject({ code: 1001, wasClean: true });
  });

  it('drops a peer that does not answer', async () => {
    const { conn, peer } = rawPair(role);
    expect(await conn.close(1000, '', { timeout: 20 })).toMatchObject({
      code: 1006,
      wasClean: false,
      error: { code: 'WS_ERR_TIMEOUT' },
    });
    await peer.until(() => peer.ended);
  });

  it('ends with 1006 when the peer goes away instead', async () => {
    const { conn, peer } = rawPair(role);
    const closing = conn.close();
    await peer.sees(1);
    peer.transport.destroy();
    expect(await closing).toMatchObject({ code: 1006, wasClean: false });
  });

  it('drops what the peer sends after our close frame, up to its own', async () => {
    const { conn, peer } = rawPair(role);
    const closing = conn.close();
    peer.send(2, Buffer.alloc(100_000));
    peer.send(1, 'unheard', { fin: false });
    peer.send(9, 'ping');
    peer.send(0, '');
    peer.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    peer.transport.end();
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
    expect(peer.frames).toHaveLength(1);
  });

  it('waits for no more than 1 MiB after our close frame', async () => {
    const { conn, peer } = rawPair(role, { readLimit: false });
    const closing = conn.close();
    for (let i = 0; i < 12; i++) {
      peer.send(2, Buffer.alloc(100_000));
      await turns(1);
    }
    expect(await closing).toMatchObject({ code: 1006, wasClean: false });
  });

  it('sends our close frame after all that was accepted, and nothing after it', async () => {
    const { conn, peer } = rawPair(role);
    void conn.send('first');
    void conn.send('second');
    const closing = conn.close();
    await expect(conn.send('third')).rejects.toBeInstanceOf(CloseSentError);
    await expect(conn.ping()).rejects.toBeInstanceOf(CloseSentError);
    expect(await peer.sees(3)).toEqual(['text first', 'text second', 'close 1000']);
    peer.close(1000);
    peer.transport.end();
    await closing;
    await expect(conn.send('late')).rejects.toBeInstanceOf(CloseSentError);
  });

  it('is joined by a second call', async () => {
    const { conn, peer } = rawPair(role);
    const both = Promise.all([conn.close(1000), conn.close(4000)]);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    peer.close(1000);
    peer.transport.end();
    const [first, second] = await both;
    expect(first).toEqual(second);
    expect(await conn.close()).toEqual(first);
    expect(peer.frames).toHaveLength(1);
  });

  it('ends pending reads with what the peer answered', async () => {
    const { conn, peer } = rawPair(role);
    const read = conn.readMessage();
    const closing = conn.close(1000);
    await peer.sees(1);
    peer.close(1000, 'ok');
    peer.transport.end();
    await expect(read).rejects.toEqual(new CloseError(1000, 'ok'));
    await closing;
  });

  it('is answered in its place: after the messages before it', async () => {
    const { conn, peer } = rawPair(role);
    peer.write(peer.frame(1, 'one'), peer.frame(1, 'two'), peer.frame(8));
    const answers = (async () => {
      for await (const message of conn) await conn.send(`${message.text()}!`);
    })();
    expect(await peer.sees(3)).toEqual(['text one!', 'text two!', 'close']);
    peer.transport.end();
    await answers;
  });

  it('waits for the handler at work', async () => {
    const { conn, peer } = rawPair(role);
    const end = conn.receive(async (message) => {
      await turns();
      await conn.send(`${message.text()}!`);
    });
    peer.write(peer.frame(1, 'one'), peer.frame(1, 'two'), peer.frame(8));
    expect(await peer.sees(3)).toEqual(['text one!', 'text two!', 'close']);
    peer.transport.end();
    expect(await end).toMatchObject({ code: 1005 });
  });

  it('answers closeTimeout after the close frame came, whatever is unread', async () => {
    const { conn, peer } = rawPair(role, { closeTimeout: 30 });
    peer.write(peer.frame(1, 'unread'), peer.frame(8));
    expect(await peer.sees(1)).toEqual(['close']);
    peer.transport.end();
    await conn.closed;
    expect((await conn.readMessage()).text()).toBe('unread');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1005 });
  });

  it('answers a close frame that waits unread, when we close', async () => {
    const { conn, peer } = rawPair(role);
    peer.write(peer.frame(1, 'unread'), peer.frame(8));
    await turns();
    const closing = conn.close(1000);
    expect(await peer.sees(1)).toEqual(['close 1000']);
    peer.transport.end();
    expect(await closing).toMatchObject({ code: 1005, wasClean: true });
    await expect(conn.readMessage()).rejects.toBeInstanceOf(CloseError);
  });

  it('sees a close frame that waits unread before the end of the stream', async () => {
    const { conn, peer } = rawPair(role);
    peer.write(peer.frame(1, 'unread'), peer.frame(8));
    peer.transport.end();
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
    peer.transport.end();
    expect(await end).toMatchObject({ code: 1000, wasClean: true });
  });

  it('calls the close handler, and echoes when it sent nothing', async () => {
    const { conn, peer } = rawPair(role);
    const seen: unknown[] = [];
    conn.setCloseHandler(async (code, reason) => {
      await turns();
      seen.push(code, reason);
    });
    peer.close(3001, 'why not');
    expect(await peer.sees(1)).toEqual(['close 3001']);
    expect(seen).toEqual([3001, 'why not']);
    peer.transport.end();
    await conn.closed;
  });

  it('sends what the close handler sends instead', async () => {
    const { conn, peer } = rawPair(role);
    conn.setCloseHandler(() => void conn.close(4001, 'mine'));
    peer.close(3001);
    expect(await peer.sees(1)).toEqual(['close 4001 mine']);
    peer.transport.end();
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
  ])('refuses %s and sends nothing', async (_says, code, reason) => {
    const { conn, peer } = rawPair(role);
    await expect(conn.close(code, reason)).rejects.toBeInstanceOf(RangeError);
    expect(conn.state).toBe('open');
    await conn.send('still here');
    expect(await peer.sees(1)).toEqual(['text still here']);
  });

  it('refuses a bad timeout and sends nothing', async () => {
    const { conn } = rawPair(role);
    await expect(conn.close(1000, '', { timeout: -1 })).rejects.toBeInstanceOf(RangeError);
    expect(conn.state).toBe('open');
  });
});

describe('the end of the stream', () => {
  it('without a close frame is CloseError 1006, after the messages before it', async () => {
    const { conn, peer } = rawPair('server');
    peer.send(1, 'last');
    peer.transport.end();
    expect((await conn.readMessage()).text()).toBe('last');
    await expect(conn.readMessage()).rejects.toEqual(new CloseError(1006, 'unexpected EOF'));
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
  });

  it('lets our queued writes out', async () => {
    const { conn, peer } = rawPair('server');
    const payload = Buffer.alloc(40_000, 7);
    for (let i = 0; i < 10; i++) void conn.send(payload);
    peer.transport.end();
    await peer.sees(10);
    expect(peer.frames.every((frame) => frame.payload.length === 40_000)).toBe(true);
    await conn.closed;
  });

  it.each(['server', 'client'] as const)(
    'leaves a closing %s nothing to wait for',
    async (role) => {
      const { conn, peer } = rawPair(role);
      peer.send(1, 'unread');
      peer.transport.end();
      await turns();
      expect(conn.state).toBe('open');
      const closing = conn.close(1000, '', { timeout: 1_000_000 });
      expect(await peer.sees(1)).toEqual(['close 1000']);
      expect(await closing).toMatchObject({ code: 1006, wasClean: false });
      expect(peer.ended).toBe(true);
    },
  );

  it('in the middle of a frame is the same', async () => {
    const { conn, peer } = rawPair('server');
    peer.write(peer.frame(1, 'cut off').subarray(0, 9));
    peer.transport.end();
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1006 });
  });

  it('by a fault of the transport is a TransportError with its cause', async () => {
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

  it('by terminate() sends no close frame', async () => {
    const { conn, peer } = rawPair('server');
    conn.terminate();
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
    await peer.until(() => peer.ended);
    expect(peer.frames).toEqual([]);
    await expect(conn.send('x')).rejects.toMatchObject({ code: 'WS_ERR_CLOSE' });
  });
});

describe('close() after the peer’s end, which is not answered yet', () => {
  it.each(['its close frame', 'the end of its stream'])(
    'waits as long as it is told: %s',
    async (what) => {
      const { conn, host, transport, feed, frame } = wired('server', { closeTimeout: 10_000 });
      await host.settle();
      transport.block();
      void conn.send('x');
      await host.settle();
      conn.setCloseHandler(() => new Promise(() => {}));
      if (what === 'the end of its stream') transport.feedEnd();
      else {
        feed(frame(8));
        await host.settle();
      }
      const closing = conn.close(1000, '', { timeout: 100 });
      await host.advance(99);
      expect(transport.destroyed).toBe(false);
      await host.advance(1);
      expect(transport.destroyed).toBe(true);
      expect(await closing).toMatchObject({ wasClean: false });
    },
  );
});

describe('a connection that was dropped', () => {
  it('refuses what is sent before its transport says that it is gone', async () => {
    const { conn } = rawPair('client');
    conn.terminate();
    expect(conn.state).toBe('open');
    await expect(conn.send('x')).rejects.toMatchObject({ code: 'WS_ERR_CLOSE', closeCode: 1006 });
    expect(broadcast([conn], 'x')).toBe(0);
    expect(await conn.closed).toMatchObject({ code: 1006, wasClean: false });
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
  ])('names %s', async (_says, bytes, expected) => {
    const { conn, peer } = rawPair('server', { readLimit: 1000 });
    peer.write(peer.frame(1, 'before'), bytes);
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
    peer.write(peer.frame(1, 'good'), Uint8Array.of(0x83, 0x80, 0, 0, 0, 0), peer.frame(1, 'bad'));
    peer.send(1, 'worse');
    await expect(end).rejects.toMatchObject({ faults: ['bad opcode 3'] });
    await turns();
    expect(seen).toEqual(['good']);
    expect(peer.frames.map((frame) => frame.opcode)).toEqual([8]);
  });

  it('fails bad text as the byte arrives, in a frame that is not complete', async () => {
    const { conn, peer } = rawPair('server');
    const read = conn.readMessage();
    peer.write(peer.frame(1, Uint8Array.of(0x61, 0xff, 0x61, 0x61)).subarray(0, 8));
    await expect(read).rejects.toMatchObject({ code: 'WS_ERR_INVALID_UTF8', closeCode: 1007 });
  });

  it('closes with 1011 when a handler throws, and receive rejects with that', async () => {
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

  it('closes with 1011 when a handler rejects', async () => {
    const { conn, peer } = rawPair('server');
    const failure = new Error('handler');
    const end = conn.receive(() => Promise.reject(failure));
    peer.send(1, 'go');
    await expect(end).rejects.toBe(failure);
    expect(await peer.sees(1)).toEqual(['close 1011']);
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

  it('says 1006, not 1011, when the end of the stream is why the handler failed', async () => {
    const { conn, peer } = rawPair('server');
    const end = conn.receive(async () => void (await conn.ping()));
    peer.send(1, 'go');
    await peer.sees(1);
    peer.transport.end();
    await expect(end).rejects.toMatchObject({ closeCode: 1006 });
    expect(await conn.closed).toMatchObject({ code: 1006 });
    expect(peer.frames).toHaveLength(1);
  });

  it('answers what came before the fault', async () => {
    const { conn, peer } = rawPair('server');
    void conn.receive((message) => conn.send(message));
    peer.write(peer.frame(1, 'one'), peer.frame(1, 'two'), Uint8Array.of(0x83, 0x80));
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
    }
    expect(await server.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});
