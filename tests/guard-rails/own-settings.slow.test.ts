// What a connection keeps on the heap for settings that only it has.
import { Conn, type ConnSettings, type Transport } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { FakePlatform } from '../kit/index.ts';
import { liveObjects } from './live-objects.ts';

/** Connections before the first reading: they fill the pools. */
const FIRST = 300;
const CONNECTIONS = 15_000;

const TRANSPORT: Transport = {
  bufferedAmount: 0,
  start() {},
  write: () => true,
  end() {},
  destroy() {},
  pause() {},
  resume() {},
};

async function create(count: number, settings: ConnSettings): Promise<Conn[]> {
  const platform = new FakePlatform();
  const options = { role: 'server', platform, ...settings } as const;
  const conns = Array.from({ length: count }, () => new Conn(TRANSPORT, options));
  await platform.settle();
  return conns;
}

async function liveBytes(): Promise<number> {
  return (await liveObjects()).reduce((sum, { size, count }) => sum + size * count, 0);
}

describe('a connection with settings', { timeout: 300_000 }, () => {
  it('has at most 100 bytes more than one with the defaults', async () => {
    const settings = { readLimit: 65_536 };
    const kept = [await create(FIRST, {}), await create(FIRST, settings)];
    const start = await liveBytes();
    kept.push(await create(CONNECTIONS, {}));
    const between = await liveBytes();
    kept.push(await create(CONNECTIONS, settings));
    const end = await liveBytes();
    const more = (end - between - (between - start)) / CONNECTIONS;
    // Measured: 95.
    expect(more).toBeLessThanOrEqual(100);
    expect(kept.flat().every(({ state }) => state === 'open')).toBe(true);
  });
});
