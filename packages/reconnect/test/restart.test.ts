import { type Conn, connPair } from '@ws/conn';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReconnectingConn } from '../src/index.ts';

const CLIENTS = 1_000;
/** In ms. */
const MIN_DELAY = 1_000;

/** Runs turns of the event loop, in which the fake clock stands still. */
async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !holds(); i++) {
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect(holds()).toBe(true);
}

describe('the restart of a server with 1,000 clients', () => {
  // Messages in memory travel by setImmediate, which stays real.
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
  });
  afterEach(() => void vi.useRealTimers());

  it('spreads their dials over twice minDelay', async () => {
    const dialed: number[] = [];
    const servers: Conn[] = [];
    const dial = async (): Promise<Conn> => {
      dialed.push(Date.now());
      if (dialed.length > CLIENTS) await new Promise(() => {});
      const [client, server] = connPair({ heartbeat: false });
      servers.push(server);
      return client;
    };
    const clients = Array.from({ length: CLIENTS }, () => {
      const client = new ReconnectingConn(dial, { minDelay: MIN_DELAY });
      void client.receive(() => {}).catch(() => {});
      return client;
    });
    await until(() => clients.every(({ state }) => state === 'open'));

    const restart = Date.now();
    for (const server of servers) server.terminate();
    await until(() => vi.getTimerCount() >= CLIENTS);
    await vi.advanceTimersByTimeAsync(2 * MIN_DELAY + 10);
    const again = dialed.slice(CLIENTS);
    expect(again).toHaveLength(CLIENTS);
    const tenths = Array<number>(10).fill(0);
    for (const at of again) {
      const tenth = Math.floor(((at - restart) / (2 * MIN_DELAY)) * 10);
      tenths[Math.min(9, tenth)]!++;
    }
    // 100 each on average, with a standard deviation of 9.5.
    expect(Math.min(...tenths)).toBeGreaterThan(40);
    expect(Math.max(...tenths)).toBeLessThan(160);

    await Promise.all(clients.map((client) => client.close()));
  });
});
