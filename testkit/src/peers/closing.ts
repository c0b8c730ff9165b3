import { CloseMessage, CloseSentError } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from './leftovers.ts';
import { pattern } from './pattern.ts';
import { allGone, OVER, type Stage, wsClosed } from './stage.ts';

/** The closing handshake with a peer that keeps the rules, `ws`, in every order. */
export function closingSuite(stage: Stage): void {
  describe.each(OVER)(`our ${stage.role} and ws over %s, closing,`, (_, secure) => {
    nothingLeft();

    it.each([
      { says: 'a code and a reason', code: 4001, reason: 'done' },
      { says: 'a code alone', code: 1001, reason: '' },
      { says: 'the longest reason', code: 3000, reason: 'é'.repeat(61) },
    ])('end cleanly when we are first, with $says', async ({ code, reason }) => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      const closing = ours.conn.close(code, reason);
      expect(ours.conn.state).toBe('closing');
      const info = await allGone(ours, peer);
      // ws answers with what it got.
      expect(info).toEqual({ code, reason, wasClean: true });
      expect(await closing).toBe(info);
      expect(await peer).toEqual({ code, reason });
    });

    it.each([
      { says: 'a code and a reason', code: 4001, reason: 'done' },
      { says: 'a code alone', code: 1000, reason: '' },
      { says: 'the longest reason', code: 3000, reason: 'é'.repeat(61) },
    ])('end cleanly when they are first, with $says', async ({ code, reason }) => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      ours.ws.close(code, reason);
      expect(await allGone(ours, peer)).toEqual({ code, reason, wasClean: true });
      expect(await peer).toEqual({ code, reason: '' });
    });

    it('end cleanly when both are first', async () => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      void ours.conn.close(4001, 'ours');
      ours.ws.close(4002, 'theirs');
      const info = await allGone(ours, peer);
      expect(info).toEqual({ code: 4002, reason: 'theirs', wasClean: true });
      expect(await peer).toEqual({ code: 4001, reason: 'ours' });
    });

    it('end cleanly by an empty close frame of ours', async () => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      await ours.conn.writeControl(CloseMessage);
      expect(await allGone(ours, peer)).toEqual({ code: 1005, reason: '', wasClean: true });
      expect(await peer).toEqual({ code: 1005, reason: '' });
    });

    it('end cleanly by an empty close frame of theirs', async () => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      const reading = ours.conn.receive(() => {});
      ours.ws.close();
      const info = await allGone(ours, peer);
      expect(info).toEqual({ code: 1005, reason: '', wasClean: true });
      expect(await reading).toEqual(info);
      expect(await peer).toEqual({ code: 1005, reason: '' });
    });

    it.each([
      ['awaited', true],
      ['not awaited', false],
    ])('end cleanly from within a handler, %s', async (_, awaited) => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      let handled = 0;
      const reading = conn.receive((message) => {
        handled++;
        void conn.send(message);
        const closing = conn.close(4003, 'within');
        return awaited ? closing.then(() => {}) : undefined;
      });
      const answers: string[] = [];
      ws.on('message', (data) => answers.push((data as Buffer).toString()));
      ws.send('first');
      ws.send('dropped');
      await expect(reading).rejects.toMatchObject({ closeCode: 4003 });
      expect(await allGone(ours, peer)).toEqual({ code: 4003, reason: 'within', wasClean: true });
      expect(await peer).toEqual({ code: 4003, reason: 'within' });
      expect([handled, answers]).toEqual([1, ['first']]);
    });

    it('are answered by us behind the messages that wait unread', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      const sent = [0, 1, 200, 70_000, 5, 300_000].map((size) => pattern(size));
      const lengths: number[] = [];
      ws.on('message', (data) => lengths.push(Number((data as Buffer).toString())));
      for (const bytes of sent) ws.send(bytes);
      ws.close(4004, 'after them');
      for (const bytes of sent) {
        const { data } = await conn.readMessage();
        expect(Buffer.compare(data, bytes)).toBe(0);
        // Its answer leaves in front of ours to the close frame.
        void conn.send(String(data.length));
      }
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4004 });
      expect((await allGone(ours, peer)).wasClean).toBe(true);
      expect(await peer).toEqual({ code: 4004, reason: '' });
      expect(lengths).toEqual(sent.map((bytes) => bytes.length));
    });

    it('drop messages that wait unread when we close, also while paused by them', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      for (let i = 0; i < 10; i++) ws.send(pattern(70_000));
      const { data } = await conn.readMessage();
      expect(data.length).toBe(70_000);
      await conn.close(4005);
      expect((await allGone(ours, peer)).wasClean).toBe(true);
      expect(await peer).toEqual({ code: 4005, reason: '' });
      await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4005 });
    });

    it('are one when closed twice, and the first code counts', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      const first = conn.close(4006, 'first');
      const second = conn.close(4007, 'second');
      await expect(conn.send('late')).rejects.toBeInstanceOf(CloseSentError);
      const info = await allGone(ours, peer);
      expect([await first, await second, await conn.close()]).toEqual([info, info, info]);
      expect(info).toEqual({ code: 4006, reason: 'first', wasClean: true });
      expect(await peer).toEqual({ code: 4006, reason: 'first' });
    });

    it('send everything that was accepted first', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      const sent = [100, 65_537, 1 << 20, 3, 2 << 20, 0].map((size, i) => pattern(size, i + 1));
      const got: Buffer[] = [];
      ws.on('message', (data) => got.push(data as Buffer));
      const written = sent.map((bytes) => conn.send(bytes));
      void conn.close(4008);
      expect((await allGone(ours, peer)).wasClean).toBe(true);
      await Promise.all(written);
      expect(got.map((bytes, i) => Buffer.compare(bytes, sent[i]!))).toEqual(sent.map(() => 0));
    });

    it('are cut off by terminate() on our side', async () => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      const reading = ours.conn.readMessage();
      ours.conn.terminate();
      expect(await allGone(ours, peer)).toMatchObject({ code: 1006, wasClean: false });
      expect((await peer).code).toBe(1006);
      await expect(reading).rejects.toMatchObject({ closeCode: 1006 });
    });

    it('are cut off by terminate() on their side', async () => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      const reading = ours.conn.readMessage();
      ours.ws.terminate();
      expect(await allGone(ours, peer)).toMatchObject({ code: 1006, wasClean: false });
      await expect(reading).rejects.toThrow('websocket: ');
    });

    it('are cut off by terminate() in the middle of closing', async () => {
      const ours = await stage.ws(secure);
      const peer = wsClosed(ours.ws);
      const closing = ours.conn.close(4009);
      ours.conn.terminate();
      expect(await allGone(ours, peer)).toMatchObject({ code: 1006, wasClean: false });
      expect(await closing).toMatchObject({ code: 1006 });
    });
  });
}
