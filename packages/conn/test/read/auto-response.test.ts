// Messages that a connection answers itself, for each way of reading and each way to arrive.
import { Buffer } from 'node:buffer';
import { inWords, naiveDecode, naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn } from '../../src/index.ts';
import { checkAutoResponse, setAutoResponse } from '../../src/internal.ts';
import { identityPlatform, NO_TAKEOVER } from '../deflate/inflating-platform.ts';
import { wired } from '../wired.ts';

const OPTION = { request: '{"ping":1}', response: '{"pong":1}' } as const;
const PONG = inWords(naiveDecode(naiveEncode(1, OPTION.response), 'client').frames[0]!);

function gated(option: object = OPTION, settings: object = {}) {
  const end = wired('server', settings);
  setAutoResponse(end.conn, checkAutoResponse(option));
  return end;
}

/** Reads texts until the connection ends. */
const readers: Record<string, (conn: Conn, got: string[]) => Promise<unknown>> = {
  receive: (conn, got) => conn.receive((message) => void got.push(message.text())),
  async readMessage(conn, got) {
    for (;;) got.push((await conn.readMessage()).text());
  },
  async 'for await'(conn, got) {
    for await (const message of conn) got.push(message.text());
  },
  async nextReader(conn, got) {
    for (;;) got.push(await (await conn.nextReader()).text());
  },
};

describe.each(Object.entries(readers))('autoResponse with %s', (_name, read) => {
  const near = ['{"ping":2}', '{"ping":1', '{"ping":1}}', '', '{', 'x'];

  it('answers the request and delivers every other message, whatever the split', async () => {
    const whole = gated();
    const { frame } = whole;
    const bytes = Buffer.concat([
      frame(1, OPTION.request),
      ...near.map((text) => frame(1, text)),
      frame(2, OPTION.request),
      frame(1, OPTION.request.slice(0, 4), { fin: false }),
      frame(9, 'in between'),
      frame(0, OPTION.request.slice(4)),
      frame(1, OPTION.request.slice(0, 4), { fin: false }),
      frame(0, 'other'),
      frame(1, 'last'),
    ]);
    const expected = [...near, OPTION.request, `${OPTION.request.slice(0, 4)}other`, 'last'];
    for (const size of [1, 2, 3, 7, bytes.length]) {
      const { conn, platform, transport, sent } = gated();
      const got: string[] = [];
      void read(conn, got).catch(() => {});
      await platform.settle();
      for (let at = 0; at < bytes.length; at += size) {
        transport.feed(bytes.subarray(at, at + size));
        await platform.settle();
      }
      expect(got).toEqual(expected);
      expect(sent().filter((text) => text === PONG)).toHaveLength(2);
      expect(conn.stats.messagesIn).toBe(expected.length + 2);
      conn.terminate();
      transport.break();
      await platform.settle();
    }
  });

  it('answers a compressed request', async () => {
    const platform = identityPlatform();
    const transport = new TestTransport();
    const conn = new Conn(transport, {
      role: 'server',
      platform,
      heartbeat: false,
      compression: true,
      deflate: NO_TAKEOVER,
    });
    setAutoResponse(conn, checkAutoResponse(OPTION));
    const got: string[] = [];
    void read(conn, got).catch(() => {});
    await platform.settle();
    for (const text of [OPTION.request, 'other']) {
      transport.feed(naiveEncode(1, text, { mask: 1, rsv: 0x40 }));
      await platform.settle();
    }
    expect(got).toEqual(['other']);
    expect(naiveDecode(transport.sent, 'client').frames.map(inWords)).toEqual([PONG]);
    conn.terminate();
    transport.break();
    await platform.settle();
  });
});

describe('autoResponse', () => {
  it('answers while no code reads, and while messages are discarded', async () => {
    const { conn, platform, frame, feed, sent } = gated();
    feed(frame(1, OPTION.request));
    await platform.settle();
    expect(sent()).toEqual([PONG]);
    void conn.discardReads();
    feed(frame(1, 'dropped'), frame(1, OPTION.request), frame(2, 'dropped'));
    await platform.settle();
    expect(sent()).toEqual([PONG, PONG]);
    expect(conn.stats.messagesIn).toBe(4);
    conn.terminate();
  });

  it('answers while a handler is at work, up to the read-ahead', async () => {
    const { conn, platform, frame, feed, sent } = gated();
    let done!: () => void;
    void conn.receive(
      () =>
        new Promise<void>((resolve) => {
          done = resolve;
        }),
    );
    feed(frame(1, 'work'), frame(1, OPTION.request));
    await platform.settle();
    expect(sent()).toEqual([PONG]);
    done();
    conn.terminate();
  });

  it('lets at most one answer wait for a peer that reads slowly', async () => {
    const { conn, platform, frame, feed, transport, sent } = gated(OPTION, { highWaterMark: 1 });
    void conn.discardReads();
    await platform.settle();
    transport.block();
    for (let i = 0; i < 1_000; i++) feed(frame(1, OPTION.request));
    await platform.settle();
    expect(conn.bufferedAmount).toBeLessThan(100);
    transport.drain();
    await platform.settle();
    feed(frame(1, OPTION.request));
    await platform.settle();
    const answers = sent().length;
    expect(answers).toBeGreaterThan(1);
    expect(answers).toBeLessThan(6);
    conn.terminate();
  });

  it('is silent after our close frame, and the close is clean', async () => {
    const { conn, platform, frame, feed, transport, sent } = gated();
    void conn.discardReads();
    const closing = conn.close(1000);
    feed(frame(1, OPTION.request), frame(8, Uint8Array.of(0x03, 0xe8)));
    transport.feedEnd();
    await platform.settle();
    transport.break();
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
    expect(sent()).toHaveLength(1);
  });

  it('compares types: bytes are a binary request, and the answer may be binary', async () => {
    const { conn, platform, frame, feed, sent } = gated({
      request: Uint8Array.of(1),
      response: Uint8Array.of(2, 3),
    });
    void conn.discardReads();
    feed(frame(1, '\x01'), frame(2, Uint8Array.of(1)));
    await platform.settle();
    expect(sent()).toHaveLength(1);
    conn.terminate();
  });

  it('gives the message of a cancelled nextReader to the next read', async () => {
    const { conn, platform, frame, transport } = gated();
    const abort = new AbortController();
    const read = conn.nextReader({ signal: abort.signal });
    await platform.settle();
    const bytes = frame(1, '{"ping":3}');
    transport.feed(bytes.subarray(0, 8));
    await platform.settle();
    abort.abort(new Error('enough'));
    await expect(read).rejects.toThrow('enough');
    const next = conn.readMessage();
    transport.feed(bytes.subarray(8));
    transport.feed(frame(1, 'next'));
    await platform.settle();
    expect((await next).text()).toBe('{"ping":3}');
    expect((await conn.readMessage()).text()).toBe('next');
    expect(conn.stats.messagesDropped).toBe(0);
    conn.terminate();
  });

  it.each([
    [null, 'autoResponse: expected { request, response }, got null'],
    ['ping', 'autoResponse: expected { request, response }, got string'],
    [{ request: 'a' }, 'autoResponse.response: expected a string or a Uint8Array, got undefined'],
    [
      { request: { ping: 1 }, response: 'a' },
      'autoResponse.request: expected a string or a Uint8Array, got Object; pass JSON.stringify(value)',
    ],
    [
      { request: 'a', answer: 'b' },
      'autoResponse: unknown option answer; known options: request, response',
    ],
  ])('rejects %j', (value, message) => {
    expect(() => checkAutoResponse(value)).toThrow(new TypeError(message));
  });
});
