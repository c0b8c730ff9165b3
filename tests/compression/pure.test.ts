// Compression without zlib.
import { type Conn, connPair, portablePlatform, pureDeflate } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { SETTINGS } from './pairs.ts';
import { closePair, MIB, seeded, someText } from './support.ts';
import { Traffic } from './traffic.ts';

const platform = { ...portablePlatform, deflate: pureDeflate };

describe('pureDeflate', () => {
  nothingLeft();

  it.each(
    SETTINGS.slice(0, 4).map((compression) => [JSON.stringify(compression), compression] as const),
  )('carries every size by every route with %s', { timeout: 30_000 }, async (name, compression) => {
    const pairs: [Conn, Conn][] = Array.from({ length: 2 }, () =>
      connPair({ platform, compression, maxBufferedAmount: false }),
    );
    expect(pairs[0]![0].extensions).toContain('permessage-deflate');
    const traffic = new Traffic(seeded(`pure ${name}`), pairs);
    await traffic.everySize();
    await traffic.run(40);
    for (const [client, server] of pairs) await closePair({ client, server });
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
