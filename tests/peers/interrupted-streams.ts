import { BinaryMessage, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { type Connector, opener, SOCKETS, wsClosed } from './connector.ts';
import { pattern } from './pattern.ts';

/** Streamed messages that the end of the connection interrupts. */
export function interruptedStreamSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(
    `a stream of our ${connector.role} over %s is interrupted`,
    (_, carrier) => {
      nothingLeft();
      const open = opener(connector, carrier);

      it('by our close frame while it is written', async () => {
        const { conn, ws, peer, over } = await open.ws();
        const got: unknown[] = [];
        ws.on('message', (data) => got.push(data));
        const writer = await conn.nextWriter(BinaryMessage);
        await writer.write(pattern(10_000));
        const waiting = conn.send('queued');
        const closing = conn.close(4001, 'enough');
        await expect(writer.write(pattern(10_000))).rejects.toMatchObject({
          code: 'WS_ERR_CLOSE_SENT',
        });
        await expect(writer.close()).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
        await expect(waiting).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
        expect((await closing).wasClean).toBe(true);
        await over();
        expect(await peer).toEqual({ code: 4001, reason: 'enough' });
        expect(got).toEqual([]);
      });

      it('by abort() while it is written, which fails the connection with 1011', async () => {
        const { conn, peer, over } = await open.ws();
        const first = await conn.nextWriter(TextMessage);
        await first.write('never sent');
        first.abort();
        const writer = await conn.nextWriter(TextMessage);
        const source = new ReadableStream<string>({
          pull(controller) {
            controller.enqueue('x'.repeat(5_000));
            controller.error(new Error('the source is dry'));
          },
        });
        await writer.write('y'.repeat(5_000));
        await expect(source.pipeTo(writer.writable())).rejects.toThrow('the source is dry');
        expect(await over()).toMatchObject({
          code: 1011,
          error: { message: 'the source is dry' },
        });
        expect((await peer).code).toBe(1011);
      });

      it('by the close frame of the peer while it is read', async () => {
        const { conn, peer, over } = await open.raw();
        await peer.send(2, 'begun', false);
        const reader = await conn.nextReader();
        const into = new Uint8Array(100);
        expect(await reader.read(into)).toBe(5);
        const pending = reader.read(into);
        await peer.send(8, Buffer.from([0x0f, 0xa1]));
        const cut = { code: 'WS_ERR_TRANSPORT', cause: { closeCode: 4001 } };
        await expect(pending).rejects.toMatchObject(cut);
        await expect(reader.bytes()).rejects.toMatchObject(cut);
        peer.end();
        expect(await over()).toMatchObject({ code: 4001, wasClean: true });
      });

      it('by our close() while it is read', async () => {
        const { conn, ws, over } = await open.ws();
        ws.send(pattern(500_000), { fin: false });
        const reader = await conn.nextReader();
        await reader.read(new Uint8Array(10));
        const rest = reader.bytes();
        await conn.close(4001);
        const cut = { cause: { closeCode: 4001 } };
        await expect(rest).rejects.toMatchObject(cut);
        await expect(conn.nextReader()).rejects.toMatchObject(cut);
        await over();
      });

      it('by a FIN while it is read and written', async () => {
        const { conn, peer, over } = await open.raw();
        await peer.send(2, pattern(3_000), false);
        const writer = await conn.nextWriter(BinaryMessage);
        await writer.write(pattern(9_000));
        const reader = await conn.nextReader();
        const all = reader.bytes();
        peer.end();
        await expect(all).rejects.toMatchObject({ reason: 'unexpected EOF' });
        await expect(writer.write('x')).rejects.toMatchObject({ reason: 'unexpected EOF' });
        await expect(conn.nextWriter(1)).rejects.toMatchObject({ reason: 'unexpected EOF' });
        expect(await over()).toMatchObject({ code: 1006, wasClean: false });
      });

      it('by a reset while it is read and written', async () => {
        const { conn, peer, over } = await open.raw();
        await peer.send(2, pattern(3_000), false);
        const reader = await conn.nextReader();
        const all = reader.bytes();
        const writer = await conn.nextWriter(BinaryMessage);
        const writing = (async (): Promise<never> => {
          for (;;) await writer.write(pattern(9_000));
        })();
        // It may reject before `all` does.
        writing.catch(() => {});
        const behind = [conn.send('x'), conn.nextWriter(1, { queue: true })];
        await peer.frame(3);
        peer.reset();
        const error = { code: 'WS_ERR_TRANSPORT' };
        await expect(all).rejects.toMatchObject(error);
        await expect(writing).rejects.toMatchObject(error);
        for (const waiting of behind) await expect(waiting).rejects.toMatchObject(error);
        await over();
      });

      it('by the read limit, at the first byte over it', async () => {
        for (const size of [100_000, 100_001]) {
          const { conn, ws } = await connector.ws(carrier, { readLimit: 100_000 });
          const closed = wsClosed(ws);
          const bytes = pattern(size);
          ws.send(bytes.subarray(0, 60_000), { fin: false });
          const reader = await conn.nextReader();
          const into = Buffer.alloc(10_000);
          let n = await reader.read(into);
          ws.send(bytes.subarray(60_000), { fin: size === 100_000 });
          const rest = reader.bytes();
          if (size === 100_000) {
            n += (await rest).length;
            expect(n).toBe(size);
          } else {
            await expect(rest).rejects.toMatchObject({ code: 'WS_ERR_READ_LIMIT', limit: 100_000 });
            expect((await closed).code).toBe(1009);
          }
        }
      });
    },
  );
}
