import { sharedSlabPool } from '@ws/codec';
import { naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  type ConnSettings,
  connPair,
  type MessageWriter,
  PingMessage,
  TextMessage,
  WriteClosedError,
} from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

/** A server whose writers send fragments of four bytes. */
function short(settings: ConnSettings = {}): Wired {
  return wired('server', { writeBufferSize: 4, report: () => {}, ...settings });
}

describe('MessageWriter', () => {
  it('sends a fragment when its buffer is full and more data follows', async () => {
    const { conn, output } = short();
    const { lent } = sharedSlabPool();
    const writer = await conn.nextWriter(TextMessage);
    for (const text of ['abc', 'd', '']) await writer.write(text);
    expect(sharedSlabPool().lent).toBe(lent + 1);
    expect(await output()).toEqual([]);
    await writer.write('e');
    expect(await output()).toEqual(['text... abcd']);
    await writer.close();
    expect(await output()).toEqual(['text... abcd', 'cont e']);
    expect(conn.stats.messagesOut).toBe(1);
    expect(sharedSlabPool().lent).toBe(lent);
  });

  it('retains at most a fragment of large data', async () => {
    const { conn, output } = short();
    const writer = await conn.nextWriter(BinaryMessage);
    const bytes = Uint8Array.from(Buffer.from('abcdefghij'));
    await writer.write(bytes);
    bytes.fill(0);
    await writer.write('klmn');
    await writer.close();
    expect(await output()).toEqual(['binary... abcd', 'cont... efgh', 'cont... ijkl', 'cont mn']);
  });

  it('sends an empty message, closes once, and rejects later calls', async () => {
    const { conn, platform, sent } = short();
    const { lent } = sharedSlabPool();
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('');
    expect(sharedSlabPool().lent).toBe(lent);
    await writer.close();
    await expect(writer.close()).rejects.toBeInstanceOf(WriteClosedError);
    await expect(writer.write('x')).rejects.toBeInstanceOf(WriteClosedError);
    writer.abort();
    await writer[Symbol.asyncDispose]();
    await platform.settle();
    expect([sent(), conn.state]).toEqual([['text'], 'open']);
  });

  it('waits within a large write at each full buffer of a slow peer', async () => {
    const { conn, platform, transport, drain, output } = short({ highWaterMark: 1 });
    await platform.settle();
    // Each write blocks it.
    const write = transport.write.bind(transport);
    transport.write = (chunk, release) => {
      transport.block();
      return write(chunk, release);
    };
    void conn.send('in the way');
    await platform.settle();
    const writer = await conn.nextWriter(TextMessage);
    let written = false;
    void writer.write('abcdefghij').then(() => (written = true));
    for (const fragments of [['text... abcd'], ['text... abcd', 'cont... efgh']]) {
      expect(written).toBe(false);
      transport.drain();
      expect(await output()).toEqual(['text in the way', ...fragments]);
    }
    await drain();
    expect(written).toBe(true);
  });

  it('copies what waits of less than 32 KiB: the caller may transfer the buffer', async () => {
    const { conn, platform, transport, drain, output } = short({ highWaterMark: 1 });
    await platform.settle();
    const writer = await conn.nextWriter(BinaryMessage);
    transport.block();
    const pieces = ['abcdefgh', 'ij'].map((text) => Uint8Array.from(Buffer.from(text)));
    const written = pieces.map((bytes) => writer.write(bytes));
    for (const { buffer } of pieces) structuredClone(buffer, { transfer: [buffer] });
    const closed = writer.close();
    while (transport.bufferedAmount > 0) {
      await drain();
    }
    await Promise.all([...written, closed]);
    expect(await output()).toEqual(['binary... abcd', 'cont... efgh', 'cont ij']);
  });

  it('of a control frame sends 125 bytes in one frame, and refuses the 126th', async () => {
    const { conn, output } = short();
    const { lent } = sharedSlabPool();
    const whole = await conn.nextWriter(PingMessage);
    for (const size of [100, 25]) await whole.write('x'.repeat(size));
    await whole.close();
    const long = await conn.nextWriter(PingMessage);
    await long.write('x'.repeat(100));
    await expect(long.write('y'.repeat(26))).rejects.toBeInstanceOf(RangeError);
    expect(await output()).toEqual(['ping <125>']);
    expect(sharedSlabPool().lent).toBe(lent);
  });

  it('closes the message, and does not abort it, when abort() follows close()', async () => {
    const { conn, platform, transport, sent } = short({ highWaterMark: 1 });
    await platform.settle();
    const writer = await conn.nextWriter(TextMessage);
    transport.block();
    void writer.write('abcde');
    const closed = writer.close();
    writer.abort(new Error('too late'));
    transport.drain();
    await closed;
    await platform.settle();
    expect([sent(), conn.state]).toEqual([['text... abcd', 'cont e'], 'open']);
  });
});

