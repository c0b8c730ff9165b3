// What costs much and gives little: counted in bytes and engines, not in time.
import { BinaryMessage, historyBytesOf } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../../src/peers/index.ts';
import { BACKENDS, CountingSource, KIB, MIB, pack, TAKEOVER, turns, wiredOn } from './support.ts';

const RSV1 = 0x40;

/** Bits as DEFLATE packs them: the lowest of a byte first. */
function bits(...fields: readonly (readonly [value: number, width: number])[]): Buffer {
  const all = fields.flatMap(([value, width]) =>
    Array.from({ length: width }, (_, i) => (value >> i) & 1),
  );
  return Buffer.from(
    Array.from({ length: Math.ceil(all.length / 8) }, (_, i) =>
      all.slice(i * 8, i * 8 + 8).reduce((byte, bit, j) => byte | (bit << j), 0),
    ),
  );
}

/** Eight blocks with tables of their own and nothing in them (RFC 1951, section 3.2.7): 91 bytes for no plain byte. */
function emptyDynamicBlocks(): Buffer {
  const lengths = Array.from({ length: 18 }, (_, i): [number, number] => [
    i === 2 || i === 17 ? 1 : 0,
    3,
  ]);
  const block: [number, number][] = [
    [0, 1],
    [2, 2],
    [0, 5],
    [0, 5],
    [14, 4],
    ...lengths,
    [0, 1],
    [1, 1],
    [127, 7],
    [1, 1],
    [106, 7],
    [0, 1],
    [0, 1],
    [1, 1],
  ];
  return bits(...Array.from({ length: 8 }, () => block).flat());
}

