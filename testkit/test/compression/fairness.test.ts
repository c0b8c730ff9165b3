// What one connection costs in a turn of the event loop, counted in bytes, not in time.
import { BinaryMessage, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, Random } from '../../src/peers/index.ts';
import {
  BACKENDS,
  CountingSource,
  KIB,
  MIB,
  pack,
  pairOn,
  someText,
  turns,
  until,
  wiredOn,
} from './support.ts';

const RSV1 = 0x40;
/** What is inflated in a turn, and a step of it that was begun. */
const A_TURN = 256 * KIB + 64 * KIB;

/** The most bytes that `source` inflated between two turns of the event loop, until `done` is. */
async function mostInATurn(source: CountingSource, done: () => boolean): Promise<number> {
  let most = 0;
  let now = 0;
  source.onInflated = (bytes) => {
    now += bytes;
    most = Math.max(most, now);
  };
  while (!done()) {
    await turns(1);
    now = 0;
  }
  source.onInflated = undefined;
  return most;
}

describe.each(BACKENDS)('one compressed connection among others on %s', (backend) => {
  nothingLeft();

  it.each(['receive', 'readMessage', 'a reader', 'discardReads'] as const)(
    'has no more inflated in a turn than its share, read by %s',
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
      const most = mostInATurn(source, () => source.inflated >= 12 * MIB);
      bomber.feed(...Array.from({ length: 12 }, () => bomb));

      // Meanwhile another one is served within a few turns of its own.
      const other = pairOn(backend, {}, source);
      void other.server.receive((message) => other.server.send(message)).catch(() => {});
      const question = someText(new Random(1), 500, 'words');
      let asked = 0;
      let slowest = 0;
      while (source.inflated < 10 * MIB) {
        void other.client.send(question);
        let waited = 0;
        let answered = false;
        void other.client.readMessage().then(() => {
          answered = true;
        });
        for (; !answered; waited++) await turns(1);
        slowest = Math.max(slowest, waited);
        asked++;
      }
      expect(await most).toBeLessThanOrEqual(A_TURN + 1000);
      expect(asked).toBeGreaterThan(3);
      expect(slowest).toBeLessThanOrEqual(4);
      await turns();
      if (how !== 'discardReads') expect(bytes).toBe(12 * MIB);
      bomber.transport.break();
      await other.client.close();
    },
  );

  it('has many small bombs inflated in turns too', async () => {
    const source = new CountingSource(backend);
    const { conn, feed, frame, transport } = wiredOn(backend, { source });
    let got = 0;
    conn.receive(() => void got++).catch(() => {});
    const small = frame(BinaryMessage, pack(Buffer.alloc(4 * KIB)), { rsv: RSV1 });
    const most = mostInATurn(source, () => got === 2000);
    feed(...Array.from({ length: 2000 }, () => small));
    expect(await most).toBeLessThanOrEqual(A_TURN);
    transport.break();
  });

  it('that awaits its writes lets the event loop turn', async () => {
    const { client, server, source } = pairOn(backend, { compression: { level: 1 } });
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
    // 1 MiB a turn, a byte that is compressed counted as eight more.
    expect(passed).toBeGreaterThanOrEqual((200 * 9 * 30_000) / MIB / 2);
    expect(source.jobs).toBe(0);
    await client.close();
  });

  it('has large messages compressed elsewhere, a few at a time', async () => {
    const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
    const text = someText(new Random(3), 40_000, 'words');
    const others = Array.from({ length: 20 }, () =>
      pairOn(backend, { maxBufferedAmount: false }, source),
    );
    let got = 0;
    for (const pair of [...others, { client, server }]) {
      pair.server
        .receive((message) => {
          if (message.type === TextMessage && message.length === Buffer.byteLength(text)) got++;
        })
        .catch(() => {});
      for (let i = 0; i < 3; i++) void pair.client.send(text);
      // One of each connection at a time.
      expect(source.pending).toBeLessThanOrEqual(21);
    }
    await until(() => got === 63);
    expect(source.jobs).toBe(63);
    for (const pair of [...others, { client, server }]) await pair.client.close();
  });
});
