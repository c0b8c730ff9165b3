import { constants, deflateRawSync } from 'node:zlib';
import { BinaryMessage, TextMessage } from '@ws/codec';
import { nodeDeflate } from '@ws/node-io';
import { FakePlatform, NO_TAKEOVER, naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { BorrowedMessage } from '../../src/message.ts';
import { type Wired, wired } from '../wired.ts';

/** So many connections of one kind. */
function several(count: number): Wired[] {
  const platform = new FakePlatform();
  return Array.from({ length: count }, () => wired('server', {}, 0, platform));
}

function payloads({ transport }: Wired): string[] {
  return naiveDecode(transport.sent, 'client').frames.map(({ payload }) =>
    Buffer.from(payload).toString(),
  );
}

describe('connections of one role and platform', () => {
  it('apply settings that were changed while they were idle', async () => {
    const [strict, drops, plain] = several(3);
    const { platform } = strict!;
    strict!.conn.setReadLimit(3);
    const ended = strict!.conn.receive(() => {});
    void drops!.conn.discardReads();
    let got = '';
    void plain!.conn.receive((message) => {
      got += message.text();
    });
    await platform.settle();
    for (let i = 0; i < 3; i++) {
      for (const { frame, feed } of [drops!, plain!]) feed(frame(TextMessage, 'hello'));
      strict!.feed(strict!.frame(TextMessage, 'hi'));
      await platform.settle();
    }
    expect(got).toBe('hellohellohello');
    expect(drops!.conn.stats.messagesIn).toBe(3);
    expect(drops!.sent()).toEqual([]);
    strict!.feed(strict!.frame(TextMessage, 'hello'));
    await platform.settle();
    strict!.transport.break();
    await expect(ended).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
    expect([drops!.conn.state, plain!.conn.state]).toEqual(['open', 'open']);
  });

  it('accept a compressed message that is longer than its limit on the wire', async () => {
    const platform = Object.assign(new FakePlatform(), { deflate: nodeDeflate });
    const settings = { compression: true, readLimit: 100 };
    const plain = wired('server', settings, 0, platform);
    const compressed = wired('server', { ...settings, deflate: NO_TAKEOVER }, 0, platform);
    const lengths: number[] = [];
    for (const { conn } of [plain, compressed]) {
      void conn.receive(({ length }) => void lengths.push(length));
    }
    await platform.settle();
    // Each use of the shared decoder bounds the next frame.
    const half = plain.frame(TextMessage, 'half', { fin: false });
    const rest = plain.frame(0, 'rest');
    const stored = deflateRawSync(Buffer.alloc(100, 1), {
      level: 0,
      finishFlush: constants.Z_SYNC_FLUSH,
    }).subarray(0, -4);
    expect(stored.length).toBeGreaterThan(100);
    plain.feed(half, rest);
    await platform.settle();
    compressed.feed(compressed.frame(BinaryMessage, stored, { rsv: 0x40 }));
    await platform.settle();
    expect([lengths, compressed.sent()]).toEqual([[8, 100], []]);
  });

  it('stay usable after another one failed in its handler, or broke a rule', async () => {
    const [throws, breaks, ...others] = several(4);
    const { platform } = throws!;
    throws!.conn
      .receive(() => {
        throw new Error('no');
      })
      .catch(() => {});
    for (const { conn } of [breaks!, ...others])
      conn.receive((message) => conn.send(message)).catch(() => {});
    await platform.settle();
    for (let i = 0; i < 3; i++) {
      if (i === 1) throws!.feed(throws!.frame(TextMessage, 'bad'));
      if (i === 1) breaks!.transport.feed('ffff');
      for (const { frame, feed } of others) feed(frame(TextMessage, `message ${i}`));
      await platform.settle();
    }
    const expected = ['message 0', 'message 1', 'message 2'];
    expect(others.map(payloads)).toEqual([expected, expected]);
    expect([throws!.conn.state, breaks!.conn.state]).toEqual(['closing', 'closing']);
  });

  it('never show each other a borrowed message that a handler retains too long', async () => {
    const [careless, other] = several(2);
    const { platform } = careless!;
    let kept: BorrowedMessage | undefined;
    void careless!.conn.receive((message) => {
      kept = message;
    });
    const seen: unknown[] = [];
    void other!.conn.receive(() => {
      try {
        seen.push(kept?.text());
      } catch (error) {
        seen.push(error);
      }
    });
    await platform.settle();
    careless!.feed(careless!.frame(TextMessage, 'mine'));
    await platform.settle();
    other!.feed(other!.frame(TextMessage, 'secret'));
    await platform.settle();
    expect(seen).toEqual([expect.any(TypeError)]);
  });
});

describe('connections of one role and platform, with settings of their own', () => {
  it('keep to their readLimit and their heartbeat', async () => {
    const platform = new FakePlatform();
    const [strict, loose] = [5, 100].map((readLimit) => {
      const heartbeat = { interval: readLimit * 1_000, timeout: 1_000_000 };
      return wired('server', { readLimit, heartbeat }, 0, platform);
    }) as [Wired, Wired];
    const got: number[] = [];
    const ended = strict.conn.receive(({ length }) => void got.push(length));
    void loose.conn.receive(({ length }) => void got.push(length));
    await platform.settle();
    for (const { feed, frame } of [loose, strict, loose]) feed(frame(TextMessage, 'hello'));
    await platform.settle();
    await platform.advance(6_000);
    expect([strict.conn.stats.pingsOut, loose.conn.stats.pingsOut]).toEqual([1, 0]);
    for (const { feed, frame } of [loose, strict, loose]) feed(frame(TextMessage, 'longer'));
    await platform.settle();
    strict.transport.break();
    await expect(ended).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT' });
    expect(got).toEqual([5, 5, 5, 6, 6]);
  });

  it('report errors of a pool that they share, and take its buffers, by their own settings', async () => {
    const platform = new FakePlatform();
    const sizes: number[] = [];
    const writeBufferPool = {
      get: () => undefined,
      put(buffer: Uint8Array): void {
        sizes.push(buffer.length);
        throw new Error(`buffer of ${buffer.length}`);
      },
    };
    const reported: string[] = [];
    const conns = [1_000, 2_000, 3_000].map((writeBufferSize, i) => {
      const settings = { writeBufferPool, writeBufferSize };
      const report = (error: unknown): void => void reported.push(`${i}: ${String(error)}`);
      // The first two share a function.
      return wired('server', { ...settings, report: i < 2 ? shared : report }, 0, platform);
    });
    function shared(error: unknown): void {
      reported.push(`shared: ${String(error)}`);
    }
    await platform.settle();
    for (const { conn } of [...conns, ...conns]) {
      await conn.send('x');
      await platform.settle();
    }
    expect(sizes).toEqual([1_000, 2_000, 3_000, 1_000, 2_000, 3_000]);
    const once = [1_000, 2_000, 3_000].map((size, i) => {
      return `${i < 2 ? 'shared' : i}: Error: buffer of ${size}`;
    });
    expect(reported).toEqual([...once, ...once]);
  });
});
