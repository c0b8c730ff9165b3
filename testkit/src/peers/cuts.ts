import { BinaryMessage, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from './leftovers.ts';
import { pattern } from './pattern.ts';
import { allGone, OVER, type Stage, wsClosed } from './stage.ts';

/** Messages as streams that the end of the connection cuts. */
export function cutSuite(stage: Stage): void {
  describe.each(OVER)(`a stream of our ${stage.role} over %s is cut`, (_, secure) => {
    nothingLeft();

    it('by our close frame while it is written', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      const got: unknown[] = [];
      ws.on('message', (data) => got.push(data));
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(pattern(10_000));
      const waiting = conn.send('behind it');
      const closing = conn.close(4001, 'enough');
      await expect(writer.write(pattern(10_000))).rejects.toMatchObject({
        code: 'WS_ERR_CLOSE_SENT',
      });
      await expect(writer.close()).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
      await expect(waiting).rejects.toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
      expect((await closing).wasClean).toBe(true);
      await allGone(ours, peer);
      expect(await peer).toEqual({ code: 4001, reason: 'enough' });
      expect(got).toEqual([]);
    });

    it('by abort() while it is written, which fails the connection', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
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
      expect(await allGone(ours, peer)).toMatchObject({
        code: 1011,
        error: { message: 'the source is dry' },
      });
      expect((await peer).code).toBe(1011);
    });

    it('by the close frame of the peer while it is read', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.send(2, 'begun', false);
      const reader = await conn.nextReader();
      const into = new Uint8Array(100);
      expect(await reader.read(into)).toBe(5);
      const pending = reader.read(into);
      await peer.send(8, Buffer.from([0x0f, 0xa1]));
      await expect(pending).rejects.toMatchObject({ closeCode: 4001 });
      await expect(reader.bytes()).rejects.toMatchObject({ closeCode: 4001 });
      peer.end();
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 4001, wasClean: true });
    });

    it('by our close() while it is read', async () => {
      const ours = await stage.ws(secure);
      const { conn, ws } = ours;
      const peer = wsClosed(ws);
      ws.send(pattern(500_000), { fin: false });
      const reader = await conn.nextReader();
      await reader.read(new Uint8Array(10));
      const rest = reader.bytes();
      await conn.close(4001);
      await expect(rest).rejects.toMatchObject({ closeCode: 4001 });
      await expect(conn.nextReader()).rejects.toMatchObject({ closeCode: 4001 });
      await allGone(ours, peer);
    });

    it('by the end of the peer’s stream while it is read and written', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.send(2, pattern(3_000), false);
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(pattern(9_000));
      const reader = await conn.nextReader();
      const all = reader.bytes();
      peer.end();
      await expect(all).rejects.toMatchObject({ reason: 'unexpected EOF' });
      await expect(writer.write('x')).rejects.toMatchObject({ reason: 'unexpected EOF' });
      await expect(conn.nextWriter(1)).rejects.toMatchObject({ reason: 'unexpected EOF' });
      expect(await allGone(ours, peer.closed)).toMatchObject({ code: 1006, wasClean: false });
    });

    it('by a reset while it is read and written', async () => {
      const ours = await stage.raw(secure);
      const { conn, peer } = ours;
      await peer.send(2, pattern(3_000), false);
      const reader = await conn.nextReader();
      const all = reader.bytes();
      const writer = await conn.nextWriter(BinaryMessage);
      const writing = (async (): Promise<never> => {
        for (;;) await writer.write(pattern(9_000));
      })();
      const behind = [conn.send('x'), conn.nextWriter(1, { queue: true })];
      await peer.frame(3);
      peer.reset();
      const error = { code: 'WS_ERR_TRANSPORT' };
      await expect(all).rejects.toMatchObject(error);
      await expect(writing).rejects.toMatchObject(error);
      for (const waiting of behind) await expect(waiting).rejects.toMatchObject(error);
      await allGone(ours, peer.closed);
    });

    it('by the read limit, exactly, before it is complete', async () => {
      for (const size of [100_000, 100_001]) {
        const { conn, ws } = await stage.ws(secure, { readLimit: 100_000 });
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
  });
}