describe.each(BACKENDS)('compressed input on %s', (backend) => {
  nothingLeft();

  it('that gives nothing is held back like any other', async () => {
    const { conn, frame, transport } = wiredOn(backend);
    void conn.receive(() => {});
    await turns();
    const chunk = Buffer.concat(
      Array.from({ length: 8_000 }, () => frame(BinaryMessage, Uint8Array.of(0), { rsv: RSV1 })),
    );
    for (let i = 0; i < 10; i++) transport.feed(Buffer.from(chunk));
    expect(transport.paused).toBe(true);
    while (conn.stats.messagesIn < 80_000) await turns(1);
    transport.break();
  });

  it('that gives nothing is bounded in each turn, by its own bytes', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame, transport } = wiredOn(backend, { source });
    const blocks = emptyDynamicBlocks();
    const message = Buffer.concat([
      ...Array.from({ length: 5_000 }, () => blocks),
      Uint8Array.of(0),
    ]);
    const sizes: number[] = [];
    const received = conn.receive((m) => void sizes.push(m.length));
    await turns();
    feed(frame(BinaryMessage, message, { rsv: RSV1 }), frame(8, Uint8Array.of(3, 232)));
    let most = 0;
    for (let before = 0; sizes.length === 0; ) {
      await turns(1);
      most = Math.max(most, source.used - before);
      before = source.used;
    }
    transport.feedEnd();
    expect(await received).toMatchObject({ code: 1000 });
    expect(sizes).toEqual([0]);
    expect(most).toBeLessThanOrEqual(64 * KIB);
  });

  it('that begins anew again and again is bounded in each turn', async () => {
    const { conn, feed, frame, transport } = wiredOn(backend, { deflate: TAKEOVER });
    let messages = 0;
    void conn.receive(() => void messages++);
    feed(frame(BinaryMessage, pack(Buffer.alloc(64 * KIB, 'history')), { rsv: RSV1 }));
    await turns();
    const finals = Buffer.from('0300'.repeat(8), 'hex');
    const message = frame(BinaryMessage, finals, { rsv: RSV1 });
    feed(...Array.from({ length: 1_000 }, () => message));
    let most = 0;
    for (let before = messages; messages < 1_001; ) {
      await turns(1);
      most = Math.max(most, messages - before);
      before = messages;
    }
    expect(most).toBeLessThanOrEqual(300);
    transport.break();
  });

  it('that nobody reads takes no more engines than there may be', async () => {
    const source = new CountingSource(backend);
    const frameOf = pack(Buffer.alloc(500_000));
    const all = Array.from({ length: 400 }, () => wiredOn(backend, { source }));
    for (const { feed, frame } of all) feed(frame(BinaryMessage, frameOf, { rsv: RSV1 }));
    await turns();
    expect(source.inflaters).toBeLessThanOrEqual(256);
    // Whoever asks is served all the same.
    const last = await all.at(-1)!.conn.readMessage();
    expect(last.data.length).toBe(500_000);
    for (const { transport } of all) transport.break();
    await turns();
    // The one that was taken beyond them is kept for the next.
    expect(source.inflaters).toBeLessThanOrEqual(256 + 1);
  });

  it('of those who are gone and unread is not counted, and can still be read', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame, transport } = wiredOn(backend, { source, deflate: TAKEOVER });
    const message = frame(BinaryMessage, pack(Buffer.alloc(40 * KIB, 'abc')), { rsv: RSV1 });
    feed(message, message, message, message);
    await turns();
    expect(historyBytesOf(source)).toBeGreaterThan(0);
    transport.break();
    await turns();
    expect(historyBytesOf(source)).toBe(0);
    expect(conn.stats.compressionBytes).toBe(0);
    for (let i = 0; i < 4; i++) {
      expect(Buffer.from((await conn.readMessage()).data)).toEqual(Buffer.alloc(40 * KIB, 'abc'));
    }
    await expect(conn.readMessage()).rejects.toThrow();
    expect(historyBytesOf(source)).toBe(0);
  });

  it('of those who are gone is inflated as far as somebody reads', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame, transport } = wiredOn(backend, { source, readLimit: false });
    feed(frame(BinaryMessage, pack(Buffer.alloc(20 * MIB)), { rsv: RSV1 }));
    const reader = await conn.nextReader();
    expect(await reader.read(new Uint8Array(10))).toBe(10);
    transport.break();
    await turns();
    expect(source.inflated).toBeLessThan(MIB);
    expect((await reader.bytes()).length).toBe(20 * MIB - 10);
  });

  it('that is dropped in the middle leaves the limit of the next message alone', async () => {
    const { conn, feed, frame, transport } = wiredOn(backend);
    const received = conn.receive(() => {});
    await turns();
    const flushes = Buffer.alloc(1_400_000, Buffer.from('000000ffff', 'hex'));
    const message = Buffer.concat([
      pack(Buffer.alloc(100)),
      Buffer.from('0000ffff', 'hex'),
      flushes,
    ]);
    feed(frame(BinaryMessage, Buffer.concat([message, Uint8Array.of(0)]), { rsv: RSV1 }));
    const closing = conn.close();
    feed(frame(BinaryMessage, Buffer.alloc(900_000)), frame(8, Uint8Array.of(3, 232)));
    transport.feedEnd();
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
    await received.catch(() => {});
  });
});

describe('a message in many small pieces on oneshot', () => {
  nothingLeft();

  it('is not inflated anew for each of them', async () => {
    const source = new CountingSource('oneshot');
    const { conn, feed, frame, transport } = wiredOn('oneshot', { source, role: 'client' });
    void conn.discardReads();
    await turns();
    const message = pack(Buffer.alloc(8 * MIB));
    const first = message.subarray(0, message.length - 64);
    feed(frame(BinaryMessage, first, { rsv: RSV1, fin: false }));
    for (let i = message.length - 64; i < message.length; i++) {
      feed(frame(0, message.subarray(i, i + 1), { fin: i === message.length - 1 }));
    }
    while (conn.stats.messagesIn === 0) await turns(1);
    expect(source.again).toBeLessThanOrEqual(5 * 8 * MIB);
    transport.break();
  });
});
