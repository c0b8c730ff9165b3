// What the sending side holds on to; the engines here put out nothing of worth.

import { Lease } from '@ws/codec/internal';
import { type Compression, Conn } from '@ws/conn';
import { extensionRuntime, resolveSettings } from '@ws/conn/internal';
import { FakePlatform, NO_TAKEOVER, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Compressor } from '../src/compressor.ts';
import { enginePoolOf, SCRATCH } from '../src/engine-pool.ts';
import type { DeflateEngines, Deflater, Inflater } from '../src/engines.ts';
import { perMessageDeflate } from '../src/per-message-deflate.ts';

/**
 * Deflaters that say that a message has become ten bytes, or that it has not become smaller, or
 * throw.
 */
class Source implements DeflateEngines {
  readonly memoryBudget = Infinity;
  readonly generation = 0;
  fits = true;
  failure: Error | undefined;

  inflater(): Inflater {
    throw new Error('nothing is inflated here');
  }

  deflater(): Deflater {
    return {
      used: 0,
      produced: 10,
      reset: () => {},
      write: () => {
        if (this.failure !== undefined) throw this.failure;
        return this.fits;
      },
      close: () => {},
    };
  }
}

const LARGE = 2 * SCRATCH;

describe('Compressor', () => {
  it('keeps no buffer that was made for a large message', () => {
    const source = new Source();
    const engines = enginePoolOf(source, extensionRuntime(new FakePlatform()));
    const compression = resolveSettings({ compression: true }, 'server').writing
      .compression as Compression;
    const compressor = new Compressor(engines, compression, false, 15);
    const bytes = new Uint8Array(LARGE);
    expect(compressor.deflate(bytes, 0, LARGE)).toBe(6);
    expect(compressor.takeOutput().length).toBeGreaterThan(LARGE);
    expect(compressor.takeOutput()).toBe(engines.output);
    source.fits = false;
    expect(compressor.deflate(bytes, 0, LARGE)).toBe(0);
    expect(compressor.takeOutput()).toBe(engines.output);
    source.failure = new Error('no memory');
    expect(() => compressor.deflate(bytes, 0, LARGE)).toThrow('no memory');
    expect(compressor.takeOutput()).toBe(engines.output);
  });
});

describe('a queued message in pooled memory', () => {
  it('releases the memory when it is sent, and when its deflater fails', async () => {
    for (const failure of [undefined, new Error('no memory')]) {
      const source = new Source();
      const conn = new Conn(new TestTransport(), {
        role: 'server',
        platform: Object.assign(new FakePlatform(), { deflate: perMessageDeflate(source) }),
        compression: true,
        deflate: NO_TAKEOVER,
      });
      const writer = await conn.nextWriter(1);
      const lease = Lease.acquire(LARGE);
      const bytes = lease.bytes.subarray(0, LARGE);
      const sent = conn.send(bytes);
      lease.release();
      expect(Lease.holding(bytes)).toBe(lease);
      source.failure = failure;
      writer.abort();
      if (failure === undefined) await sent;
      else await expect(sent).rejects.toBe(failure);
      expect(Lease.holding(bytes)).toBeUndefined();
      conn.terminate();
      await conn.closed;
    }
  });
});
