import { type CloseInfo, CloseMessage, type Conn } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { turn } from '../../src/index.ts';
import { ended, expectNoSockets, nothingLeft, OVER, pattern } from '../../src/peers/index.ts';
import { type BothOurs, bothOurs, DIRECTIONS } from './ours.ts';

/** Both ends are closed, and nothing of them is left. */
async function allGone(ends: BothOurs): Promise<{ client: CloseInfo; server: CloseInfo }> {
  const [client, server] = await Promise.all([ended(ends.client), ended(ends.server)]);
  await expectNoSockets();
  return { client, server };
}

describe.each(OVER)('our client and our server over %s, closing,', (_, secure) => {
  nothingLeft();

  describe.each(DIRECTIONS)('with the $from first', ({ from, to }) => {
    it.each([
      { code: 1000, reason: '' },
      { code: 4001, reason: 'done' },
      { code: 1013, reason: 'é'.repeat(61) },
    ])('end cleanly with $code', async ({ code, reason }) => {
      const ends = await bothOurs(secure);
      const closing = ends[from].conn.close(code, reason);
      const infos = await allGone(ends);
      // The code comes back, the reason does not.
      expect(infos[from]).toEqual({ code, reason: '', wasClean: true });
      expect(infos[to]).toEqual({ code, reason, wasClean: true });
      expect(await closing).toBe(infos[from]);
    });

    it('end cleanly by an empty close frame', async () => {
      const ends = await bothOurs(secure);
      await ends[from].conn.writeControl(CloseMessage);
      const infos = await allGone(ends);
      const info = { code: 1005, reason: '', wasClean: true };
      expect(infos).toEqual({ client: info, server: info });
    });

    it('end every way of reading at the other end', async () => {
      for (const read of [
        (conn: Conn) => conn.receive(() => {}).then(() => 'done'),
        (conn: Conn) => conn.discardReads().then(() => 'done'),
        (conn: Conn) => conn.readMessage().catch((error: Error) => error.message),
        async (conn: Conn) => {
          for await (const message of conn) expect(message).toBe('never');
          return 'done';
        },
      ]) {
        const ends = await bothOurs(secure);
        const reading = read(ends[to].conn);
        await ends[from].conn.close(1001);
        expect(await reading).toMatch(/^done$|close 1001 \(going away\)/);
        await allGone(ends);
      }
    });

    it('deliver all that was accepted before, and all the answers to it', async () => {
      const ends = await bothOurs(secure, { maxBufferedAmount: false, readLimit: false });
      const sizes = [0, 70_000, 3, 1 << 20, 3 << 20, 125];
      const answers: number[] = [];
      const got: boolean[] = [];
      ends[from].conn.receive((message) => void answers.push(message.length)).catch(() => {});
      const reading = ends[to].conn.receive(async (message) => {
        got.push(pattern(sizes[got.length]!, got.length + 1).equals(message.data));
        await ends[to].conn.send(message.data.subarray(0, 10));
      });
      sizes.forEach((size, i) => void ends[from].conn.send(pattern(size, i + 1)));
      void ends[from].conn.close(4002);
      await expect(reading).rejects.toMatchObject({ closeCode: 4002 });
      const infos = await allGone(ends);
      expect(got).toEqual(sizes.map(() => true));
      // What comes after our close frame went out is dropped.
      expect(answers).toEqual([]);
      expect(infos[to]).toEqual({ code: 4002, reason: '', wasClean: true });
      expect(infos[from].wasClean).toBe(true);
    });

    it('leave a reader that comes too late all that was sent to it', async () => {
      const ends = await bothOurs(secure, { closeTimeout: 60 });
      const { conn } = ends[from];
      for (let i = 0; i < 40; i++) {
        void conn.send(pattern(5_000, i));
        void ends[to].conn.send(pattern(5_000, i));
      }
      while (conn.bufferedAmount > 0) await turn();
      // Behind all that nobody reads, the other end does not even see the close frame.
      expect(await conn.close(4003)).toMatchObject({ code: 1006, wasClean: false });
      for (let i = 0; i < 40; i++) {
        const { data } = await ends[to].conn.readMessage();
        expect(pattern(5_000, i).equals(data)).toBe(true);
      }
      await expect(ends[to].conn.readMessage()).rejects.toMatchObject({ closeCode: 4003 });
      const infos = await allGone(ends);
      expect(infos[to]).toMatchObject({ code: 4003 });
    });

    it('end when closed within a handler, by both', async () => {
      const ends = await bothOurs(secure);
      const within = [ends[from].conn, ends[to].conn].map((conn) =>
        conn.receive(async () => {
          await conn.close(4004);
        }),
      );
      void ends[from].conn.send('go');
      void ends[to].conn.send('go');
      const settled = await Promise.allSettled(within);
      expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
      const infos = await allGone(ends);
      const info = { code: 4004, reason: '', wasClean: true };
      expect(infos).toEqual({ client: info, server: info });
    });

    it('tell both of terminate()', async () => {
      const ends = await bothOurs(secure);
      ends[from].conn.terminate();
      const infos = await allGone(ends);
      const info = { code: 1006, wasClean: false };
      expect(infos).toMatchObject({ client: info, server: info });
    });
  });

  it('end cleanly when both are first', async () => {
    const ends = await bothOurs(secure);
    void ends.client.conn.close(4005, 'the client');
    void ends.server.conn.close(4006, 'the server');
    expect(await allGone(ends)).toEqual({
      client: { code: 4006, reason: 'the server', wasClean: true },
      server: { code: 4005, reason: 'the client', wasClean: true },
    });
  });

  it('end once however often they are closed', async () => {
    const ends = await bothOurs(secure);
    const { client, server } = ends;
    const all = [client, server, client, server].map(({ conn }, i) => conn.close(4000 + i));
    const infos = await allGone(ends);
    expect(await Promise.all(all)).toEqual([
      infos.client,
      infos.server,
      infos.client,
      infos.server,
    ]);
    expect([infos.client.code, infos.server.code]).toEqual([4001, 4000]);
  });
});