/** A Conn that takes far more than its transport does. */
function roomy(role: 'client' | 'server', writeBufferSize: number): Wired {
  return wired(role, { writeBufferSize, maxBufferedAmount: false, highWaterMark: 1 << 24 });
}

/** What was sent, as frames with the values of their bytes. */
function framesOf({ conn, transport }: Wired): { size: number; values: number[] }[] {
  const { frames } = naiveDecode(transport.sent, conn.role === 'server' ? 'client' : 'server');
  return frames.map(({ payload }) => ({ size: payload.length, values: [...new Set(payload)] }));
}

async function drained({ transport, platform }: Wired): Promise<void> {
  while (transport.bufferedAmount > 0) {
    transport.drain(1);
    await platform.settle();
  }
}

describe.each(['server', 'client'] as const)('a fragment of a %s', (role) => {
  it('of more than 64 KiB reaches the peer as it was written', async () => {
    const ours = roomy(role, 100_000);
    const { conn, transport, platform } = ours;
    transport.block();
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(70_000).fill(1));
    const bytes = new Uint8Array(250_000).fill(2);
    await writer.write(bytes);
    // Both the buffer and the bytes are used again, while the transport still holds what was made
    // of them.
    bytes.fill(3);
    await writer.write(bytes);
    await writer.close();
    await platform.settle();
    await drained(ours);
    expect(framesOf(ours)).toEqual([
      { size: 100_000, values: [1, 2] },
      { size: 100_000, values: [2] },
      { size: 100_000, values: [2] },
      { size: 100_000, values: [2, 3] },
      { size: 100_000, values: [3] },
      { size: 70_000, values: [3] },
    ]);
  });
});

describe('MessageWriter.write', () => {
  it.each([
    ['as it is', false],
    ['as its bytes', true],
  ])('accepts a borrowed message %s, also when the handler does not wait', async (_, asBytes) => {
    const ours = wired('server', { writeBufferSize: 1_000, highWaterMark: 1_000 });
    const { conn, transport, platform, frame } = ours;
    transport.block();
    void conn.send('in the way');
    await platform.settle();
    const writer = await conn.nextWriter(BinaryMessage);
    const written: Promise<void>[] = [];
    void conn.receive((message) => {
      written.push(writer.write(asBytes ? message.borrow() : message));
    });
    // Each comes in two chunks, so that it is put together in memory from the pool.
    for (const value of [1, 2, 3]) {
      const bytes = frame(2, new Uint8Array(3_000).fill(value));
      transport.feed(bytes.subarray(0, 2_000));
      transport.feed(bytes.subarray(2_000));
    }
    await platform.settle();
    const closed = writer.close();
    for (let i = 0; i < 20; i++) {
      transport.drain();
      transport.block();
      await platform.settle();
    }
    transport.drain();
    await Promise.all([...written, closed]);
    await platform.settle();
    expect(
      framesOf(ours)
        .slice(1)
        .flatMap(({ size, values }) => values.map((v) => [v, size])),
    ).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3].map((value) => [value, 1_000]));
  });
});

