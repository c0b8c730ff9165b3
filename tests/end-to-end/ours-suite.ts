import type { CloseInfo } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import {
  type Carrier,
  expectNoSockets,
  nothingLeft,
  ourEndClosed,
  pattern,
  turn,
} from '../peers/index.ts';
import { type BothOurs, bothOurs } from './ours.ts';

/** Waits until both ends are closed, and checks that no socket is left. */
async function bothClosed(ends: BothOurs): Promise<{ client: CloseInfo; server: CloseInfo }> {
  const [client, server] = await Promise.all([ends.client, ends.server].map(ourEndClosed));
  await expectNoSockets();
  return { client: client!, server: server! };
}

/** Our code at both ends of a connection. */
export function oursSuite(carriers: readonly (readonly [string, Carrier])[]): void {
  describe.each(carriers)('our client and our server over %s', (_, carrier) => {
    nothingLeft();

    describe.each([
      { from: 'client', to: 'server' },
      { from: 'server', to: 'client' },
    ] as const)('from $from to $to', ({ from, to }) => {
      it('ping between queued messages', async () => {
        const ends = await bothOurs(carrier, { maxBufferedAmount: false });
        const { conn } = ends[from];
        let got = 0;
        ends[to].conn.receive(() => void got++).catch(() => {});
        const trips: Promise<number>[] = [];
        for (let i = 0; i < 30; i++) {
          void conn.send(pattern(300_000, i));
          trips.push(conn.ping(pattern(i)));
        }
        expect((await Promise.all(trips)).every((trip) => trip > 0)).toBe(true);
        await conn.close();
        expect(got).toBe(30);
      });

      it('keep sent messages for a late reader', async () => {
        const ends = await bothOurs(carrier, { closeTimeout: 300 });
        const { conn } = ends[from];
        for (let i = 0; i < 40; i++) {
          void conn.send(pattern(5_000, i));
          void ends[to].conn.send(pattern(5_000, i));
        }
        // A write that fails after the reset would end the reading too.
        while (conn.bufferedAmount + ends[to].conn.bufferedAmount > 0) await turn();
        // The other end has not read up to the close frame.
        expect(await conn.close(4003)).toMatchObject({ code: 1006, wasClean: false });
        for (let i = 0; i < 40; i++) {
          const { data } = await ends[to].conn.readMessage();
          expect(pattern(5_000, i).equals(data)).toBe(true);
        }
        await expect(ends[to].conn.readMessage()).rejects.toMatchObject({ closeCode: 4003 });
        expect((await bothClosed(ends))[to]).toMatchObject({ code: 4003 });
      });
    });

    it('close cleanly when handlers of both ends close', async () => {
      const ends = await bothOurs(carrier);
      const conns = [ends.client.conn, ends.server.conn];
      const within = conns.map((conn) => conn.receive(() => conn.close(4004).then(() => {})));
      for (const conn of conns) void conn.send('go');
      const settled = await Promise.allSettled(within);
      expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
      const info = { code: 4004, reason: '', wasClean: true };
      expect(await bothClosed(ends)).toEqual({ client: info, server: info });
    });

    it('close cleanly when both close at once, twice', async () => {
      const ends = await bothOurs(carrier);
      const [client, server] = [ends.client.conn, ends.server.conn];
      const all = [client.close(4005, 'the client'), server.close(4006, 'the server')];
      all.push(client.close(4007), server.close(4008));
      const infos = await bothClosed(ends);
      expect(infos).toEqual({
        client: { code: 4006, reason: 'the server', wasClean: true },
        server: { code: 4005, reason: 'the client', wasClean: true },
      });
      const both = [infos.client, infos.server];
      expect(await Promise.all(all)).toEqual([...both, ...both]);
    });

    it('echo in both directions at once', async () => {
      const { client, server } = await bothOurs(carrier, { maxBufferedAmount: false });
      const sizes = Array.from({ length: 100 }, (_, i) => (i * 977) % 90_000);
      // Each end sends texts and answers each text with bytes.
      const checks = [client.conn, server.conn].map(async (conn, seed) => {
        let at = 0;
        await new Promise<void>((resolve, reject) => {
          const reading = conn.receive((message) => {
            // Not awaited: two ends that await their writes before the next read block each other.
            if (message.type === 1) return void conn.writeMessage(2, message);
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
}
