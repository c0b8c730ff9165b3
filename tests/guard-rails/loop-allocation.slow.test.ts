// A read loop allocates per message only a promise, a message and a view.
import type { Conn, Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { collectGarbage, turn } from '../kit/index.ts';
import { frameFor, wired } from './wire.ts';

/** Messages of one read: below the limit of one turn, and too few for a collection. */
const MESSAGES = 400;
const SIZE = 128;
const WARM_UPS = 250;
const READINGS = 25;
/** Measured: 740 to 800. An array of a few dozen elements per message exceeds it. */
const GENEROUS = 1000;
const ROLES: readonly Role[] = ['server', 'client'];

const LOOPS: readonly { says: string; run: (conn: Conn) => Promise<void> }[] = [
  {
    says: 'for await',
    run: async (conn) => {
      for await (const { data } of conn) await conn.send(data);
    },
  },
  {
    says: 'readMessage',
    run: async (conn) => {
      for (;;) await conn.send((await conn.readMessage()).data);
    },
  },
];

/** Heap bytes per message: the least of several readings, as a collection may drop compiled code. */
async function perMessage(role: Role, run: (conn: Conn) => Promise<void>): Promise<number> {
  const { conn, transport } = wired(role);
  const over = run(conn);
  await turn();
  const frame = frameFor(role, Buffer.alloc(SIZE, 'a'));
  const stream = Buffer.alloc(frame.length * MESSAGES, frame);
  const chunk = new Uint8Array(stream.length);
  const readings: number[] = [];
  for (let i = 0; i < WARM_UPS + READINGS; i++) {
    // The connection has unmasked it in place.
    chunk.set(stream);
    if (i >= WARM_UPS) collectGarbage();
    const before = process.memoryUsage().heapUsed;
    transport.give(chunk);
    await turn();
    if (i >= WARM_UPS) readings.push((process.memoryUsage().heapUsed - before) / MESSAGES);
  }
  expect(conn.stats.messagesOut).toBe(MESSAGES * (WARM_UPS + READINGS));
  conn.terminate();
  await expect(over).rejects.toThrow('close 1006');
  return Math.min(...readings);
}

describe.each(ROLES)('per message, a %s allocates little', (role) => {
  it.each(LOOPS)('in a loop of $says', async ({ run }) => {
    expect(await perMessage(role, run)).toBeLessThan(GENEROUS);
  });
});