describe('messages that wait for an open writer', () => {
  it.each([1_000, 65_536, 65_537, 1 << 20])(
    'of %d borrowed bytes leave unchanged, during any other traffic',
    async (size) => {
      const ours = roomy('server', 4_096);
      const { conn, transport, platform, frame } = ours;
      const before = sharedSlabPool().lent;
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(Uint8Array.of(9));
      void conn.receive((message) => void conn.send(message));
      for (const value of [1, 2, 3]) {
        const bytes = frame(2, new Uint8Array(size).fill(value));
        for (let at = 0; at < bytes.length; at += 65_536) {
          transport.feed(bytes.subarray(at, at + 65_536));
        }
        await platform.settle();
      }
      expect(conn.bufferedAmount).toBeGreaterThanOrEqual(3 * size);
      await writer.close();
      await platform.settle();
      expect(framesOf(ours)).toEqual([
        { size: 1, values: [9] },
        ...[1, 2, 3].map((value) => ({ size, values: [value] })),
      ]);
      expect(conn.bufferedAmount).toBe(0);
      // Not the same number: a slab of an earlier file may come back.
      expect(sharedSlabPool().lent).toBeLessThanOrEqual(before);
    },
  );
});

describe('a write buffer of the user', () => {
  it('stays in its pool when it is too small once', async () => {
    const small = new Uint8Array(10);
    let taken = 0;
    const given: Uint8Array[] = [];
    const writeBufferPool = {
      get: () => {
        taken++;
        return small;
      },
      put: (buffer: Uint8Array) => void given.push(buffer),
    };
    const { conn, output } = wired('client', { writeBufferPool, writeBufferSize: 1_000 });
    await conn.send('x'.repeat(500));
    await conn.send('y'.repeat(2_000));
    expect(await output()).toEqual(['text <500>', 'text <2000>']);
    expect(given.filter((buffer) => buffer === small)).toHaveLength(taken);
    expect(given.length).toBeGreaterThan(taken);
  });
});

describe('a surrogate pair that is split over two writes', () => {
  const text = async (write: (writer: MessageWriter) => Promise<unknown>): Promise<string> => {
    const [client, server] = connPair();
    const writer = await client.nextWriter(TextMessage);
    await write(writer);
    const message = await server.readMessage();
    client.terminate();
    return message.text();
  };

  it.each<[string, string, (string | Uint8Array)[]]>([
    ['is joined', '😀', ['\ud83d', '\ude00']],
    ['is joined behind and before other text', 'a😀b', ['a\ud83d', '', '\ude00b']],
    ['is joined over three pairs', '😀😀', ['\ud83d', '\ude00\ud83d', '\ude00']],
    ['stays alone at the end', 'a\ufffd', ['a\ud83d']],
    ['stays alone before other text', '\ufffdb', ['\ud83d', 'b']],
    ['stays alone before another half', '\ufffd😀', ['\ud83d', '\ud83d', '\ude00']],
    ['stays alone before bytes', '\ufffdbc', ['\ud83d', Buffer.from('b'), 'c']],
    ['stays alone at the start', '\ufffdb', ['\ude00b']],
  ])('%s: %s', async (_, expected, parts) => {
    const written = await text(async (writer) => {
      for (const part of parts) void writer.write(part);
      await writer.close();
    });
    expect(written).toBe(expected);
    const streamed = await text(async (writer) => {
      const stream = writer.writable().getWriter();
      for (const part of parts) await stream.write(part);
      await stream.close();
    });
    expect(streamed).toBe(expected);
  });

  it('is joined at the border of two fragments', async () => {
    const written = await text(async (writer) => {
      await writer.write(`${'x'.repeat(4_095)}\ud83d`);
      await writer.write('\ude00');
      await writer.close();
    });
    expect(written).toBe(`${'x'.repeat(4_095)}😀`);
    const alone = await text(async (writer) => {
      await writer.write(`${'x'.repeat(4_095)}\ud83d`);
      await writer.close();
    });
    expect(alone).toBe(`${'x'.repeat(4_095)}\ufffd`);
  });

  it('keeps its half after a TypeError', async () => {
    const written = await text(async (writer) => {
      await writer.write('\ud83d');
      await writer.write({} as never).catch(() => {});
      await writer.write('\ude00');
      await writer.close();
    });
    expect(written).toBe('😀');
  });
});
