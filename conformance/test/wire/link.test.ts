import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ServerAttempt } from '../../src/attempts/server-attempt.ts';
import { Link } from '../../src/model/link.ts';

/** A link whose round trip always takes 300 ms. */
class SlowLink extends Link {
  override get roundTrip(): number {
    return 300;
  }
}

describe('Link', () => {
  it('returns the smallest measurement, and 0 before the first', () => {
    const link = new Link();
    expect(link.roundTrip).toBe(0);
    for (const ms of [30, 20, 40]) link.measured(ms);
    expect(link.roundTrip).toBe(20);
  });

  it('is measured by connecting, and extends the pauses of an attempt', async () => {
    const server = createServer((socket) => socket.resume());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const fast = new ServerAttempt(url, 1000);
    await fast.connect();
    expect(fast.link.roundTrip).toBeGreaterThan(0);
    const slow = new ServerAttempt(url, 1000, { link: new SlowLink() });
    expect(slow.withRoundTrips(100)).toBe(700);
    const peer = await slow.connect();
    const start = performance.now();
    await peer.sendPieces([1, 2, 3].map(() => Buffer.from('x')));
    // Three pauses of a tenth, and Node's timers may fire a millisecond early.
    expect(performance.now() - start).toBeGreaterThan(3 * 29);
    for (const attempt of [fast, slow]) attempt.dispose();
    server.close();
  });
});
