// The requested parameters of permessage-deflate. Without an engine no message is compressed.

import { Conn, connPair, type Platform } from '@ws/conn';
import { deflateLimits, resolveSettings } from '@ws/conn/internal';
import { FakePlatform, NO_TAKEOVER, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { DeflateEngines } from '../src/engines.ts';
import { perMessageDeflate } from '../src/per-message-deflate.ts';

function hostWithEngines(
  inflates?: DeflateEngines['inflates'],
): Platform & { readonly engines: DeflateEngines } {
  const engines = { memoryBudget: 1000, generation: 0, inflates } as DeflateEngines;
  return Object.assign(new FakePlatform(), { engines, deflate: perMessageDeflate(engines) });
}

describe('deflateLimits', () => {
  const takeover = resolveSettings({ compression: 'takeover' }, 'server');
  const neither = { serverNoContextTakeover: true, clientNoContextTakeover: true };

  it('forbid takeover for engines that inflate whole messages', () => {
    for (const role of ['client', 'server'] as const) {
      expect(deflateLimits(takeover, role, hostWithEngines('messages'))).toMatchObject(neither);
    }
  });

  it.each([
    ['nothing', 1_000, 'the platform has no working engines'],
    ['messages', false, 'the engines of this platform need a readLimit'],
  ] as const)(
    'are undefined for engines of %s and a limit of %s, with a report',
    (inflates, readLimit, why) => {
      const reports: unknown[] = [];
      const report = (error: unknown, { where }: { where: string }): void =>
        void reports.push([where, (error as Error).message]);
      const settings = resolveSettings({ compression: true, readLimit, report }, 'server');
      for (let i = 0; i < 2; i++) {
        expect(deflateLimits(settings, 'server', hostWithEngines(inflates))).toBeUndefined();
      }
      expect(reports).toEqual([['compression', `compression is not offered: ${why}`]]);
    },
  );

  it('need no readLimit for engines that inflate in pieces', () => {
    const settings = resolveSettings({ compression: true, readLimit: false }, 'server');
    expect(deflateLimits(settings, 'server', hostWithEngines())).toMatchObject(neither);
  });
});

describe('a platform without engines', () => {
  it('rejects compression settings', () => {
    const transport = new TestTransport();
    const make = (): Conn => new Conn(transport, { role: 'server', deflate: NO_TAKEOVER });
    expect(make).toThrow(
      'deflate: the platform has no engine to compress with; leave the option out, or pass a platform with deflate',
    );
    expect(transport.sink).toBeUndefined();
  });

  it('makes a pair without compression, and reports it', async () => {
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(String(error));
    const [client, server] = connPair({
      compression: true,
      client: { report },
      server: { report },
    });
    expect(new Set(reports)).toEqual(
      new Set(['Error: compression is not offered: the platform has no working engines']),
    );
    expect(client.extensions).toBe('');
    await client.send('a'.repeat(1000), { compress: true });
    expect((await server.readMessage()).data.length).toBe(1000);
    expect(client.stats.bytesOut).toBeGreaterThan(1000);
    await Promise.all([client.close(), server.discardReads()]);
  });
});
