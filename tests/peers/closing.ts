import { CloseMessage, CloseSentError } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { type Connector, opener, SOCKETS } from './connector.ts';
import { pattern } from './pattern.ts';

/** The closing handshake with `ws`, a peer that follows the rules, in every order. */
export function closingSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(
    `the closing handshake of our ${connector.role} with ws over %s`,
    (_, carrier) => {
      nothingLeft();
      const open = opener(connector, carrier);

      const CLOSES = [
        { code: 4001, reason: 'done' },
        { code: 1000, reason: '' },
        { code: 1001, reason: '' },
        { code: 3000, reason: 'é'.repeat(61) },
      ];
      it.each(CLOSES)(
        'is clean when our end closes first, with $code',
        async ({ code, reason }) => {
          const { conn, peer, over } = await open.ws();
          const closing = conn.close(code, reason);
          expect(conn.state).toBe('closing');
          const info = await over();
          // ws echoes the code and the reason.
          expect(info).toEqual({ code, reason, wasClean: true });
          expect(await closing).toBe(info);
          expect(await peer).toEqual({ code, reason });
        },
      );

      it.each(CLOSES)('is clean when ws closes first, with $code', async ({ code, reason }) => {
        const { ws, peer, over } = await open.ws();
        ws.close(code, reason);
        expect(await over()).toEqual({ code, reason, wasClean: true });
        expect(await peer).toEqual({ code, reason: '' });
      });

      it('is clean when both ends close at once', async () => {
        const { conn, ws, peer, over } = await open.ws();
        void conn.close(4001, 'ours');
        ws.close(4002, 'theirs');
        const info = await over();
        expect(info).toEqual({ code: 4002, reason: 'theirs', wasClean: true });
        expect(await peer).toEqual({ code: 4001, reason: 'ours' });
      });

      it.each(['our end', 'ws'])('is clean with an empty close frame from %s', async (from) => {
        const { conn, ws, peer, over } = await open.ws();
        const reading = conn.receive(() => {});
        if (from === 'ws') ws.close();
        else await conn.writeControl(CloseMessage);
        const info = await over();
        expect(info).toEqual({ code: 1005, reason: '', wasClean: true });
        expect(await reading).toEqual(info);
        expect(await peer).toEqual({ code: 1005, reason: '' });
      });

      it.each([
        ['awaited', true],
        ['not awaited', false],
      ])('is clean when a handler closes, %s', async (_, awaited) => {
        const { conn, ws, peer, over } = await open.ws();
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
        ws.send('second');
        await expect(reading).rejects.toMatchObject({ closeCode: 4003 });
        expect(await over()).toEqual({
          code: 4003,
          reason: 'within',
          wasClean: true,
        });
        expect(await peer).toEqual({ code: 4003, reason: 'within' });
        expect([handled, answers]).toEqual([2, ['first']]);
      });

      it('ends with our answer after all unread messages are read', async () => {
        const { conn, ws, peer, over } = await open.ws();
        const sent = [0, 1, 200, 70_000, 5, 300_000].map((size) => pattern(size));
        const lengths: number[] = [];
        ws.on('message', (data) => lengths.push(Number((data as Buffer).toString())));
        for (const bytes of sent) ws.send(bytes);
        ws.close(4004, 'after them');
        for (const bytes of sent) {
          const { data } = await conn.readMessage();
          expect(Buffer.compare(data, bytes)).toBe(0);
          // This answer is sent before the answer to the close frame.
          void conn.send(String(data.length));
        }
        await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 4004 });
        expect((await over()).wasClean).toBe(true);
        expect(await peer).toEqual({ code: 4004, reason: '' });
        expect(lengths).toEqual(sent.map((bytes) => bytes.length));
      });

      it('keeps unread messages up to readAhead when our end closes and reads no further', async () => {
        const { conn, ws, peer, over } = await open.ws();
        for (let i = 0; i < 10; i++) ws.send(pattern(70_000));
        const { data } = await conn.readMessage();
        expect(data.length).toBe(70_000);
        // A reader has half of the time for its next read.
        await conn.close(4005, '', { timeout: 2_000 });
        expect((await over()).wasClean).toBe(true);
        expect(await peer).toEqual({ code: 4005, reason: '' });
        let unread = 0;
        const read = async (): Promise<never> => {
          for (; ; unread++) expect((await conn.readMessage()).data).toEqual(data);
        };
        const end: unknown = await read().catch((error: unknown) => error);
        // It says that messages were lost, if they were lost while a reader wanted them.
        const { code } = end as { readonly code: string };
        expect(['WS_ERR_CLOSE', 'WS_ERR_TIMEOUT']).toContain(code);
        expect(unread + conn.stats.messagesDropped).toBe(9);
      });

      it('happens once for two calls of close, with the first code', async () => {
        const { conn, peer, over } = await open.ws();
        const first = conn.close(4006, 'first');
        const second = conn.close(4007, 'second');
        await expect(conn.send('late')).rejects.toBeInstanceOf(CloseSentError);
        const info = await over();
        expect([await first, await second, await conn.close()]).toEqual([info, info, info]);
        expect(info).toEqual({ code: 4006, reason: 'first', wasClean: true });
        expect(await peer).toEqual({ code: 4006, reason: 'first' });
      });

      it('starts after all accepted writes are sent', async () => {
        const { conn, ws, over } = await open.ws();
        const sent = [100, 65_537, 1 << 20, 3, 2 << 20, 0].map((size, i) => pattern(size, i + 1));
        const got: Buffer[] = [];
        ws.on('message', (data) => got.push(data as Buffer));
        const written = sent.map((bytes) => conn.send(bytes));
        void conn.close(4008);
        expect((await over()).wasClean).toBe(true);
        await Promise.all(written);
        expect(got.map((bytes, i) => Buffer.compare(bytes, sent[i]!))).toEqual(sent.map(() => 0));
      });

      it('ends with 1006 after terminate() at our end, also while it is closing', async () => {
        for (const closes of [false, true]) {
          const { conn, peer, over } = await open.ws();
          const reading = conn.readMessage();
          const closing = closes ? conn.close(4009) : undefined;
          conn.terminate();
          expect(await over()).toMatchObject({ code: 1006, wasClean: false });
          if (closes) expect(await closing).toMatchObject({ code: 1006 });
          else expect((await peer).code).toBe(1006);
          await expect(reading).rejects.toMatchObject({ closeCode: 1006 });
        }
      });

      it('ends with 1006 after terminate() of ws', async () => {
        const { conn, ws, over } = await open.ws();
        const reading = conn.readMessage();
        ws.terminate();
        expect(await over()).toMatchObject({ code: 1006, wasClean: false });
        await expect(reading).rejects.toThrow('websocket: ');
      });
    },
  );
}
