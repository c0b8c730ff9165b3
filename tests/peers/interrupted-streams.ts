import { BinaryMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { type Connector, opener, SOCKETS } from './connector.ts';
import { pattern } from './pattern.ts';

/** Streamed messages that the end of the connection interrupts. */
export function interruptedStreamSuite(connector: Connector, carriers = SOCKETS): void {
  describe.each(carriers)(
    `a stream of our ${connector.role} over %s is interrupted`,
    (_, carrier) => {
      nothingLeft();
      const open = opener(connector, carrier);

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
    },
  );
}
