import { once } from 'node:events';
import { connect } from 'node:net';
import type { Conn } from '@ws/node-client';
import { expect, it } from 'vitest';
import { ENDED_BY_SIGINT, type Example } from './start.ts';

/**
 * Tests that Ctrl-C ends an example while a connection has sent nothing. Browsers open such connections in advance.
 *
 * @param join - Opens a WebSocket of the example.
 */
export function endsWithSilentClient(
  start: () => Promise<Example>,
  join: (example: Example) => Promise<Conn>,
): void {
  it('ends on SIGINT while a connection has sent nothing', async () => {
    const own = await start();
    const silent = connect(own.port, '127.0.0.1').on('error', () => {});
    const half = connect(own.port, '127.0.0.1').on('error', () => {});
    try {
      await Promise.all([once(silent, 'connect'), once(half, 'connect')]);
      half.write('GET / HT');
      // The server accepts this connection last, so it has accepted the other two.
      const conn = await join(own);
      void conn.discardReads().catch(() => {});
      const end = own.stop('SIGINT');
      expect(await conn.closed).toMatchObject({ code: 1001, wasClean: true });
      expect(ENDED_BY_SIGINT, own.output()).toContain(await end);
    } finally {
      silent.destroy();
      half.destroy();
    }
  });
}
