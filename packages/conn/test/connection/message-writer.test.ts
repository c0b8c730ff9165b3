import { type SlabSource, sharedSlabPool } from '@ws/codec';
import { FakePlatform, naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { MessageWriter } from '../../src/connection/message-writer.ts';
import {
  BinaryMessage,
  connPair,
  PingMessage,
  TextMessage,
  WriteClosedError,
} from '../../src/index.ts';
import { Deferred, RESOLVED } from '../../src/time/promises.ts';
import { rejectedLater } from '../../src/time/refusal.ts';
import { type Wired, wired } from '../wired.ts';
import { queueOf } from './queue-of.ts';

/** A writer with fragments of four bytes, and what it asks of its connection. */
function writerOf(type: number = TextMessage, pool: SlabSource = sharedSlabPool()) {
  const { connection, platform } = queueOf({}, { platform: new FakePlatform() });
  Object.assign(connection.shared, { slabs: pool });
  const seen: string[] = [];
  const chunks: Uint8Array[] = [];
  const state: { room: Promise<void>; refused: unknown; refusal: unknown; throws: unknown } = {
    room: RESOLVED,
    refused: undefined,
    refusal: undefined,
    throws: undefined,
  };
  const sink = connection.writer;
  sink.rejectionIfClosed = () =>
    state.refused === undefined ? undefined : rejectedLater(platform, state.refused);
  sink.rejectionFor = () =>
    state.refusal === undefined ? undefined : rejectedLater(platform, state.refusal);
  sink.fragment = (opcode, fin, bytes, start, end) => {
    if (state.throws !== undefined) throw state.throws;
    chunks.push(bytes);
    const text = Buffer.from(bytes.subarray(start, end)).toString();
    seen.push(`${opcode}${fin ? '' : '...'} ${text}`);
    return state.room;
  };
  sink.complete = (of, bytes) => void seen.push(`complete ${of} of ${bytes}`);
  sink.writerDone = (finished) => void seen.push(finished === writer ? 'done' : 'another is done');
  sink.writerBroken = (reason) => void seen.push(`broken: ${(reason as Error).message}`);
  const writer = new MessageWriter(type, connection, sink, 4);
  /** The connection accepts fragments, and is full until the returned promise resolves. */
  const block = (): Deferred<void> => {
    const room = new Deferred<void>();
    state.room = room.promise;
    return room;
  };
  return { writer, sink, connection, state, seen, chunks, platform, block };
}

describe('MessageWriter', () => {
  it('sends a fragment when its buffer is full and more data follows', async () => {
    const { writer, seen } = writerOf();
    const { lent } = sharedSlabPool();
    expect(writer.write('abc')).toBe(RESOLVED);
    expect(sharedSlabPool().lent).toBe(lent + 1);
    expect(writer.write('d')).toBe(RESOLVED);
    expect(writer.write('')).toBe(RESOLVED);
    expect(seen).toEqual([]);
    expect(writer.write('e')).toBe(RESOLVED);
    expect(seen).toEqual(['1... abcd']);
    await writer.close();
    expect(seen.slice(1)).toEqual(['0 e', 'complete 1 of 5', 'done']);
    expect(sharedSlabPool().lent).toBe(lent);
  });

  it('sends large data by reference, and retains at most a fragment of it', async () => {
    const { writer, seen, chunks } = writerOf(BinaryMessage);
    const bytes = Uint8Array.from(Buffer.from('abcdefghij'));
    await writer.write(bytes);
    expect(seen).toEqual(['2... abcd', '0... efgh']);
    expect(chunks.every(({ buffer }) => buffer === bytes.buffer)).toBe(true);
    bytes.fill(0);
    await writer.write('klmn');
    await writer.close();
    expect(seen.slice(2)).toEqual(['0... ijkl', '0 mn', 'complete 2 of 14', 'done']);
  });

  it('sends an empty message without data, and takes no buffer for it', async () => {
    const { writer, seen } = writerOf();
    const { lent } = sharedSlabPool();
    await writer.write('');
    expect(sharedSlabPool().lent).toBe(lent);
    await writer.close();
    expect(seen).toEqual(['1 ', 'complete 1 of 0', 'done']);
  });

  it('closes once, and rejects later calls', async () => {
    const { writer, seen } = writerOf();
    await writer.close();
    await expect(writer.close()).rejects.toBeInstanceOf(WriteClosedError);
    await expect(writer.write('x')).rejects.toBeInstanceOf(WriteClosedError);
    writer.abort();
    writer.supersede();
    await writer[Symbol.asyncDispose]();
    expect(seen).toEqual(['1 ', 'complete 1 of 0', 'done']);
  });

  it('executes overlapping writes in order, and counts their bytes until they are written', async () => {
    const { writer, sink, seen, block } = writerOf();
    const room = block();
    const writes = [writer.write('abcde'), writer.write('fg'), writer.write('hi')];
    const closed = writer.close();
    expect([seen, sink.waitingBytes]).toEqual([['1... abcd'], 4]);
    room.resolve();
    await Promise.all([...writes, closed]);
    expect(seen).toEqual(['1... abcd', '0... efgh', '0 i', 'complete 1 of 9', 'done']);
    expect(sink.waitingBytes).toBe(0);
    const { writer: after } = writerOf();
    expect(await after.write('x')).toBeUndefined();
  });

  it('is idle again when a waiting write is done', async () => {
    const { writer, state, block, platform } = writerOf();
    const room = block();
    const waiting = writer.write('abcde');
    room.resolve();
    await waiting;
    await platform.settle();
    state.room = RESOLVED;
    expect(writer.write('f')).toBe(RESOLVED);
  });

  it('waits within a large write at each full buffer', async () => {
    const { writer, seen, platform, block } = writerOf();
    let room = block();
    let written = false;
    void writer.write('abcdefghij').then(() => (written = true));
    expect(seen).toEqual(['1... abcd']);
    const before = room;
    room = block();
    before.resolve();
    await platform.settle();
    expect([seen, written]).toEqual([['1... abcd', '0... efgh'], false]);
    room.resolve();
    await platform.settle();
    expect(written).toBe(true);
  });

  it('aborts the message with a write above the limit: queued writes are not affected', async () => {
    const { writer, state, seen, block } = writerOf();
    const room = block();
    const first = writer.write('abcde');
    state.refusal = new Error('too much');
    await expect(writer.write('x')).rejects.toThrow('too much');
    await expect(writer.write('y')).rejects.toThrow('too much');
    expect(seen).toEqual(['1... abcd', 'broken: too much']);
    room.resolve();
    await first;
    expect(seen).toHaveLength(2);
  });

  it('stays usable after an invalid write', async () => {
    const { writer, seen } = writerOf();
    await expect(writer.write(5 as never)).rejects.toBeInstanceOf(TypeError);
    await writer.write('ok');
    await writer.close();
    expect(seen[0]).toBe('1 ok');
  });

  it('reports why the connection accepts no more, and aborts no message for it', async () => {
    const { writer, state, seen } = writerOf();
    state.refused = new Error('close sent');
    await expect(writer.write('x')).rejects.toThrow('close sent');
    await expect(writer.close()).rejects.toThrow('close sent');
    expect(seen).toEqual([]);
  });

  it('rejects the rest of a large write once the connection accepts no more', async () => {
    const { writer, state, seen, block } = writerOf();
    const room = block();
    const written = writer.write('abcdefghij');
    state.refused = new Error('close sent');
    room.resolve();
    await expect(written).rejects.toThrow('close sent');
    expect(seen).toEqual(['1... abcd', 'broken: close sent']);
  });

  it('aborts with bytes that are detached before they are written', async () => {
    const { writer, seen, block } = writerOf(BinaryMessage);
    const room = block();
    const bytes = new Uint8Array(40_000).fill(0x61);
    const written = writer.write(bytes);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    room.resolve();
    await expect(written).rejects.toThrow(/bytes of a pending write were detached/);
    expect(seen[1]).toMatch(/^broken: .*detached/);
  });

  it('copies what waits of less than 32 KiB: the caller may transfer the buffer', async () => {
    const { writer, seen, block } = writerOf(BinaryMessage);
    const room = block();
    const pieces = ['abcdefgh', 'ij'].map((text) => Uint8Array.from(Buffer.from(text)));
    const written = pieces.map((bytes) => writer.write(bytes));
    for (const { buffer } of pieces) structuredClone(buffer, { transfer: [buffer] });
    room.resolve();
    await Promise.all([...written, writer.close()]);
    expect(seen.slice(0, 3)).toEqual(['2... abcd', '0... efgh', '0 ij']);
  });

  it.each([
    [
      'the pool',
      (): Partial<ReturnType<typeof writerOf>> => {
        return writerOf(TextMessage, {
          take() {
            throw new Error('no memory');
          },
        });
      },
    ],
    [
      'the connection',
      () => {
        const ours = writerOf();
        ours.state.throws = new Error('no memory');
        return ours;
      },
    ],
  ] as const)('rejects with the error of %s, and closes', async (_, make) => {
    const { writer, seen, platform } = make() as ReturnType<typeof writerOf>;
    await expect(writer.write('abc').then(() => writer.close())).rejects.toThrow('no memory');
    await platform.settle();
    expect(seen).toEqual(['done']);
  });

  it('of a control frame sends it whole, in one frame of its type', async () => {
    const { writer, seen } = writerOf(PingMessage);
    await writer.write('x'.repeat(100));
    await writer.write('y'.repeat(25));
    await writer.close();
    const payload = 'x'.repeat(100) + 'y'.repeat(25);
    expect(seen).toEqual([`9 ${payload}`, 'complete 9 of 125', 'done']);
  });

  it('of a control frame refuses the 126th byte, and sends nothing', async () => {
    const { writer, seen, platform } = writerOf(PingMessage);
    const { lent } = sharedSlabPool();
    await writer.write('x'.repeat(100));
    await expect(writer.write('y'.repeat(26))).rejects.toBeInstanceOf(RangeError);
    await platform.settle();
    expect(seen).toEqual(['done']);
    expect(sharedSlabPool().lent).toBe(lent);
  });

  it('of a message with a buffer of 125 bytes is no control frame', async () => {
    const { connection, sink, seen } = writerOf();
    const writer = new MessageWriter(TextMessage, connection, sink, 125);
    await writer.write('x'.repeat(126));
    await writer.close();
    expect(seen.slice(0, 2)).toEqual([`1... ${'x'.repeat(125)}`, '0 x']);
  });

  it('aborts without an effect when no part was sent', async () => {
    const { writer, seen } = writerOf();
    const { lent } = sharedSlabPool();
    await writer.write('abc');
    writer.abort(new Error('enough'));
    writer.abort(new Error('again'));
    expect([seen, sharedSlabPool().lent]).toEqual([['done'], lent]);
    await expect(writer.write('x')).rejects.toBeInstanceOf(WriteClosedError);
  });

  it.each([
    [new Error('enough'), 'broken: enough'],
    [undefined, 'broken: websocket: write closed'],
  ])('aborts the connection when a part was sent: %s', async (reason, told) => {
    const { writer, seen } = writerOf();
    const { lent } = sharedSlabPool();
    await writer.write('abcde');
    writer.abort(reason);
    expect([seen.slice(1), sharedSlabPool().lent]).toEqual([[told], lent]);
  });

  it('aborts nothing when the connection has ended', async () => {
    const { writer, sink, seen } = writerOf();
    await writer.write('abcde');
    sink.sendQueue.stopAccepting(new WriteClosedError());
    writer.abort();
    expect(seen).toHaveLength(1);
  });

  it('fails with the connection, for the first reason', async () => {
    const { writer, seen } = writerOf();
    const { lent } = sharedSlabPool();
    await writer.write('abc');
    writer.fail(new Error('gone'));
    writer.fail(new Error('again'));
    expect(sharedSlabPool().lent).toBe(lent);
    await expect(writer.write('x')).rejects.toThrow('gone');
    await expect(writer.close()).rejects.toThrow('gone');
    expect(seen).toEqual([]);
  });

  it.each(['supersede', 'Symbol.asyncDispose'] as const)('is finished by %s', async (how) => {
    const { writer, seen, platform } = writerOf();
    await writer.write('abc');
    if (how === 'supersede') writer.supersede();
    else await writer[Symbol.asyncDispose]();
    await platform.settle();
    expect(seen).toEqual(['1 abc', 'complete 1 of 3', 'done']);
  });

  it('converts to a web stream, which can be aborted at once', async () => {
    const finished = writerOf();
    const sink = finished.writer.writable().getWriter();
    await sink.write('abcde');
    await sink.close();
    expect(finished.seen).toEqual(['1... abcd', '0 e', 'complete 1 of 5', 'done']);
    const cut = writerOf();
    cut.block();
    const blocked = cut.writer.writable().getWriter();
    blocked.write('abcde').catch(() => {});
    await cut.platform.settle();
    blocked.abort(new Error('enough')).catch(() => {});
    expect(cut.seen).toEqual(['1... abcd', 'broken: enough']);
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
      expect([conn.bufferedAmount, sharedSlabPool().lent]).toEqual([0, before]);
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
    const { conn, platform, sent } = wired('client', { writeBufferPool, writeBufferSize: 1_000 });
    await conn.send('x'.repeat(500));
    await conn.send('y'.repeat(2_000));
    await platform.settle();
    expect(sent()).toEqual(['text <500>', 'text <2000>']);
    expect(given.filter((buffer) => buffer === small)).toHaveLength(taken);
    expect(given.length).toBeGreaterThan(taken);
  });
});

describe('overlapping calls of a MessageWriter', () => {
  it('run after a waiting call, even if the first of them is done', async () => {
    const { writer, seen, platform, block } = writerOf();
    const first = block();
    void writer.write('abcde');
    void writer.write('fghij');
    const second = block();
    first.resolve();
    await platform.settle();
    expect(seen).toEqual(['1... abcd', '0... efgh']);
    void writer.write('k');
    second.resolve();
    await writer.close();
    expect(seen.slice(2, 3)).toEqual(['0 ijk']);
  });

  it('fail the connection once, for any later failure', async () => {
    const { writer, state, seen, platform, block } = writerOf();
    const room = block();
    const written = writer.write('abcdefghij');
    writer.abort(new Error('enough'));
    state.refused = new Error('gone');
    room.resolve();
    await expect(written).rejects.toThrow('gone');
    await platform.settle();
    expect(seen).toEqual(['1... abcd', 'broken: enough']);
  });

  it('close the message, and do not abort it, when abort() follows close()', async () => {
    const { writer, seen, block } = writerOf();
    const room = block();
    void writer.write('abcde');
    const closed = writer.close();
    writer.abort(new Error('too late'));
    room.resolve();
    await closed;
    expect(seen).toEqual(['1... abcd', '0 e', 'complete 1 of 5', 'done']);
  });

  it('fail the connection when its last fragment fails: no message may follow it', async () => {
    const { writer, state, seen, platform } = writerOf();
    await writer.write('abcde');
    state.throws = new Error('no memory');
    await expect(writer.close()).rejects.toThrow('no memory');
    await platform.settle();
    expect(seen).toEqual(['1... abcd', 'broken: no memory']);
  });

  it('check the limits only when they would wait', async () => {
    const { writer, state, seen } = writerOf();
    state.refusal = new Error('too much');
    expect(writer.write('abcde')).toBe(RESOLVED);
    await writer.close();
    expect(seen.slice(0, 2)).toEqual(['1... abcd', '0 e']);
  });

  it('accept an empty write, however many bytes wait', async () => {
    const { writer, state, seen, block } = writerOf();
    const room = block();
    const written = writer.write('abcde');
    state.refusal = new Error('too much');
    const nothing = writer.write('');
    const closed = writer.close();
    room.resolve();
    await Promise.all([written, nothing, closed]);
    expect(seen).toEqual(['1... abcd', '0 e', 'complete 1 of 5', 'done']);
  });

  it('wait with a full buffer as well', async () => {
    const { writer, seen, platform, block } = writerOf();
    await writer.write('abcd');
    const room = block();
    let written = false;
    void writer.write('e').then(() => (written = true));
    await platform.settle();
    expect([seen, written]).toEqual([['1... abcd'], false]);
    room.resolve();
    await platform.settle();
    expect(written).toBe(true);
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
