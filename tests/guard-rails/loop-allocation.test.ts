// What a loop leaves on the heap for each message: no more than its promise, its message and the view of its bytes.
import type { Conn, Role } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { collectGarbage, turn } from '../../src/index.ts';
import { frameFor, wired } from './wire.ts';

/** Of one read: fewer than a turn may have, and so few that nothing is collected meanwhile. */
const MESSAGES = 400;
const SIZE = 128;
const WARM_UPS = 250;
const READINGS = 25;
/** Today 740 to 800; an array of a few dozen places a message is above it. */
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

/** Heap bytes for a message: the least of several readings, since a collection may undo what was compiled. */
async function perMessage(role: Role, run: (conn: Conn) => Promise<void>): Promise<number> {
  const { conn, transport } = wired(role);
  const over = run(conn);
  await turn();
  const frame = frameFor(role, Buffer.alloc(SIZE, 'a'));
  const stream = Buffer.alloc(frame.length * MESSAGES, frame);
  const chunk = new Uint8Array(stream.length);
  const readings: number[] = [];
  for (let i = 0; i < WARM_UPS + READINGS; i++) {
    // It was unmasked in place.
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
