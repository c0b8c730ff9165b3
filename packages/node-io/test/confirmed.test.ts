// Uploads, and whether the peer has confirmed them.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CloseError, Conn } from '@ws/conn';
import { naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { nodePlatform, toDuplex } from '../src/index.ts';

const turns = async (count = 10): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => void setImmediate(resolve));
};

const closeFrame = (code: number, reason = ''): Uint8Array =>
  naiveEncode(8, Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]));

describe('C2 pipeline(file, toDuplex(conn))', () => {
  const CASES = [1000, 1001, 1005, 1011, 4000].flatMap((code) =>
    (['before', 'after', 'crossing'] as const).map((when) => ({ code, when })),
  );

  it.each(CASES)(
    'tells the close $code of a peer that comes $when ours',
    async ({ code, when }) => {
      const transport = new TestTransport({ highWaterMark: 1_000_000 });
      const conn = new Conn(transport, {
        role: 'client',
        heartbeat: false,
        platform: nodePlatform,
      });
      const frame = code === 1005 ? naiveEncode(8, Buffer.alloc(0)) : closeFrame(code);
      async function* file(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(50_000, 7);
        if (when === 'before') transport.feed(frame);
        await turns();
      }
      // A crossing: the transport holds our frames while the peer's close frame arrives.
      if (when === 'crossing') transport.block();
      const uploading = pipeline(Readable.from(file()), toDuplex(conn)).then(
        () => 'resolved',
        (error: unknown) => error,
      );
      await turns(20);
      if (when !== 'before') transport.feed(frame);
      await turns();
      if (when === 'crossing') transport.drain();
      await turns();
      transport.feedEnd();
      await turns();
      transport.break();
      const result = await uploading;
      // What no one can tell: a peer's own 1000 that crosses ours.
      if (code === 1000 && when !== 'before') expect(result).toBe('resolved');
      else {
        expect(result).toBeInstanceOf(CloseError);
        expect(result).toMatchObject({ closeCode: code });
      }
    },
  );

  it.each([1000, 1001, 1011])(
    'tells the close %i of a peer before the first chunk',
    async (code) => {
      const transport = new TestTransport({ highWaterMark: 1_000_000 });
      const conn = new Conn(transport, {
        role: 'client',
        heartbeat: false,
        platform: nodePlatform,
      });
      const duplex = toDuplex(conn);
      transport.feed(closeFrame(code, 'server restarts'));
      await turns();
      transport.feedEnd();
      await turns();
      const uploading = pipeline(Readable.from([Buffer.alloc(1_000, 7)]), duplex);
      await expect(uploading).rejects.toMatchObject({
        name: 'CloseError',
        closeCode: code,
        reason: 'server restarts',
      });
      transport.break();
      expect(await conn.closed).toMatchObject({ code, wasClean: true });
    },
  );

  it('resolves an echo whose peer closes normally: the reader knows of the close', async () => {
    const transport = new TestTransport({ highWaterMark: 1_000_000 });
    const conn = new Conn(transport, { role: 'client', heartbeat: false, platform: nodePlatform });
    const duplex = toDuplex(conn);
    const echoing = pipeline(duplex, duplex);
    transport.feed(naiveEncode(2, Buffer.from('one')));
    await turns();
    transport.feed(closeFrame(1000));
    await turns();
    transport.feedEnd();
    await turns();
    transport.break();
    await echoing;
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});
