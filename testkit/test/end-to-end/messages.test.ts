import { describe, expect, it } from 'vitest';
import {
  everySize,
  expectSame,
  nothingLeft,
  OVER,
  pattern,
  waysOfReading,
} from '../../src/peers/index.ts';
import { bothOurs, DIRECTIONS } from './ours.ts';

describe.each(OVER)('our client and our server over %s', (_, secure) => {
  nothingLeft();

  describe.each(DIRECTIONS)('from $from to $to', ({ from, to }) => {
    it.each(waysOfReading)('carry every size, read by %s', async (_, read) => {
      const ends = await bothOurs(secure, { readLimit: 1 << 24, maxBufferedAmount: false });
      const sent = everySize();
      let at = 0;
      const reading = read(ends[to].conn, sent.length, ({ type, data }) => {
        expectSame(sent[at++]!, type, data);
      });
      for (const message of sent) await ends[from].conn.send(message);
      await reading;
      expect(at).toBe(sent.length);
      const { stats } = ends[to].conn;
      expect([stats.messagesIn, stats.bytesIn]).toEqual([
        sent.length,
        ends[from].conn.stats.bytesOut,
      ]);
    });

    it('ping, also between messages that wait', async () => {
      const ends = await bothOurs(secure, { maxBufferedAmount: false });
      const { conn } = ends[from];
      let got = 0;
      ends[to].conn.receive(() => void got++).catch(() => {});
      const trips: Promise<number>[] = [];
      for (let i = 0; i < 30; i++) {
        void conn.send(pattern(300_000, i));
        trips.push(conn.ping(pattern(i)));
      }
      const settled = await Promise.all(trips);
      expect(settled.every((trip) => trip > 0)).toBe(true);
      await conn.close();
      expect(got).toBe(30);
    });
  });

  it('echo in both directions at once', async () => {
    const { client, server } = await bothOurs(secure, { maxBufferedAmount: false });
    const sizes = Array.from({ length: 100 }, (_, i) => (i * 977) % 90_000);
    const ends = [client.conn, server.conn];
    // Each sends its own messages as text, and sends what it gets as text back as bytes.
    const checks = ends.map(async (conn, seed) => {
      let at = 0;
      await new Promise<void>((resolve, reject) => {
        const reading = conn.receive((message) => {
          // Not awaited: two ends that read on only when they have written would wait for each other.
          if (message.type === 1) {
            void conn.writeMessage(2, message);
            return;
          }
          const expected = 'x'.repeat(sizes[at]!) + seed;
          if (message.text() !== expected) reject(new Error(`echo ${at} differs`));
          if (++at === sizes.length) resolve();
        });
        reading.catch(reject);
        for (const size of sizes) void conn.send('x'.repeat(size) + seed);
      });
    });
    await Promise.all(checks);
  });
});
