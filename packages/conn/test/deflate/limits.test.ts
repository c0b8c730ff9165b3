// Who asks for what of permessage-deflate, and what is compressed without an engine: nothing.
import { FakeHost, TestTransport } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import type { DeflateSource } from '../../src/deflate/engine.ts';
import { enginesOf } from '../../src/deflate/engines.ts';
import {
  type Compression,
  Conn,
  connPair,
  deflateLimits,
  type Host,
  resolveSettings,
} from '../../src/index.ts';

const SHARED = resolveSettings({ compression: true }, 'server').compression as Compression;

const PARAMETERS = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

function hostWithEngines(memoryBudget = 1000): Host & { readonly deflate: DeflateSource } {
  const deflate = { memoryBudget, generation: 0 } as DeflateSource;
  return Object.assign(new FakeHost(), { deflate });
}

describe('deflateLimits', () => {
  const takeover = { ...SHARED, mode: 'takeover' } as const;
  const neither = { serverNoContextTakeover: true, clientNoContextTakeover: true };
  const both = { serverNoContextTakeover: false, clientNoContextTakeover: false };

  it('are none where nothing is to be compressed, or nothing can be', () => {
    expect(deflateLimits(false, 'server', hostWithEngines())).toBeUndefined();
    expect(deflateLimits(SHARED, 'server', new FakeHost())).toBeUndefined();
  });

  it('forbid takeover in mode shared, and allow it in mode takeover', () => {
    for (const role of ['client', 'server'] as const) {
      expect(deflateLimits(SHARED, role, hostWithEngines())).toMatchObject(neither);
      expect(deflateLimits(takeover, role, hostWithEngines())).toMatchObject(both);
    }
  });

  it('let a server hold 4 KiB for each client, where nobody says otherwise', () => {
    const bits = (compression: typeof SHARED, role: 'client' | 'server'): unknown =>
      deflateLimits(compression, role, hostWithEngines())!.clientMaxWindowBits;
    expect([bits(takeover, 'server'), bits(takeover, 'client')]).toEqual([12, undefined]);
    expect(bits(SHARED, 'server')).toBeUndefined();
    expect(bits({ ...takeover, clientMaxWindowBits: 15 }, 'server')).toBe(15);
  });

  it('forbid takeover from the budget on', () => {
    const host = hostWithEngines();
    const engines = enginesOf(host.deflate, host);
    engines.take(512);
    expect(deflateLimits(takeover, 'server', host)).toMatchObject(both);
    engines.take(512);
    expect(deflateLimits(takeover, 'server', host)).toMatchObject(neither);
    expect(deflateLimits(takeover, 'client', host)).toMatchObject(neither);
  });
});

describe('a host without engines', () => {
  it('cannot be made to compress', () => {
    const transport = new TestTransport();
    const make = (): Conn => new Conn(transport, { role: 'server', deflate: PARAMETERS });
    expect(make).toThrow('deflate: the host has no engine to compress with; leave it out');
    expect(transport.sink).toBeUndefined();
  });

  it('goes without compression in a pair', async () => {
    const [client, server] = connPair({ compression: true });
    expect(client.extensions).toBe('');
    await client.send('a'.repeat(1000), { compress: true });
    expect((await server.readMessage()).data.length).toBe(1000);
    expect(client.stats.bytesOut).toBeGreaterThan(1000);
    await client.close();
  });
});
