// Compression without zlib.
import { type Conn, connPair, portablePlatform } from '@ws/conn';
import { pureDeflate } from '@ws/conn/pure-deflate';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { SETTINGS } from './pairs.ts';
import { closePair, MIB, seeded, someText } from './support.ts';
import { Traffic } from './traffic.ts';

const platform = { ...portablePlatform, deflate: pureDeflate };

describe('pureDeflate', () => {
  nothingLeft();

  it.each(
    SETTINGS.slice(1, 4).map((compression) => [JSON.stringify(compression), compression] as const),
  )('carries every size by every route with %s', async (name, compression) => {
    const pairs: [Conn, Conn][] = Array.from({ length: 2 }, () =>
      connPair({ platform, compression, maxBufferedAmount: false }),
    );
    expect(pairs[0]![0].extensions).toContain('permessage-deflate');
    const traffic = new Traffic(seeded(`pure ${name}`), pairs);
    await traffic.everySize();
    await traffic.run(20);
    for (const [client, server] of pairs) await closePair({ client, server });
  });

  it('sends messages uncompressed at level 0', async () => {
    const [client, server] = connPair({ platform, compression: { level: 0, threshold: 0 } });
    for (const size of [100, 1_000, 200_000]) {
      const before = client.stats.bytesOut;
      void client.send('a'.repeat(size));
      expect((await server.readMessage()).text()).toHaveLength(size);
      expect(client.stats.bytesOut - before).toBeGreaterThan(size);
    }
    await closePair({ client, server });
  });

  it('compresses large messages one after the other', async () => {
    const ended: number[] = [];
    let running = 0;
    let most = 0;
    const compressed = [400_000, 70_000, 200_000].map(
      (size, i) =>
        new Promise<void>((resolve) => {
          const begin = (): Uint8Array => {
            most = Math.max(most, ++running);
            return new Uint8Array(size);
          };
          const job = { begin, level: 1, windowBits: 15, history: undefined };
          pureDeflate.deflateLater(job, (output) => {
            running--;
            if (output !== undefined) ended.push(i);
            resolve();
          });
        }),
    );
    await Promise.all(compressed);
    expect([most, ended]).toEqual([1, [0, 1, 2]]);
  });

  it('begins no cancelled job, and stops a cancelled one', async () => {
    const begun: number[] = [];
    const ended: number[] = [];
    await new Promise<void>((resolve) => {
      const cancels = [0, 1, 2].map((i) => {
        const begin = (): Uint8Array => {
          begun.push(i);
          if (i === 0) setImmediate(cancels[0]!);
          return new Uint8Array(400_000);
        };
        const job = { begin, level: 1, windowBits: 15, history: undefined };
        return pureDeflate.deflateLater(job, () => {
          ended.push(i);
          resolve();
        });
      });
      cancels[1]!();
    });
    expect(begun).toEqual([0, 2]);
    expect(ended).toEqual([2]);
  });

  it('compresses a large message in turns of the event loop, in order', async () => {
    const [client, server] = connPair({ platform, compression: true });
    const text = someText(seeded('pure 1 MiB'), MIB, 'words');
    let turns = 0;
    const count = (): void => {
      turns++;
      timer = setImmediate(count);
    };
    let timer = setImmediate(count);
    void client.send(text);
    void client.send('next');
    expect((await server.readMessage()).text() === text).toBe(true);
    clearImmediate(timer);
    expect((await server.readMessage()).text()).toBe('next');
    expect(turns).toBeGreaterThanOrEqual(MIB / 32_768 / 2);
    expect(client.stats.bytesOut).toBeLessThan(0.8 * MIB);
    await closePair({ client, server });
  });

  it('sends a large message uncompressed when the connection closes first', async () => {
    const [client, server] = connPair({ platform, compression: true });
    const bytes = new Uint8Array(200_000).fill(7);
    void client.send(bytes);
    const closed = client.close();
    expect((await server.readMessage()).data).toHaveLength(bytes.length);
    expect(client.stats.bytesOut).toBeGreaterThan(bytes.length);
    await server.discardReads().catch(() => {});
    await closed;
  });
});
