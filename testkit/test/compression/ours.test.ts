// Both ends ours, in memory: what one sends by any route is what the other gets, in order.
import type { CompressionOptions } from '@ws/conn';
import { connPair } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../../src/peers/index.ts';
import { BACKENDS, CountingSource, hostOn, MIB, pairOn, seeded, someText } from './support.ts';
import { Traffic } from './traffic.ts';

const SETTINGS: readonly CompressionOptions[] = [
  {},
  { threshold: 0, level: -2 },
  { threshold: 0, level: 9, serverMaxWindowBits: 8, clientMaxWindowBits: 8 },
  { threshold: 0, level: 0, asyncDeflateThreshold: 0 },
  { mode: 'takeover' },
  { mode: 'takeover', threshold: 0, sendHistory: 512, takeoverEngines: 0 },
  { mode: 'takeover', threshold: 0, sendHistory: 2048, takeoverEngines: 1, level: 6 },
  { mode: 'takeover', threshold: 0, sendHistory: 32_768, takeoverEngines: 2, level: 9 },
  { mode: 'takeover', threshold: 0, takeoverEngines: 2, asyncDeflateThreshold: 100 },
  { mode: 'takeover', threshold: 0, serverMaxWindowBits: 8, clientMaxWindowBits: 8, level: 6 },
  { mode: 'takeover', sendHistory: 32_768, serverMaxWindowBits: 9, clientMaxWindowBits: 10 },
  { mode: 'takeover', threshold: 0, serverMaxWindowBits: 12, asyncDeflateThreshold: false },
];
const CONNECTIONS = 4;

describe.each(BACKENDS)('compressed connections of ours on %s', (backend) => {
  nothingLeft();

  it.each(SETTINGS.map((compression) => [JSON.stringify(compression), compression] as const))(
    'carry every size by every route with %s',
    { timeout: 30_000 },
    async (name, compression) => {
      const random = seeded(`${backend} ${name}`);
      const source = new CountingSource(backend);
      const host = hostOn(source);
      const pairs = Array.from({ length: CONNECTIONS }, () =>
        connPair({ host, compression, maxBufferedAmount: false }),
      );
      expect(pairs[0]![0].extensions).toContain('permessage-deflate');
      const traffic = new Traffic(random, pairs);
      await traffic.everySize();
      // At level 0 nothing gets smaller, and is sent as it is.
      expect(source.inflated > 100_000).toBe(compression.level !== 0);
      await traffic.run(100);
      for (const [client] of pairs) await client.close();
    },
  );

  it('keep the order of small messages behind large ones that other threads compress', async () => {
    const { client, server, source } = pairOn(backend, { maxBufferedAmount: false });
    const random = seeded(`${backend} order`);
    const sent = Array.from({ length: 60 }, (_, i) =>
      someText(random, i % 3 === 0 ? 60_000 + i * 1000 : i * 10, 'words'),
    );
    for (const text of sent) void client.send(text);
    for (const text of sent) expect((await server.readMessage()).text() === text).toBe(true);
    expect(source.jobs).toBe(20);
    await client.close();
  });

  it('carry 1 MiB whole, streamed and prepared, compressed', async () => {
    const { client, server } = pairOn(backend);
    const text = someText(seeded(`${backend} 1 MiB`), MIB, 'words');
    void client.send(text);
    expect((await server.readMessage()).text() === text).toBe(true);
    const sent = (async () => {
      const writer = await client.nextWriter(1);
      await writer.write(text);
      await writer.close();
    })();
    expect((await (await server.nextReader()).text()) === text).toBe(true);
    await sent;
    expect(client.stats.bytesOut).toBeLessThan(MIB);
    await client.close();
  });
});
