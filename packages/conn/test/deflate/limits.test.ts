// The requested parameters of permessage-deflate. Without an engine no message is compressed.
import { FakePlatform, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { enginePoolOf } from '../../src/deflate/engine-pool.ts';
import { Conn, connPair, type Platform } from '../../src/index.ts';
import { deflateLimits, resolveSettings } from '../../src/internal.ts';
import type { Compression } from '../../src/platform/deflate-engine.ts';
import type { DeflateSource } from '../../src/platform/platform.ts';
import { NO_TAKEOVER } from './inflating-platform.ts';

const SHARED = resolveSettings({ compression: true }, 'server').writing.compression as Compression;

function hostWithEngines(memoryBudget = 1000): Platform & { readonly deflate: DeflateSource } {
  const deflate = { memoryBudget, generation: 0 } as DeflateSource;
  return Object.assign(new FakePlatform(), { deflate });
}

describe('deflateLimits', () => {
  const takeover = { ...SHARED, mode: 'takeover' } as const;
  const neither = { serverNoContextTakeover: true, clientNoContextTakeover: true };
  const both = { serverNoContextTakeover: false, clientNoContextTakeover: false };

  it('are undefined when compression is off or unavailable', () => {
    expect(deflateLimits(false, 'server', hostWithEngines())).toBeUndefined();
    expect(deflateLimits(SHARED, 'server', new FakePlatform())).toBeUndefined();
  });

  it('forbid takeover in mode shared, and allow it in mode takeover', () => {
    for (const role of ['client', 'server'] as const) {
      expect(deflateLimits(SHARED, role, hostWithEngines())).toMatchObject(neither);
      expect(deflateLimits(takeover, role, hostWithEngines())).toMatchObject(both);
    }
  });

  it('allow a server 4 KiB for each client by default', () => {
    const bits = (compression: typeof SHARED, role: 'client' | 'server'): unknown =>
      deflateLimits(compression, role, hostWithEngines())!.clientMaxWindowBits;
    expect([bits(takeover, 'server'), bits(takeover, 'client')]).toEqual([12, undefined]);
    expect(bits(SHARED, 'server')).toBeUndefined();
    expect(bits({ ...takeover, clientMaxWindowBits: 15 }, 'server')).toBe(15);
  });

  it('forbid takeover above the budget', () => {
    const platform = hostWithEngines();
    const engines = enginePoolOf(platform.deflate, platform);
    engines.acquire(512);
    expect(deflateLimits(takeover, 'server', platform)).toMatchObject(both);
    engines.acquire(512);
    expect(deflateLimits(takeover, 'server', platform)).toMatchObject(neither);
    expect(deflateLimits(takeover, 'client', platform)).toMatchObject(neither);
  });
});

describe('a platform without engines', () => {
  it('rejects compression settings', () => {
    const transport = new TestTransport();
    const make = (): Conn => new Conn(transport, { role: 'server', deflate: NO_TAKEOVER });
    expect(make).toThrow(
      'deflate: the platform has no engine to compress with; leave the option out, or add pureDeflate of @ws/conn/pure-deflate to the platform',
    );
    expect(transport.sink).toBeUndefined();
  });

  it('makes a pair without compression', async () => {
    const [client, server] = connPair({ compression: true });
    expect(client.extensions).toBe('');
    await client.send('a'.repeat(1000), { compress: true });
    expect((await server.readMessage()).data.length).toBe(1000);
    expect(client.stats.bytesOut).toBeGreaterThan(1000);
    await Promise.all([client.close(), server.discardReads()]);
  });
});
