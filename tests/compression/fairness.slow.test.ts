// Work of one connection in a turn, and input that costs much and delivers little. Counted in bytes and engines, not in
// time.
import { BinaryMessage } from '@ws/conn';
import { historyBytesOf } from '@ws/deflate/internal';
import { describe, expect, it } from 'vitest';
import { hex, nothingLeft, Random } from '../kit/index.ts';
import {
  BACKENDS,
  CountingSource,
  KIB,
  MIB,
  pack,
  pairOn,
  RSV1,
  someText,
  TAKEOVER,
  turns,
  wiredOn,
} from './support.ts';

/** Inflated bytes in a turn: the limit and one step that has begun. */
const A_TURN = 1280 * KIB + 64 * KIB;

/** The largest growth of `value` in one turn, until `done`. */
async function mostInATurn(value: () => number, done: () => boolean): Promise<number> {
  let most = 0;
  for (let before = value(); !done(); before = value()) {
    await turns(1);
    most = Math.max(most, value() - before);
  }
  return most;
}

describe.each(BACKENDS)('one compressed connection among others on %s', (backend) => {
  nothingLeft();

  it.each(['receive', 'readMessage', 'a reader', 'discardReads'] as const)(
    'inflates at most the budget of a turn, read by %s',
    async (how) => {
      const source = new CountingSource(backend);
      const bomber = wiredOn(backend, { source });
      const { conn } = bomber;
      let bytes = 0;
      const count = async (): Promise<void> => {
        for (let i = 0; i < 12; i++) {
          if (how === 'readMessage') bytes += (await conn.readMessage()).data.length;
          else for await (const piece of await conn.nextReader()) bytes += piece.length;
        }
      };
      const reading =
        how === 'receive'
          ? conn.receive((message) => {
              bytes += message.length;
            })
          : how === 'discardReads'
            ? conn.discardReads()
            : count();
      reading.catch(() => {});
      const bomb = bomber.frame(BinaryMessage, pack(Buffer.alloc(MIB)), { rsv: RSV1 });
      const most = mostInATurn(
        () => source.inflated,
        () => source.inflated >= 12 * MIB,
      );
      bomber.feed(...Array.from({ length: 12 }, () => bomb));
      expect(await most).toBeLessThanOrEqual(A_TURN + 1000);
      await turns();
      if (how !== 'discardReads') expect(bytes).toBe(12 * MIB);
      bomber.transport.break();
    },
  );

  it('inflates many small bombs over several turns', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame } = wiredOn(backend, { source });
    let got = 0;
    conn.receive(() => void got++).catch(() => {});
    const small = frame(BinaryMessage, pack(Buffer.alloc(4 * KIB)), { rsv: RSV1 });
    const most = mostInATurn(
      () => source.inflated,
      () => got === 2000,
    );
    feed(...Array.from({ length: 2000 }, () => small));
    expect(await most).toBeLessThanOrEqual(A_TURN);
  });

  it('yields to the event loop while it awaits its writes', async () => {
    const { client, server } = pairOn(backend, { compression: { level: 1 } });
    server.discardReads().catch(() => {});
    const text = someText(new Random(2), 30_000, 'words');
    let passed = 0;
    let sending = true;
    const counting = (async () => {
      for (; sending; passed++) await turns(1);
    })();
    for (let i = 0; i < 200; i++) await client.send(text);
    sending = false;
    await counting;
    // 1 MiB a turn. A compressed byte counts as nine.
    expect(passed).toBeGreaterThanOrEqual((200 * 9 * 30_000) / MIB / 2);
  });
});

/** Eight empty blocks with dynamic tables (RFC 1951, section 3.2.7): 91 bytes without output. */
const EMPTY_BLOCKS = hex(
  '04c081000000000010ffd524000e040000000080f8af260170200000000000c47f350980030100000000' +
    '20feab49001c080000000000f15f4d02e040000000000088ff6a120007020000000040fc579300381000' +
    '00000000e2bf9a',
);

describe.each(BACKENDS)('compressed input on %s', (backend) => {
  nothingLeft();

  it('without output pauses the transport like other input', async () => {
    const { conn, frame, transport } = wiredOn(backend);
    void conn.receive(() => {});
    await turns();
    const chunk = Buffer.concat(
      Array.from({ length: 8_000 }, () => frame(BinaryMessage, Uint8Array.of(0), { rsv: RSV1 })),
    );
    for (let i = 0; i < 10; i++) transport.feed(Buffer.from(chunk));
    expect(transport.paused).toBe(true);
    while (conn.stats.messagesIn < 80_000) await turns(1);
  });

  it('without output is limited in each turn by its compressed bytes', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame, transport, packed } = wiredOn(backend, { source });
    const message = Buffer.concat([
      ...Array.from({ length: 5_000 }, () => EMPTY_BLOCKS),
      Uint8Array.of(0),
    ]);
    const sizes: number[] = [];
    const received = conn.receive((m) => void sizes.push(m.length));
    await turns();
    const used = mostInATurn(
      () => source.used,
      () => sizes.length > 0,
    );
    feed(...packed(BinaryMessage, message), frame(8, Uint8Array.of(3, 232)));
    const most = await used;
    transport.feedEnd();
    expect(await received).toMatchObject({ code: 1000 });
    expect(sizes).toEqual([0]);
    // A compressed byte counts as 16. The functions of zlib take the whole message.
    const share = backend === 'sync' ? message.length : 80 * KIB + 16 * KIB;
    expect(most).toBeLessThanOrEqual(share);
  });

  it('with many final blocks is limited in each turn', async () => {
    const { conn, feed, frame, packed } = wiredOn(backend, { deflate: TAKEOVER });
    let messages = 0;
    void conn.receive(() => void messages++);
    feed(...packed(BinaryMessage, pack(Buffer.alloc(64 * KIB, 'history'))));
    await turns();
    const finals = Buffer.from('0300'.repeat(8), 'hex');
    const message = frame(BinaryMessage, finals, { rsv: RSV1 });
    let before = messages;
    let most = 0;
    const count = (): void => {
      most = Math.max(most, messages - before);
      before = messages;
    };
    feed(...Array.from({ length: 1_000 }, () => message));
    for (count(); messages < 1_001; count()) await turns(1);
    expect(most).toBeLessThanOrEqual(40);
  });

  it('of a closed connection is not counted and can still be read', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame, transport } = wiredOn(backend, { source, deflate: TAKEOVER });
    const message = frame(BinaryMessage, pack(Buffer.alloc(40 * KIB, 'abc')), { rsv: RSV1 });
    feed(message, message, message, message, message);
    // Without a read nobody would read what has arrived, and the end would drop it.
    await conn.readMessage();
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

  it('that close() discards does not count against the next message', async () => {
    const { conn, feed, frame, transport, packed } = wiredOn(backend);
    const received = conn.receive(() => {});
    await turns();
    const flushes = Buffer.alloc(1_400_000, Buffer.from('000000ffff', 'hex'));
    const message = Buffer.concat([
      pack(Buffer.alloc(100)),
      Buffer.from('0000ffff', 'hex'),
      flushes,
    ]);
    feed(...packed(BinaryMessage, Buffer.concat([message, Uint8Array.of(0)])));
    const closing = conn.close();
    feed(frame(BinaryMessage, Buffer.alloc(900_000)), frame(8, Uint8Array.of(3, 232)));
    transport.feedEnd();
    expect(await closing).toMatchObject({ code: 1000, wasClean: true });
    await received.catch(() => {});
  });
});
